// Hierarchical linkage of weighted items.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "labelquorum/executor.hpp"

namespace labelquorum {

// What it costs to merge two trees.
enum class LinkageMethod : std::uint8_t {
    // The increase in the sum of squared distances to the trees' means (Ward, Journal of the
    // American Statistical Association 58, 1963). Give squared distances.
    ward,
    // The mean distance between the trees' items (Sokal and Michener, University of Kansas Science
    // Bulletin 38, 1958).
    average,
};

// Two trees become one. Trees 0 to n - 1 are the items; merge number m makes tree n + m.
struct Merge {
    std::int32_t first;  // the tree with the smallest item
    std::int32_t second;
    double cost;
};

// Repeatedly merges the two trees that cost least to merge, until one tree is left or none may be
// merged. Returns the merges, at most n - 1, in order of increasing cost. Ties are merged in the
// order of their smallest items.
//
// distances: n x n, symmetric; overwritten. weights: n, positive. kinds: n, or empty. Trees with
// items of different kinds are never merged; a negative kind means none.
//
// Throws std::invalid_argument if sizes do not match, a weight is not positive and finite, or a
// distance is negative or not finite. Takes O(n^2) time (nearest-neighbor chains: Murtagh, The
// Computer Journal 26(4), 1983) and O(n) memory beyond the distances.
std::vector<Merge> linkage(std::span<double> distances, std::span<const double> weights,
                           std::span<const std::int32_t> kinds, LinkageMethod method,
                           const Executor& executor);

}  // namespace labelquorum
