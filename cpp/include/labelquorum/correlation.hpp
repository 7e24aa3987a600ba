// Correlation clustering: clusters from weights that attract (positive) and repel (negative).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/graphs.hpp"

namespace labelquorum {

// Weights between all pairs of n nodes: n x n, symmetric. The diagonal is ignored.
template <class Real>
struct DenseWeights {
    const Real* weights;
    std::size_t n_nodes;
};

// Finds clusters such that the sum of the weights within them is large. The number of clusters
// follows from the weights. Returns the cluster of each node, numbered from 0 in the order of their
// smallest nodes.
//
// A weight of -infinity means that two nodes are never in one cluster.
//
// groups: one per node, or empty. Nodes of two different groups are never in one cluster; a
// negative group means none.
//
// Starts with greedy additive edge contraction (Keuper et al., "Efficient decomposition of image
// and mesh graphs by lifted multicuts", ICCV 2015): the two clusters with the most weight between
// them are joined as long as that weight is positive. Then nodes move, alone and in sequences
// between two clusters (as in Kernighan and Lin, Bell System Technical Journal 49, 1970), and
// clusters are joined, until nothing helps or weights have been read 200 million times. Small
// problems are solved repeatedly, each time from the best result with some clusters dissolved.
// Parts of the graph that no chain of positive weights connects are solved separately, in parallel.
//
// Weights must be symmetric. Throws std::invalid_argument for a weight that is NaN or +infinity,
// sizes that do not match, and an invalid graph. Dense: O(n^2) memory and a small multiple of
// O(n^2) time. Sparse: nearly O(edges) of both.
template <class Real>
std::vector<std::int32_t> correlation_clustering(const DenseWeights<Real>& weights,
                                                 std::span<const std::int32_t> groups,
                                                 const Executor& executor);
template <class Index, class Real>
std::vector<std::int32_t> correlation_clustering(const GraphView<Index, Real>& graph,
                                                 std::span<const std::int32_t> groups,
                                                 const Executor& executor);

}  // namespace labelquorum
