// Exact search in points that are checked already.
#pragma once

#include "labelquorum/neighbors.hpp"
#include "measure.hpp"

namespace labelquorum {

// k and shapes have to be right. `of_points` is that of the points, its largest value that of the
// queries, too.
template <class Distance>
Neighbors<Distance> exact_neighbors(const Points& points, const Points* queries, std::size_t k,
                                    const Measure& measure, const Survey& of_points,
                                    const Executor& executor);

}  // namespace labelquorum
