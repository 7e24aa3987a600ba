// Weighted sums of the rows that a graph's edges lead to: the inner loops of propagation.
//
// Compiled once per instruction set. Callers get the table of functions once, outside of loops. All
// instruction sets give the same results, bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "labelquorum/graphs.hpp"

namespace labelquorum {

// Index is int32_t or int64_t, Real float or double.
template <class Index, class Real>
struct RowSums {
    // For each node in [begin, end), sums weight * row over its edges and multiplies the sum by
    // `factor`. Row j starts at rows + j * width; results are written one after another to `out`.
    // `width` is a multiple of 4.
    void (*sum)(const GraphView<Index, Real>& graph, std::size_t begin, std::size_t end,
                Real factor, const Real* rows, std::size_t width, Real* out);
    // The sum of |a[i] - b[i]| over n values. n is a multiple of 4.
    double (*difference)(const Real* a, const Real* b, std::size_t n);
};

// The functions for the instruction set in use.
template <class Index, class Real>
const RowSums<Index, Real>& row_sums();

}  // namespace labelquorum
