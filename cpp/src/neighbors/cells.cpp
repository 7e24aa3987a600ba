#include "cells.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

namespace labelquorum {
namespace {

constexpr std::size_t block_rows = 1024;
constexpr std::size_t max_cells = 8192;
constexpr std::size_t training_rows_per_cell = 32;
constexpr std::size_t n_training_steps = 4;
constexpr float no_limit = std::numeric_limits<float>::infinity();
constexpr float no_number = std::numeric_limits<float>::quiet_NaN();

}  // namespace

Cells::Cells(Coordinates coordinates, std::size_t n_columns, double kept_rest,
             std::mt19937_64& random, const Executor& executor)
    : n_columns_(n_columns) {
    train(coordinates.values, random, executor);
    points_ = sort(std::move(coordinates.values), executor);
    fill(coordinates.rests, kept_rest, executor);
}

RowsOfCells Cells::sort(std::vector<float> coordinates, const Executor& executor) const {
    const std::vector<std::uint32_t> homes = nearest_centers(coordinates, executor);
    const std::size_t n = homes.size();
    RowsOfCells rows{std::vector<std::size_t>(centers_.size() / n_columns_ + 1, 0),
                     std::vector<std::uint32_t>(n), std::vector<std::uint32_t>(n),
                     std::vector<std::uint32_t>(n), std::vector<float>(coordinates.size())};
    for (const std::uint32_t home : homes) ++rows.begins[home + 1];
    std::partial_sum(rows.begins.begin(), rows.begins.end(), rows.begins.begin());
    std::vector<std::size_t> next(rows.begins.begin(), rows.begins.end() - 1);
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t place = next[homes[i]]++;
        rows.ids[place] = static_cast<std::uint32_t>(i);
        rows.homes[place] = homes[i];
        rows.places[i] = static_cast<std::uint32_t>(place);
    }
    executor.run_ranges(n, block_rows, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t place = begin; place < end; ++place) {
            std::copy_n(coordinates.data() + rows.ids[place] * n_columns_, n_columns_,
                        rows.coordinates.data() + place * n_columns_);
        }
    });
    return rows;
}

// Centers by k-means on a sample of the rows.
void Cells::train(std::span<const float> rows, std::mt19937_64& random, const Executor& executor) {
    const std::size_t n_rows = rows.size() / n_columns_;
    const std::size_t n_cells =
        std::min(static_cast<std::size_t>(2 * std::sqrt(static_cast<double>(n_rows))), max_cells);
    std::vector<float> training_rows;
    for (const std::uint32_t i :
         sample(std::min(n_rows, n_cells * training_rows_per_cell), n_rows, random)) {
        const float* row = rows.data() + i * n_columns_;
        training_rows.insert(training_rows.end(), row, row + n_columns_);
    }
    centers_.clear();
    for (const std::uint32_t i : sample(n_cells, training_rows.size() / n_columns_, random)) {
        const float* row = training_rows.data() + i * n_columns_;
        centers_.insert(centers_.end(), row, row + n_columns_);
    }
    for (std::size_t step = 0; step < n_training_steps; ++step) {
        const std::vector<std::uint32_t> homes = nearest_centers(training_rows, executor);
        std::vector<double> sums(centers_.size(), 0.0);
        std::vector<double> counts(n_cells, 0.0);
        for (std::size_t i = 0; i < homes.size(); ++i) {
            ++counts[homes[i]];
            double* sum = sums.data() + homes[i] * n_columns_;
            const float* row = training_rows.data() + i * n_columns_;
            for (std::size_t c = 0; c < n_columns_; ++c) sum[c] += row[c];
        }
        for (std::size_t cell = 0; cell < n_cells; ++cell) {
            if (counts[cell] == 0) continue;
            for (std::size_t c = cell * n_columns_; c < (cell + 1) * n_columns_; ++c) {
                centers_[c] = sums[c] / counts[cell];
            }
        }
    }
}

// A point in a cell that is not quite the nearest does no harm, so low-precision products decide.
// assign_codebooks, which is exact, would make the whole search 4 to 10 % slower.
std::vector<std::uint32_t> Cells::nearest_centers(std::span<const float> rows,
                                                  const Executor& executor) const {
    const std::size_t n_rows = rows.size() / n_columns_;
    const DotTile& tile = fast_dot_tile();
    const std::size_t n_cells = centers_.size() / n_columns_;
    PackedRows packed(tile);
    packed.resize(n_cells, n_columns_);
    std::vector<float> squares(packed.n_panels() * tile.n_points, no_number);
    const std::vector<float> no_limits(tile.n_points, no_number);
    std::vector<float> center(tile.columns_of_panel(n_columns_), 0.0F);
    for (std::size_t cell = 0; cell < n_cells; ++cell) {
        double sum = 0;
        for (std::size_t c = 0; c < n_columns_; ++c) {
            const double value = centers_[cell * n_columns_ + c];
            center[c] = static_cast<float>(value);
            sum += value * value;
        }
        packed.put(cell, center.data());
        squares[cell] = static_cast<float>(sum);
    }
    std::vector<std::uint32_t> homes(n_rows, 0);
    executor.run_ranges(n_rows, block_rows, [&](std::size_t begin, std::size_t end, int) {
        executor.checkpoint();
        std::vector<float> nearest(end - begin, no_limit);
        Multiplier multiply(tile, n_columns_);
        multiply(
            end - begin,
            [&](std::size_t i, float* row) {
                std::copy_n(rows.data() + (begin + i) * n_columns_, n_columns_, row);
            },
            packed, 0, packed.n_panels(),
            [&](std::size_t i, std::size_t panel, const float* dots) {
                const std::size_t first = panel * tile.n_points;
                std::uint32_t bits = tile.within(dots, 2, no_number, nearest[i],
                                                 squares.data() + first, no_limits.data())
                                         .query;
                for (; bits != 0; bits &= bits - 1) {
                    const auto p = static_cast<std::size_t>(std::countr_zero(bits));
                    const float distance = squares[first + p] - 2 * dots[p];
                    if (!(distance < nearest[i])) continue;
                    nearest[i] = distance;
                    homes[begin + i] = static_cast<std::uint32_t>(first + p);
                }
            });
    });
    return homes;
}

void Cells::fill(const std::vector<float>& rests, double kept_rest, const Executor& executor) {
    const std::size_t width = panels_.tile().n_points;
    const std::size_t n_cells = points_.n_cells();
    first_panels_.assign(n_cells + 1, 0);
    for (std::size_t cell = 0; cell < n_cells; ++cell) {
        first_panels_[cell + 1] = first_panels_[cell] + panels_of(points_.size(cell), width);
    }
    const std::size_t n_rows = first_panels_.back() * width;
    executor.require_memory(n_rows * (n_columns_ + 1) * sizeof(float), "the cells of points");
    panels_.resize(n_rows, n_columns_);
    squares_.assign(n_rows, no_number);
    executor.run(n_cells, [&](std::size_t cell, int) {
        executor.checkpoint();
        std::vector<float> row(panels_.tile().columns_of_panel(n_columns_), 0.0F);
        std::size_t to = first_panels_[cell] * width;
        for (std::size_t place = points_.begins[cell]; place < points_.begins[cell + 1]; ++place) {
            const float* from = points_.coordinates.data() + place * n_columns_;
            double sum = 0;
            for (std::size_t c = 0; c < n_columns_; ++c) {
                const double value = from[c] - center(cell)[c];
                row[c] = static_cast<float>(value);
                sum += value * value;
            }
            if (!rests.empty()) sum += kept_rest * rests[points_.ids[place]];
            panels_.put(to, row.data());
            squares_[to++] = static_cast<float>(sum);
        }
    });
}

}  // namespace labelquorum
