// Labels that spread over the edges of a graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/graphs.hpp"

namespace labelquorum {

// What is known: row s of `values` (n_classes of them) belongs to node nodes[s]. No node twice.
template <class Real>
struct Seeds {
    const std::int64_t* nodes;
    const Real* values;
    std::size_t n_seeds;
    std::size_t n_classes;
};

// With W the weights of the graph, Y the values of the seeds (0 elsewhere) and F = Y at first,
// every iteration makes F anew: `from_neighbors` * W F + `from_seeds` * Y. Where seeds are
// `clamped`, it is instead Y at the seeds, and elsewhere W F with every row divided by its sum.
//
// Ends after max_iter iterations, or before one when the last changed F by less than `tol`, summed
// over all of its absolute values.
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
    std::vector<std::uint8_t> reached;  // 1 where an edge of positive weight led to a seed so far
    std::size_t n_iter;                 // iterations done
    bool converged;                     // the last change is below tol
    bool spreading;                     // there are nodes to reach yet
};

// Real is float or double; sums are in the order of the edges, those of the changes of double
// precision and in the order of the rows.
//
// Throws std::invalid_argument for a seed that is no node or there twice, and a graph that is not
// valid. An iteration takes O(edges * n_classes); memory is twice F, its rows filled up to 4, 8 or
// a multiple of 16 values, and the result.
template <class Index, class Real>
Propagation<Real> propagate(const GraphView<Index, Real>& graph, const Seeds<Real>& seeds,
                            const PropagationRule& rule, const Executor& executor);

}  // namespace labelquorum
