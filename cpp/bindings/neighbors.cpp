#include "labelquorum/neighbors.hpp"

#include "points.hpp"

namespace labelquorum::bindings {
namespace {

template <class Distance>
py::tuple with_recall(Neighbors<Distance> neighbors) {
    const Recall recall = neighbors.recall;
    const py::tuple arrays = to_arrays(std::move(neighbors));
    return py::make_tuple(arrays[0], arrays[1],
                          py::make_tuple(recall.mean, recall.least, recall.n_queries));
}

// Calls search(queries or null, Distance{}, executor) to find the neighbors.
template <class Search>
py::tuple run_search(const Points& points, const py::object& queries_array, int n_threads,
                     const py::object& progress, Search&& search) {
    Points queries{};
    if (!queries_array.is_none()) queries = view_points(queries_array.cast<py::array>(), "Y");
    const Points* queries_or_null = queries_array.is_none() ? nullptr : &queries;
    if (any_is_double(points, queries_or_null == nullptr ? points : queries)) {
        return with_recall(run_kernel(n_threads, progress, [&](const Executor& executor) {
            return search(queries_or_null, double{}, executor);
        }));
    }
    return with_recall(run_kernel(n_threads, progress, [&](const Executor& executor) {
        return search(queries_or_null, float{}, executor);
    }));
}

py::tuple neighbors_of(const py::array& points_array, const py::object& queries, std::size_t k,
                       const std::string& metric_name, double recall, int n_threads,
                       const py::object& progress) {
    const Points points = view_points(points_array, "X");
    const Metric metric = metric_of(metric_name);
    return run_search(points, queries, n_threads, progress,
                      [&](const Points* queries_or_null, auto type, const Executor& executor) {
                          return nearest_neighbors<decltype(type)>(points, queries_or_null, k,
                                                                   metric, recall, executor);
                      });
}

py::tuple custom_neighbors_of(const py::array& points_array, const py::object& queries,
                              std::size_t k, std::uintptr_t address, int n_threads,
                              const py::object& progress) {
    const Points points = view_points(points_array, "X");
    // NOLINTNEXTLINE(performance-no-int-to-ptr): Python passes a function by its address
    const auto distance = reinterpret_cast<DistanceFunction>(address);
    return run_search(points, queries, n_threads, progress,
                      [&](const Points* queries_or_null, auto type, const Executor& executor) {
                          return nearest_neighbors<decltype(type)>(points, queries_or_null, k,
                                                                   distance, executor);
                      });
}

}  // namespace

void register_neighbors(py::module_& module) {
    using namespace py::literals;
    module.def("neighbors", &neighbors_of, "points"_a, "queries"_a, "k"_a, "metric"_a, "recall"_a,
               "n_threads"_a, "progress"_a);
    module.def("custom_neighbors", &custom_neighbors_of, "points"_a, "queries"_a, "k"_a,
               "address"_a, "n_threads"_a, "progress"_a);
}

}  // namespace labelquorum::bindings
