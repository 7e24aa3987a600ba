#include "labelquorum/agreement.hpp"

#include <pybind11/stl.h>

#include "common.hpp"

namespace labelquorum::bindings {
namespace {

Way way_of(const std::string& name) {
    if (name == "automatic") return Way::automatic;
    if (name == "subsets") return Way::subsets;
    if (name == "pairs") return Way::pairs;
    if (name == "blocks") return Way::blocks;
    throw std::invalid_argument("way must be one of automatic, subsets, pairs, blocks, got \"" +
                                name + "\".");
}

py::array_t<std::int64_t> degrees_of(const SignatureTable& table, std::size_t min_agree,
                                     const std::string& way, int n_threads,
                                     const py::object& progress) {
    const Way chosen = way_of(way);
    return to_array(run_kernel(n_threads, progress, [&](const Executor& executor) {
        return agreement_degrees(table, min_agree, chosen, executor);
    }));
}

py::tuple graph_of(const SignatureTable& table, std::size_t min_agree, int n_threads,
                   const py::object& progress) {
    AgreementGraph graph = run_kernel(n_threads, progress, [&](const Executor& executor) {
        return agreement_graph(table, min_agree, executor);
    });
    return py::make_tuple(to_array(std::move(graph.indptr)), to_array(std::move(graph.indices)),
                          to_array(std::move(graph.votes)));
}

template <class Index>
py::array_t<double> coassociation_of_pairs(const py::list& columns, const Array<Index>& pairs,
                                           int n_threads, const py::object& progress) {
    if (pairs.ndim() != 2 || pairs.shape(1) != 2) {
        throw std::invalid_argument("pairs must have shape (n_pairs, 2).");
    }
    const Partitions partitions = view_columns(columns);
    const auto n = static_cast<std::size_t>(pairs.shape(0));
    const Index* rows = pairs.data();
    std::vector<double> out(n);
    run_kernel(n_threads, progress, [&](const Executor& executor) {
        coassociation(partitions, rows, n, out.data(), executor);
    });
    return to_array(std::move(out));
}

template <class Index>
py::array_t<double> coassociation_of_graph(const py::list& columns, const Array<Index>& indptr,
                                           const Array<Index>& indices, int n_threads,
                                           const py::object& progress) {
    const Partitions partitions = view_columns(columns);
    readable(std::optional(indptr), partitions.n_rows + 1, "indptr");
    const auto n = static_cast<std::size_t>(indices.size());
    const std::vector<Index> ends = copy_indptr(indptr, n);
    const Index* neighbors = readable(std::optional(indices), n, "indices");
    std::vector<double> out(n);
    run_kernel(n_threads, progress, [&](const Executor& executor) {
        coassociation(partitions, ends.data(), neighbors, out.data(), executor);
    });
    return to_array(std::move(out));
}

}  // namespace

void register_agreement(py::module_& module) {
    using namespace py::literals;
    module.def("agreement_degrees", &degrees_of, "table"_a, "min_agree"_a, "way"_a, "n_threads"_a,
               "progress"_a);
    module.def("agreement_graph", &graph_of, "table"_a, "min_agree"_a, "n_threads"_a, "progress"_a);
    module.def("coassociation_pairs", &coassociation_of_pairs<std::int32_t>, "columns"_a,
               "pairs"_a.noconvert(), "n_threads"_a, "progress"_a);
    module.def("coassociation_pairs", &coassociation_of_pairs<std::int64_t>, "columns"_a,
               "pairs"_a.noconvert(), "n_threads"_a, "progress"_a);
    module.def("coassociation_csr", &coassociation_of_graph<std::int32_t>, "columns"_a,
               "indptr"_a.noconvert(), "indices"_a.noconvert(), "n_threads"_a, "progress"_a);
    module.def("coassociation_csr", &coassociation_of_graph<std::int64_t>, "columns"_a,
               "indptr"_a.noconvert(), "indices"_a.noconvert(), "n_threads"_a, "progress"_a);
}

}  // namespace labelquorum::bindings
