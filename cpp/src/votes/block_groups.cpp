#include "block_groups.hpp"

#include <algorithm>

#include "column_set.hpp"

namespace labelquorum {

BlockGroups::BlockGroups(const PackedSignatures& signatures, std::size_t min_agree,
                         const Executor& executor)
    : min_agree_(min_agree) {
    const std::size_t m = signatures.n_partitions();
    const std::size_t n = m - min_agree + 1;
    for (std::size_t k = 0; k <= n; ++k) bounds_.push_back(k * m / n);
    executor.require_memory(signatures.size() * (n * 3 * sizeof(std::uint32_t) + sizeof(TaggedRow)),
                            "grouping signatures by blocks of partitions");
    executor.stage("group");
    blocks_.resize(n);
    executor.run(
        n, [&](std::size_t block, int) { blocks_[block] = group(signatures, block, executor); });
    for (const Block& groups : blocks_) {
        for (std::size_t g = 0; g + 1 < groups.starts.size(); ++g) {
            const double size = groups.starts[g + 1] - groups.starts[g];
            n_candidates_ += size * (size - 1);
        }
    }
}

BlockGroups::Block BlockGroups::group(const PackedSignatures& signatures, std::size_t block,
                                      const Executor& executor) const {
    std::vector<std::size_t> columns;
    for (std::size_t j = bounds_[block]; j < bounds_[block + 1]; ++j) columns.push_back(j);
    const ColumnSet set(signatures.layout, std::move(columns));
    std::vector<TaggedRow> rows;
    rows.reserve(signatures.size());
    for (std::size_t i = 0; i < signatures.size(); ++i) {
        if (set.abstains(signatures, i)) continue;
        rows.push_back({set.tag(signatures, i), static_cast<std::uint32_t>(i)});
    }
    executor.checkpoint();
    std::sort(rows.begin(), rows.end(), [](const TaggedRow& a, const TaggedRow& b) {
        return a.tag != b.tag ? a.tag < b.tag : a.row < b.row;
    });
    executor.checkpoint();
    Block groups;
    groups.group_of.assign(signatures.size(), no_group);
    groups.starts.push_back(0);
    for (std::size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
        while (end < rows.size() && rows[end].tag == rows[begin].tag) ++end;
        if (end - begin == 1) continue;
        for (std::size_t k = begin; k < end; ++k) {
            groups.group_of[rows[k].row] = static_cast<std::uint32_t>(groups.starts.size() - 1);
            groups.members.push_back(rows[k].row);
        }
        groups.starts.push_back(static_cast<std::uint32_t>(groups.members.size()));
    }
    return groups;
}

}  // namespace labelquorum
