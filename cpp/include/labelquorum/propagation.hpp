// Label propagation: labels spread along the edges of a graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/graphs.hpp"

namespace labelquorum {

// The known labels: row s of `values` (n_classes of them) belongs to node nodes[s]. Nodes are
// distinct.
template <class Real>
struct Seeds {
    const std::int64_t* nodes;
    const Real* values;
    std::size_t n_seeds;
    std::size_t n_classes;
};

// Let W be the weights of the graph and Y the values of the seeds (0 elsewhere). Starting with
// F = Y, every iteration replaces F by from_neighbors * W F + from_seeds * Y. If seeds are clamped,
// F becomes Y at the seeds instead, and elsewhere W F with every row divided by its sum.
//
// Stops after max_iter iterations, or once an iteration has changed F by less than `tol`, summed
// over the absolute values of all changes.
struct PropagationRule {
    double from_neighbors;
    double from_seeds;
    bool clamped;
    std::size_t max_iter;
    double tol;
};

template <class Real>
struct Propagation {
    std::vector<Real> values;           // F, n_nodes x n_classes
    std::vector<std::uint8_t> reached;  // 1 for nodes that labels have reached
    std::size_t n_iter;                 // iterations done
    bool converged;                     // the last change was less than tol
    bool spreading;                     // labels would reach more nodes with more iterations
};

// Real is float or double. Sums are in the order of the edges; the change is summed in double
// precision and in the order of the rows.
//
// Throws std::invalid_argument for an invalid graph and for a seed that is not a node or occurs
// twice. An iteration takes O(edges * n_classes) time. Memory is the result, twice F, with rows
// padded to a multiple of 4 values, and a copy of the graph's indices.
template <class Index, class Real>
Propagation<Real> propagate(const GraphView<Index, Real>& graph, const Seeds<Real>& seeds,
                            const PropagationRule& rule, const Executor& executor);

}  // namespace labelquorum
