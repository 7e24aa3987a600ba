// The checks that every kernel makes on a graph that it is given.
#pragma once

#include <cstddef>

#include "labelquorum/executor.hpp"

namespace labelquorum {

// Throws std::invalid_argument unless there is a node, indptr ascends from 0, and all indices are
// nodes. Index is int32_t or int64_t.
template <class Index>
void check_graph(const Index* indptr, const Index* indices, std::size_t n_nodes,
                 const Executor& executor);

}  // namespace labelquorum
