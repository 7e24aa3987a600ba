// Search with a given recall, for points that have been checked.
#pragma once

#include "labelquorum/neighbors.hpp"
#include "measure.hpp"

namespace labelquorum {

// k and shapes must be valid. `points_survey` is the survey of the points, with the largest value
// of points and queries. The search is exact if no approximation reaches the recall or is faster.
template <class Distance>
Neighbors<Distance> approximate_neighbors(const Points& points, const Points* queries,
                                          std::size_t k, const Measure& measure,
                                          const Survey& points_survey, double recall,
                                          const Executor& executor);

}  // namespace labelquorum
