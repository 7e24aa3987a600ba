// Communities: groups of nodes with more weight among them than their degrees would give.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/graphs.hpp"

namespace labelquorum {

// One search. A larger resolution gives more and smaller communities; 1 is modularity's own.
struct CommunityRun {
    double resolution;
    std::uint64_t seed;
};

// For each run the community of each node, numbered from 0 in the order of their smallest nodes.
//
// The Leiden algorithm (Traag, Waltman and van Eck, Scientific Reports 9, 2019) on modularity with
// a resolution (Reichardt and Bornholdt, Physical Review E 74, 2006): nodes move to the
// neighbouring community that gains most, until none gains; communities are split into parts that
// hang together, which are the nodes of the next level; all of it `n_rounds` times, each from the
// last result.
//
// The graph has to be symmetric; an edge from a node to itself counts once. Throws
// std::invalid_argument for a graph that is not valid, a weight that is negative or not finite, and
// a resolution that is not positive and finite. Nearly O(edges) per run; runs are done in parallel,
// and each needs memory of about three times the graph.
template <class Index, class Real>
std::vector<std::vector<std::int32_t>> communities(const GraphView<Index, Real>& graph,
                                                   std::span<const CommunityRun> runs,
                                                   std::size_t n_rounds, const Executor& executor);

}  // namespace labelquorum
