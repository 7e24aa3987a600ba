// Nearest neighbours among the rows of a matrix, exactly or with a wanted recall.
//
// Distances are estimated in blocks of single-precision dot products; what may be near is measured
// in double precision on the values as given. Exact search bounds the error of every estimate, so
// that the result is that of comparing all pairs in double precision. Ties go to the smaller index.
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

// Share of the neighbours found that are as near as the true ones.
struct Recall {
    double mean;
    double least;           // the true mean is at least this, but for one case of 20
    std::size_t n_queries;  // that it was measured on; 0 where the search was exact
};

template <class Distance>
struct Neighbors {
    std::size_t k;                      // of each query
    std::vector<Distance> distances;    // n_queries x k, nearest first
    std::vector<std::int64_t> indices;  // of the points
    Recall recall;
};

// The k nearest of `points` to each row of `queries`, or, where queries is null, to each of
// `points` itself, that one left out. Distance is float or double.
//
// recall 1 asks for all of them; less for so large a share on average, checked on a sample of the
// queries. Where nothing else reaches it, or is faster, the search is exact.
//
// k is at least 1, and at most the number of points (less one where queries is null). Throws
// std::invalid_argument for NaN, infinity and values beyond 1e150, naming the place.
//
// Exactly, time is O(n_queries * n_points * n_columns), and half of that where queries is null;
// memory beyond the result is about 1 KB per query, 1 GiB at most, and at most some 64 MiB per
// thread. With a recall, time is about O((n_queries + n_points) * sqrt(n_points) * n_columns) where
// points lie in clusters or near a surface of few dimensions; memory is 8 bytes for each point and
// coordinate (n_columns, or at most 256 where these tell enough).
template <class Distance>
Neighbors<Distance> nearest_neighbors(const Points& points, const Points* queries, std::size_t k,
                                      Metric metric, double recall, const Executor& executor);

// Of two rows of n values. Called from several threads at once; smaller is nearer.
using DistanceFunction = double (*)(const double* a, const double* b, std::int64_t n);

// The same by the caller's own distance, exactly: each is compared with all. Throws
// std::invalid_argument where the distance is NaN.
template <class Distance>
Neighbors<Distance> nearest_neighbors(const Points& points, const Points* queries, std::size_t k,
                                      DistanceFunction distance, const Executor& executor);

}  // namespace labelquorum
