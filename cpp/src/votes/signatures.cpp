// The signature table.
//
// A row of votes is packed into 64-bit words (RowLayout). Its tag is a hash of the words; with one
// word the hash is a bijection, so equal tags are equal rows, else the words are compared too. The
// index is cut into shards by the tag's highest bits, each an open-addressing table under a lock of
// its own.
//
// Rows are counted in segments. Workers take blocks of a segment; a small private cache (RowCache)
// answers for the frequent signatures, so that these cost no lock and no shared write. It compares
// the bytes of a row where they lie, unpacked, if the rows are those of an array in C order, and
// else the packed words. The rest of a block is packed, grouped by shard and looked up a shard at a
// time, with prefetching. A new signature gets a provisional id (see `provisional_id`) and
// remembers the first row that holds it. When the segment is done, the new ones are numbered in the
// order of these rows. So ids do not depend on threads or chunks.
//
// Whatever fails in between is undone from the ids written so far: a row is counted exactly when
// its id has been written.
#include "labelquorum/signatures.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <limits>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <thread>

#include "base/hash.hpp"
#include "row_cache.hpp"
#include "row_packing.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t shard_bits = 6;
constexpr std::size_t n_shards = std::size_t{1} << shard_bits;
constexpr std::size_t segment_rows = std::size_t{1} << 21;
constexpr std::size_t max_signatures = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t block_bytes = std::size_t{1} << 17;  // of rows
constexpr std::size_t max_bytes_in_place = 128;            // of a row; longer ones are packed first
constexpr std::size_t decode_bytes = std::size_t{1} << 25;

// Values of an id while a segment is being counted.
constexpr std::int32_t ineligible = -1;
constexpr std::int32_t unset = RowCache::unknown;

// An id for signature number `index` among the new ones of a shard: at most -2.
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

// Thrown by a worker that meets a cluster id too large for the layout; caught in add_rows.
struct LayoutTooNarrow {};

constexpr std::size_t shard_of(std::uint64_t tag) { return tag >> (64 - shard_bits); }

// Copies the rows of these numbers, one after the other, to `to`.
ByteRows gather(const ByteRows& rows, std::span<const std::uint32_t> numbers, char* to) {
    const std::size_t last_word = rows.size - sizeof(std::uint64_t);
    char* at = to;
    for (const std::uint32_t i : numbers) {
        // By words, the last of which may overlap the one before: quicker than memcpy for a few.
        const char* row = rows.row(i);
        for (std::size_t b = 0; b < last_word; b += sizeof(std::uint64_t)) {
            std::memcpy(at + b, row + b, sizeof(std::uint64_t));
        }
        std::memcpy(at + last_word, row + last_word, sizeof(std::uint64_t));
        at += rows.size;
    }
    return {to, static_cast<std::ptrdiff_t>(rows.size), rows.size};
}

// The rows of an array in C order, if they are worth comparing as they are. Equal bytes are equal
// votes; the reverse need not hold, since all negative values abstain.
std::optional<ByteRows> rows_in_place(const Partitions& partitions) {
    const Column& first = partitions.columns.front();
    const auto* data = static_cast<const char*>(first.data);
    const std::size_t width = width_of(first.type);
    const std::size_t size = width * partitions.columns.size();
    if (size < 8 || size > max_bytes_in_place) return std::nullopt;
    for (std::size_t j = 0; j < partitions.columns.size(); ++j) {
        const Column& column = partitions.columns[j];
        if (column.type != first.type || column.stride != first.stride ||
            column.data != data + j * width) {
            return std::nullopt;
        }
    }
    return ByteRows{data, first.stride, size};
}

ByteRows words_as_bytes(const std::uint64_t* words, std::size_t n_words) {
    const std::size_t size = n_words * sizeof(std::uint64_t);
    return {reinterpret_cast<const char*>(words), static_cast<std::ptrdiff_t>(size), size};
}

// The same columns, of rows that lie at `rows`.
Partitions moved(const Partitions& partitions, const ByteRows& rows) {
    Partitions result = partitions;
    const auto* origin = static_cast<const char*>(partitions.columns.front().data);
    for (Column& column : result.columns) {
        column.data = rows.data + (static_cast<const char*>(column.data) - origin);
        column.stride = rows.stride;
    }
    return result;
}

std::uint64_t tag_of(const std::uint64_t* words, std::size_t n_words) {
    if (n_words == 1) return mix(words[0]);
    return hash_words(n_words, [&](std::size_t k) { return words[k]; });
}

template <class T>
void reserve_one(std::vector<T>& values, std::size_t step = 1) {
    if (values.capacity() - values.size() < step) {
        values.reserve(std::max(values.size() + step, 2 * values.capacity()));
    }
}

}  // namespace

struct SignatureTable::State {
    struct Slot {
        std::uint64_t tag = 0;
        std::int32_t id = unset;   // unset: free
        std::uint32_t recent = 0;  // samples not yet in `counts`; here they cost no further access
    };

    // Signatures first met in the segment at hand.
    struct Fresh {
        std::vector<std::uint64_t> rows;
        std::vector<std::uint64_t> tags;
        std::vector<std::int64_t> counts;
        std::vector<std::uint32_t> first;  // the first row of the segment that holds it
        std::vector<std::int32_t> ids;     // set when the segment is done

        std::size_t size() const { return tags.size(); }
        // Keeps the memory.
        void clear() {
            rows.clear();
            tags.clear();
            counts.clear();
            first.clear();
            ids.clear();
        }
        void make_room(std::size_t n_words) {
            reserve_one(rows, n_words);
            reserve_one(tags);
            reserve_one(counts);
            reserve_one(first);
            reserve_one(ids);
        }
    };

    struct Shard {
        std::mutex mutex;
        std::vector<Slot> slots;  // a power of two
        std::size_t n_used = 0;
        Fresh fresh;
        // Where the slots are, for prefetching without the lock. May be out of date.
        std::atomic<const Slot*> hint{nullptr};
        std::atomic<std::size_t> hint_mask{0};

        void prefetch_slot(std::uint64_t tag) const {
            prefetch(hint.load(std::memory_order_relaxed) +
                     (tag & hint_mask.load(std::memory_order_relaxed)));
        }
        void update_hint() {
            hint.store(slots.data(), std::memory_order_relaxed);
            hint_mask.store(slots.size() - 1, std::memory_order_relaxed);
        }
        Slot& free_slot(std::uint64_t tag) {
            std::size_t i = tag & (slots.size() - 1);
            while (slots[i].id != unset) i = (i + 1) & (slots.size() - 1);
            return slots[i];
        }
        // Keeps at least 30 % of the slots free.
        void make_room() {
            if (10 * (n_used + 1) <= 7 * slots.size()) return;
            std::vector<Slot> old(std::max<std::size_t>(16, 2 * slots.size()));
            old.swap(slots);
            for (const Slot& slot : old) {
                if (slot.id != unset) free_slot(slot.tag) = slot;
            }
            update_hint();
        }
    };

    // What one worker needs to count a block. The cache lasts as long as the layout does.
    struct Worker {
        Worker(std::size_t row_words, std::size_t n_rows) : cache(row_words, n_rows) {}

        RowCache cache;
        std::vector<std::uint64_t> packed;  // the rows of the block, unless they are read in place
        std::vector<std::uint32_t> missed;  // those that the cache did not know,
        std::vector<char> missed_rows;      // their bytes, if read in place,
        std::vector<std::uint64_t> words;   // packed rows
        std::vector<std::uint64_t> tags;    // and tags
        std::vector<std::uint32_t> by_shard;  // positions in `missed`, grouped by shard
        std::array<std::uint32_t, n_shards + 1> shard_begin{};
    };

    // The rows of a call: where they are, what they weigh, where their ids go.
    template <class Id>
    struct Input {
        const Partitions& partitions;
        const std::uint8_t* eligible;  // may be null: all are
        const std::int64_t* weights;   // may be null: 1 each
        Id* out;

        std::int64_t weight(std::size_t row) const { return weights == nullptr ? 1 : weights[row]; }
    };

    std::size_t n_partitions;
    mutable std::shared_mutex mutex;
    RowLayout layout;
    std::vector<std::uint64_t> rows;   // packed, in the order of ids
    std::vector<std::int64_t> counts;  // in the order of ids, but for what the slots hold as recent
    std::int64_t n_samples = 0;
    std::array<Shard, n_shards> shards;

    explicit State(std::size_t n) : n_partitions(n) {
        layout = make_layout(std::vector<std::uint32_t>(n, 0));
    }

    std::size_t size() const { return counts.size(); }

    bool same_row(std::int32_t id, const Fresh& fresh, const std::uint64_t* words) const {
        const std::uint64_t* known =
            id >= 0 ? rows.data() + static_cast<std::size_t>(id) * layout.n_words
                    : fresh.rows.data() + provisional_index(id) * layout.n_words;
        return std::equal(words, words + layout.n_words, known);
    }

    std::int32_t find(std::uint64_t tag, const std::uint64_t* words) const {
        const Shard& shard = shards[shard_of(tag)];
        if (shard.slots.empty()) return -1;
        for (std::size_t i = tag;; ++i) {
            const Slot& slot = shard.slots[i & (shard.slots.size() - 1)];
            if (slot.id == unset) return -1;
            if (slot.tag == tag && (layout.n_words == 1 || same_row(slot.id, shard.fresh, words))) {
                return slot.id;
            }
        }
    }

    // Finds or adds a row and counts it. The caller holds the shard's lock. Strong guarantee.
    std::int32_t count_row(Shard& shard, std::uint64_t tag, const std::uint64_t* words,
                           std::size_t row, std::int64_t weight) {
        for (std::size_t i = tag; !shard.slots.empty(); ++i) {
            Slot& slot = shard.slots[i & (shard.slots.size() - 1)];
            if (slot.id == unset) break;
            if (slot.tag == tag && (layout.n_words == 1 || same_row(slot.id, shard.fresh, words))) {
                if (slot.id >= 0) {
                    if (weight == 1 && slot.recent < std::numeric_limits<std::uint32_t>::max()) {
                        ++slot.recent;
                    } else {
                        counts[static_cast<std::size_t>(slot.id)] += weight;
                    }
                } else {
                    const std::size_t index = provisional_index(slot.id);
                    shard.fresh.counts[index] += weight;
                    shard.fresh.first[index] =
                        std::min(shard.fresh.first[index], static_cast<std::uint32_t>(row));
                }
                return slot.id;
            }
        }
        shard.make_room();
        Fresh& fresh = shard.fresh;
        fresh.make_room(layout.n_words);
        const std::int32_t id = provisional_id(fresh.size(), shard_of(tag));
        fresh.rows.insert(fresh.rows.end(), words, words + layout.n_words);
        fresh.tags.push_back(tag);
        fresh.counts.push_back(weight);
        fresh.first.push_back(static_cast<std::uint32_t>(row));
        fresh.ids.push_back(unset);
        shard.free_slot(tag) = {tag, id, 0};
        ++shard.n_used;
        return id;
    }

    // What a call needs beside the table, kept from segment to segment.
    struct Scratch {
        std::vector<Worker> workers;
        std::vector<std::uint64_t> is_first;        // a bit per row of the segment
        std::vector<std::uint32_t> n_first_before;  // in the words before
    };

    // Counts rows [begin, begin + n) of a segment that starts at segment_begin. Their bytes are
    // compared in_place, if they can be, or else after packing. has_ids is set when all of `out`
    // holds a valid value, `unset` among them.
    template <class Id>
    void count_block(const Input<Id>& input, const std::optional<ByteRows>& in_place,
                     std::size_t segment_begin, std::size_t begin, std::size_t n, Worker& worker,
                     std::uint8_t& has_ids) {
        const std::size_t n_words = layout.n_words;
        const auto pack = [&](const Partitions& from, std::size_t first, std::size_t n_rows,
                              std::vector<std::uint64_t>& words) {
            words.resize(n_rows * n_words);
            const Packing packing = pack_rows(from, layout, first, n_rows, words.data());
            if (packing == Packing::too_narrow) throw LayoutTooNarrow{};
            if (packing == Packing::invalid_id) check_ids(input.partitions, begin, begin + n);
        };
        ByteRows compared{};
        if (in_place) {
            compared = {in_place->row(begin), in_place->stride, in_place->size};
        } else {
            pack(input.partitions, begin, n, worker.packed);
            compared = words_as_bytes(worker.packed.data(), n_words);
        }
        Id* out = input.out + begin;
        const std::uint8_t* eligible = input.eligible == nullptr ? nullptr : input.eligible + begin;
        worker.missed.resize(n);
        worker.missed.resize(worker.cache.look_up(
            compared, n, eligible, static_cast<Id>(ineligible), out, worker.missed.data()));
        has_ids = 1;
        const std::size_t n_missed = worker.missed.size();
        ByteRows missed{};
        if (in_place) {
            worker.missed_rows.resize(n_missed * compared.size);
            missed = gather(compared, worker.missed, worker.missed_rows.data());
            // Ineligible rows too: an invalid id is an error wherever it is.
            pack(moved(input.partitions, missed), 0, n_missed, worker.words);
        } else {
            worker.words.resize(n_missed * n_words);
            missed = gather(compared, worker.missed, reinterpret_cast<char*>(worker.words.data()));
        }
        group_by_shard(worker);
        for (std::size_t s = 0; s < n_shards; ++s) {
            if (worker.shard_begin[s] == worker.shard_begin[s + 1]) continue;
            Shard& shard = shards[s];
            const std::lock_guard lock(shard.mutex);
            for (std::size_t at = worker.shard_begin[s]; at < worker.shard_begin[s + 1]; ++at) {
                const std::size_t k = worker.by_shard[at];
                const std::size_t i = worker.missed[k];
                if (out[i] == static_cast<Id>(ineligible)) continue;
                const std::int32_t id =
                    count_row(shard, worker.tags[k], worker.words.data() + k * n_words,
                              begin + i - segment_begin, input.weight(begin + i));
                out[i] = id;
                if (input.weights == nullptr) worker.cache.insert(missed.row(k), missed.size, id);
            }
        }
    }

    void group_by_shard(Worker& worker) const {
        const std::size_t n_words = layout.n_words;
        const std::size_t n = worker.missed.size();
        worker.tags.resize(n);
        worker.by_shard.resize(n);
        worker.shard_begin.fill(0);
        for (std::size_t k = 0; k < n; ++k) {
            worker.tags[k] = tag_of(worker.words.data() + k * n_words, n_words);
            ++worker.shard_begin[shard_of(worker.tags[k]) + 1];
        }
        for (std::size_t s = 0; s < n_shards; ++s) {
            worker.shard_begin[s + 1] += worker.shard_begin[s];
        }
        std::array<std::uint32_t, n_shards> next{};
        std::copy_n(worker.shard_begin.begin(), n_shards, next.begin());
        for (std::size_t k = 0; k < n; ++k) {
            const std::size_t shard = shard_of(worker.tags[k]);
            worker.by_shard[next[shard]++] = static_cast<std::uint32_t>(k);
            shards[shard].prefetch_slot(worker.tags[k]);
        }
    }

    void add_pending(std::vector<Worker>& workers) noexcept {
        for (const Worker& worker : workers) {
            worker.cache.for_each_count([&](std::int32_t id, std::uint32_t count) {
                if (id >= 0) {
                    counts[static_cast<std::size_t>(id)] += count;
                } else {
                    shards[provisional_shard(id)].fresh.counts[provisional_index(id)] += count;
                }
            });
        }
    }

    // Counts rows [begin, end), at most segment_rows. On an exception the segment is undone.
    template <class Id>
    void add_segment(const Input<Id>& input, std::size_t begin, std::size_t end, Scratch& scratch,
                     const Executor& executor) {
        const std::optional<ByteRows> in_place = rows_in_place(input.partitions);
        const std::size_t row_words = in_place ? in_place->n_words() : layout.n_words;
        const std::size_t rows_per_block =
            std::min(std::max<std::size_t>(256, block_bytes / sizeof(std::uint64_t) / row_words),
                     end - begin);
        const std::size_t n_blocks = (end - begin + rows_per_block - 1) / rows_per_block;
        const std::size_t size_before = size();
        require_room(end - begin, executor);
        std::vector<std::uint8_t> has_ids(n_blocks, 0);
        std::vector<Worker>& workers = scratch.workers;
        while (workers.size() < static_cast<std::size_t>(executor.n_workers(n_blocks))) {
            workers.emplace_back(row_words, end - begin);
        }
        const auto block_range = [&](std::size_t block) {
            const std::size_t first = begin + block * rows_per_block;
            return std::pair(first, std::min(end, first + rows_per_block));
        };
        bool pending_added = false;
        try {
            executor.run(n_blocks, [&](std::size_t block, int worker) {
                const auto [first, last] = block_range(block);
                count_block(input, in_place, begin, first, last - first,
                            workers[static_cast<std::size_t>(worker)], has_ids[block]);
            });
            add_pending(workers);
            pending_added = true;
            if (number_fresh(end - begin, scratch, executor)) {
                executor.run(n_blocks, [&](std::size_t block, int) {
                    const auto [first, last] = block_range(block);
                    replace_provisional(input.out + first, input.out + last);
                });
            }
            for (Worker& worker : workers) {
                worker.cache.begin_period([&](std::int32_t id) { return final_id(id); });
            }
            for (Shard& shard : shards) shard.fresh.clear();
        } catch (...) {
            if (!pending_added) add_pending(workers);
            workers.clear();
            for (std::size_t block = 0; block < n_blocks; ++block) {
                if (has_ids[block] == 0) continue;
                const auto [first, last] = block_range(block);
                uncount(input, first, last, size_before);
            }
            truncate(size_before);
            throw;
        }
    }

    // Numbers the new signatures in the order of their first rows and appends them to `rows` and
    // `counts`. Returns false when there are none.
    bool number_fresh(std::size_t n_segment_rows, Scratch& scratch, const Executor& executor) {
        std::size_t n_fresh = 0;
        for (const Shard& shard : shards) n_fresh += shard.fresh.size();
        if (n_fresh == 0) return false;
        const std::size_t size_before = size();
        if (size_before + n_fresh > max_signatures) {
            throw std::length_error("partitions: more than " + std::to_string(max_signatures) +
                                    " distinct rows, which is the most a SignatureTable can hold");
        }
        // The rank of a first row is the number of bits before its own.
        auto& is_first = scratch.is_first;
        auto& n_first_before = scratch.n_first_before;
        is_first.assign((n_segment_rows + 63) / 64, 0);
        n_first_before.resize(is_first.size());
        for (const Shard& shard : shards) {
            for (const std::uint32_t row : shard.fresh.first) {
                is_first[row / 64] |= std::uint64_t{1} << (row % 64);
            }
        }
        std::uint32_t n_before = 0;
        for (std::size_t w = 0; w < is_first.size(); ++w) {
            n_first_before[w] = n_before;
            n_before += static_cast<std::uint32_t>(std::popcount(is_first[w]));
        }
        const auto grow = [](auto& values, std::size_t n) {
            if (n > values.capacity()) values.reserve(std::max(n, values.capacity() * 3 / 2));
            values.resize(n);
        };
        grow(rows, (size_before + n_fresh) * layout.n_words);
        grow(counts, size_before + n_fresh);
        executor.run(n_shards, [&](std::size_t s, int) {
            Shard& shard = shards[s];
            Fresh& fresh = shard.fresh;
            for (std::size_t k = 0; k < fresh.size(); ++k) {
                const std::uint32_t row = fresh.first[k];
                const std::uint64_t bits_before =
                    is_first[row / 64] & ((std::uint64_t{1} << (row % 64)) - 1);
                const std::size_t id = size_before + n_first_before[row / 64] +
                                       static_cast<std::size_t>(std::popcount(bits_before));
                fresh.ids[k] = static_cast<std::int32_t>(id);
                counts[id] = fresh.counts[k];
                std::copy_n(fresh.rows.data() + k * layout.n_words, layout.n_words,
                            rows.data() + id * layout.n_words);
            }
            number_slots(shard);
        });
        return true;
    }

    static void number_slots(Shard& shard) {
        constexpr std::size_t ahead = 8;
        const Fresh& fresh = shard.fresh;
        for (std::size_t k = 0; k < fresh.size(); ++k) {
            if (k + ahead < fresh.size()) shard.prefetch_slot(fresh.tags[k + ahead]);
            const std::uint64_t tag = fresh.tags[k];
            const std::int32_t id = provisional_id(k, shard_of(tag));
            std::size_t i = tag & (shard.slots.size() - 1);
            while (shard.slots[i].id != id) i = (i + 1) & (shard.slots.size() - 1);
            shard.slots[i].id = fresh.ids[k];
        }
    }

    // The id that a signature keeps, once the new ones are numbered.
    std::int32_t final_id(std::int32_t id) const {
        if (id >= 0) return id;
        return shards[provisional_shard(id)].fresh.ids[provisional_index(id)];
    }

    // Puts the ids of new signatures in the place of their provisional ones.
    template <class Id>
    void replace_provisional(Id* begin, Id* end) const {
        constexpr std::ptrdiff_t stride = 16;
        while (begin < end) {
            Id* const chunk_end = begin + std::min(stride, end - begin);
            // Most chunks hold none. Negative ids show in the sign bit of all ids OR-ed.
            Id all = 0;
            for (const Id* id = begin; id < chunk_end; ++id) all |= *id;
            if (all < 0) {
                for (Id* id = begin; id < chunk_end; ++id) {
                    if (*id >= ineligible) continue;
                    *id = final_id(static_cast<std::int32_t>(*id));
                }
            }
            begin = chunk_end;
        }
    }

    // Takes rows [begin, end) off the counts of the first `size_before` signatures.
    template <class Id>
    void uncount(const Input<Id>& input, std::size_t begin, std::size_t end,
                 std::size_t size_before) noexcept {
        for (std::size_t row = begin; row < end; ++row) {
            const auto id = static_cast<std::int64_t>(input.out[row]);
            if (id >= 0 && id < static_cast<std::int64_t>(size_before)) {
                counts[static_cast<std::size_t>(id)] -= input.weight(row);
            }
        }
    }

    template <class F>
    void for_each_recent(F&& f) const {
        for (const Shard& shard : shards) {
            for (const Slot& slot : shard.slots) {
                if (slot.recent > 0) f(static_cast<std::size_t>(slot.id), slot.recent);
            }
        }
    }

    std::vector<std::int64_t> all_counts() const {
        std::vector<std::int64_t> all = counts;
        for_each_recent([&](std::size_t id, std::uint32_t recent) { all[id] += recent; });
        return all;
    }

    // Forgets all signatures but the first n.
    void truncate(std::size_t n) noexcept {
        for (Shard& shard : shards) shard.fresh = {};
        take_in_recent();
        counts.resize(n);
        rows.resize(n * layout.n_words);
        rebuild_index();
    }

    void take_in_recent() noexcept {
        for_each_recent([&](std::size_t id, std::uint32_t recent) { counts[id] += recent; });
        for (Shard& shard : shards) {
            for (Slot& slot : shard.slots) slot.recent = 0;
        }
    }

    void rebuild_index() noexcept {
        for (Shard& shard : shards) {
            std::fill(shard.slots.begin(), shard.slots.end(), Slot{});
            shard.n_used = 0;
        }
        for (std::size_t id = 0; id < size(); ++id) {
            const std::uint64_t tag = tag_of(rows.data() + id * layout.n_words, layout.n_words);
            Shard& shard = shards[shard_of(tag)];
            shard.free_slot(tag) = {tag, static_cast<std::int32_t>(id), 0};
            ++shard.n_used;
        }
    }

    // Makes every field wide enough for the codes in rows [begin, end). Strong guarantee.
    void widen(const Partitions& partitions, std::size_t begin, std::size_t end,
               const Executor& executor) {
        constexpr std::size_t grain = std::size_t{1} << 14;
        const auto n_workers =
            static_cast<std::size_t>(executor.n_workers((end - begin + grain - 1) / grain));
        std::vector<Code> used(n_workers * n_partitions, 0);
        executor.run_ranges(end - begin, grain, [&](std::size_t b, std::size_t e, int worker) {
            find_used_bits(partitions, begin + b, begin + e,
                           used.data() + static_cast<std::size_t>(worker) * n_partitions);
        });
        std::vector<std::uint32_t> widths(n_partitions);
        for (std::size_t j = 0; j < n_partitions; ++j) {
            Code bits = 0;
            for (std::size_t w = 0; w < n_workers; ++w) bits |= used[w * n_partitions + j];
            widths[j] =
                std::max(layout.fields[j].width, static_cast<std::uint32_t>(std::bit_width(bits)));
        }
        set_layout(make_layout(widths), executor);
    }

    void set_layout(RowLayout wider, const Executor& executor) {
        executor.require_memory(size() * wider.n_words * sizeof(std::uint64_t),
                                "signatures of wider rows");
        std::vector<std::uint64_t> repacked(size() * wider.n_words, 0);
        for (std::size_t id = 0; id < size(); ++id) {
            const std::uint64_t* from = rows.data() + id * layout.n_words;
            std::uint64_t* to = repacked.data() + id * wider.n_words;
            for (std::size_t j = 0; j < n_partitions; ++j) {
                const auto& old_field = layout.fields[j];
                const auto& new_field = wider.fields[j];
                const std::uint64_t code =
                    (from[old_field.word] & RowLayout::mask(old_field)) >> old_field.shift;
                to[new_field.word] |= code << new_field.shift;
            }
        }
        // Tags change with the layout, and so may the number of signatures in a shard. All memory
        // is had before anything changes.
        std::array<std::size_t, n_shards> needed{};
        for (std::size_t id = 0; id < size(); ++id) {
            ++needed[shard_of(tag_of(repacked.data() + id * wider.n_words, wider.n_words))];
        }
        std::array<std::vector<Slot>, n_shards> grown;
        for (std::size_t s = 0; s < n_shards; ++s) {
            const std::size_t n_slots = std::bit_ceil(needed[s] * 10 / 7 + 2);
            if (shards[s].slots.size() < n_slots) grown[s].resize(n_slots);
        }
        take_in_recent();
        rows.swap(repacked);
        layout = std::move(wider);
        for (std::size_t s = 0; s < n_shards; ++s) {
            if (!grown[s].empty()) shards[s].slots.swap(grown[s]);
            shards[s].update_hint();
        }
        rebuild_index();
    }

    std::size_t n_bytes() const {
        std::size_t bytes = sizeof(State) + rows.capacity() * sizeof(std::uint64_t) +
                            counts.capacity() * sizeof(std::int64_t);
        for (const Shard& shard : shards) bytes += shard.slots.capacity() * sizeof(Slot);
        return bytes;
    }

    // Refuses before the machine dies: what the table grows by if all n rows are new.
    void require_room(std::size_t n, const Executor& executor) const {
        const std::size_t per_shard = (size() + n) / n_shards + 1;
        const std::size_t slot_bytes = n_shards * std::bit_ceil(per_shard * 10 / 7) * sizeof(Slot);
        const std::size_t row_bytes = layout.n_words * sizeof(std::uint64_t) + sizeof(std::int64_t);
        const std::size_t have = n_bytes();
        const std::size_t want = slot_bytes + (size() + n) * row_bytes;
        if (want > have) {
            executor.require_memory(want - have + n * (row_bytes + 32), "the signature table");
        }
    }

    // Counts all rows of the input, or throws and leaves the table as it was.
    template <class Id>
    void add_rows(const Input<Id>& input, const Executor& executor) {
        const std::size_t n = input.partitions.n_rows;
        const std::size_t size_before = size();
        Scratch scratch;
        std::size_t done = 0;
        try {
            while (done < n) {
                const std::size_t end = std::min(n, done + segment_rows);
                executor.stage("collapse", static_cast<double>(done) / static_cast<double>(n),
                               static_cast<double>(end) / static_cast<double>(n));
                if (size() == 0) widen(input.partitions, done, end, executor);
                try {
                    add_segment(input, done, end, scratch, executor);
                } catch (const LayoutTooNarrow&) {
                    widen(input.partitions, done, end, executor);
                    add_segment(input, done, end, scratch, executor);
                }
                done = end;
            }
            for (Shard& shard : shards) shard.fresh = {};
        } catch (...) {
            if (done > 0) {
                uncount(input, 0, done, size_before);
                truncate(size_before);
            }
            throw;
        }
    }

    std::int64_t checked_total(std::int64_t total, std::int64_t more) const {
        if (more > std::numeric_limits<std::int64_t>::max() - total) {
            throw std::overflow_error("counts: their sum exceeds 2^63 - 1");
        }
        return total + more;
    }

    // Decodes signatures [begin, end), row-major, -1 for an abstention.
    void decode(std::size_t begin, std::size_t end, std::int32_t* out) const {
        for (std::size_t id = begin; id < end; ++id) {
            const std::uint64_t* words = rows.data() + id * layout.n_words;
            for (const auto& field : layout.fields) {
                const std::uint64_t code =
                    (words[field.word] & RowLayout::mask(field)) >> field.shift;
                *out++ = static_cast<std::int32_t>(static_cast<std::int64_t>(code) - 1);
            }
        }
    }
};

namespace {

// Waits for a lock while Ctrl-C still works.
template <class Lock>
void lock_interruptibly(Lock& lock, const Executor& executor) {
    while (!lock.try_lock()) {
        executor.checkpoint();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

template <class Lock>
Lock lock_table(const Executor& executor, std::shared_mutex& mutex) {
    Lock lock(mutex, std::defer_lock);
    lock_interruptibly(lock, executor);
    return lock;
}

using WriteLock = std::unique_lock<std::shared_mutex>;
using ReadLock = std::shared_lock<std::shared_mutex>;

void check_n_partitions(const Partitions& partitions, std::size_t n_partitions) {
    if (partitions.n_partitions() != n_partitions) {
        throw std::invalid_argument("partitions: " + std::to_string(partitions.n_partitions()) +
                                    " columns given to a table of " + std::to_string(n_partitions) +
                                    " partitions");
    }
}

}  // namespace

SignatureTable::SignatureTable(std::size_t n_partitions) {
    if (n_partitions < 1 || n_partitions > 65535) {
        throw std::invalid_argument("n_partitions: " + std::to_string(n_partitions) +
                                    " given; it has to be 1 to 65535");
    }
    state_ = std::make_unique<State>(n_partitions);
}

SignatureTable::SignatureTable(const SignatureTable& other) {
    const ReadLock lock(other.state_->mutex);
    const State& from = *other.state_;
    state_ = std::make_unique<State>(from.n_partitions);
    state_->layout = from.layout;
    state_->rows = from.rows;
    state_->counts = from.counts;
    state_->n_samples = from.n_samples;
    for (std::size_t s = 0; s < n_shards; ++s) {
        state_->shards[s].slots = from.shards[s].slots;
        state_->shards[s].n_used = from.shards[s].n_used;
        state_->shards[s].update_hint();
    }
}

SignatureTable::~SignatureTable() = default;

std::size_t SignatureTable::n_partitions() const { return state_->n_partitions; }

std::size_t SignatureTable::size() const {
    const ReadLock lock(state_->mutex);
    return state_->size();
}

std::int64_t SignatureTable::n_samples() const {
    const ReadLock lock(state_->mutex);
    return state_->n_samples;
}

std::size_t SignatureTable::n_bytes() const {
    const ReadLock lock(state_->mutex);
    return state_->n_bytes();
}

template <class Id>
void SignatureTable::update(const Partitions& partitions, Id* out, const Executor& executor,
                            const std::uint8_t* eligible) {
    check_n_partitions(partitions, n_partitions());
    const auto lock = lock_table<WriteLock>(executor, state_->mutex);
    auto n = static_cast<std::int64_t>(partitions.n_rows);
    if (eligible != nullptr) {
        n = 0;
        for (std::size_t i = 0; i < partitions.n_rows; ++i) n += eligible[i] != 0;
    }
    const std::int64_t total = state_->checked_total(state_->n_samples, n);
    state_->add_rows(State::Input<Id>{partitions, eligible, nullptr, out}, executor);
    state_->n_samples = total;
}

template void SignatureTable::update(const Partitions&, std::int32_t*, const Executor&,
                                     const std::uint8_t*);
template void SignatureTable::update(const Partitions&, std::int64_t*, const Executor&,
                                     const std::uint8_t*);

void SignatureTable::update_counted(const Partitions& rows, const std::int64_t* counts,
                                    std::int32_t* out, const Executor& executor) {
    check_n_partitions(rows, n_partitions());
    const auto lock = lock_table<WriteLock>(executor, state_->mutex);
    std::int64_t total = state_->n_samples;
    for (std::size_t i = 0; i < rows.n_rows; ++i) {
        if (counts[i] < 1) {
            throw std::invalid_argument("counts: " + std::to_string(counts[i]) + " at position " +
                                        std::to_string(i) + "; they have to be at least 1");
        }
        total = state_->checked_total(total, counts[i]);
    }
    state_->add_rows(State::Input<std::int32_t>{rows, nullptr, counts, out}, executor);
    state_->n_samples = total;
}

std::vector<std::int32_t> SignatureTable::merge(const SignatureTable& other,
                                                const Executor& executor) {
    if (&other == this) return merge(SignatureTable(other), executor);
    if (other.n_partitions() != n_partitions()) {
        throw std::invalid_argument("other: a table of " + std::to_string(other.n_partitions()) +
                                    " partitions given to one of " +
                                    std::to_string(n_partitions()));
    }
    WriteLock lock(state_->mutex, std::defer_lock);
    ReadLock other_lock(other.state_->mutex, std::defer_lock);
    while (std::try_lock(lock, other_lock) != -1) {
        executor.checkpoint();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const State& from = *other.state_;
    State& to = *state_;
    const std::int64_t total = to.checked_total(to.n_samples, from.n_samples);

    // The other table's rows are decoded a bounded number at a time; undone together on failure.
    const std::size_t row_bytes = from.n_partitions * sizeof(std::int32_t);
    const std::size_t chunk =
        std::min(from.size(), std::max<std::size_t>(1, decode_bytes / row_bytes));
    std::vector<std::int32_t> decoded(chunk * from.n_partitions);
    Partitions view;
    for (std::size_t j = 0; j < from.n_partitions; ++j) {
        view.columns.push_back(
            {decoded.data() + j, static_cast<std::ptrdiff_t>(row_bytes), IntegerType::i32});
    }
    std::vector<std::int32_t> remap(from.size());
    const std::vector<std::int64_t> weights = from.all_counts();
    const std::size_t size_before = to.size();
    std::size_t done = 0;
    try {
        while (done < from.size()) {
            const std::size_t end = std::min(from.size(), done + chunk);
            executor.run_ranges(end - done, 4096, [&](std::size_t b, std::size_t e, int) {
                from.decode(done + b, done + e, decoded.data() + b * from.n_partitions);
            });
            view.n_rows = end - done;
            to.add_rows(State::Input<std::int32_t>{view, nullptr, weights.data() + done,
                                                   remap.data() + done},
                        executor);
            done = end;
        }
    } catch (...) {
        to.uncount(State::Input<std::int32_t>{view, nullptr, weights.data(), remap.data()}, 0, done,
                   size_before);
        to.truncate(size_before);
        throw;
    }
    to.n_samples = total;
    return remap;
}

void SignatureTable::lookup(const Partitions& partitions, std::int32_t* out,
                            const Executor& executor) const {
    check_n_partitions(partitions, n_partitions());
    const auto lock = lock_table<ReadLock>(executor, state_->mutex);
    const State& state = *state_;
    const std::size_t n_words = state.layout.n_words;
    const std::size_t grain = std::max<std::size_t>(64, 1024 / n_words);
    executor.stage("look up");
    executor.run_ranges(partitions.n_rows, grain, [&](std::size_t begin, std::size_t end, int) {
        const std::size_t n = end - begin;
        std::vector<std::uint64_t> words(n * n_words);
        std::vector<std::uint64_t> tags(n);
        std::vector<std::uint8_t> too_large(n, 0);
        if (pack_rows(partitions, state.layout, begin, n, words.data(), too_large.data()) ==
            Packing::invalid_id) {
            check_ids(partitions, begin, end);
        }
        for (std::size_t i = 0; i < n; ++i) {
            tags[i] = tag_of(words.data() + i * n_words, n_words);
            const auto& slots = state.shards[shard_of(tags[i])].slots;
            if (!slots.empty()) prefetch(&slots[tags[i] & (slots.size() - 1)]);
        }
        for (std::size_t i = 0; i < n; ++i) {
            out[begin + i] =
                too_large[i] != 0 ? -1 : state.find(tags[i], words.data() + i * n_words);
        }
    });
}

std::vector<std::int32_t> SignatureTable::signatures(const Executor& executor) const {
    const auto lock = lock_table<ReadLock>(executor, state_->mutex);
    const State& state = *state_;
    executor.require_memory(state.size() * state.n_partitions * sizeof(std::int32_t),
                            "the signatures");
    std::vector<std::int32_t> out(state.size() * state.n_partitions);
    executor.run_ranges(state.size(), 4096, [&](std::size_t begin, std::size_t end, int) {
        state.decode(begin, end, out.data() + begin * state.n_partitions);
    });
    return out;
}

std::vector<std::int64_t> SignatureTable::counts() const {
    const ReadLock lock(state_->mutex);
    return state_->all_counts();
}

PackedSignatures SignatureTable::packed() const {
    const ReadLock lock(state_->mutex);
    return {state_->layout, state_->rows, state_->all_counts()};
}

template <class Value>
void expand(const std::int32_t* ids, std::size_t n, const Value* values, std::size_t n_values,
            Value missing, Value* out, const Executor& executor) {
    executor.stage("expand");
    executor.run_ranges(n, std::size_t{1} << 16, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t i = begin; i < end; ++i) {
            const std::int32_t id = ids[i];
            if (id >= 0 && static_cast<std::size_t>(id) >= n_values) {
                throw std::out_of_range("ids: " + std::to_string(id) + " at position " +
                                        std::to_string(i) + ", with " + std::to_string(n_values) +
                                        " values");
            }
            out[i] = id < 0 ? missing : values[static_cast<std::size_t>(id)];
        }
    });
}

template void expand(const std::int32_t*, std::size_t, const std::int32_t*, std::size_t,
                     std::int32_t, std::int32_t*, const Executor&);
template void expand(const std::int32_t*, std::size_t, const std::int64_t*, std::size_t,
                     std::int64_t, std::int64_t*, const Executor&);

}  // namespace labelquorum
