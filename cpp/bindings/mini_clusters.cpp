#include "labelquorum/mini_clusters.hpp"

#include <pybind11/stl.h>

#include "common.hpp"

namespace labelquorum::bindings {

void register_mini_clusters(py::module_& module) {
    using namespace py::literals;
    module.def(
        "mini_clusters",
        [](const SignatureTable& table, std::int64_t n_clusters, std::size_t min_agree,
           std::size_t min_differ, std::int64_t min_size,
           const std::optional<Array<std::uint8_t>>& eligible, int n_threads,
           const py::object& progress) {
            MiniClusterOptions options;
            if (n_clusters >= 0) options.n_clusters = static_cast<std::size_t>(n_clusters);
            options.min_agree = min_agree;
            options.min_differ = min_differ;
            options.min_size = min_size;
            std::optional<std::span<const std::uint8_t>> chosen;
            if (eligible) {
                const auto n = static_cast<std::size_t>(eligible->size());
                chosen.emplace(readable(eligible, n, "eligible"), n);
            }
            return to_array(run_kernel(n_threads, progress, [&](const Executor& executor) {
                return mini_clusters(table, options, chosen, executor);
            }));
        },
        "table"_a, "n_clusters"_a, "min_agree"_a, "min_differ"_a, "min_size"_a,
        "eligible"_a.noconvert(), "n_threads"_a, "progress"_a);
}

}  // namespace labelquorum::bindings
