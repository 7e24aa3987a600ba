// Signatures unpacked for scanning: the codes of each partition are contiguous, in the narrowest
// type that holds them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/signatures.hpp"

namespace labelquorum {

// C must also hold a number of partitions, because scans count in it.
template <class C>
struct CodeColumns {
    std::size_t n_rows = 0;
    std::size_t n_partitions = 0;
    std::vector<C> codes;  // n_partitions columns of n_rows values; 0 means an abstention

    const C* column(std::size_t partition) const { return codes.data() + partition * n_rows; }
    C* column(std::size_t partition) { return codes.data() + partition * n_rows; }

    // Copies one row's codes to out[0 .. n_partitions).
    void copy_row(std::size_t row, C* out) const {
        for (std::size_t j = 0; j < n_partitions; ++j) out[j] = column(j)[row];
    }
};

template <class C>
CodeColumns<C> unpack(const PackedSignatures& signatures, const Executor& executor) {
    CodeColumns<C> columns;
    columns.n_rows = signatures.size();
    columns.n_partitions = signatures.n_partitions();
    executor.require_memory(columns.n_rows * columns.n_partitions * sizeof(C),
                            "the signatures by column");
    columns.codes.resize(columns.n_rows * columns.n_partitions);
    executor.run_ranges(columns.n_rows, 1 << 14, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t j = 0; j < columns.n_partitions; ++j) {
            C* out = columns.column(j);
            for (std::size_t i = begin; i < end; ++i)
                out[i] = static_cast<C>(signatures.code(i, j));
        }
    });
    return columns;
}

// Calls f(C{}) with the narrowest code type that the signatures allow.
template <class F>
decltype(auto) visit_code_type(const PackedSignatures& signatures, F&& f) {
    std::uint32_t width = 0;
    for (const auto& field : signatures.layout.fields) width = std::max(width, field.width);
    if (width <= 8 && signatures.n_partitions() <= 255) return f(std::uint8_t{});
    if (width <= 16) return f(std::uint16_t{});
    return f(std::uint32_t{});
}

}  // namespace labelquorum
