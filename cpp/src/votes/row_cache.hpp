// A small cache in front of the signature index, owned by one thread. It holds rows as bytes, the
// ids of their signatures, and how often each row was met in the current period. A row keeps its
// place until a period passes without it, so frequent signatures accumulate.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "base/hash.hpp"
#include "byte_rows.hpp"

namespace labelquorum {

class RowCache {
public:
    // The id of a row that is not in the cache.
    static constexpr std::int32_t unknown = std::numeric_limits<std::int32_t>::min();

    // For rows of n_words words, about n_rows of them.
    RowCache(std::size_t n_words, std::size_t n_rows)
        // Two words and a header are padded to four words, so that no slot crosses a cache line.
        : n_words_(n_words), slot_words_(n_words == 2 ? 4 : n_words + 1) {
        const std::size_t n_slots = std::min({max_slots, max_words / slot_words_, n_rows});
        slot_bits_ = std::max(1, static_cast<int>(std::bit_width(n_slots)) - 1);
        slots_.assign(slot_words_ << slot_bits_, 0);
        for (std::size_t at = 0; at < slots_.size(); at += slot_words_)
            slots_[at] = header(unknown);
    }

    // Looks up n rows and counts those that are known. out[i] becomes the id of row i, or
    // `unknown`. Writes the numbers of the unknown rows to `missed`, which has room for n, and
    // returns how many there are. If `counted` is given, rows with counted[i] == 0 are not counted
    // and get the id `uncounted`.
    std::size_t look_up(const ByteRows& rows, std::size_t n, const std::uint8_t* counted,
                        std::int32_t uncounted, std::int32_t* out, std::uint32_t* missed) {
        switch (n_words_) {
            case 1: return look_up_words<1>(rows, n, counted, uncounted, out, missed);
            case 2: return look_up_words<2>(rows, n, counted, uncounted, out, missed);
            default: return look_up_words<0>(rows, n, counted, uncounted, out, missed);
        }
    }

    // Adds a row if its place is free.
    void insert(const char* row, std::size_t row_size, std::int32_t id) {
        std::uint64_t* slot =
            slots_.data() + (hash<0>(row, row_size, n_words_) >> (64 - slot_bits_)) * slot_words_;
        if (id_of(slot[0]) != unknown) return;
        slot[0] = header(id);
        for (std::size_t w = 0; w < n_words_; ++w) slot[1 + w] = word(row, row_size, w);
    }

    // Calls f(id, count) for the rows that were counted in this period.
    template <class F>
    void for_each_count(F&& f) const {
        for (std::size_t at = 0; at < slots_.size(); at += slot_words_) {
            const auto count = static_cast<std::uint32_t>(slots_[at] >> 32);
            if (count > 0) f(id_of(slots_[at]), count);
        }
    }

    // Begins a new period. Drops rows that were not met in the last one. The others get the id
    // f(id) and are counted from 0 again.
    template <class F>
    void begin_period(F&& f) {
        for (std::size_t at = 0; at < slots_.size(); at += slot_words_) {
            const bool met = (slots_[at] >> 32) > 0;
            slots_[at] = header(met ? f(id_of(slots_[at])) : unknown);
        }
    }

private:
    static constexpr std::size_t max_slots = std::size_t{1} << 14;
    static constexpr std::size_t max_words = std::size_t{1} << 16;
    static constexpr std::size_t rows_ahead = 128;

    // A slot is a header (id in the low half, count in the high half) and the words of the row.
    std::vector<std::uint64_t> slots_;
    std::size_t n_words_;
    std::size_t slot_words_;
    int slot_bits_ = 0;

    static std::uint64_t header(std::int32_t id) { return static_cast<std::uint32_t>(id); }
    static std::int32_t id_of(std::uint64_t header) { return static_cast<std::int32_t>(header); }

    // The last word overlaps the one before it if the size is not a multiple of 8.
    static std::uint64_t word(const char* row, std::size_t row_size, std::size_t w) {
        std::uint64_t value;
        std::memcpy(&value, row + std::min(8 * w, row_size - 8), sizeof(value));
        return value;
    }

    template <std::size_t fixed_words>
    static std::uint64_t hash(const char* row, std::size_t row_size, std::size_t n_words) {
        std::uint64_t hash = 0;
        for (std::size_t w = 0; w < (fixed_words > 0 ? fixed_words : n_words); ++w) {
            hash = (hash ^ (hash >> 32) ^ word(row, row_size, w)) * 0x9e3779b97f4a7c15ULL;
        }
        return hash;
    }

    // fixed_words: the number of words of a row, or 0 if it is only known at run time.
    template <std::size_t fixed_words>
    std::size_t look_up_words(const ByteRows& rows, std::size_t n, const std::uint8_t* counted,
                              std::int32_t uncounted, std::int32_t* out, std::uint32_t* missed) {
        // Local copies: the compiler must assume that writing to `out` changes members.
        const std::size_t n_words = fixed_words > 0 ? fixed_words : n_words_;
        const std::size_t slot_words = fixed_words == 2 ? 4 : n_words + 1;
        const std::size_t row_size = rows.size;
        const std::ptrdiff_t row_stride = rows.stride;
        const int shift = 64 - slot_bits_;
        std::uint64_t* const slots = slots_.data();
        const char* row = rows.data;
        std::size_t n_missed = 0;
        for (std::size_t i = 0; i < n; ++i, row += row_stride) {
            // The processor's own prefetching stops at the end of a page.
            prefetch(rows.row(std::min(i + rows_ahead, n - 1)));
            std::uint64_t* slot =
                slots + (hash<fixed_words>(row, row_size, n_words) >> shift) * slot_words;
            std::uint64_t difference = 0;
            for (std::size_t w = 0; w < n_words; ++w) {
                difference |= slot[1 + w] ^ word(row, row_size, w);
            }
            // Arithmetic instead of branches: the processor cannot predict which rows are known.
            const bool known = (difference == 0) & (id_of(slot[0]) != unknown);
            const bool counts = counted == nullptr || counted[i] != 0;
            const std::int32_t id =
                unknown ^ ((unknown ^ id_of(slot[0])) & -static_cast<std::int32_t>(known));
            out[i] = counts ? id : uncounted;
            slot[0] += static_cast<std::uint64_t>(known & counts) << 32;
            missed[n_missed] = static_cast<std::uint32_t>(i);
            n_missed += static_cast<std::size_t>(!known);
        }
        return n_missed;
    }
};

}  // namespace labelquorum
