// Picks the nearest of given candidates, for example those found by another library's search.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "labelquorum/executor.hpp"
#include "labelquorum/neighbors.hpp"

namespace labelquorum {

// For each row of `queries`, the k nearest of its candidates. candidates[q * n_candidates + i] is a
// row of `points`, or negative for none; duplicates count once. Distances are measured in double
// precision on the values as given, exactly as nearest_neighbors does. Ties go to the smaller
// index. If a row has fewer than k candidates, the rest of its results have index -1 and an
// infinite distance. Distance is float or double. Values are not checked for NaN and infinity.
//
// Throws std::invalid_argument unless 1 <= k <= n_candidates, sizes match, and every candidate is
// less than the number of points. Time is O(n_queries * n_candidates * n_columns); memory beyond
// the result is a few rows per thread.
template <class Distance>
Neighbors<Distance> nearest_candidates(const Points& points, const Points& queries,
                                       std::span<const std::int64_t> candidates, std::size_t k,
                                       Metric metric, const Executor& executor);

}  // namespace labelquorum
