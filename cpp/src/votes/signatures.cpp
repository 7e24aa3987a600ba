// The signature table: locks and checks around a SignatureStore.
//
// A row of votes is packed into 64-bit words (RowLayout). The index (signature_index.hpp) finds
// packed rows by their hash; the store (signature_store.hpp) holds them and their counts; rows are
// counted into it in parallel (row_counter.hpp).
#include "labelquorum/signatures.hpp"

#include <chrono>
#include <limits>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include "base/read_once.hpp"
#include "row_counter.hpp"
#include "row_packing.hpp"
#include "signature_store.hpp"

namespace labelquorum {

struct SignatureTable::State {
    explicit State(std::size_t n_partitions) : store(n_partitions) {}
    explicit State(const SignatureStore& other) : store(other) {}

    mutable std::shared_mutex mutex;
    SignatureStore store;
    std::int64_t n_samples = 0;
};

namespace {

constexpr std::size_t max_decoded_bytes = std::size_t{1} << 25;
constexpr std::size_t decode_grain = 4096;

using WriteLock = std::unique_lock<std::shared_mutex>;
using ReadLock = std::shared_lock<std::shared_mutex>;

// Calls try_lock() until it succeeds. Ctrl-C works meanwhile.
template <class TryLock>
void lock_interruptibly(const Executor& executor, TryLock&& try_lock) {
    while (!try_lock()) {
        executor.checkpoint();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

template <class Lock>
Lock lock_table(const Executor& executor, std::shared_mutex& mutex) {
    Lock lock(mutex, std::defer_lock);
    lock_interruptibly(executor, [&] { return lock.try_lock(); });
    return lock;
}

void check_n_partitions(const Partitions& partitions, std::size_t n_partitions) {
    if (partitions.n_partitions() != n_partitions) {
        throw std::invalid_argument("partitions must have " + std::to_string(n_partitions) +
                                    " columns, as many as the table has partitions, got " +
                                    std::to_string(partitions.n_partitions()) + ".");
    }
}

std::int64_t checked_sum(std::int64_t total, std::int64_t more) {
    if (more > std::numeric_limits<std::int64_t>::max() - total) {
        throw std::overflow_error("counts must add up to less than 2^63.");
    }
    return total + more;
}

std::int64_t count_eligible(const std::uint8_t* eligible, std::size_t n) {
    if (eligible == nullptr) return static_cast<std::int64_t>(n);
    std::int64_t n_eligible = 0;
    for (std::size_t i = 0; i < n; ++i) n_eligible += eligible[i] != 0;
    return n_eligible;
}

// n_rows rows of decoded signatures, as partitions.
Partitions view_decoded(const std::vector<std::int32_t>& decoded, std::size_t n_partitions) {
    Partitions view;
    const auto stride = static_cast<std::ptrdiff_t>(n_partitions * sizeof(std::int32_t));
    for (std::size_t j = 0; j < n_partitions; ++j) {
        view.columns.push_back({decoded.data() + j, stride, IntegerType::i32});
    }
    return view;
}

// Adds the signatures of a store to another one and returns their ids there. They are decoded a
// bounded number at a time, and taken back together if anything fails.
std::vector<std::int32_t> add_signatures(const SignatureStore& from, SignatureStore& to,
                                         const Executor& executor) {
    const std::size_t m = from.n_partitions();
    const std::size_t chunk_rows = std::min(
        from.size(), std::max<std::size_t>(1, max_decoded_bytes / (m * sizeof(std::int32_t))));
    std::vector<std::int32_t> decoded(chunk_rows * m);
    Partitions chunk = view_decoded(decoded, m);
    const std::vector<std::int64_t> weights = from.counts();
    std::vector<std::int32_t> ids(from.size());
    std::vector<std::int64_t> counts_before;
    if (chunk_rows < from.size()) counts_before = to.counts();
    std::size_t n_done = 0;
    try {
        while (n_done < from.size()) {
            const std::size_t end = std::min(from.size(), n_done + chunk_rows);
            executor.run_ranges(
                end - n_done, decode_grain, [&](std::size_t first, std::size_t last, int) {
                    from.decode(n_done + first, n_done + last, decoded.data() + first * m);
                });
            chunk.n_rows = end - n_done;
            count_rows(RowsToCount<std::int32_t>{chunk, nullptr, weights.data() + n_done,
                                                 ids.data() + n_done},
                       to, executor);
            n_done = end;
        }
    } catch (...) {
        if (n_done > 0) to.restore(counts_before);
        throw;
    }
    return ids;
}

}  // namespace

SignatureTable::SignatureTable(std::size_t n_partitions) {
    if (n_partitions < 1 || n_partitions > 65535) {
        throw std::invalid_argument("n_partitions must be from 1 to 65535, got " +
                                    std::to_string(n_partitions) + ".");
    }
    state_ = std::make_unique<State>(n_partitions);
}

SignatureTable::SignatureTable(const SignatureTable& other) {
    const ReadLock lock(other.state_->mutex);
    state_ = std::make_unique<State>(other.state_->store);
    state_->n_samples = other.state_->n_samples;
}

SignatureTable::~SignatureTable() = default;

std::size_t SignatureTable::n_partitions() const { return state_->store.n_partitions(); }

std::size_t SignatureTable::size() const {
    const ReadLock lock(state_->mutex);
    return state_->store.size();
}

std::int64_t SignatureTable::n_samples() const {
    const ReadLock lock(state_->mutex);
    return state_->n_samples;
}

std::size_t SignatureTable::n_bytes() const {
    const ReadLock lock(state_->mutex);
    return state_->store.n_bytes();
}

template <class Id>
void SignatureTable::update(const Partitions& partitions, Id* out, const Executor& executor,
                            const std::uint8_t* eligible) {
    check_n_partitions(partitions, n_partitions());
    const auto lock = lock_table<WriteLock>(executor, state_->mutex);
    const std::int64_t total =
        checked_sum(state_->n_samples, count_eligible(eligible, partitions.n_rows));
    count_rows(RowsToCount<Id>{partitions, eligible, nullptr, out}, state_->store, executor);
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
    const std::vector<std::int64_t> weights(counts, counts + rows.n_rows);
    for (std::size_t i = 0; i < rows.n_rows; ++i) {
        if (weights[i] < 1) {
            throw std::invalid_argument("counts must be at least 1, got " +
                                        std::to_string(weights[i]) + " at position " +
                                        std::to_string(i) + ".");
        }
        total = checked_sum(total, weights[i]);
    }
    count_rows(RowsToCount<std::int32_t>{rows, nullptr, weights.data(), out}, state_->store,
               executor);
    state_->n_samples = total;
}

std::vector<std::int32_t> SignatureTable::merge(const SignatureTable& other,
                                                const Executor& executor) {
    if (&other == this) return merge(SignatureTable(other), executor);
    if (other.n_partitions() != n_partitions()) {
        throw std::invalid_argument("other must be a table of " + std::to_string(n_partitions()) +
                                    " partitions, got " + std::to_string(other.n_partitions()) +
                                    ".");
    }
    WriteLock lock(state_->mutex, std::defer_lock);
    ReadLock other_lock(other.state_->mutex, std::defer_lock);
    lock_interruptibly(executor, [&] { return std::try_lock(lock, other_lock) == -1; });
    const std::int64_t total = checked_sum(state_->n_samples, other.state_->n_samples);
    std::vector<std::int32_t> ids = add_signatures(other.state_->store, state_->store, executor);
    state_->n_samples = total;
    return ids;
}

void SignatureTable::lookup(const Partitions& partitions, std::int32_t* out,
                            const Executor& executor) const {
    check_n_partitions(partitions, n_partitions());
    const auto lock = lock_table<ReadLock>(executor, state_->mutex);
    const SignatureStore& store = state_->store;
    const std::size_t n_words = store.layout().n_words;
    const std::size_t grain = std::max<std::size_t>(64, 1024 / n_words);
    executor.stage("look up");
    executor.run_ranges(partitions.n_rows, grain, [&](std::size_t begin, std::size_t end, int) {
        const std::size_t n = end - begin;
        std::vector<std::uint64_t> words(n * n_words);
        std::vector<std::uint64_t> tags(n);
        std::vector<std::uint8_t> is_too_large(n, 0);
        if (pack_rows(partitions, store.layout(), begin, n, words.data(), is_too_large.data()) ==
            Packing::invalid_id) {
            refuse_ids(partitions, begin, end);
        }
        for (std::size_t i = 0; i < n; ++i) {
            tags[i] = tag_of(words.data() + i * n_words, n_words);
            store.prefetch_slot(tags[i]);
        }
        for (std::size_t i = 0; i < n; ++i) {
            out[begin + i] =
                is_too_large[i] != 0 ? -1 : store.find(tags[i], words.data() + i * n_words);
        }
    });
}

std::vector<std::int32_t> SignatureTable::signatures(const Executor& executor) const {
    const auto lock = lock_table<ReadLock>(executor, state_->mutex);
    const SignatureStore& store = state_->store;
    const std::size_t n_values = store.size() * store.n_partitions();
    executor.require_memory(n_values * sizeof(std::int32_t), "the signatures");
    std::vector<std::int32_t> out(n_values);
    executor.run_ranges(store.size(), decode_grain, [&](std::size_t begin, std::size_t end, int) {
        store.decode(begin, end, out.data() + begin * store.n_partitions());
    });
    return out;
}

std::vector<std::int64_t> SignatureTable::counts() const {
    const ReadLock lock(state_->mutex);
    return state_->store.counts();
}

PackedSignatures SignatureTable::packed() const {
    const ReadLock lock(state_->mutex);
    return {state_->store.layout(), state_->store.rows(), state_->store.counts()};
}

template <class Value>
void expand(const std::int32_t* ids, std::size_t n, const Value* values, std::size_t n_values,
            Value missing, Value* out, const Executor& executor) {
    executor.stage("expand");
    executor.run_ranges(n, std::size_t{1} << 16, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t i = begin; i < end; ++i) {
            const std::int32_t id = read_once(ids + i);
            if (id >= 0 && static_cast<std::size_t>(id) >= n_values) {
                throw std::out_of_range("ids must be below the number of values, " +
                                        std::to_string(n_values) + ", got " + std::to_string(id) +
                                        " at position " + std::to_string(i) + ".");
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
