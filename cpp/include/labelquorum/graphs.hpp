// Graphs in compressed sparse rows (CSR): made from lists of neighbours, or given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "labelquorum/executor.hpp"

namespace labelquorum {

// Index is int32_t or int64_t. Row i has the edges indptr[i] to indptr[i + 1] - 1, by target.
template <class Index, class Weight>
struct Graph {
    std::vector<Index> indptr;   // n_nodes + 1
    std::vector<Index> indices;  // target of each edge
    std::vector<Weight> weights;
};

// A graph that is given: rows in any order, an edge more than once, from a node to itself, all
// allowed. An edge that stands more than once has the sum of its weights, as in SciPy.
//
// Every function that takes one throws std::invalid_argument where indptr does not ascend from 0,
// or an index is no node.
template <class Index, class Weight>
struct GraphView {
    const Index* indptr;   // n_nodes + 1
    const Index* indices;  // indptr[n_nodes]
    const Weight* weights;
    std::size_t n_nodes;
};

enum class Edges : std::uint8_t {
    directed,  // from each node to its neighbours
    either,    // where one is a neighbour of the other, both ways
    mutual,    // where each is a neighbour of the other
};

// The graph of n_nodes nodes with k neighbours each. neighbors: n_nodes x k node numbers, none
// twice in a row; distances: as many, the same for both ways of a pair. Weight is float or double.
// An edge of distance 0 is kept.
//
// Throws std::invalid_argument for a number that is no node, and std::length_error where Index
// cannot hold the number of edges. Time and memory are O(n_nodes * k).
template <class Index, class Weight>
Graph<Index, Weight> neighbor_graph(const std::int64_t* neighbors, const Weight* distances,
                                    std::size_t n_nodes, std::size_t k, Edges edges,
                                    const Executor& executor);

// What becomes of the two weights of a pair with edges both ways.
enum class Combine : std::uint8_t { larger, smaller, sum };

// The graph by sorted rows, each edge once, made symmetric unless `edges` is directed. An edge of
// weight 0 is kept; one from a node to itself keeps its weight, or goes where `loops` is false.
//
// Throws std::length_error where Index cannot hold the number of edges. Time and memory are
// O(n_nodes + edges), the sorting of each row aside.
template <class Index, class Weight>
Graph<Index, Weight> symmetrized_graph(const GraphView<Index, Weight>& graph, Edges edges,
                                       Combine combine, bool loops, const Executor& executor);

enum class Normalization : std::uint8_t {
    symmetric,    // divided by the roots of the degrees of both ends: D^-1/2 W D^-1/2
    random_walk,  // divided by the degree of the row: D^-1 W
};

// The weights of the same edges, divided by degrees. The degree of a node is the sum of its row,
// for `symmetric` that of its column (in a symmetric graph the same); a degree of 0 counts as 1.
// Without `loops`, edges from a node to itself do not count and get the weight 0.
//
// Throws std::invalid_argument for a weight that is negative or not finite. Sums are of double
// precision and in the order of the edges. O(n_nodes + edges).
template <class Index, class Weight>
std::vector<Weight> normalized_weights(const GraphView<Index, Weight>& graph,
                                       Normalization normalization, bool loops,
                                       const Executor& executor);

// The component of each node, whatever the directions and weights of the edges. Numbered from 0 in
// the order of their smallest nodes. Nearly O(n_nodes + edges).
template <class Index>
std::vector<Index> connected_components(const Index* indptr, const Index* indices,
                                        std::size_t n_nodes, const Executor& executor);

}  // namespace labelquorum
