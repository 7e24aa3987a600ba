// Linkage of weighted items into a tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "labelquorum/executor.hpp"

namespace labelquorum {

// What it costs to merge two trees.
enum class LinkageMethod : std::uint8_t {
    // By how much the sum of squared distances to the trees' means grows (Ward, Journal of the
    // American Statistical Association 58, 1963). Distances are squared.
    ward,
    // The mean distance between their items (Sokal and Michener, University of Kansas Science
    // Bulletin 38, 1958).
    average,
};

// Two trees become one. Trees 0 to n - 1 are the items; merge m makes tree n + m.
struct Merge {
    std::int32_t first;  // the one with the smallest item
    std::int32_t second;
    double cost;
};

// Merges the two trees whose merge costs least until one is left, or none may be merged: merges in
// order of rising cost, at most n - 1.
//
// distances: n x n, symmetric, overwritten. weights: n, positive. kinds: n, or empty; a negative
// one is none. Trees that hold items of two kinds are never merged.
//
// Equal ones are merged in the order of their smallest items. Throws std::invalid_argument where
// sizes do not fit or a distance is negative or not finite. O(n^2) time (nearest-neighbour chains:
// Murtagh, The Computer Journal 26(4), 1983); no memory beyond O(n).
std::vector<Merge> linkage(std::span<double> distances, std::span<const double> weights,
                           std::span<const std::int32_t> kinds, LinkageMethod method,
                           const Executor& executor);

}  // namespace labelquorum
