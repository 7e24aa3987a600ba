// Compares one row of codes with many, column by column: the inner loops of all scans over pairs.
//
// Compiled once per instruction set. Callers get the table of functions once, outside of loops.
#pragma once

#include <cstddef>
#include <cstdint>

namespace labelquorum {

template <class C>
struct RowScan {
    // Column j of the many rows starts at columns + j * stride. Writes for each of n rows in how
    // many of the n_partitions columns it agrees with `row`.
    void (*agree)(const C* columns, std::size_t stride, std::size_t n_partitions, const C* row,
                  std::size_t n, C* out);
    // The same for columns in which both have a label and the labels differ.
    void (*differ)(const C* columns, std::size_t stride, std::size_t n_partitions, const C* row,
                   std::size_t n, C* out);
    // The sum of counts[i] over the n rows with values[i] >= threshold.
    std::int64_t (*sum_at_least)(const C* values, C threshold, const std::int64_t* counts,
                                 std::size_t n);
};

// The best number of rows for one call of `agree` or `differ`: the columns stay in the L1 cache.
inline constexpr std::size_t scan_rows = 2048;

// The functions for the instruction set in use. C is uint8_t, uint16_t or uint32_t.
template <class C>
const RowScan<C>& row_scan();

}  // namespace labelquorum
