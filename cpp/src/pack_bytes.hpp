// Packs rows of bytes to words, a row at a time: the fast way for the most frequent input, int8 or
// uint8 in C order. It needs the PEXT instruction, which comes with the wider instruction sets.
#pragma once

#include <cstddef>
#include <cstdint>

namespace labelquorum {

struct ByteRows {
    const std::uint8_t* data;
    std::ptrdiff_t stride;       // bytes from one row to the next
    std::size_t n_columns;       // adjacent bytes of a row; 8 to 64
    bool is_signed;              // negative values abstain
    const std::uint8_t* widths;  // of the fields, 0 .. 8, n_columns values; their sum is at most 64
};

// Packs n rows, the first column highest, as RowLayout does. ORs the codes of each column into
// used[0 .. n_columns). A uint8 of 255 has no byte for its code: false is returned when one is met.
using PackBytes = bool (*)(const ByteRows& rows, std::size_t n, std::uint64_t* words,
                           std::uint8_t* used);

// For the instruction set in use; nullptr where there is none.
PackBytes pack_bytes();

}  // namespace labelquorum
