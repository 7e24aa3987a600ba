#include "labelquorum/graphs.hpp"

#include "common.hpp"

namespace labelquorum::bindings {
namespace {

Edges edges_of(const std::string& mode) {
    if (mode == "directed") return Edges::directed;
    if (mode == "union") return Edges::either;
    if (mode == "mutual") return Edges::mutual;
    throw std::invalid_argument("mode must be one of union, mutual, directed, got \"" + mode +
                                "\".");
}

template <class Index, class Weight>
py::tuple neighbor_graph_of(const Array<std::int64_t>& neighbors, const Array<Weight>& distances,
                            const std::string& mode, int n_threads, const py::object& progress) {
    if (neighbors.ndim() != 2 || distances.ndim() != 2 ||
        neighbors.shape(0) != distances.shape(0) || neighbors.shape(1) != distances.shape(1)) {
        throw std::invalid_argument("neighbors and distances must be 2-D and of the same shape.");
    }
    const Edges edges = edges_of(mode);
    const std::int64_t* targets = neighbors.data();
    const Weight* weights = distances.data();
    const auto n = static_cast<std::size_t>(neighbors.shape(0));
    const auto k = static_cast<std::size_t>(neighbors.shape(1));
    auto graph = run_kernel(n_threads, progress, [&](const Executor& executor) {
        return neighbor_graph<Index>(targets, weights, n, k, edges, executor);
    });
    return py::make_tuple(to_array(std::move(graph.indptr)), to_array(std::move(graph.indices)),
                          to_array(std::move(graph.weights)));
}

Combine combine_of(const std::string& name) {
    if (name == "max") return Combine::larger;
    if (name == "min") return Combine::smaller;
    if (name == "sum") return Combine::sum;
    throw std::invalid_argument("combine must be one of max, min, sum, got \"" + name + "\".");
}

Normalization normalization_of(const std::string& name) {
    if (name == "symmetric") return Normalization::symmetric;
    if (name == "random_walk") return Normalization::random_walk;
    throw std::invalid_argument("normalization must be one of symmetric, random_walk, got \"" +
                                name + "\".");
}

template <class Index, class Weight>
py::tuple symmetrized_graph_of(const Array<Index>& indptr, const Array<Index>& indices,
                               const Array<Weight>& weights, const std::string& mode,
                               const std::string& combine, bool self_loops, int n_threads,
                               const py::object& progress) {
    const CsrGraph given(indptr, indices, weights);
    const Edges edges = edges_of(mode);
    const Combine combined = combine_of(combine);
    auto graph = run_kernel(n_threads, progress, [&](const Executor& executor) {
        return symmetrized_graph(given.view(), edges, combined, self_loops, executor);
    });
    return py::make_tuple(to_array(std::move(graph.indptr)), to_array(std::move(graph.indices)),
                          to_array(std::move(graph.weights)));
}

template <class Index, class Weight>
py::array_t<Weight> normalized_weights_of(const Array<Index>& indptr, const Array<Index>& indices,
                                          const Array<Weight>& weights,
                                          const std::string& normalization, bool self_loops,
                                          int n_threads, const py::object& progress) {
    const CsrGraph graph(indptr, indices, weights);
    const Normalization chosen = normalization_of(normalization);
    return to_array(run_kernel(n_threads, progress, [&](const Executor& executor) {
        return normalized_weights(graph.view(), chosen, self_loops, executor);
    }));
}

template <class Index>
py::array_t<Index> connected_components_of(const Array<Index>& indptr, const Array<Index>& indices,
                                           int n_threads, const py::object& progress) {
    const CsrGraph graph(indptr, indices, indices);
    return to_array(run_kernel(n_threads, progress, [&](const Executor& executor) {
        const auto& view = graph.view();
        return connected_components(view.indptr, view.indices, view.n_nodes, executor);
    }));
}

template <class Index>
void register_neighbor_graph(py::module_& module, const char* name) {
    using namespace py::literals;
    module.def(name, &neighbor_graph_of<Index, float>, "neighbors"_a.noconvert(),
               "distances"_a.noconvert(), "mode"_a, "n_threads"_a, "progress"_a);
    module.def(name, &neighbor_graph_of<Index, double>, "neighbors"_a.noconvert(),
               "distances"_a.noconvert(), "mode"_a, "n_threads"_a, "progress"_a);
}

template <class Index, class Weight>
void register_given_graph(py::module_& module) {
    using namespace py::literals;
    module.def("symmetrized_graph", &symmetrized_graph_of<Index, Weight>, "indptr"_a.noconvert(),
               "indices"_a.noconvert(), "weights"_a.noconvert(), "mode"_a, "combine"_a,
               "self_loops"_a, "n_threads"_a, "progress"_a);
    module.def("normalized_weights", &normalized_weights_of<Index, Weight>, "indptr"_a.noconvert(),
               "indices"_a.noconvert(), "weights"_a.noconvert(), "normalization"_a, "self_loops"_a,
               "n_threads"_a, "progress"_a);
}

template <class Index>
void register_connected_components(py::module_& module) {
    using namespace py::literals;
    module.def("connected_components", &connected_components_of<Index>, "indptr"_a.noconvert(),
               "indices"_a.noconvert(), "n_threads"_a, "progress"_a);
}

}  // namespace

void register_graphs(py::module_& module) {
    register_neighbor_graph<std::int32_t>(module, "neighbor_graph32");
    register_neighbor_graph<std::int64_t>(module, "neighbor_graph64");
    register_given_graph<std::int32_t, float>(module);
    register_given_graph<std::int32_t, double>(module);
    register_given_graph<std::int64_t, float>(module);
    register_given_graph<std::int64_t, double>(module);
    register_connected_components<std::int32_t>(module);
    register_connected_components<std::int64_t>(module);
}

}  // namespace labelquorum::bindings
