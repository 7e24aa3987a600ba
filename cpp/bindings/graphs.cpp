#include "labelquorum/graphs.hpp"

#include "common.hpp"

namespace labelquorum::bindings {
namespace {

Edges edges_of(const std::string& mode) {
    if (mode == "directed") return Edges::directed;
    if (mode == "union") return Edges::either;
    if (mode == "mutual") return Edges::mutual;
    throw std::invalid_argument("mode: \"" + mode + "\" is not one of union, mutual, directed");
}

template <class Index, class Weight>
py::tuple neighbor_graph_of(const Array<std::int64_t>& neighbors, const Array<Weight>& distances,
                            const std::string& mode, int n_threads, const py::object& progress) {
    if (neighbors.ndim() != 2 || distances.ndim() != 2 ||
        neighbors.shape(0) != distances.shape(0) || neighbors.shape(1) != distances.shape(1)) {
        throw std::invalid_argument("neighbors, distances: expected 2-D, of one shape");
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

template <class Index>
void register_neighbor_graph(py::module_& module, const char* name) {
    using namespace py::literals;
    module.def(name, &neighbor_graph_of<Index, float>, "neighbors"_a.noconvert(),
               "distances"_a.noconvert(), "mode"_a, "n_threads"_a, "progress"_a);
    module.def(name, &neighbor_graph_of<Index, double>, "neighbors"_a.noconvert(),
               "distances"_a.noconvert(), "mode"_a, "n_threads"_a, "progress"_a);
}

}  // namespace

void register_graphs(py::module_& module) {
    register_neighbor_graph<std::int32_t>(module, "neighbor_graph32");
    register_neighbor_graph<std::int64_t>(module, "neighbor_graph64");
}

}  // namespace labelquorum::bindings
