// The signature table.
//
// A row of votes is packed into 64-bit words (RowLayout). Its tag is a hash of the words; with one
// word the hash is a bijection, so equal tags are equal rows, else the words are compared too. The
// index is cut into shards by the tag's highest bits, each an open-addressing table under a lock of
// its own.
//
// Rows are counted in segments. Workers take blocks of a segment; a small private cache of the
// first signatures that they meet answers for the frequent ones, so that these cost no lock and no
// shared write; the rest of a block is grouped by shard and looked up a shard at a time, with
// prefetching. A new signature gets a provisional id (see `provisional_id`) and remembers the first
// row that holds it. When the segment is done, the new ones are numbered in the order of these
// rows. So ids do not depend on threads or chunks.
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
#include <shared_mutex>
#include <span>
#include <string>
#include <thread>

#include "hash.hpp"
#include "pack_bytes.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t shard_bits = 6;
constexpr std::size_t n_shards = std::size_t{1} << shard_bits;
constexpr std::size_t segment_rows = std::size_t{1} << 21;
constexpr std::size_t max_signatures = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t max_cache_slots = std::size_t{1} << 14;
constexpr std::size_t decode_bytes = std::size_t{1} << 25;

// Values of an id while a segment is being counted.
constexpr std::int32_t ineligible = -1;
constexpr std::int32_t unset = std::numeric_limits<std::int32_t>::min();

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

RowLayout make_layout(std::span<const std::uint32_t> widths) {
    RowLayout layout;
    layout.fields.reserve(widths.size());
    std::uint32_t word = 0;
    std::uint32_t free_bits = 64;
    for (const std::uint32_t width : widths) {
        if (width > free_bits) {
            ++word;
            free_bits = 64;
        }
        free_bits -= width;
        layout.fields.push_back({word, width == 0 ? 0 : free_bits, width});
    }
    layout.n_words = word + 1;
    return layout;
}

// Calls f(values) with a TypedColumn, of compile-time stride where the column is contiguous.
template <class T>
struct ContiguousColumn {
    const char* data;
    T operator[](std::size_t row) const {
        T value;
        std::memcpy(&value, data + row * sizeof(T), sizeof(T));
        return value;
    }
};

template <class F>
void visit_contiguous_or_strided(const Column& column, F&& f) {
    visit(column, [&]<class T>(TypedColumn<T> values) {
        if (values.stride == sizeof(T)) {
            f(ContiguousColumn<T>{values.data});
        } else {
            f(values);
        }
    });
}

// The bits used by the codes of each partition in rows [begin, end), OR-ed into `used`.
void find_used_bits(const Partitions& partitions, std::size_t begin, std::size_t end, Code* used) {
    for (std::size_t j = 0; j < partitions.n_partitions(); ++j) {
        visit_contiguous_or_strided(partitions.columns[j], [&](auto values) {
            bool valid = true;
            Code bits = 0;
            for (std::size_t row = begin; row < end; ++row) {
                const auto value = values[row];
                valid &= is_valid_id(value);
                bits |= to_code(value);
            }
            if (!valid) check_ids(partitions, j, begin, end);
            used[j] |= bits;
        });
    }
}

// Rows of adjacent bytes that fit one word, as PackBytes takes them.
struct ByteView {
    ByteRows rows{};
    std::array<std::uint8_t, 64> widths{};
};

bool view_bytes(const Partitions& partitions, const RowLayout& layout, ByteView& view) {
    const auto& columns = partitions.columns;
    if (layout.n_words != 1 || columns.size() < 8 || columns.size() > 64) return false;
    const Column& first = columns.front();
    if (first.type != IntegerType::i8 && first.type != IntegerType::u8) return false;
    const auto* data = static_cast<const std::uint8_t*>(first.data);
    for (std::size_t j = 0; j < columns.size(); ++j) {
        if (columns[j].type != first.type || columns[j].stride != first.stride ||
            columns[j].data != data + j || layout.fields[j].width > 8) {
            return false;
        }
        view.widths[j] = static_cast<std::uint8_t>(layout.fields[j].width);
    }
    view.rows = {data, first.stride, columns.size(), first.type == IntegerType::i8,
                 view.widths.data()};
    return true;
}

// Packs rows [begin, begin + n) to n * layout.n_words words. Returns false when a code is too large
// for its field; then the rows' contents mean nothing, unless `too_large` (n values, zeros at
// first) is given: it is set to 1 for the rows concerned, and the others hold.
bool pack_rows(const Partitions& partitions, const RowLayout& layout, std::size_t begin,
               std::size_t n, std::uint64_t* words, std::uint8_t* too_large = nullptr) {
    const std::size_t n_words = layout.n_words;
    const PackBytes pack_quickly = pack_bytes();
    ByteView bytes;
    if (pack_quickly != nullptr && too_large == nullptr && view_bytes(partitions, layout, bytes)) {
        bytes.rows.data += static_cast<std::ptrdiff_t>(begin) * bytes.rows.stride;
        std::array<std::uint8_t, 64> used{};
        bool fits = pack_quickly(bytes.rows, n, words, used.data());
        for (std::size_t j = 0; j < partitions.n_partitions(); ++j) {
            fits &= (used[j] >> bytes.widths[j]) == 0;
        }
        return fits;
    }
    std::fill_n(words, n * n_words, 0);
    bool fits = true;
    for (std::size_t j = 0; j < partitions.n_partitions(); ++j) {
        const auto field = layout.fields[j];
        visit_contiguous_or_strided(partitions.columns[j], [&](auto values) {
            bool valid = true;
            std::uint64_t used = 0;
            std::uint64_t* out = words + field.word;
            const auto pack = [&](std::size_t stride) {
                for (std::size_t i = 0; i < n; ++i) {
                    const auto value = values[begin + i];
                    valid &= is_valid_id(value);
                    const std::uint64_t code = to_code(value);
                    used |= code;
                    out[i * stride] |= code << field.shift;
                }
            };
            n_words == 1 ? pack(1) : pack(n_words);
            if (!valid) check_ids(partitions, j, begin, begin + n);
            if ((used >> field.width) == 0) return;
            fits = false;
            if (too_large == nullptr) return;
            for (std::size_t i = 0; i < n; ++i) {
                too_large[i] |= (std::uint64_t{to_code(values[begin + i])} >> field.width) != 0;
            }
        });
    }
    return fits;
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
        std::int32_t id = unset;  // unset: free
    };

    // Signatures first met in the segment at hand.
    struct Fresh {
        std::vector<std::uint64_t> rows;
        std::vector<std::uint64_t> tags;
        std::vector<std::int64_t> counts;
        std::vector<std::uint32_t> first;  // the first row of the segment that holds it
        std::vector<std::int32_t> ids;     // set when the segment is done

        std::size_t size() const { return tags.size(); }
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

    // What one worker needs to count a block.
    struct Worker {
        struct CacheSlot {
            std::uint64_t tag = 0;
            std::int32_t id = unset;
            std::uint32_t pending = 0;  // rows not yet added to the count
        };
        std::vector<CacheSlot> cache;
        std::vector<std::uint64_t>
            cache_rows;  // of the cached signatures, when rows have many words
        std::vector<std::uint64_t> words;
        std::vector<std::uint64_t> tags;
        std::vector<std::uint32_t> missed;   // rows of the block that the cache did not know
        std::vector<std::uint32_t> grouped;  // the same by shard
        std::array<std::uint32_t, n_shards + 1> group_begin{};
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
    std::vector<std::int64_t> counts;  // in the order of ids
    std::int64_t n_samples = 0;
    std::array<Shard, n_shards> shards;

    explicit State(std::size_t n) : n_partitions(n) {
        layout = make_layout(std::vector<std::uint32_t>(n, 0));
    }

    std::size_t size() const { return counts.size(); }

    std::size_t block_rows() const {
        return std::max<std::size_t>(256, (std::size_t{1} << 14) / layout.n_words);
    }

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
            const Slot& slot = shard.slots[i & (shard.slots.size() - 1)];
            if (slot.id == unset) break;
            if (slot.tag == tag && (layout.n_words == 1 || same_row(slot.id, shard.fresh, words))) {
                if (slot.id >= 0) {
                    counts[static_cast<std::size_t>(slot.id)] += weight;
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
        shard.free_slot(tag) = {tag, id};
        ++shard.n_used;
        return id;
    }

    // What a call needs beside the table, kept from segment to segment.
    struct Scratch {
        std::vector<Worker> workers;
        std::vector<std::int32_t> by_first_row;
    };

    void prepare(Worker& worker, std::size_t rows_per_block, std::size_t n_rows) const {
        const std::size_t affordable = (std::size_t{1} << 17) / (layout.n_words + 3);
        const std::size_t n_slots = std::bit_ceil(std::min({max_cache_slots, affordable, n_rows}));
        worker.cache.assign(n_slots, {});
        if (layout.n_words > 1) worker.cache_rows.resize(n_slots * layout.n_words);
        worker.words.resize(rows_per_block * layout.n_words);
        worker.tags.resize(rows_per_block);
        worker.missed.resize(rows_per_block);
        worker.grouped.resize(rows_per_block);
    }

    // Counts rows [begin, begin + n) of a segment that starts at segment_begin.
    template <bool one_word, class Id>
    void count_block(const Input<Id>& input, std::size_t segment_begin, std::size_t begin,
                     std::size_t n, Worker& worker) {
        const std::size_t n_words = one_word ? 1 : layout.n_words;
        if (!pack_rows(input.partitions, layout, begin, n, worker.words.data())) {
            throw LayoutTooNarrow{};
        }
        const std::size_t cache_mask = worker.cache.size() - 1;
        Id* out = input.out + begin;
        std::size_t n_missed = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const std::uint64_t* words = worker.words.data() + i * n_words;
            const std::uint64_t tag = tag_of(words, n_words);
            worker.tags[i] = tag;
            const std::size_t place = tag & cache_mask;
            auto& cached = worker.cache[place];
            bool hit = cached.tag == tag && cached.id != unset;
            if (n_words > 1 && hit) {
                hit =
                    std::equal(words, words + n_words, worker.cache_rows.data() + place * n_words);
            }
            bool counted = true;
            if (input.eligible != nullptr && input.eligible[begin + i] == 0) {
                out[i] = ineligible;
                counted = false;
            } else {
                out[i] = hit ? cached.id : unset;
            }
            cached.pending += static_cast<std::uint32_t>(hit && counted);
            worker.missed[n_missed] = static_cast<std::uint32_t>(i);
            n_missed += !hit && counted;
        }
        group_by_shard(worker, n_missed);
        for (std::size_t s = 0; s < n_shards; ++s) {
            const std::span<const std::uint32_t> group(
                worker.grouped.data() + worker.group_begin[s],
                worker.grouped.data() + worker.group_begin[s + 1]);
            if (group.empty()) continue;
            Shard& shard = shards[s];
            const std::lock_guard lock(shard.mutex);
            for (const std::uint32_t i : group) {
                const std::uint64_t* words = worker.words.data() + i * n_words;
                const std::uint64_t tag = worker.tags[i];
                const std::int32_t id = count_row(shard, tag, words, begin + i - segment_begin,
                                                  input.weight(begin + i));
                out[i] = id;
                const std::size_t place = tag & cache_mask;
                auto& cached = worker.cache[place];
                if (cached.id == unset && input.weights == nullptr) {
                    cached.tag = tag;
                    cached.id = id;
                    if (n_words > 1) {
                        std::copy_n(words, n_words, worker.cache_rows.data() + place * n_words);
                    }
                }
            }
        }
    }

    void group_by_shard(Worker& worker, std::size_t n_missed) const {
        worker.group_begin.fill(0);
        for (std::size_t k = 0; k < n_missed; ++k) {
            ++worker.group_begin[shard_of(worker.tags[worker.missed[k]]) + 1];
        }
        for (std::size_t s = 0; s < n_shards; ++s) {
            worker.group_begin[s + 1] += worker.group_begin[s];
        }
        std::array<std::uint32_t, n_shards> next{};
        std::copy_n(worker.group_begin.begin(), n_shards, next.begin());
        for (std::size_t k = 0; k < n_missed; ++k) {
            const std::uint32_t i = worker.missed[k];
            const std::size_t shard = shard_of(worker.tags[i]);
            worker.grouped[next[shard]++] = i;
            shards[shard].prefetch_slot(worker.tags[i]);
        }
    }

    void add_pending(std::vector<Worker>& workers) noexcept {
        for (const Worker& worker : workers) {
            for (const auto& cached : worker.cache) {
                if (cached.pending == 0) continue;
                if (cached.id >= 0) {
                    counts[static_cast<std::size_t>(cached.id)] += cached.pending;
                } else {
                    shards[provisional_shard(cached.id)]
                        .fresh.counts[provisional_index(cached.id)] += cached.pending;
                }
            }
        }
    }

    // Counts rows [begin, end), at most segment_rows. On an exception the segment is undone.
    template <class Id>
    void add_segment(const Input<Id>& input, std::size_t begin, std::size_t end, Scratch& scratch,
                     const Executor& executor) {
        const std::size_t rows_per_block = std::min(block_rows(), end - begin);
        const std::size_t n_blocks = (end - begin + rows_per_block - 1) / rows_per_block;
        const std::size_t size_before = size();
        require_room(end - begin, executor);
        std::vector<std::uint8_t> started(n_blocks, 0);
        std::vector<Worker>& workers = scratch.workers;
        workers.resize(static_cast<std::size_t>(executor.n_workers(n_blocks)));
        for (Worker& worker : workers) prepare(worker, rows_per_block, end - begin);
        const auto block_range = [&](std::size_t block) {
            const std::size_t first = begin + block * rows_per_block;
            return std::pair(first, std::min(end, first + rows_per_block));
        };
        bool pending_added = false;
        try {
            executor.run(n_blocks, [&](std::size_t block, int worker) {
                const auto [first, last] = block_range(block);
                std::fill(input.out + first, input.out + last, static_cast<Id>(unset));
                started[block] = 1;
                Worker& own = workers[static_cast<std::size_t>(worker)];
                if (layout.n_words == 1) {
                    count_block<true>(input, begin, first, last - first, own);
                } else {
                    count_block<false>(input, begin, first, last - first, own);
                }
            });
            add_pending(workers);
            pending_added = true;
            if (number_fresh(end - begin, scratch.by_first_row)) {
                executor.run(n_shards, [&](std::size_t s, int) { number_slots(shards[s]); });
                executor.run(n_blocks, [&](std::size_t block, int) {
                    const auto [first, last] = block_range(block);
                    for (std::size_t row = first; row < last; ++row) {
                        const auto id = static_cast<std::int32_t>(input.out[row]);
                        if (id < ineligible) {
                            input.out[row] =
                                shards[provisional_shard(id)].fresh.ids[provisional_index(id)];
                        }
                    }
                });
                for (Shard& shard : shards) shard.fresh = {};
            }
        } catch (...) {
            if (!pending_added) add_pending(workers);
            for (std::size_t block = 0; block < n_blocks; ++block) {
                if (started[block] == 0) continue;
                const auto [first, last] = block_range(block);
                uncount(input, first, last, size_before);
            }
            truncate(size_before);
            throw;
        }
    }

    // Numbers the new signatures in the order of their first rows and appends them to `rows` and
    // `counts`. Returns false when there are none. Strong guarantee.
    bool number_fresh(std::size_t n_segment_rows, std::vector<std::int32_t>& by_first_row) {
        std::size_t n_fresh = 0;
        for (const Shard& shard : shards) n_fresh += shard.fresh.size();
        if (n_fresh == 0) return false;
        if (size() + n_fresh > max_signatures) {
            throw std::length_error("partitions: more than " + std::to_string(max_signatures) +
                                    " distinct rows, which is the most a SignatureTable can hold");
        }
        by_first_row.assign(n_segment_rows, unset);
        const auto reserve = [](auto& values, std::size_t n) {
            if (n > values.capacity()) values.reserve(std::max(n, values.capacity() * 3 / 2));
        };
        reserve(rows, (size() + n_fresh) * layout.n_words);
        reserve(counts, size() + n_fresh);
        for (std::size_t s = 0; s < n_shards; ++s) {
            const auto& first = shards[s].fresh.first;
            for (std::size_t k = 0; k < first.size(); ++k) {
                by_first_row[first[k]] = provisional_id(k, s);
            }
        }
        for (const std::int32_t id : by_first_row) {
            if (id == unset) continue;
            Fresh& fresh = shards[provisional_shard(id)].fresh;
            const std::size_t k = provisional_index(id);
            const std::uint64_t* words = fresh.rows.data() + k * layout.n_words;
            fresh.ids[k] = static_cast<std::int32_t>(size());
            rows.insert(rows.end(), words, words + layout.n_words);
            counts.push_back(fresh.counts[k]);
        }
        return true;
    }

    static void number_slots(Shard& shard) {
        for (std::size_t k = 0; k < shard.fresh.size(); ++k) {
            const std::uint64_t tag = shard.fresh.tags[k];
            const std::int32_t id = provisional_id(k, shard_of(tag));
            std::size_t i = tag & (shard.slots.size() - 1);
            while (shard.slots[i].id != id) i = (i + 1) & (shard.slots.size() - 1);
            shard.slots[i].id = shard.fresh.ids[k];
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

    // Forgets all signatures but the first n.
    void truncate(std::size_t n) noexcept {
        for (Shard& shard : shards) shard.fresh = {};
        counts.resize(n);
        rows.resize(n * layout.n_words);
        rebuild_index();
    }

    void rebuild_index() noexcept {
        for (Shard& shard : shards) {
            std::fill(shard.slots.begin(), shard.slots.end(), Slot{});
            shard.n_used = 0;
        }
        for (std::size_t id = 0; id < size(); ++id) {
            const std::uint64_t tag = tag_of(rows.data() + id * layout.n_words, layout.n_words);
            Shard& shard = shards[shard_of(tag)];
            shard.free_slot(tag) = {tag, static_cast<std::int32_t>(id)};
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
    const std::size_t size_before = to.size();
    std::size_t done = 0;
    try {
        while (done < from.size()) {
            const std::size_t end = std::min(from.size(), done + chunk);
            executor.run_ranges(end - done, 4096, [&](std::size_t b, std::size_t e, int) {
                from.decode(done + b, done + e, decoded.data() + b * from.n_partitions);
            });
            view.n_rows = end - done;
            to.add_rows(State::Input<std::int32_t>{view, nullptr, from.counts.data() + done,
                                                   remap.data() + done},
                        executor);
            done = end;
        }
    } catch (...) {
        to.uncount(State::Input<std::int32_t>{view, nullptr, from.counts.data(), remap.data()}, 0,
                   done, size_before);
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
        pack_rows(partitions, state.layout, begin, n, words.data(), too_large.data());
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
    return state_->counts;
}

PackedSignatures SignatureTable::packed() const {
    const ReadLock lock(state_->mutex);
    return {state_->layout, state_->rows, state_->counts};
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
