// Graphs in compressed sparse row (CSR) form: made from lists of neighbors, or given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "labelquorum/executor.hpp"

namespace labelquorum {

// Row i has the edges [indptr[i], indptr[i + 1]), sorted by target. Index is int32_t or int64_t.
template <class Index, class Weight>
struct Graph {
    std::vector<Index> indptr;   // n_nodes + 1
    std::vector<Index> indices;  // target of each edge
    std::vector<Weight> weights;
};

// A graph that somebody else owns. Rows may be in any order, and edges from a node to itself are
// allowed. If an edge occurs more than once, its weights are added up, as in SciPy.
//
// Every function that takes one throws std::invalid_argument unless indptr ascends from 0 and all
// indices are nodes. indptr must not change during a call. Indices and weights may, for example by
// another thread: every index is checked where it is used, and the result is then unspecified, or
// std::invalid_argument is thrown.
template <class Index, class Weight>
struct GraphView {
    const Index* indptr;   // n_nodes + 1
    const Index* indices;  // indptr[n_nodes]
    const Weight* weights;
    std::size_t n_nodes;
};

enum class Edges : std::uint8_t {
    directed,  // from each node to its neighbors
    either,    // both ways, if one is a neighbor of the other
    mutual,    // both ways, if each is a neighbor of the other
};

// The graph of n_nodes nodes with k neighbors each. neighbors: n_nodes x k node numbers, without
// duplicates in a row. distances: n_nodes x k, the same in both directions of a pair. Edges of
// distance 0 are kept. Weight is float or double.
//
// Throws std::invalid_argument for a neighbor that is not a node, and std::length_error if Index
// cannot hold the number of edges. Time and memory are O(n_nodes * k).
template <class Index, class Weight>
Graph<Index, Weight> neighbor_graph(const std::int64_t* neighbors, const Weight* distances,
                                    std::size_t n_nodes, std::size_t k, Edges edges,
                                    const Executor& executor);

// How to combine the two weights of a pair with edges in both directions.
enum class Combine : std::uint8_t { larger, smaller, sum };

// The graph with sorted rows and without duplicate edges, made symmetric unless `edges` is
// directed. Edges of weight 0 are kept. Edges from a node to itself keep their weights, or are
// dropped if `loops` is false.
//
// Throws std::invalid_argument for a weight that is NaN, and std::length_error if Index cannot hold
// the number of edges. Time and memory are O(n_nodes + edges), apart from sorting each row.
template <class Index, class Weight>
Graph<Index, Weight> symmetrized_graph(const GraphView<Index, Weight>& graph, Edges edges,
                                       Combine combine, bool loops, const Executor& executor);

enum class Normalization : std::uint8_t {
    symmetric,    // D^-1/2 W D^-1/2: divided by the roots of the degrees of both ends
    random_walk,  // D^-1 W: divided by the degree of the row
};

// The weights of all edges, divided by degrees. The degree of a node is the sum of its row, or for
// `symmetric` of its column (the same in a symmetric graph). A degree of 0 counts as 1. Without
// `loops`, edges from a node to itself do not count and get weight 0.
//
// Throws std::invalid_argument for a weight that is negative or not finite. Sums are in double
// precision and in the order of the edges. O(n_nodes + edges).
template <class Index, class Weight>
std::vector<Weight> normalized_weights(const GraphView<Index, Weight>& graph,
                                       Normalization normalization, bool loops,
                                       const Executor& executor);

// The component of each node, ignoring directions and weights of edges. Components are numbered
// from 0 in the order of their smallest nodes. Nearly O(n_nodes + edges).
template <class Index>
std::vector<Index> connected_components(const Index* indptr, const Index* indices,
                                        std::size_t n_nodes, const Executor& executor);

}  // namespace labelquorum
