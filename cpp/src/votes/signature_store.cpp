#include "signature_store.hpp"

#include <bit>
#include <stdexcept>
#include <string>
#include <utility>

#include "row_packing.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t max_signatures = std::numeric_limits<std::int32_t>::max();

// Ranks rows of a segment among the chosen ones, by counting bits.
class RowRanks {
public:
    explicit RowRanks(std::size_t n_rows)
        : is_chosen_((n_rows + 63) / 64, 0), n_before_(is_chosen_.size()) {}

    void choose(std::uint32_t row) { is_chosen_[row / 64] |= std::uint64_t{1} << (row % 64); }

    // Call once all rows are chosen.
    void count() {
        std::uint32_t n = 0;
        for (std::size_t w = 0; w < is_chosen_.size(); ++w) {
            n_before_[w] = n;
            n += static_cast<std::uint32_t>(std::popcount(is_chosen_[w]));
        }
    }

    // The number of chosen rows before this one.
    std::size_t rank(std::uint32_t row) const {
        const std::uint64_t bits_before =
            is_chosen_[row / 64] & ((std::uint64_t{1} << (row % 64)) - 1);
        return n_before_[row / 64] + static_cast<std::size_t>(std::popcount(bits_before));
    }

private:
    std::vector<std::uint64_t> is_chosen_;  // a bit per row
    std::vector<std::uint32_t> n_before_;   // chosen rows before each word
};

// Resizes without growing more often than needed, and by half at least.
template <class T>
void grow(std::vector<T>& values, std::size_t n) {
    if (n > values.capacity()) values.reserve(std::max(n, values.capacity() * 3 / 2));
    values.resize(n);
}

}  // namespace

SignatureStore::SignatureStore(std::size_t n_partitions)
    : n_partitions_(n_partitions),
      layout_(make_layout(std::vector<std::uint32_t>(n_partitions, 0))) {}

SignatureStore::SignatureStore(const SignatureStore& other)
    : n_partitions_(other.n_partitions_),
      layout_(other.layout_),
      rows_(other.rows_),
      counts_(other.counts_) {
    for (std::size_t s = 0; s < n_shards; ++s) {
        shards_[s].slots = other.shards_[s].slots;
        shards_[s].n_used = other.shards_[s].n_used;
        shards_[s].update_hint();
    }
}

std::vector<std::int64_t> SignatureStore::counts() const {
    std::vector<std::int64_t> counts = counts_;
    for_each_recent([&](std::size_t id, std::uint32_t recent) { counts[id] += recent; });
    return counts;
}

std::size_t SignatureStore::n_bytes() const {
    std::size_t bytes = sizeof(SignatureStore) + rows_.capacity() * sizeof(std::uint64_t) +
                        counts_.capacity() * sizeof(std::int64_t);
    for (const Shard& shard : shards_) bytes += shard.slots.capacity() * sizeof(Slot);
    return bytes;
}

void SignatureStore::decode(std::size_t begin, std::size_t end, std::int32_t* out) const {
    for (std::size_t id = begin; id < end; ++id) {
        const std::uint64_t* words = rows_.data() + id * layout_.n_words;
        for (const RowLayout::Field& field : layout_.fields) {
            const auto code = static_cast<std::int64_t>(RowLayout::code(words, field));
            *out++ = static_cast<std::int32_t>(code - 1);
        }
    }
}

void SignatureStore::add_samples(std::int32_t id, std::int64_t n) noexcept {
    if (id >= 0) {
        counts_[static_cast<std::size_t>(id)] += n;
    } else {
        shards_[provisional_shard(id)].fresh.counts[provisional_index(id)] += n;
    }
}

void SignatureStore::number_new(std::size_t n_segment_rows, const Executor& executor) {
    std::size_t n_new = 0;
    for (const Shard& shard : shards_) n_new += shard.fresh.size();
    if (n_new == 0) return;
    const std::size_t size_before = size();
    if (size_before + n_new > max_signatures) {
        throw std::length_error("partitions must have at most " + std::to_string(max_signatures) +
                                " distinct rows in all: a SignatureTable cannot hold more.");
    }
    RowRanks ranks(n_segment_rows);
    for (const Shard& shard : shards_) {
        for (const std::uint32_t row : shard.fresh.first_rows) ranks.choose(row);
    }
    ranks.count();
    grow(rows_, (size_before + n_new) * layout_.n_words);
    grow(counts_, size_before + n_new);
    executor.run(n_shards, [&](std::size_t s, int) {
        NewSignatures& fresh = shards_[s].fresh;
        for (std::size_t k = 0; k < fresh.size(); ++k) {
            const std::size_t id = size_before + ranks.rank(fresh.first_rows[k]);
            fresh.ids[k] = static_cast<std::int32_t>(id);
            counts_[id] = fresh.counts[k];
            std::copy_n(fresh.rows.data() + k * layout_.n_words, layout_.n_words,
                        rows_.data() + id * layout_.n_words);
        }
        shards_[s].set_final_ids();
    });
}

void SignatureStore::forget_new(bool release) noexcept {
    for (Shard& shard : shards_) {
        if (release) {
            shard.fresh = {};
        } else {
            shard.fresh.clear();
        }
    }
}

void SignatureStore::truncate(std::size_t n) noexcept {
    forget_new(true);
    add_recent_to_counts();
    counts_.resize(n);
    rows_.resize(n * layout_.n_words);
    rebuild_index();
}

void SignatureStore::restore(std::vector<std::int64_t>& counts_before) noexcept {
    truncate(counts_before.size());
    counts_.swap(counts_before);
}

void SignatureStore::widen(const Partitions& partitions, std::size_t begin, std::size_t end,
                           const Executor& executor) {
    constexpr std::size_t grain = std::size_t{1} << 14;
    const std::size_t m = n_partitions();
    const auto n_workers =
        static_cast<std::size_t>(executor.n_workers((end - begin + grain - 1) / grain));
    std::vector<Code> used_bits(n_workers * m, 0);
    executor.run_ranges(end - begin, grain, [&](std::size_t b, std::size_t e, int worker) {
        find_used_bits(partitions, begin + b, begin + e,
                       used_bits.data() + static_cast<std::size_t>(worker) * m);
    });
    std::vector<std::uint32_t> widths(m);
    for (std::size_t j = 0; j < m; ++j) {
        Code bits = 0;
        for (std::size_t w = 0; w < n_workers; ++w) bits |= used_bits[w * m + j];
        widths[j] =
            std::max(layout_.fields[j].width, static_cast<std::uint32_t>(std::bit_width(bits)));
    }
    set_layout(make_layout(widths), executor);
}

void SignatureStore::require_room(std::size_t n, const Executor& executor) const {
    const std::size_t n_per_shard = (size() + n) / n_shards + 1;
    const std::size_t slot_bytes = n_shards * std::bit_ceil(n_per_shard * 10 / 7) * sizeof(Slot);
    const std::size_t row_bytes = layout_.n_words * sizeof(std::uint64_t) + sizeof(std::int64_t);
    const std::size_t bytes_held = n_bytes();
    const std::size_t bytes_wanted = slot_bytes + (size() + n) * row_bytes;
    if (bytes_wanted > bytes_held) {
        executor.require_memory(bytes_wanted - bytes_held + n * (row_bytes + 32),
                                "the signature table");
    }
}

template <class F>
void SignatureStore::for_each_recent(F&& f) const {
    for (const Shard& shard : shards_) {
        for (const Slot& slot : shard.slots) {
            if (slot.recent > 0) f(static_cast<std::size_t>(slot.id), slot.recent);
        }
    }
}

std::vector<std::uint64_t> SignatureStore::repacked_rows(const RowLayout& layout) const {
    std::vector<std::uint64_t> repacked(size() * layout.n_words, 0);
    for (std::size_t id = 0; id < size(); ++id) {
        const std::uint64_t* from = rows_.data() + id * layout_.n_words;
        std::uint64_t* to = repacked.data() + id * layout.n_words;
        for (std::size_t j = 0; j < n_partitions(); ++j) {
            const RowLayout::Field& field = layout.fields[j];
            to[field.word] |= std::uint64_t{RowLayout::code(from, layout_.fields[j])}
                              << field.shift;
        }
    }
    return repacked;
}

// Tags change with the layout, and with them the number of signatures per shard. All memory is
// allocated before anything changes.
void SignatureStore::set_layout(RowLayout layout, const Executor& executor) {
    executor.require_memory(size() * layout.n_words * sizeof(std::uint64_t),
                            "signatures of wider rows");
    std::vector<std::uint64_t> repacked = repacked_rows(layout);
    std::array<std::size_t, n_shards> n_signatures{};
    for (std::size_t id = 0; id < size(); ++id) {
        ++n_signatures[shard_of(tag_of(repacked.data() + id * layout.n_words, layout.n_words))];
    }
    std::array<std::vector<Slot>, n_shards> grown;
    for (std::size_t s = 0; s < n_shards; ++s) {
        const std::size_t n_slots = std::bit_ceil(n_signatures[s] * 10 / 7 + 2);
        if (shards_[s].slots.size() < n_slots) grown[s].resize(n_slots);
    }
    add_recent_to_counts();
    rows_.swap(repacked);
    layout_ = std::move(layout);
    for (std::size_t s = 0; s < n_shards; ++s) {
        if (!grown[s].empty()) shards_[s].slots.swap(grown[s]);
        shards_[s].update_hint();
    }
    rebuild_index();
}

void SignatureStore::add_recent_to_counts() noexcept {
    for_each_recent([&](std::size_t id, std::uint32_t recent) { counts_[id] += recent; });
    for (Shard& shard : shards_) {
        for (Slot& slot : shard.slots) slot.recent = 0;
    }
}

void SignatureStore::rebuild_index() noexcept {
    for (Shard& shard : shards_) shard.clear_slots();
    for (std::size_t id = 0; id < size(); ++id) {
        const std::uint64_t tag = tag_of(rows_.data() + id * layout_.n_words, layout_.n_words);
        shards_[shard_of(tag)].put(tag, static_cast<std::int32_t>(id));
    }
}

}  // namespace labelquorum
