// Greedy extraction of mini-clusters: tight groups of strong edges that become pseudo-labels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/signatures.hpp"

namespace labelquorum {

struct MiniClusterOptions {
    std::size_t n_clusters = SIZE_MAX;  // at most so many
    std::size_t min_agree = 1;          // votes, 1 .. n_partitions
    std::size_t min_differ = 0;         // votes, 0 .. n_partitions
    std::int64_t min_size = 1;          // fewest samples in a mini-cluster, >= 1
};

// The mini-cluster of every signature, or -1. Signatures with eligible[i] == 0 count as absent
// (one of another length than the table: std::invalid_argument).
//
// The procedure (Gupta et al., "Unsupervised clustering using pseudo-semi-supervised learning",
// ICLR 2020, with ties broken by content): the seed is the alive signature with most alive strong
// positive neighbours, counted in samples; then more samples of its own; then the
// lexicographically smaller row. Its alive strong positive neighbours are the mini-cluster. They
// go, and so does every signature that is not strongly negative to each of them.
//
// Cost: agreement_degrees once, then per mini-cluster a few scans over the alive signatures.
std::vector<std::int32_t> mini_clusters(const SignatureTable& table,
                                        const MiniClusterOptions& options,
                                        std::optional<std::span<const std::uint8_t>> eligible,
                                        const Executor& executor);

}  // namespace labelquorum
