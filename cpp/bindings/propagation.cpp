#include "labelquorum/propagation.hpp"

#include "common.hpp"

namespace labelquorum::bindings {
namespace {

template <class Index, class Real>
py::tuple propagation_of(const Array<Index>& indptr, const Array<Index>& indices,
                         const Array<Real>& weights, const Array<std::int64_t>& nodes,
                         const Array<Real>& values, double from_neighbors, double from_seeds,
                         bool clamped, std::size_t max_iter, double tol, int n_threads,
                         const py::object& progress) {
    const CsrGraph graph(indptr, indices, weights);
    if (nodes.ndim() != 1 || values.ndim() != 2 || nodes.shape(0) != values.shape(0)) {
        throw std::invalid_argument(
            "nodes and values must have shapes (n_seeds,) and (n_seeds, n_classes).");
    }
    const Seeds<Real> seeds{nodes.data(), values.data(), static_cast<std::size_t>(nodes.shape(0)),
                            static_cast<std::size_t>(values.shape(1))};
    const PropagationRule rule{from_neighbors, from_seeds, clamped, max_iter, tol};
    auto result = run_kernel(n_threads, progress, [&](const Executor& executor) {
        return propagate(graph.view(), seeds, rule, executor);
    });
    return py::make_tuple(
        to_array(std::move(result.values),
                 {static_cast<py::ssize_t>(graph.view().n_nodes), values.shape(1)}),
        to_array(std::move(result.reached)), result.n_iter, result.converged, result.spreading);
}

template <class Index, class Real>
void register_propagate(py::module_& module) {
    using namespace py::literals;
    module.def("propagate", &propagation_of<Index, Real>, "indptr"_a.noconvert(),
               "indices"_a.noconvert(), "weights"_a.noconvert(), "nodes"_a.noconvert(),
               "values"_a.noconvert(), "from_neighbors"_a, "from_seeds"_a, "clamped"_a,
               "max_iter"_a, "tol"_a, "n_threads"_a, "progress"_a);
}

}  // namespace

void register_propagation(py::module_& module) {
    register_propagate<std::int32_t, float>(module);
    register_propagate<std::int32_t, double>(module);
    register_propagate<std::int64_t, float>(module);
    register_propagate<std::int64_t, double>(module);
}

}  // namespace labelquorum::bindings
