#include "labelquorum/candidates.hpp"

#include "points.hpp"

namespace labelquorum::bindings {
namespace {

template <class Distance>
py::tuple measured(const Points& points, const Points& queries,
                   std::span<const std::int64_t> candidates, std::size_t k, Metric metric,
                   int n_threads, const py::object& progress) {
    return to_arrays(run_kernel(n_threads, progress, [&](const Executor& executor) {
        return nearest_candidates<Distance>(points, queries, candidates, k, metric, executor);
    }));
}

py::tuple nearest_candidates_of(const py::array& points_array, const py::array& queries_array,
                                const Array<std::int64_t>& candidates_array, std::size_t k,
                                const std::string& metric_name, int n_threads,
                                const py::object& progress) {
    const Points points = view_points(points_array, "X");
    const Points queries = view_points(queries_array, "Y");
    const Metric metric = metric_of(metric_name);
    if (candidates_array.ndim() != 2 ||
        static_cast<std::size_t>(candidates_array.shape(0)) != queries.n_rows) {
        throw std::invalid_argument("candidates must be 2-D, with one row per row of Y.");
    }
    const std::span<const std::int64_t> candidates(
        candidates_array.data(), static_cast<std::size_t>(candidates_array.size()));
    if (any_is_double(points, queries)) {
        return measured<double>(points, queries, candidates, k, metric, n_threads, progress);
    }
    return measured<float>(points, queries, candidates, k, metric, n_threads, progress);
}

}  // namespace

void register_candidates(py::module_& module) {
    using namespace py::literals;
    module.def("nearest_candidates", &nearest_candidates_of, "points"_a, "queries"_a,
               "candidates"_a.noconvert(), "k"_a, "metric"_a, "n_threads"_a, "progress"_a);
}

}  // namespace labelquorum::bindings
