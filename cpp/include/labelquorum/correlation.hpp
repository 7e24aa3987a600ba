// Correlation clustering: clusters from weights that say what belongs together and what does not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/graphs.hpp"

namespace labelquorum {

// Weights between all pairs of n nodes: n x n, symmetric; the diagonal does not count.
template <class Real>
struct DenseWeights {
    const Real* weights;
    std::size_t n_nodes;
};

// The cluster of each node, numbered from 0 in the order of their smallest nodes, such that the sum
// of the weights within clusters is large: positive ones draw nodes together, negative ones apart,
// and so the number of clusters is found.
//
// groups: of each node, or empty; a negative one is none. Nodes of two groups are never in one
// cluster.
//
// Greedy additive edge contraction (Keuper et al., "Efficient decomposition of image and mesh
// graphs by lifted multicuts", ICCV 2015): the two clusters with most weight between them are
// joined while that is positive. Then nodes move, alone and in sequences between two clusters (as
// in Kernighan and Lin, Bell System Technical Journal 49, 1970), and clusters are joined, until
// none of these helps, or weights have been read 800 million times. Few nodes are solved again and
// again from a result of which some clusters were dissolved. Nodes that no chain of positive
// weights connects are solved apart, in parallel.
//
// Throws std::invalid_argument for a weight that is not finite, sizes that do not fit and, of a
// graph, what is not valid. The weights have to be symmetric. Dense: O(n^2) memory, a few times
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
