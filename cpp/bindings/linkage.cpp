#include "labelquorum/linkage.hpp"

#include <pybind11/stl.h>

#include "common.hpp"

namespace labelquorum::bindings {
namespace {

// Overwrites the distances.
py::tuple linkage_of(Array<double> distances, const Array<double>& weights,
                     const std::optional<Array<std::int32_t>>& kinds, LinkageMethod method,
                     int n_threads, const py::object& progress) {
    if (weights.ndim() != 1) throw std::invalid_argument("weights must be a 1-D array.");
    const auto n = static_cast<std::size_t>(weights.shape(0));
    const std::int32_t* kind = readable(kinds, n, "kinds");
    const std::span<double> values(distances.mutable_data(),
                                   static_cast<std::size_t>(distances.size()));
    const std::vector<Merge> merges =
        run_kernel(n_threads, progress, [&](const Executor& executor) {
            return linkage(values, {weights.data(), n}, {kind, kind == nullptr ? 0 : n}, method,
                           executor);
        });
    std::vector<std::int32_t> trees;
    std::vector<double> costs;
    for (const Merge& merge : merges) {
        trees.push_back(merge.first);
        trees.push_back(merge.second);
        costs.push_back(merge.cost);
    }
    const auto n_merges = static_cast<py::ssize_t>(merges.size());
    return py::make_tuple(to_array(std::move(trees), {n_merges, 2}), to_array(std::move(costs)));
}

}  // namespace

void register_linkage(py::module_& module) {
    using namespace py::literals;
    py::enum_<LinkageMethod>(module, "LinkageMethod")
        .value("ward", LinkageMethod::ward)
        .value("average", LinkageMethod::average);
    module.def("linkage", &linkage_of, "distances"_a.noconvert(), "weights"_a.noconvert(),
               "kinds"_a.noconvert(), "method"_a, "n_threads"_a, "progress"_a);
}

}  // namespace labelquorum::bindings
