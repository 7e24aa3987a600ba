// Search with a wanted recall in points that are checked already.
#pragma once

#include "labelquorum/neighbors.hpp"
#include "measure.hpp"

namespace labelquorum {

// k and shapes have to be right. `of_points` is that of the points, its largest value that of the
// queries, too. Exact where nothing else reaches the recall, or is faster.
template <class Distance>
Neighbors<Distance> approximate_neighbors(const Points& points, const Points* queries,
                                          std::size_t k, const Measure& measure,
                                          const Survey& of_points, double recall,
                                          const Executor& executor);

}  // namespace labelquorum
