// Packing rows of votes into words, as a RowLayout says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "labelquorum/partitions.hpp"
#include "labelquorum/signatures.hpp"

namespace labelquorum {

// The layout with fields of these widths in bits. No field crosses a word boundary.
RowLayout make_layout(std::span<const std::uint32_t> widths);

// ORs the codes of each partition in rows [begin, end) into `used`, one value per partition. Throws
// ClusterIdError.
void find_used_bits(const Partitions& partitions, std::size_t begin, std::size_t end, Code* used);

enum class Packing : std::uint8_t { done, too_narrow, invalid_id };

// Packs rows [begin, begin + n) into n * layout.n_words words. If an id is invalid or a code is too
// large for its field, the words are meaningless, with one exception: if `too_large` is given (n
// values, initially 0), it is set to 1 for rows with a code that is too large, and the other rows
// are valid.
Packing pack_rows(const Partitions& partitions, const RowLayout& layout, std::size_t begin,
                  std::size_t n, std::uint64_t* words, std::uint8_t* too_large = nullptr);

}  // namespace labelquorum
