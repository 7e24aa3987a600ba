// Candidates for agreeing pairs: signatures grouped by their values in blocks of columns.
//
// Two rows that agree in at least t of M columns disagree in at most M - t. If the columns are cut
// into M - t + 1 blocks, the rows therefore agree on at least one whole block. So all candidates
// are pairs that share a group of some block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/signatures.hpp"

namespace labelquorum {

class BlockGroups {
public:
    // 1 <= min_agree <= n_partitions.
    BlockGroups(const PackedSignatures& signatures, std::size_t min_agree,
                const Executor& executor);

    std::size_t n_blocks() const { return bounds_.size() - 1; }

    // The number of pairs (i, j), i != j, that share a group. Each counts once per group and
    // direction.
    double n_candidates() const { return n_candidates_; }

    // Calls f(j, votes) once for every j != i that agrees with i in at least min_agree partitions.
    // `rows` holds the codes row-major.
    template <class C, class F>
    void for_each_neighbor(const C* rows, std::size_t i, F&& f) const {
        const std::size_t m = bounds_.back();
        const C* row = rows + i * m;
        for (std::size_t block = 0; block < n_blocks(); ++block) {
            const Block& groups = blocks_[block];
            const std::uint32_t group = groups.group_of[i];
            if (group == no_group) continue;
            const std::uint32_t* end = groups.members.data() + groups.starts[group + 1];
            for (const std::uint32_t* j = groups.members.data() + groups.starts[group]; j < end;
                 ++j) {
                if (*j == i) continue;
                const std::size_t votes = votes_if_first_in(block, row, rows + *j * m);
                if (votes >= min_agree_) f(*j, static_cast<std::int32_t>(votes));
            }
        }
    }

private:
    static constexpr std::uint32_t no_group = UINT32_MAX;

    // Groups are formed by hash, so one may hold several values. Signatures that abstain in the
    // block, or are alone in their group, belong to none.
    struct Block {
        std::vector<std::uint32_t> members;   // signatures, group after group, each ascending
        std::vector<std::uint32_t> starts;    // n_groups + 1 positions in `members`
        std::vector<std::uint32_t> group_of;  // the group of each signature, or no_group
    };

    Block group(const PackedSignatures& signatures, std::size_t block,
                const Executor& executor) const;

    // The number of agreeing columns, or 0 unless `block` is the first block that agrees as a
    // whole.
    template <class C>
    std::size_t votes_if_first_in(std::size_t block, const C* a, const C* b) const {
        std::size_t votes = 0;
        for (std::size_t k = 0; k < n_blocks(); ++k) {
            std::size_t agree = 0;
            for (std::size_t j = bounds_[k]; j < bounds_[k + 1]; ++j) {
                agree += static_cast<std::size_t>(a[j] == b[j] && a[j] != 0);
            }
            const bool whole = agree == bounds_[k + 1] - bounds_[k];
            if (whole != (k == block) && k <= block) return 0;
            votes += agree;
        }
        return votes;
    }

    std::size_t min_agree_;
    std::vector<std::size_t> bounds_;  // block k is the columns [bounds_[k], bounds_[k + 1])
    std::vector<Block> blocks_;
    double n_candidates_ = 0;
};

// The codes of the signatures, row-major.
template <class C>
std::vector<C> unpack_rows(const PackedSignatures& signatures, const Executor& executor) {
    const std::size_t m = signatures.n_partitions();
    executor.require_memory(signatures.size() * m * sizeof(C), "the signatures by row");
    std::vector<C> rows(signatures.size() * m);
    executor.run_ranges(signatures.size(), 1 << 14, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t i = begin; i < end; ++i) {
            for (std::size_t j = 0; j < m; ++j) {
                rows[i * m + j] = static_cast<C>(signatures.code(i, j));
            }
        }
    });
    return rows;
}

}  // namespace labelquorum
