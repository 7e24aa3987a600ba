#include "labelquorum/neighbors.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "approximate_neighbors.hpp"
#include "exact_neighbors.hpp"
#include "search_arguments.hpp"

namespace labelquorum {

void check_search(const Points& points, const Points* queries, std::size_t k) {
    const bool same = queries == nullptr;
    const Points& from = same ? points : *queries;
    const std::size_t n_others = points.n_rows - (same && points.n_rows > 0 ? 1 : 0);
    if (points.n_rows > std::numeric_limits<std::uint32_t>::max()) {
        throw std::invalid_argument("X must have at most 2^32 - 1 rows, got " +
                                    std::to_string(points.n_rows) + ".");
    }
    if (points.n_columns < 1 || from.n_columns != points.n_columns) {
        throw std::invalid_argument("Y must have as many columns as X, at least 1, got " +
                                    std::to_string(from.n_columns) + " and " +
                                    std::to_string(points.n_columns) + ".");
    }
    if (k < 1 || k > n_others) {
        throw std::invalid_argument("n_neighbors must be from 1 to " + std::to_string(n_others) +
                                    ", got " + std::to_string(k) + ".");
    }
}

template <class Distance>
Neighbors<Distance> nearest_neighbors(const Points& points, const Points* queries, std::size_t k,
                                      Metric metric, double recall, const Executor& executor) {
    check_search(points, queries, k);
    const bool same = queries == nullptr;
    const Points& from = same ? points : *queries;
    const Measure measure(metric, points.n_columns);
    executor.stage("neighbors", 0, 0.01);
    Survey points_survey = survey(points, "X", measure, executor);
    if (!same) {
        points_survey.largest =
            std::max(points_survey.largest, survey(from, "Y", measure, executor).largest);
    }
    if (recall < 1) {
        return approximate_neighbors<Distance>(points, queries, k, measure, points_survey, recall,
                                               executor);
    }
    return exact_neighbors<Distance>(points, queries, k, measure, points_survey, executor);
}

template Neighbors<float> nearest_neighbors(const Points&, const Points*, std::size_t, Metric,
                                            double, const Executor&);
template Neighbors<double> nearest_neighbors(const Points&, const Points*, std::size_t, Metric,
                                             double, const Executor&);

}  // namespace labelquorum
