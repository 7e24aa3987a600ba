// Dot products of a few rows with many: the inner loops of the search for neighbours.
//
// Rows are rounded to the values that a DotTile works on and put into panels, whose layout is its
// own. Compiled once per instruction set; the table of functions is chosen once, outside of loops.
#pragma once

#include <cstddef>
#include <cstdint>

namespace labelquorum {

struct DotTile {
    std::size_t n_queries;     // rows of a panel of queries
    std::size_t n_points;      // rows of a panel of points, at most 32
    std::size_t n_columns_of;  // columns of a panel are a multiple of this; zeros fill up
    std::size_t value_bytes;

    std::size_t columns_of_panel(std::size_t n_columns) const {
        return (n_columns + n_columns_of - 1) / n_columns_of * n_columns_of;
    }

    double rounding;  // about the relative error of rounding to a value
    // Centres and scales a row of n columns in place, and rounds it to values that panels hold.
    struct Squares {
        double row;   // of the row, centred and scaled,
        double lost;  // and of what rounding took from it
    };
    Squares (*prepare)(double* row, const double* center, double scale, std::size_t n,
                       float* values);
    // Puts a row, rounded, at a place in a panel of n_columns, a multiple.
    void (*put_query)(const float* row, std::size_t n_columns, std::size_t place, void* panel);
    void (*put_point)(const float* row, std::size_t n_columns, std::size_t place, void* panel);
    // Copies a query from one panel to another.
    void (*copy_query)(const void* from, std::size_t from_place, std::size_t n_columns,
                       std::size_t place, void* panel);
    // The dot products of a panel of queries with n_panels panels of points, one behind the other:
    // dots[(panel * n_queries + query) * n_points + point], summed in single precision.
    void (*multiply)(const void* queries, const void* points, std::size_t n_panels,
                     std::size_t n_columns, float* dots);
    // A bit for each point of a panel: whether it is within the limit of a query, and whether the
    // query is within the limit of the point, which is to say that the other's `low`, less weight *
    // dot, is at most the limit. Never where one of these is NaN.
    struct Within {
        std::uint32_t query;
        std::uint32_t points;
    };
    Within (*within)(const float* dots, float weight, float query_low, float query_limit,
                     const float* point_lows, const float* point_limits);
    // For each of the first n queries of a panel, the points of n_panels, at most 32, whose low,
    // less weight * dot, is at most its gap above the least of all and of what its `least` is,
    // which it becomes; none where one of these is NaN. found: room for all; returns how many there
    // are.
    struct Near {
        float value;
        std::uint32_t query;
        std::uint32_t point;
    };
    std::size_t (*near_least)(const float* dots, std::size_t n, std::size_t n_panels, float weight,
                              const float* lows, const float* gaps, float* least, Near* found);
    // In double precision; the same for all instruction sets.
    double (*dot)(const double* a, const double* b, std::size_t n);
    double (*squared_distance)(const double* a, const double* b, std::size_t n);
    void (*widen)(const float* from, std::size_t n, double* to);
};

// The largest n_queries * n_points.
inline constexpr std::size_t max_dots_per_tile = 1024;

// The one that multiplies fastest, and the fastest of single precision; often the same.
const DotTile& fast_dot_tile();
const DotTile& precise_dot_tile();

}  // namespace labelquorum
