#include "labelquorum/neighbors.hpp"

#include "common.hpp"

namespace labelquorum::bindings {
namespace {

// Any strides; float16, float32 or float64.
Points view_points(const py::array& array, const char* name) {
    if (array.ndim() != 2) throw std::invalid_argument(std::string(name) + ": expected 2-D");
    Points points{array.data(),
                  FloatType::f64,
                  array.strides(0),
                  array.strides(1),
                  static_cast<std::size_t>(array.shape(0)),
                  static_cast<std::size_t>(array.shape(1))};
    const char kind = array.dtype().kind();
    const py::ssize_t size = array.itemsize();
    if (kind != 'f' || (size != 2 && size != 4 && size != 8)) {
        throw std::invalid_argument(std::string(name) + ": expected float16, float32 or float64");
    }
    if (size == 2) points.type = FloatType::f16;
    if (size == 4) points.type = FloatType::f32;
    return points;
}

Metric metric_of(const std::string& name) {
    if (name == "euclidean") return Metric::euclidean;
    if (name == "cosine") return Metric::cosine;
    if (name == "inner_product") return Metric::inner_product;
    throw std::invalid_argument("metric: \"" + name +
                                "\" is not one of euclidean, cosine, inner_product");
}

template <class Distance>
py::tuple to_python(Neighbors<Distance> found) {
    const auto k = static_cast<py::ssize_t>(found.k);
    const auto n = static_cast<py::ssize_t>(found.indices.size()) / k;
    return py::make_tuple(
        to_array(std::move(found.distances), {n, k}), to_array(std::move(found.indices), {n, k}),
        py::make_tuple(found.recall.mean, found.recall.least, found.recall.n_queries));
}

// search(queries or null, Distance{}, executor) finds the neighbours.
template <class Search>
py::tuple run_search(const Points& points, const py::object& queries_array, int n_threads,
                     const py::object& progress, Search&& search) {
    Points queries{};
    if (!queries_array.is_none()) queries = view_points(queries_array.cast<py::array>(), "Y");
    const Points* of = queries_array.is_none() ? nullptr : &queries;
    if (points.type == FloatType::f64 || (of != nullptr && of->type == FloatType::f64)) {
        return to_python(run_kernel(n_threads, progress, [&](const Executor& executor) {
            return search(of, double{}, executor);
        }));
    }
    return to_python(run_kernel(n_threads, progress, [&](const Executor& executor) {
        return search(of, float{}, executor);
    }));
}

py::tuple neighbors_of(const py::array& points_array, const py::object& queries, std::size_t k,
                       const std::string& metric_name, double recall, int n_threads,
                       const py::object& progress) {
    const Points points = view_points(points_array, "X");
    const Metric metric = metric_of(metric_name);
    return run_search(points, queries, n_threads, progress,
                      [&](const Points* of, auto type, const Executor& executor) {
                          return nearest_neighbors<decltype(type)>(points, of, k, metric, recall,
                                                                   executor);
                      });
}

py::tuple custom_neighbors_of(const py::array& points_array, const py::object& queries,
                              std::size_t k, std::uintptr_t address, int n_threads,
                              const py::object& progress) {
    const Points points = view_points(points_array, "X");
    // NOLINTNEXTLINE(performance-no-int-to-ptr): Python knows a function by its address
    const auto distance = reinterpret_cast<DistanceFunction>(address);
    return run_search(points, queries, n_threads, progress,
                      [&](const Points* of, auto type, const Executor& executor) {
                          return nearest_neighbors<decltype(type)>(points, of, k, distance,
                                                                   executor);
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
