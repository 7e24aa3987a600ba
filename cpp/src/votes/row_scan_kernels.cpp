// The loops behind row_scan.hpp, compiled once per instruction set (CMakeLists.txt), which defines
// LABELQUORUM_KERNELS_NAMESPACE. They use no template of the standard library: the linker could
// take one compiled here with wide instructions for the one used everywhere else.
#include <cstddef>
#include <cstdint>

#include "row_scan.hpp"

namespace labelquorum::LABELQUORUM_KERNELS_NAMESPACE {
namespace {

template <class C>
void agree(const C* columns, std::size_t stride, std::size_t n_partitions, const C* row,
           std::size_t n, C* out) {
    for (std::size_t i = 0; i < n; ++i) out[i] = 0;
    for (std::size_t j = 0; j < n_partitions; ++j) {
        const C code = row[j];
        if (code == 0) continue;
        const C* column = columns + j * stride;
        for (std::size_t i = 0; i < n; ++i) {
            out[i] = static_cast<C>(out[i] + static_cast<C>(column[i] == code));
        }
    }
}

template <class C>
void differ(const C* columns, std::size_t stride, std::size_t n_partitions, const C* row,
            std::size_t n, C* out) {
    for (std::size_t i = 0; i < n; ++i) out[i] = 0;
    for (std::size_t j = 0; j < n_partitions; ++j) {
        const C code = row[j];
        if (code == 0) continue;
        const C* column = columns + j * stride;
        for (std::size_t i = 0; i < n; ++i) {
            out[i] = static_cast<C>(
                out[i] + (static_cast<C>(column[i] != code) & static_cast<C>(column[i] != 0)));
        }
    }
}

template <class C>
std::int64_t sum_at_least(const C* values, C threshold, const std::int64_t* counts, std::size_t n) {
    constexpr std::size_t run = 256;  // most runs have no such row
    std::int64_t sum = 0;
    for (std::size_t begin = 0; begin < n; begin += run) {
        const std::size_t end = n - begin < run ? n : begin + run;
        C any = 0;
        for (std::size_t i = begin; i < end; ++i) {
            any = static_cast<C>(any | static_cast<C>(values[i] >= threshold));
        }
        if (any == 0) continue;
        for (std::size_t i = begin; i < end; ++i) sum += values[i] >= threshold ? counts[i] : 0;
    }
    return sum;
}

}  // namespace

extern const RowScan<std::uint8_t> scan8;
extern const RowScan<std::uint16_t> scan16;
extern const RowScan<std::uint32_t> scan32;
const RowScan<std::uint8_t> scan8{agree, differ, sum_at_least};
const RowScan<std::uint16_t> scan16{agree, differ, sum_at_least};
const RowScan<std::uint32_t> scan32{agree, differ, sum_at_least};

}  // namespace labelquorum::LABELQUORUM_KERNELS_NAMESPACE
