// Communities: groups of nodes with more weight between them than their degrees predict.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/graphs.hpp"

namespace labelquorum {

// One search. A larger resolution gives more and smaller communities; 1 is plain modularity.
struct CommunityRun {
    double resolution;
    std::uint64_t seed;
};

// For each run, the community of each node. Communities are numbered from 0 in the order of their
// smallest nodes.
//
// Uses the Leiden algorithm (Traag, Waltman and van Eck, Scientific Reports 9, 2019) on modularity
// with a resolution (Reichardt and Bornholdt, Physical Review E 74, 2006). Nodes move to the
// neighboring community that gains most, until none gains. Communities are then split into
// well-connected parts, which become the nodes of the next level. All of this is done `n_rounds`
// times, each time starting from the last result.
//
// The graph must be symmetric; an edge from a node to itself counts once. Throws
// std::invalid_argument for an invalid graph, a weight that is negative or not finite, and a
// resolution that is not positive and finite. Takes nearly O(edges) per run. Runs are done in
// parallel, and each needs about three times the memory of the graph.
template <class Index, class Real>
std::vector<std::vector<std::int32_t>> communities(const GraphView<Index, Real>& graph,
                                                   std::span<const CommunityRun> runs,
                                                   std::size_t n_rounds, const Executor& executor);

}  // namespace labelquorum
