// Degrees of strong positive edges over packed signatures, and the choice of the way to find
// agreeing pairs; see agreement.hpp for the contract.
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
    double core_seconds;                // what it is expected to cost
    std::optional<BlockGroups> groups;  // for Way::blocks
};

// The given way, or the cheapest for Way::automatic. `subsets` finds degrees, not pairs: only where
// allowed. Throws WorkLimitError when it would take more than max_core_seconds.
Plan plan_pairs(const PackedSignatures& signatures, std::size_t min_agree, Way way,
                bool allow_subsets, const Executor& executor);

// About three hours of one core.
inline constexpr double max_core_seconds = 1e4;

// One code compared with another in a row scan, in nanoseconds of one core.
inline constexpr double ns_per_scanned_code = 0.03;

// Throws WorkLimitError when the estimate exceeds max_core_seconds. `what` begins the message.
void require_work(double core_seconds, const std::string& what);

}  // namespace labelquorum
