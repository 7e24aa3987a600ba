// The checks that every kernel makes on a graph that it is given.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/read_once.hpp"
#include "labelquorum/executor.hpp"
#include "labelquorum/graphs.hpp"

namespace labelquorum {

// Throws std::invalid_argument unless there is a node, indptr ascends from 0, and all indices are
// nodes. Index is int32_t or int64_t.
template <class Index>
void check_graph(const Index* indptr, const Index* indices, std::size_t n_nodes,
                 const Executor& executor);

// What the weights of a graph must be.
enum class Weights : std::uint8_t {
    numbers,     // not NaN
    finite,      // at least 0, and finite
    up_to_1e30,  // at least 0
};

// Throws std::invalid_argument, which names the edge, unless all weights are like that. Without
// `loops`, those of edges from a node to itself do not count. Call check_graph first.
template <class Index, class Weight>
void check_weights(const GraphView<Index, Weight>& graph, Weights wanted, bool loops,
                   const Executor& executor);

// The node that edge e leads to. Each index is checked where it is used, because it may have
// changed since check_graph.
template <class Index>
std::size_t target_of(const Index* indices, std::size_t e, std::size_t n_nodes) {
    const auto target = static_cast<std::size_t>(read_once(indices + e));
    if (target >= n_nodes) throw_changed("graph");
    return target;
}

}  // namespace labelquorum
