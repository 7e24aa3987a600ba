// The index of a signature table: open-addressing hash tables, one per shard.
//
// A row's tag is a hash of its packed words. Its highest bits choose the shard and its lowest bits
// the slot. Each shard has a lock of its own, so that workers rarely wait for each other.
//
// Rows are counted in segments. A signature first seen in the current segment gets a provisional
// id, because its final id depends on rows that other workers are still reading.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "base/hash.hpp"
#include "row_cache.hpp"

namespace labelquorum {

inline constexpr std::size_t shard_bits = 6;
inline constexpr std::size_t n_shards = std::size_t{1} << shard_bits;
inline constexpr std::size_t segment_rows = std::size_t{1} << 21;

// Special ids. `unset` marks a free slot, and a row whose id is not known yet.
inline constexpr std::int32_t ineligible = -1;
inline constexpr std::int32_t unset = RowCache::unknown;

// The provisional id, at most -2, of new signature number `index` of a shard.
constexpr std::int32_t provisional_id(std::size_t index, std::size_t shard) {
    return -2 - static_cast<std::int32_t>((index << shard_bits) | shard);
}
constexpr std::size_t provisional_shard(std::int32_t id) {
    return static_cast<std::size_t>(-2 - id) & (n_shards - 1);
}
constexpr std::size_t provisional_index(std::int32_t id) {
    return static_cast<std::size_t>(-2 - id) >> shard_bits;
}
static_assert(provisional_id(segment_rows, n_shards - 1) > unset);

// The hash of a packed row. With one word it is a bijection: equal tags are equal rows.
inline std::uint64_t tag_of(const std::uint64_t* words, std::size_t n_words) {
    if (n_words == 1) return mix(words[0]);
    return hash_words(n_words, [&](std::size_t k) { return words[k]; });
}

constexpr std::size_t shard_of(std::uint64_t tag) { return tag >> (64 - shard_bits); }

struct Slot {
    std::uint64_t tag = 0;
    std::int32_t id = unset;
    std::uint32_t recent = 0;  // samples not yet added to the signature's count; see count_row
};

// Makes room for n more values, so that appending them cannot throw.
template <class T>
void reserve_more(std::vector<T>& values, std::size_t n) {
    if (values.capacity() - values.size() < n) {
        values.reserve(std::max(values.size() + n, 2 * values.capacity()));
    }
}

// The signatures of one shard that were first seen in the current segment.
struct NewSignatures {
    std::vector<std::uint64_t> rows;
    std::vector<std::uint64_t> tags;
    std::vector<std::int64_t> counts;
    std::vector<std::uint32_t> first_rows;  // of the segment
    std::vector<std::int32_t> ids;          // final ids, set at the end of the segment

    std::size_t size() const { return tags.size(); }

    // Keeps the memory for the next segment.
    void clear() {
        rows.clear();
        tags.clear();
        counts.clear();
        first_rows.clear();
        ids.clear();
    }

    void make_room(std::size_t n_words) {
        reserve_more(rows, n_words);
        reserve_more(tags, 1);
        reserve_more(counts, 1);
        reserve_more(first_rows, 1);
        reserve_more(ids, 1);
    }

    // Call make_room first.
    void add(const std::uint64_t* words, std::size_t n_words, std::uint64_t tag, std::int64_t count,
             std::uint32_t first_row) noexcept {
        rows.insert(rows.end(), words, words + n_words);
        tags.push_back(tag);
        counts.push_back(count);
        first_rows.push_back(first_row);
        ids.push_back(unset);
    }
};

struct Shard {
    std::mutex mutex;
    std::vector<Slot> slots;  // a power of two
    std::size_t n_used = 0;
    NewSignatures fresh;

    // Where the slots are, so that they can be prefetched without the lock. May be out of date.
    std::atomic<const Slot*> hint{nullptr};
    std::atomic<std::size_t> hint_mask{0};

    void prefetch_slot(std::uint64_t tag) const {
        prefetch(hint.load(std::memory_order_relaxed) +
                 (tag & hint_mask.load(std::memory_order_relaxed)));
    }

    void update_hint() {
        hint.store(slots.data(), std::memory_order_relaxed);
        hint_mask.store(slots.empty() ? 0 : slots.size() - 1, std::memory_order_relaxed);
    }

    // Takes a free slot. There must be one.
    void put(std::uint64_t tag, std::int32_t id) {
        free_slot(tag) = {tag, id, 0};
        ++n_used;
    }

    // Grows the table where less than 30 % of it would be free after one more signature.
    void make_room() {
        if (10 * (n_used + 1) <= 7 * slots.size()) return;
        std::vector<Slot> old_slots(std::max<std::size_t>(16, 2 * slots.size()));
        old_slots.swap(slots);
        for (const Slot& slot : old_slots) {
            if (slot.id != unset) free_slot(slot.tag) = slot;
        }
        update_hint();
    }

    void clear_slots() {
        std::fill(slots.begin(), slots.end(), Slot{});
        n_used = 0;
    }

    // Replaces the provisional ids in the slots by the final ones in fresh.ids.
    void set_final_ids() {
        constexpr std::size_t n_ahead = 8;
        for (std::size_t k = 0; k < fresh.size(); ++k) {
            if (k + n_ahead < fresh.size()) prefetch_slot(fresh.tags[k + n_ahead]);
            const std::uint64_t tag = fresh.tags[k];
            const std::int32_t id = provisional_id(k, shard_of(tag));
            std::size_t i = tag & (slots.size() - 1);
            while (slots[i].id != id) i = (i + 1) & (slots.size() - 1);
            slots[i].id = fresh.ids[k];
        }
    }

private:
    Slot& free_slot(std::uint64_t tag) {
        std::size_t i = tag & (slots.size() - 1);
        while (slots[i].id != unset) i = (i + 1) & (slots.size() - 1);
        return slots[i];
    }
};

}  // namespace labelquorum
