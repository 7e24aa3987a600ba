// Rows are counted in segments, and segments in blocks. For each block, a worker:
//   1. looks up the rows in a small cache of its own (RowCache). It answers for the frequent
//      signatures, so that these need no lock and no shared write. Rows of an array in C order are
//      compared as they are; others are packed first;
//   2. packs the rows that the cache does not know and groups them by shard;
//   3. counts them in the store, one shard at a time, and adds them to the cache.
// At the end of a segment, new signatures are numbered in the order of their first rows. So ids
// depend neither on chunks nor on threads.
//
// Ids are kept in memory of our own until a segment ends, since others may write to the caller's
// array meanwhile. If anything fails, they tell what to take back: a row has been counted if and
// only if it has an id. Earlier segments are taken back by restoring the counts from before.
#include "row_counter.hpp"

#include <optional>
#include <utility>

#include "byte_rows.hpp"
#include "row_packing.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t block_words = std::size_t{1} << 14;
constexpr std::size_t min_block_rows = 256;

// Thrown by a worker that meets a cluster id too large for the layout.
struct LayoutTooNarrow {};

// What a worker needs to count a block.
struct Worker {
    Worker(std::size_t row_words, std::size_t n_rows) : cache(row_words, n_rows) {}

    RowCache cache;                     // valid for one layout of the store
    std::vector<std::uint64_t> packed;  // the rows of the block, unless compared in place

    // The rows that the cache did not know.
    std::vector<std::uint32_t> missed;  // their numbers in the block
    std::vector<char> missed_bytes;     // if compared in place
    std::vector<std::uint64_t> missed_words;
    std::vector<std::uint64_t> missed_tags;
    std::vector<std::uint32_t> by_shard;  // positions in `missed`, grouped by shard
    std::array<std::uint32_t, n_shards + 1> shard_begins{};
};

// A range of rows, and the blocks that it is cut into.
struct Segment {
    std::size_t begin;
    std::size_t end;
    std::size_t block_rows;

    std::size_t size() const { return end - begin; }
    std::size_t n_blocks() const { return (size() + block_rows - 1) / block_rows; }
    std::pair<std::size_t, std::size_t> block(std::size_t i) const {
        const std::size_t first = begin + i * block_rows;
        return {first, std::min(end, first + block_rows)};
    }
};

template <class Id>
class RowCounter {
public:
    RowCounter(const RowsToCount<Id>& rows, SignatureStore& store, const Executor& executor)
        : rows_(rows),
          store_(store),
          executor_(executor),
          in_place_(rows_in_place(rows.partitions)),
          ids_(std::min(rows.partitions.n_rows, segment_rows)) {}

    void run() {
        const std::size_t n = rows_.partitions.n_rows;
        std::vector<std::int64_t> counts_before;
        if (n > segment_rows) counts_before = store_.counts();
        std::size_t n_done = 0;
        try {
            while (n_done < n) {
                const std::size_t end = std::min(n, n_done + segment_rows);
                executor_.stage("collapse", static_cast<double>(n_done) / static_cast<double>(n),
                                static_cast<double>(end) / static_cast<double>(n));
                if (store_.size() == 0) widen(n_done, end);
                while (!fits(n_done, end)) widen(n_done, end);
                n_done = end;
            }
            store_.forget_new(true);
        } catch (...) {
            if (n_done > 0) store_.restore(counts_before);
            throw;
        }
    }

private:
    void widen(std::size_t begin, std::size_t end) {
        workers_.clear();  // their caches hold rows of the old layout
        store_.widen(rows_.partitions, begin, end, executor_);
    }

    // Counts rows [begin, end), or returns false if the layout is too narrow for them.
    bool fits(std::size_t begin, std::size_t end) {
        executor_.checkpoint();
        try {
            count_segment(begin, end);
            return true;
        } catch (const LayoutTooNarrow&) {
            return false;
        }
    }

    // Counts rows [begin, end), at most segment_rows, or throws and takes them back.
    void count_segment(std::size_t begin, std::size_t end) {
        const std::size_t row_words = in_place_ ? in_place_->n_words() : store_.layout().n_words;
        const std::size_t block_rows =
            std::min(std::max(min_block_rows, block_words / row_words), end - begin);
        const Segment segment{begin, end, block_rows};
        const std::size_t size_before = store_.size();
        store_.require_room(segment.size(), executor_);
        std::vector<std::uint8_t> has_ids(segment.n_blocks(), 0);
        while (workers_.size() < static_cast<std::size_t>(executor_.n_workers(has_ids.size()))) {
            workers_.emplace_back(row_words, segment.size());
        }
        bool is_cache_counted = false;
        try {
            executor_.run(segment.n_blocks(), [&](std::size_t block, int worker) {
                const auto [first, last] = segment.block(block);
                count_block(begin, first, last, workers_[static_cast<std::size_t>(worker)],
                            has_ids[block]);
            });
            add_cache_counts();
            is_cache_counted = true;
            number_new(segment);
        } catch (...) {
            if (!is_cache_counted) add_cache_counts();
            workers_.clear();
            for (std::size_t block = 0; block < segment.n_blocks(); ++block) {
                if (has_ids[block] == 0) continue;
                const auto [first, last] = segment.block(block);
                take_back(begin, first, last, size_before);
            }
            store_.truncate(size_before);
            throw;
        }
    }

    // Counts rows [begin, end). `has_ids` is set once all of their ids hold a value, which may be
    // `unset`.
    void count_block(std::size_t segment_begin, std::size_t begin, std::size_t end, Worker& worker,
                     std::uint8_t& has_ids) {
        const std::size_t n = end - begin;
        const ByteRows rows = comparable_rows(begin, n, worker);
        std::int32_t* ids = ids_.data() + (begin - segment_begin);
        const std::uint8_t* eligible = rows_.eligible == nullptr ? nullptr : rows_.eligible + begin;
        worker.missed.resize(n);
        worker.missed.resize(
            worker.cache.look_up(rows, n, eligible, ineligible, ids, worker.missed.data()));
        has_ids = 1;
        const ByteRows missed = pack_missed(rows, begin, end, worker);
        group_by_shard(worker);
        for (std::size_t shard = 0; shard < n_shards; ++shard) {
            count_missed(shard, missed, segment_begin, begin, worker);
        }
    }

    // Takes back what was counted for rows [begin, end), except for new signatures.
    void take_back(std::size_t segment_begin, std::size_t begin, std::size_t end,
                   std::size_t n_signatures) noexcept {
        for (std::size_t row = begin; row < end; ++row) {
            const std::int32_t id = ids_[row - segment_begin];
            if (id < 0 || static_cast<std::size_t>(id) >= n_signatures) continue;
            store_.add_samples(id, -rows_.weight(row));
        }
    }

    // Rows [begin, begin + n) in a form whose bytes can be compared.
    ByteRows comparable_rows(std::size_t begin, std::size_t n, Worker& worker) const {
        if (in_place_) return {in_place_->row(begin), in_place_->stride, in_place_->size};
        const Packing packing = pack(rows_.partitions, begin, n, worker.packed);
        if (packing == Packing::invalid_id) refuse_ids(rows_.partitions, begin, begin + n);
        return words_as_bytes(worker.packed.data(), store_.layout().n_words);
    }

    // Packs the rows of the block [begin, end) that the cache did not know. Returns their
    // comparable form.
    ByteRows pack_missed(const ByteRows& rows, std::size_t begin, std::size_t end,
                         Worker& worker) const {
        const std::size_t n_missed = worker.missed.size();
        if (!in_place_) {
            worker.missed_words.resize(n_missed * store_.layout().n_words);
            return gather(rows, worker.missed, reinterpret_cast<char*>(worker.missed_words.data()));
        }
        worker.missed_bytes.resize(n_missed * rows.size);
        const ByteRows missed = gather(rows, worker.missed, worker.missed_bytes.data());
        // Including ineligible rows: an invalid id is an error wherever it is.
        const Packing packing =
            pack(columns_of(rows_.partitions, missed), 0, n_missed, worker.missed_words);
        if (packing == Packing::invalid_id) refuse_ids(rows_.partitions, begin, end);
        return missed;
    }

    Packing pack(const Partitions& partitions, std::size_t begin, std::size_t n,
                 std::vector<std::uint64_t>& words) const {
        words.resize(n * store_.layout().n_words);
        const Packing packing = pack_rows(partitions, store_.layout(), begin, n, words.data());
        if (packing == Packing::too_narrow) throw LayoutTooNarrow{};
        return packing;
    }

    void group_by_shard(Worker& worker) const {
        const std::size_t n_words = store_.layout().n_words;
        const std::size_t n = worker.missed.size();
        worker.missed_tags.resize(n);
        worker.by_shard.resize(n);
        worker.shard_begins.fill(0);
        for (std::size_t k = 0; k < n; ++k) {
            worker.missed_tags[k] = tag_of(worker.missed_words.data() + k * n_words, n_words);
            ++worker.shard_begins[shard_of(worker.missed_tags[k]) + 1];
        }
        for (std::size_t s = 0; s < n_shards; ++s) {
            worker.shard_begins[s + 1] += worker.shard_begins[s];
        }
        std::array<std::uint32_t, n_shards> next{};
        std::copy_n(worker.shard_begins.begin(), n_shards, next.begin());
        for (std::size_t k = 0; k < n; ++k) {
            const std::uint64_t tag = worker.missed_tags[k];
            worker.by_shard[next[shard_of(tag)]++] = static_cast<std::uint32_t>(k);
            store_.prefetch_slot(tag);
        }
    }

    // Counts the missed rows of one shard and adds them to the cache.
    void count_missed(std::size_t shard, const ByteRows& missed, std::size_t segment_begin,
                      std::size_t block_begin, Worker& worker) {
        const std::size_t begin = worker.shard_begins[shard];
        const std::size_t end = worker.shard_begins[shard + 1];
        if (begin == end) return;
        const std::size_t n_words = store_.layout().n_words;
        const std::lock_guard lock(store_.mutex_of_shard(shard));
        for (std::size_t i = begin; i < end; ++i) {
            const std::size_t k = worker.by_shard[i];
            const std::size_t row = block_begin + worker.missed[k];
            std::int32_t& id = ids_[row - segment_begin];
            if (id == ineligible) continue;
            id = store_.count_row(worker.missed_tags[k], worker.missed_words.data() + k * n_words,
                                  row - segment_begin, rows_.weight(row));
            if (rows_.weights == nullptr) worker.cache.insert(missed.row(k), missed.size, id);
        }
    }

    // Adds what the caches counted in this segment to the store.
    void add_cache_counts() noexcept {
        for (const Worker& worker : workers_) {
            worker.cache.for_each_count(
                [&](std::int32_t id, std::uint32_t count) { store_.add_samples(id, count); });
        }
    }

    // Ends a segment: from here on, its signatures have their final ids.
    void number_new(const Segment& segment) {
        store_.number_new(segment.size(), executor_);
        executor_.run(segment.n_blocks(), [&](std::size_t block, int) {
            const auto [first, last] = segment.block(block);
            write_final_ids(ids_.data() + (first - segment.begin), last - first, rows_.ids + first);
        });
        for (Worker& worker : workers_) {
            worker.cache.begin_period([&](std::int32_t id) { return store_.final_id(id); });
        }
        store_.forget_new(false);
    }

    // Writes n ids to `out`, the final ones instead of provisional ones.
    void write_final_ids(const std::int32_t* ids, std::size_t n, Id* out) const {
        constexpr std::size_t chunk = 16;
        for (std::size_t begin = 0; begin < n; begin += chunk) {
            const std::size_t end = std::min(n, begin + chunk);
            // Most chunks hold no negative id: the OR of all ids then has no sign bit.
            std::int32_t all_bits = 0;
            for (std::size_t i = begin; i < end; ++i) all_bits |= ids[i];
            if (all_bits >= 0) {
                std::copy(ids + begin, ids + end, out + begin);
                continue;
            }
            for (std::size_t i = begin; i < end; ++i) {
                out[i] = ids[i] < ineligible ? store_.final_id(ids[i]) : ids[i];
            }
        }
    }

    const RowsToCount<Id>& rows_;
    SignatureStore& store_;
    const Executor& executor_;
    const std::optional<ByteRows> in_place_;
    std::vector<std::int32_t> ids_;  // of the rows of the segment at hand
    std::vector<Worker> workers_;
};

}  // namespace

template <class Id>
void count_rows(const RowsToCount<Id>& rows, SignatureStore& store, const Executor& executor) {
    RowCounter<Id>(rows, store, executor).run();
}

template void count_rows(const RowsToCount<std::int32_t>&, SignatureStore&, const Executor&);
template void count_rows(const RowsToCount<std::int64_t>&, SignatureStore&, const Executor&);

}  // namespace labelquorum
