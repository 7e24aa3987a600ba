// Dot products of a few rows with many: the inner loops of the search for neighbours.
//
// Rows are rounded to the values that a DotTile works on and put into panels, whose layout is its
// own. Compiled once per instruction set; the table of functions is chosen once, outside of loops.
#pragma once

#include <cstddef>
#include <cstdint>

namespace labelquorum {

struct DotTile {
    std::size_t n_queries;    // rows of a panel of queries
    std::size_t n_points;     // rows of a panel of points, at most 32
    std::size_t n_columns_of; // columns of a panel are a multiple of this; zeros fill up
    std::size_t value_bytes;
    double rounding;  // about the relative error of rounding to a value
    // Rounds a row, in place, to values that panels hold.
    void (*round)(float* row, std::size_t n_columns);
    // Puts a rounded row at a place in a panel of n_columns, a multiple.
    void (*put_query)(const float* row, std::size_t n_columns, std::size_t place, void* panel);
    void (*put_point)(const float* row, std::size_t n_columns, std::size_t place, void* panel);
    // The dot products of a panel of queries with n_panels panels of points, one behind the other:
    // dots[(panel * n_queries + query) * n_points + point], summed in single precision.
    void (*multiply)(const void* queries, const void* points, std::size_t n_panels,
                     std::size_t n_columns, float* dots);
    // A bit for each point of a panel with low[point] - weight * dots[point] <= limit.
    std::uint32_t (*within)(const float* dots, const float* low, float weight, float limit);
};

// The largest n_queries * n_points.
inline constexpr std::size_t max_dots_per_tile = 1024;

const DotTile& dot_tile();

}  // namespace labelquorum
