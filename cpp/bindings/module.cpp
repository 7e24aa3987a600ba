#include "common.hpp"

PYBIND11_MODULE(_core, module) {
    module.doc() = "The compiled extension. The modules that call it check its arguments.";
    using namespace labelquorum::bindings;
    register_executor(module);
    register_signatures(module);
    register_agreement(module);
    register_mini_clusters(module);
    register_neighbors(module);
    register_candidates(module);
    register_codebooks(module);
    register_graphs(module);
    register_communities(module);
    register_correlation(module);
    register_linkage(module);
    register_propagation(module);
    register_heads(module);
}
