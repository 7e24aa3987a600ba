// Nearest neighbours among the rows of a matrix, exactly.
//
// Distances are estimated in blocks of single-precision dot products of centred rows, with a bound
// on the error of each estimate. Whatever the bounds cannot rule out is measured again in double
// precision on the values as given, so the result is that of comparing all pairs in double
// precision. Ties go to the smaller index.
#pragma once

#include <cstddef>
#include <cstdint>

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

// The k nearest of `points` to each row of `queries`, nearest first, or, where queries is null, to
// each of `points` itself, that one left out. Writes n_queries x k distances and indices. Distance
// is float or double.
//
// k is at least 1, and at most the number of points (less one where queries is null). Throws
// std::invalid_argument for NaN, infinity and values beyond 1e150, naming the place.
//
// Time is O(n_queries * n_points * n_columns) on one core over the number of threads; memory beyond
// the result is at most about 64 MiB per thread and O(n_points). With points so far from each other
// that single precision cannot tell near ones apart, most pairs are measured in double precision:
// some 10 times slower.
template <class Distance>
void exact_neighbors(const Points& points, const Points* queries, std::size_t k, Metric metric,
                     Distance* distances, std::int64_t* indices, const Executor& executor);

}  // namespace labelquorum
