// Points in Voronoi cells, packed for comparisons.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "labelquorum/executor.hpp"
#include "packed_rows.hpp"
#include "space.hpp"

namespace labelquorum {

// Rows in the order of their cells. A row's position in this order is its place.
struct RowsOfCells {
    std::vector<std::size_t> begins;    // first place of each cell, and the end
    std::vector<std::uint32_t> ids;     // row number at each place
    std::vector<std::uint32_t> homes;   // cell of each place
    std::vector<std::uint32_t> places;  // place of each row
    std::vector<float> coordinates;     // by place

    std::size_t n_cells() const { return begins.size() - 1; }
    std::size_t size(std::size_t cell) const { return begins[cell + 1] - begins[cell]; }
};

class Cells {
public:
    // Points have n_columns coordinates each. The share `kept_rest` of a point's rest is added to
    // its squared distances.
    Cells(Coordinates coordinates, std::size_t n_columns, double kept_rest, std::mt19937_64& random,
          const Executor& executor);

    std::size_t n_columns() const { return n_columns_; }
    const RowsOfCells& points() const { return points_; }
    const double* center(std::size_t cell) const { return centers_.data() + cell * n_columns_; }

    // Points minus the center of their cell. Each cell starts with a new panel.
    const PackedRows& panels() const { return panels_; }
    std::size_t first_panel(std::size_t cell) const { return first_panels_[cell]; }
    std::size_t n_panels(std::size_t cell) const {
        return first_panels_[cell + 1] - first_panels_[cell];
    }
    // For each place of a panel, the squared length of the point and its share of the rest; NaN
    // without a point.
    const float* squares(std::size_t panel) const {
        return squares_.data() + panel * panels_.tile().n_points;
    }

    // Sorts rows into the cells with the nearest centers.
    RowsOfCells sort(std::vector<float> coordinates, const Executor& executor) const;

private:
    void train(std::span<const float> rows, std::mt19937_64& random, const Executor& executor);
    std::vector<std::uint32_t> nearest_centers(std::span<const float> rows,
                                               const Executor& executor) const;
    void fill(const std::vector<float>& rests, double kept_rest, const Executor& executor);

    std::size_t n_columns_;
    std::vector<double> centers_;
    RowsOfCells points_;
    std::vector<std::size_t> first_panels_;
    PackedRows panels_{fast_dot_tile()};
    std::vector<float> squares_;
};

}  // namespace labelquorum
