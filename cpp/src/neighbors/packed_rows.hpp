// Dot products of many single-precision rows with many others, by DotTile.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "base/aligned_buffer.hpp"
#include "dot_tile.hpp"

namespace labelquorum {

inline std::size_t panels_of(std::size_t n, std::size_t width) { return (n + width - 1) / width; }

// Rows in panels of points.
class PackedRows {
public:
    explicit PackedRows(const DotTile& tile) : tile_(&tile) {}

    void resize(std::size_t n_rows, std::size_t n_columns) {
        n_panels_ = panels_of(n_rows, tile_->n_points);
        n_columns_ = tile_->columns_of_panel(n_columns);
        data_.resize(n_panels_ * panel_bytes());
    }
    const DotTile& tile() const { return *tile_; }
    std::size_t n_panels() const { return n_panels_; }
    std::size_t panel_bytes() const { return tile_->n_points * n_columns_ * tile_->value_bytes; }
    // row: columns_of_panel(n_columns) values, padded with zeros.
    void put(std::size_t i, const float* row) {
        tile_->put_point(row, n_columns_, i % tile_->n_points,
                         data_.as<char>() + i / tile_->n_points * panel_bytes());
    }
    const char* panel(std::size_t p) const { return data_.as<char>() + p * panel_bytes(); }

private:
    const DotTile* tile_;
    std::size_t n_panels_ = 0;
    std::size_t n_columns_ = 0;
    AlignedBuffer data_;
};

// Multiplies rows with packed rows, one panel of queries at a time.
class Multiplier {
public:
    Multiplier(const DotTile& tile, std::size_t n_columns)
        : tile_(tile), n_columns_(tile.columns_of_panel(n_columns)), row_(n_columns_, 0.0F) {}

    const DotTile& tile() const { return tile_; }

    std::size_t panel_bytes() const { return tile_.n_queries * n_columns_ * tile_.value_bytes; }

    // Puts row number i, of columns_of_panel(n_columns) values, in its place in panels of queries.
    void put(const float* row, std::size_t i, AlignedBuffer& panels) const {
        tile_.put_query(row, n_columns_, i % tile_.n_queries,
                        panels.as<char>() + i / tile_.n_queries * panel_bytes());
    }
    void copy(const AlignedBuffer& from, std::size_t i, std::size_t to,
              AlignedBuffer& panels) const {
        tile_.copy_query(from.as<char>() + i / tile_.n_queries * panel_bytes(), i % tile_.n_queries,
                         n_columns_, to % tile_.n_queries,
                         panels.as<char>() + to / tile_.n_queries * panel_bytes());
    }

    // Calls body(query, panel, dots) for every query and panel of points. row(q, to) must write
    // query q. Panels are counted from first_panel.
    template <class Row, class Body>
    void operator()(std::size_t n_queries, Row&& row, const PackedRows& points,
                    std::size_t first_panel, std::size_t n_panels, Body&& body) {
        place(
            n_queries,
            [&](std::size_t q, std::size_t to, AlignedBuffer& panel) {
                row(q, row_.data());
                put(row_.data(), to, panel);
            },
            points, first_panel, n_panels, body);
    }

    // The same, where put_query(q, place, panel) puts query q in a place of a panel.
    template <class Place, class Body>
    void place(std::size_t n_queries, Place&& put_query, const PackedRows& points,
               std::size_t first_panel, std::size_t n_panels, Body&& body) {
        queries_.resize(panel_bytes());
        dots_.resize(max_dots_per_tile * sizeof(float));
        for (std::size_t begin = 0; begin < n_queries; begin += tile_.n_queries) {
            const std::size_t n = std::min(tile_.n_queries, n_queries - begin);
            for (std::size_t q = 0; q < n; ++q) {
                put_query(begin + q, q, queries_);
            }
            for (std::size_t p = 0; p < n_panels; ++p) {
                tile_.multiply(queries_.as<char>(), points.panel(first_panel + p), 1, n_columns_,
                               dots_.as<float>());
                for (std::size_t q = 0; q < n; ++q) {
                    body(begin + q, p, dots_.as<float>() + q * tile_.n_points);
                }
            }
        }
    }

private:
    const DotTile& tile_;
    std::size_t n_columns_;
    AlignedBuffer queries_;
    AlignedBuffer dots_;
    std::vector<float> row_;
};

}  // namespace labelquorum
