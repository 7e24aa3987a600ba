// Dot products of a few rows with many: the inner loops of neighbor search.
//
// Rows are rounded to the values that a DotTile works on and put into panels, whose layout only the
// DotTile knows. Compiled once per instruction set. Callers get the table of functions once,
// outside of loops.
#pragma once

#include <cstddef>
#include <cstdint>

namespace labelquorum {

struct DotTile {
    std::size_t n_queries;        // rows of a panel of queries
    std::size_t n_points;         // rows of a panel of points, at most 32
    std::size_t column_multiple;  // panels are padded with zeros to a multiple of this
    std::size_t value_bytes;

    std::size_t columns_of_panel(std::size_t n_columns) const {
        return (n_columns + column_multiple - 1) / column_multiple * column_multiple;
    }

    double rounding;  // approximate relative error of rounding to a value
    struct Squares {
        double row;   // squared length of the centered and scaled row
        double lost;  // squared length of what rounding took from it
    };
    // Centers and scales a row of n columns in place, and rounds it to values that panels hold.
    Squares (*prepare)(double* row, const double* center, double scale, std::size_t n,
                       float* values);
    // Puts a rounded row in a place of a panel. n_columns is a multiple of column_multiple.
    void (*put_query)(const float* row, std::size_t n_columns, std::size_t place, void* panel);
    void (*put_point)(const float* row, std::size_t n_columns, std::size_t place, void* panel);
    // Copies a query from one panel to another.
    void (*copy_query)(const void* from, std::size_t from_place, std::size_t n_columns,
                       std::size_t place, void* panel);
    // Writes the dot products of a panel of queries with n_panels consecutive panels of points to
    // dots[(panel * n_queries + query) * n_points + point]. Sums are in single precision.
    void (*multiply)(const void* queries, const void* points, std::size_t n_panels,
                     std::size_t n_columns, float* dots);
    // One bit per point of a panel.
    struct Within {
        std::uint32_t query;   // whether the point is within the query's limit
        std::uint32_t points;  // whether the query is within the point's limit
    };
    // Compares a query with a panel of points. A row is within the limit of another one if its
    // `low` minus weight * dot is at most the limit. If any of these is NaN, it is not.
    Within (*within)(const float* dots, float weight, float query_low, float query_limit,
                     const float* point_lows, const float* point_limits);
    struct Near {
        float value;  // low - weight * dot
        std::uint32_t query;
        std::uint32_t point;
    };
    // Finds the points of n_panels (at most 32) that may be nearest to each of the first n queries
    // of a panel. least[query] becomes the minimum of itself and all values of the query. Points
    // whose value is at most least[query] + gaps[query] are written to `near`, which has room for
    // all; returns how many there are. NaN is never near.
    std::size_t (*near_least)(const float* dots, std::size_t n, std::size_t n_panels, float weight,
                              const float* lows, const float* gaps, float* least, Near* near);
    // In double precision. All instruction sets give the same results.
    double (*dot)(const double* a, const double* b, std::size_t n);
    double (*squared_distance)(const double* a, const double* b, std::size_t n);
    void (*widen)(const float* from, std::size_t n, double* to);
};

// The largest n_queries * n_points.
inline constexpr std::size_t max_dots_per_tile = 1024;

// The DotTile that multiplies fastest, and the fastest in single precision. Often the same.
const DotTile& fast_dot_tile();
const DotTile& precise_dot_tile();

}  // namespace labelquorum
