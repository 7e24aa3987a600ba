#include "row_scan.hpp"

#include <type_traits>

#include "labelquorum/instruction_sets.hpp"

namespace labelquorum {

#define LABELQUORUM_DECLARE_SCANS(set)          \
    namespace set {                             \
    extern const RowScan<std::uint8_t> scan8;   \
    extern const RowScan<std::uint16_t> scan16; \
    extern const RowScan<std::uint32_t> scan32; \
    }

LABELQUORUM_DECLARE_SCANS(baseline)
#ifdef LABELQUORUM_HAVE_AVX2
LABELQUORUM_DECLARE_SCANS(avx2)
#endif
#ifdef LABELQUORUM_HAVE_AVX512
LABELQUORUM_DECLARE_SCANS(avx512)
#endif

namespace {

template <class C>
const RowScan<C>& pick(const RowScan<std::uint8_t>* scan8, const RowScan<std::uint16_t>* scan16,
                       const RowScan<std::uint32_t>* scan32) {
    if constexpr (std::is_same_v<C, std::uint8_t>) {
        return *scan8;
    } else if constexpr (std::is_same_v<C, std::uint16_t>) {
        return *scan16;
    } else {
        return *scan32;
    }
}

}  // namespace

template <class C>
const RowScan<C>& row_scan() {
    switch (instruction_set()) {
#ifdef LABELQUORUM_HAVE_AVX512
        case InstructionSet::amx:
        case InstructionSet::avx512_bf16:
        case InstructionSet::avx512:
            return pick<C>(&avx512::scan8, &avx512::scan16, &avx512::scan32);
#endif
#ifdef LABELQUORUM_HAVE_AVX2
        case InstructionSet::avx2: return pick<C>(&avx2::scan8, &avx2::scan16, &avx2::scan32);
#endif
        default: return pick<C>(&baseline::scan8, &baseline::scan16, &baseline::scan32);
    }
}

template const RowScan<std::uint8_t>& row_scan();
template const RowScan<std::uint16_t>& row_scan();
template const RowScan<std::uint32_t>& row_scan();

}  // namespace labelquorum
