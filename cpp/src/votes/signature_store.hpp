// What a signature table holds: the packed rows, their counts, and the index that finds them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/partitions.hpp"
#include "labelquorum/signatures.hpp"
#include "signature_index.hpp"

namespace labelquorum {

// Not safe for use by several threads at once, except where a function says so.
class SignatureStore {
public:
    explicit SignatureStore(std::size_t n_partitions);
    SignatureStore(const SignatureStore& other);
    SignatureStore& operator=(const SignatureStore&) = delete;

    // Never changes, so any thread may ask at any time.
    std::size_t n_partitions() const { return n_partitions_; }
    std::size_t size() const { return counts_.size(); }
    const RowLayout& layout() const { return layout_; }
    const std::vector<std::uint64_t>& rows() const { return rows_; }
    std::vector<std::int64_t> counts() const;
    std::size_t n_bytes() const;

    // Writes signatures [begin, end), row-major, with -1 for an abstention.
    void decode(std::size_t begin, std::size_t end, std::int32_t* out) const;

    // The id of a packed row, or -1. Several threads may search at once.
    std::int32_t find(std::uint64_t tag, const std::uint64_t* words) const;

    // Several threads may prefetch at once, also while others count.
    void prefetch_slot(std::uint64_t tag) const { shards_[shard_of(tag)].prefetch_slot(tag); }

    // Several threads may count rows at once if each holds the lock of the row's shard.
    std::mutex& mutex_of_shard(std::size_t shard) { return shards_[shard].mutex; }

    // Finds or adds a packed row, counts it, and returns its id, which may be provisional. `row` is
    // its number in the segment. Strong guarantee.
    std::int32_t count_row(std::uint64_t tag, const std::uint64_t* words, std::size_t row,
                           std::int64_t weight);

    // Adds n samples, possibly fewer than 0, to a signature whose id may be provisional.
    void add_samples(std::int32_t id, std::int64_t n) noexcept;

    // Ends a segment: numbers the new signatures in the order of their first rows. They keep their
    // provisional ids, too, until forget_new().
    void number_new(std::size_t n_segment_rows, const Executor& executor);

    // The final id of a signature, once the new ones are numbered.
    std::int32_t final_id(std::int32_t id) const {
        if (id >= 0) return id;
        return shards_[provisional_shard(id)].fresh.ids[provisional_index(id)];
    }

    // Forgets provisional ids. `release` gives their memory back.
    void forget_new(bool release) noexcept;

    // Forgets all signatures but the first n.
    void truncate(std::size_t n) noexcept;

    // Forgets all signatures but the first ones, which get the counts that they had before.
    void restore(std::vector<std::int64_t>& counts_before) noexcept;

    // Makes every field of the layout wide enough for rows [begin, end). Strong guarantee.
    void widen(const Partitions& partitions, std::size_t begin, std::size_t end,
               const Executor& executor);

    // Throws MemoryLimitError if there is no memory for n new signatures.
    void require_room(std::size_t n, const Executor& executor) const;

private:
    template <class F>
    void for_each_recent(F&& f) const;
    bool is_same_row(const Slot& slot, const Shard& shard, std::uint64_t tag,
                     const std::uint64_t* words) const;
    void count_known(Slot& slot, NewSignatures& fresh, std::size_t row, std::int64_t weight);
    std::vector<std::uint64_t> repacked_rows(const RowLayout& layout) const;
    void set_layout(RowLayout layout, const Executor& executor);
    void add_recent_to_counts() noexcept;
    void rebuild_index() noexcept;

    const std::size_t n_partitions_;
    RowLayout layout_;
    std::vector<std::uint64_t> rows_;   // packed, by id
    std::vector<std::int64_t> counts_;  // by id, without what the slots hold as `recent`
    std::array<Shard, n_shards> shards_;
};

// The functions that counting calls for every row are inline.

inline bool SignatureStore::is_same_row(const Slot& slot, const Shard& shard, std::uint64_t tag,
                                        const std::uint64_t* words) const {
    if (slot.tag != tag) return false;
    if (layout_.n_words == 1) return true;
    const std::uint64_t* known =
        slot.id >= 0 ? rows_.data() + static_cast<std::size_t>(slot.id) * layout_.n_words
                     : shard.fresh.rows.data() + provisional_index(slot.id) * layout_.n_words;
    return std::equal(words, words + layout_.n_words, known);
}

inline std::int32_t SignatureStore::find(std::uint64_t tag, const std::uint64_t* words) const {
    const Shard& shard = shards_[shard_of(tag)];
    if (shard.slots.empty()) return -1;
    for (std::size_t i = tag;; ++i) {
        const Slot& slot = shard.slots[i & (shard.slots.size() - 1)];
        if (slot.id == unset) return -1;
        if (is_same_row(slot, shard, tag, words)) return slot.id;
    }
}

inline void SignatureStore::count_known(Slot& slot, NewSignatures& fresh, std::size_t row,
                                        std::int64_t weight) {
    if (slot.id < 0) {
        const std::size_t index = provisional_index(slot.id);
        fresh.counts[index] += weight;
        fresh.first_rows[index] =
            std::min(fresh.first_rows[index], static_cast<std::uint32_t>(row));
    } else if (weight == 1 && slot.recent < std::numeric_limits<std::uint32_t>::max()) {
        ++slot.recent;  // the slot is in the cache already, the count is not
    } else {
        counts_[static_cast<std::size_t>(slot.id)] += weight;
    }
}

inline std::int32_t SignatureStore::count_row(std::uint64_t tag, const std::uint64_t* words,
                                              std::size_t row, std::int64_t weight) {
    Shard& shard = shards_[shard_of(tag)];
    for (std::size_t i = tag; !shard.slots.empty(); ++i) {
        Slot& slot = shard.slots[i & (shard.slots.size() - 1)];
        if (slot.id == unset) break;
        if (!is_same_row(slot, shard, tag, words)) continue;
        count_known(slot, shard.fresh, row, weight);
        return slot.id;
    }
    shard.make_room();
    shard.fresh.make_room(layout_.n_words);
    const std::int32_t id = provisional_id(shard.fresh.size(), shard_of(tag));
    shard.fresh.add(words, layout_.n_words, tag, weight, static_cast<std::uint32_t>(row));
    shard.put(tag, id);
    return id;
}

}  // namespace labelquorum
