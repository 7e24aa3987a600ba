// Rows as runs of bytes, so that they can be compared without unpacking them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "labelquorum/partitions.hpp"

namespace labelquorum {

// Rows of at least 8 bytes each, read in words of 8 bytes.
struct ByteRows {
    const char* data;
    std::ptrdiff_t stride;  // bytes from one row to the next
    std::size_t size;       // bytes of a row

    std::size_t n_words() const { return (size + 7) / 8; }
    const char* row(std::size_t i) const { return data + static_cast<std::ptrdiff_t>(i) * stride; }
};

// The rows of an array in C order, where comparing their bytes is worthwhile. Equal bytes mean
// equal votes, but not the other way round: every negative value is an abstention.
std::optional<ByteRows> rows_in_place(const Partitions& partitions);

// Packed rows of n_words words each.
ByteRows words_as_bytes(const std::uint64_t* words, std::size_t n_words);

// Copies the rows with these numbers, one after another, to `to`, and returns the copies.
ByteRows gather(const ByteRows& rows, std::span<const std::uint32_t> numbers, char* to);

// The columns of `partitions`, read from `rows` instead of from where they were.
Partitions columns_of(const Partitions& partitions, const ByteRows& rows);

}  // namespace labelquorum
