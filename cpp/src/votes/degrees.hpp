// Degrees of strong positive edges over packed signatures, and the choice of how to find agreeing
// pairs. See agreement.hpp for the contract.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "block_groups.hpp"
#include "labelquorum/agreement.hpp"
#include "labelquorum/executor.hpp"
#include "labelquorum/signatures.hpp"

namespace labelquorum {

std::vector<std::int64_t> degrees(const PackedSignatures& signatures, std::size_t min_agree,
                                  Way way, const Executor& executor);

struct Plan {
    Way way;                            // never automatic
    double core_seconds;                // expected cost
    std::optional<BlockGroups> groups;  // for Way::blocks
};

// The given way, or the cheapest one for Way::automatic. Way::subsets finds degrees but not pairs,
// so the caller must allow it. Throws WorkLimitError if the work would take more than
// max_core_seconds.
Plan plan_pairs(const PackedSignatures& signatures, std::size_t min_agree, Way way,
                bool allow_subsets, const Executor& executor);

// About three hours of one core.
inline constexpr double max_core_seconds = 1e4;

// The cost of comparing two codes in a row scan, in nanoseconds of one core.
inline constexpr double ns_per_scanned_code = 0.03;

// Throws WorkLimitError if the estimate exceeds max_core_seconds. `work` starts the message.
void require_work(double core_seconds, const std::string& work);

}  // namespace labelquorum
