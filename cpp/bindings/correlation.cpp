#include "labelquorum/correlation.hpp"

#include <pybind11/stl.h>

#include "common.hpp"

namespace labelquorum::bindings {
namespace {

using Groups = std::optional<Array<std::int32_t>>;

std::span<const std::int32_t> view_groups(const Groups& groups, std::size_t n) {
    const std::int32_t* values = readable(groups, n, "groups");
    return {values, values == nullptr ? 0 : n};
}

template <class Real>
py::array of_matrix(const Array<Real>& weights, const Groups& groups, int n_threads,
                    const py::object& progress) {
    if (weights.ndim() != 2 || weights.shape(0) != weights.shape(1)) {
        throw std::invalid_argument("weights must be a square matrix.");
    }
    const auto n = static_cast<std::size_t>(weights.shape(0));
    const DenseWeights<Real> view{weights.data(), n};
    const auto of_nodes = view_groups(groups, n);
    return to_array(run_kernel(n_threads, progress, [&](const Executor& executor) {
        return correlation_clustering(view, of_nodes, executor);
    }));
}

template <class Index, class Real>
py::array of_graph(const Array<Index>& indptr, const Array<Index>& indices,
                   const Array<Real>& weights, const Groups& groups, int n_threads,
                   const py::object& progress) {
    const CsrGraph graph(indptr, indices, weights);
    const auto of_nodes = view_groups(groups, graph.view().n_nodes);
    return to_array(run_kernel(n_threads, progress, [&](const Executor& executor) {
        return correlation_clustering(graph.view(), of_nodes, executor);
    }));
}

template <class Index, class Real>
void register_graph(py::module_& module) {
    using namespace py::literals;
    module.def("correlation_clustering", &of_graph<Index, Real>, "indptr"_a.noconvert(),
               "indices"_a.noconvert(), "weights"_a.noconvert(), "groups"_a.noconvert(),
               "n_threads"_a, "progress"_a);
}

template <class Real>
void register_matrix(py::module_& module) {
    using namespace py::literals;
    module.def("correlation_clustering", &of_matrix<Real>, "weights"_a.noconvert(),
               "groups"_a.noconvert(), "n_threads"_a, "progress"_a);
}

}  // namespace

void register_correlation(py::module_& module) {
    register_matrix<float>(module);
    register_matrix<double>(module);
    register_graph<std::int32_t, float>(module);
    register_graph<std::int32_t, double>(module);
    register_graph<std::int64_t, float>(module);
    register_graph<std::int64_t, double>(module);
}

}  // namespace labelquorum::bindings
