// What every kernel asks of a graph that is given.
#pragma once

#include <cstddef>

#include "labelquorum/executor.hpp"

namespace labelquorum {

// Throws std::invalid_argument where there is no node, indptr does not ascend from 0, or an index
// is no node. Index is int32_t or int64_t.
template <class Index>
void check_graph(const Index* indptr, const Index* indices, std::size_t n_nodes,
                 const Executor& executor);

}  // namespace labelquorum
