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
    std::size_t n_clusters = SIZE_MAX;  // at most this many
    std::size_t min_agree = 1;          // votes, 1 .. n_partitions
    std::size_t min_differ = 0;         // votes, 0 .. n_partitions
    std::int64_t min_size = 1;          // fewest samples in a mini-cluster, >= 1
};

// The mini-cluster of every signature, or -1. Signatures with eligible[i] == 0 are treated as
// absent.
//
// The procedure is that of Gupta et al., "Unsupervised clustering using pseudo-semi-supervised
// learning", ICLR 2020, with ties broken by content. All signatures start alive. The seed is the
// alive signature with the most alive strong positive neighbors, counted in samples. Ties go to the
// signature with more samples of its own, then to the lexicographically smaller row. The seed's
// alive strong positive neighbors, itself included, are the mini-cluster. They are removed, and so
// is every signature that is not strongly negative to each of them. Repeat.
//
// Throws std::invalid_argument for an option out of range, and if `eligible` does not have one
// value per signature. Costs agreement_degrees once, and a few scans over the alive signatures per
// mini-cluster.
std::vector<std::int32_t> mini_clusters(const SignatureTable& table,
                                        const MiniClusterOptions& options,
                                        std::optional<std::span<const std::uint8_t>> eligible,
                                        const Executor& executor);

}  // namespace labelquorum
