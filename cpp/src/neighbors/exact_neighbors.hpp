// Exact search, for points that have been checked.
#pragma once

#include "labelquorum/neighbors.hpp"
#include "measure.hpp"

namespace labelquorum {

// k and shapes must be valid. `points_survey` is the survey of the points, with the largest value
// of points and queries.
template <class Distance>
Neighbors<Distance> exact_neighbors(const Points& points, const Points* queries, std::size_t k,
                                    const Measure& measure, const Survey& points_survey,
                                    const Executor& executor);

}  // namespace labelquorum
