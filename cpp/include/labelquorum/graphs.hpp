// Graphs in compressed sparse rows (CSR), made from lists of neighbours.
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

}  // namespace labelquorum
