// Rows of votes packed into words as a RowLayout says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "labelquorum/partitions.hpp"
#include "labelquorum/signatures.hpp"

namespace labelquorum {

// Fields of these widths (bits), the first one highest, none across two words.
RowLayout make_layout(std::span<const std::uint32_t> widths);

// The bits used by the codes of each partition in rows [begin, end), OR-ed into `used`. Throws
// ClusterIdError.
void find_used_bits(const Partitions& partitions, std::size_t begin, std::size_t end, Code* used);

enum class Packing : std::uint8_t { done, too_narrow, invalid_id };

// Packs rows [begin, begin + n) to n * layout.n_words words. When an id is invalid, or a code is
// too large for its field, the words mean nothing, unless `too_large` (n values, zeros at first) is
// given: it is set to 1 for the rows with a code too large, and the others hold.
Packing pack_rows(const Partitions& partitions, const RowLayout& layout, std::size_t begin,
                  std::size_t n, std::uint64_t* words, std::uint8_t* too_large = nullptr);

}  // namespace labelquorum
