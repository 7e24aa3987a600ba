// Nearest neighbours among the rows of a matrix, exactly.
//
// Distances are estimated in blocks of single-precision dot products of centred rows, with a bound
// on the error of each estimate. Whatever the bounds cannot rule out is measured again in double
// precision on the values as given, so the result is that of comparing all pairs in double
// precision. Ties go to the smaller index.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "labelquorum/executor.hpp"

namespace labelquorum {

enum class FloatType : std::uint8_t { f16, f32, f64 };

// A matrix that somebody else owns.
struct Points {
    const void* data;
    FloatType type;
    std::ptrdiff_t row_stride;     // bytes from one row to the next
    std::ptrdiff_t column_stride;  // bytes from one column to the next
    std::size_t n_rows;            // at most 2^32 - 1
    std::size_t n_columns;         // at least 1
};

enum class Metric : std::uint8_t {
    euclidean,
    cosine,         // 1 - cosine of the angle; 1 where a row is all zeros
    inner_product,  // minus the inner product, so that smaller is nearer
};

template <class Distance>
struct Neighbors {
    std::size_t k;                      // of each query
    std::vector<Distance> distances;    // n_queries x k, nearest first
    std::vector<std::int64_t> indices;  // of the points
};

// The k nearest of `points` to each row of `queries`, or, where queries is null, to each of
// `points` itself, that one left out. Distance is float or double.
//
// k is at least 1, and at most the number of points (less one where queries is null). Throws
// std::invalid_argument for NaN, infinity and values beyond 1e150, naming the place.
//
// Time is O(n_queries * n_points * n_columns), and half of that where queries is null. Memory
// beyond the result is about 1 KB per query, 1 GiB at most, and at most some 64 MiB per thread.
template <class Distance>
Neighbors<Distance> exact_neighbors(const Points& points, const Points* queries, std::size_t k,
                                    Metric metric, const Executor& executor);

}  // namespace labelquorum
