// Nearest neighbors among the rows of a matrix, exact or with a given recall.
//
// Distances are estimated by dot products of low precision, and what may be near is measured in
// double precision on the values as given. Exact search bounds the error of every estimate, so its
// result is the same as if all pairs were measured in double precision. Ties go to the smaller
// index.
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
    cosine,         // 1 - cosine of the angle; 1 if a row is all zeros
    inner_product,  // minus the inner product, so that smaller is nearer
};

// The share of the neighbors found that are as near as the true ones.
struct Recall {
    double mean;
    double least;           // lower bound on the true mean, with 95 % confidence
    std::size_t n_queries;  // that it was measured on; 0 if the search was exact
};

template <class Distance>
struct Neighbors {
    std::size_t k;                      // of each query
    std::vector<Distance> distances;    // n_queries x k, nearest first
    std::vector<std::int64_t> indices;  // of the points
    Recall recall;
};

// The k nearest of `points` to each row of `queries`. If queries is null, each of `points` is a
// query and not its own neighbor. Distance is float or double.
//
// With recall 1, the search is exact. With less, this share of the true neighbors is found on
// average, as checked on a sample of the queries. The search is still exact if no approximation
// reaches the recall or is faster.
//
// Throws std::invalid_argument unless k is from 1 to the number of points (one less if queries is
// null), and for NaN, infinity and values beyond 1e150.
//
// Exact search takes O(n_queries * n_points * n_columns) time, half of it if queries is null.
// Memory beyond the result is about 1 KB per query, at most 1 GiB, and up to 64 MiB per thread.
// Approximate search takes about O((n_queries + n_points) * sqrt(n_points) * n_columns) time if
// points lie in clusters or near a surface of few dimensions. Memory is 8 bytes per point and
// coordinate (n_columns of them, or at most 256 if these keep enough of the variance).
template <class Distance>
Neighbors<Distance> nearest_neighbors(const Points& points, const Points* queries, std::size_t k,
                                      Metric metric, double recall, const Executor& executor);

// The distance of two rows of n values; smaller is nearer. Called from several threads at once.
using DistanceFunction = double (*)(const double* a, const double* b, std::int64_t n);

// Exact search with the caller's own distance, which is called for every pair. Also throws
// std::invalid_argument if the distance is NaN.
template <class Distance>
Neighbors<Distance> nearest_neighbors(const Points& points, const Points* queries, std::size_t k,
                                      DistanceFunction distance, const Executor& executor);

}  // namespace labelquorum
