#include "labelquorum/communities.hpp"

#include <pybind11/stl.h>

#include "common.hpp"

namespace labelquorum::bindings {
namespace {

template <class Index, class Real>
py::list communities_of(const Array<Index>& indptr, const Array<Index>& indices,
                        const Array<Real>& weights, const std::vector<double>& resolutions,
                        const std::vector<std::uint64_t>& seeds, std::size_t n_rounds,
                        int n_threads, const py::object& progress) {
    const CsrGraph graph(indptr, indices, weights);
    if (resolutions.size() != seeds.size()) {
        throw std::invalid_argument("resolutions and seeds must have the same length, got " +
                                    std::to_string(resolutions.size()) + " and " +
                                    std::to_string(seeds.size()) + ".");
    }
    std::vector<CommunityRun> runs;
    runs.reserve(seeds.size());
    for (std::size_t r = 0; r < seeds.size(); ++r) runs.push_back({resolutions[r], seeds[r]});
    auto results = run_kernel(n_threads, progress, [&](const Executor& executor) {
        return communities(graph.view(), std::span<const CommunityRun>(runs), n_rounds, executor);
    });
    py::list partitions;
    for (auto& result : results) partitions.append(to_array(std::move(result)));
    return partitions;
}

template <class Index, class Real>
void register_of(py::module_& module) {
    using namespace py::literals;
    module.def("communities", &communities_of<Index, Real>, "indptr"_a.noconvert(),
               "indices"_a.noconvert(), "weights"_a.noconvert(), "resolutions"_a, "seeds"_a,
               "n_rounds"_a, "n_threads"_a, "progress"_a);
}

}  // namespace

void register_communities(py::module_& module) {
    register_of<std::int32_t, float>(module);
    register_of<std::int32_t, double>(module);
    register_of<std::int64_t, float>(module);
    register_of<std::int64_t, double>(module);
}

}  // namespace labelquorum::bindings
