// The nearest among given candidates: what an approximate search elsewhere has found, measured.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "labelquorum/executor.hpp"
#include "labelquorum/neighbors.hpp"

namespace labelquorum {

// For each row of `queries`, the k nearest of its candidates: candidates[q * n_candidates + i] is a
// row of `points`, or negative for none; one that is named twice counts once. Measured in double
// precision on the values as given, exactly as nearest_neighbors does; ties go to the smaller
// index. Where there are fewer than k, the rest of the row has the index -1 and the distance
// infinity. Distance is float or double. NaN and infinity are not looked for.
//
// Throws std::invalid_argument where k is not 1 to n_candidates, sizes do not fit each other, or a
// candidate is not below the number of points. Time is O(n_queries * n_candidates * n_columns);
// memory beyond the result is a few rows per thread.
template <class Distance>
Neighbors<Distance> nearest_candidates(const Points& points, const Points& queries,
                                       std::span<const std::int64_t> candidates, std::size_t k,
                                       Metric metric, const Executor& executor);

}  // namespace labelquorum
