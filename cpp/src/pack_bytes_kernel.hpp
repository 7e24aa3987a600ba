// The loop behind pack_bytes.hpp. Included by the sources of instruction sets that have PEXT; uses
// nothing from the standard library (see row_scan_kernels.hpp).
#include <immintrin.h>

#include "pack_bytes.hpp"

namespace labelquorum::LABELQUORUM_ROW_SCAN_NAMESPACE {
namespace {

constexpr std::uint64_t each_byte = 0x0101010101010101ULL;

// Codes of eight ids at once: 0 for a negative one, else the id plus 1.
template <bool is_signed>
std::uint64_t codes_of(std::uint64_t ids) {
    if constexpr (!is_signed) return ids + each_byte;  // no carry below 255
    const std::uint64_t negative = (ids >> 7) & each_byte;
    return (ids & ~(negative * 255)) + (each_byte ^ negative);
}

// Eight columns of a row; where fewer are left, the last eight, those done already shifted out.
struct Group {
    std::size_t offset;
    unsigned skip;       // bits to shift out
    std::uint64_t mask;  // of the fields in the codes, first column highest
    unsigned shift;      // of the packed fields in the word
};

template <bool is_signed>
bool pack(const ByteRows& rows, std::size_t n, std::uint64_t* words, std::uint8_t* used) {
    Group groups[8];
    std::uint64_t codes_seen[8] = {};
    std::size_t n_groups = 0;
    unsigned bits_left = 64;
    for (std::size_t first = 0; first < rows.n_columns; first += 8) {
        const std::size_t left = rows.n_columns - first;
        Group& group = groups[n_groups++];
        group.offset = left < 8 ? rows.n_columns - 8 : first;
        group.skip = left < 8 ? static_cast<unsigned>(8 * (8 - left)) : 0;
        group.mask = 0;
        for (std::size_t k = 0; k < 8 && k < left; ++k) {
            const std::uint64_t ones = (1U << rows.widths[first + k]) - 1U;
            group.mask |= ones << (56 - 8 * k);
            bits_left -= rows.widths[first + k];
        }
        group.shift = bits_left & 63U;  // 64 where no bits are used at all: nothing to shift
    }
    std::uint64_t full = 0;  // whether a uint8 was 255
    const std::uint8_t* row = rows.data;
    for (std::size_t i = 0; i < n; ++i, row += rows.stride) {
        std::uint64_t word = 0;
        for (std::size_t g = 0; g < n_groups; ++g) {
            std::uint64_t ids;
            __builtin_memcpy(&ids, row + groups[g].offset, sizeof(ids));
            if constexpr (!is_signed) {
                full |= ids & ((ids & ~(each_byte << 7)) + each_byte) & (each_byte << 7);
            }
            const std::uint64_t codes = codes_of<is_signed>(ids) >> groups[g].skip;
            codes_seen[g] |= codes;
            word |= _pext_u64(__builtin_bswap64(codes), groups[g].mask) << groups[g].shift;
        }
        words[i] = word;
    }
    for (std::size_t j = 0; j < rows.n_columns; ++j) {
        used[j] = static_cast<std::uint8_t>(used[j] | (codes_seen[j / 8] >> (8 * (j % 8))));
    }
    return full == 0;
}

bool pack_any(const ByteRows& rows, std::size_t n, std::uint64_t* words, std::uint8_t* used) {
    return rows.is_signed ? pack<true>(rows, n, words, used) : pack<false>(rows, n, words, used);
}

}  // namespace

extern const PackBytes pack_bytes;
const PackBytes pack_bytes = pack_any;

}  // namespace labelquorum::LABELQUORUM_ROW_SCAN_NAMESPACE
