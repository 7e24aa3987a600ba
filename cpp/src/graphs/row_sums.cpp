#include "row_sums.hpp"

#include "labelquorum/instruction_sets.hpp"

namespace labelquorum {

#define LABELQUORUM_DECLARE_SUMS(set)                   \
    namespace set {                                     \
    extern const RowSums<std::int32_t, float> sums32f;  \
    extern const RowSums<std::int32_t, double> sums32d; \
    extern const RowSums<std::int64_t, float> sums64f;  \
    extern const RowSums<std::int64_t, double> sums64d; \
    }                                                   \
    template <class Index, class Real>                  \
    const RowSums<Index, Real>& pick_##set() {          \
        if constexpr (sizeof(Index) == 4) {             \
            if constexpr (sizeof(Real) == 4) {          \
                return set::sums32f;                    \
            } else {                                    \
                return set::sums32d;                    \
            }                                           \
        } else if constexpr (sizeof(Real) == 4) {       \
            return set::sums64f;                        \
        } else {                                        \
            return set::sums64d;                        \
        }                                               \
    }

LABELQUORUM_DECLARE_SUMS(baseline)
#ifdef LABELQUORUM_HAVE_AVX2
LABELQUORUM_DECLARE_SUMS(avx2)
#endif
#ifdef LABELQUORUM_HAVE_AVX512
LABELQUORUM_DECLARE_SUMS(avx512)
#endif

template <class Index, class Real>
const RowSums<Index, Real>& row_sums() {
    switch (instruction_set()) {
#ifdef LABELQUORUM_HAVE_AVX512
        case InstructionSet::amx:
        case InstructionSet::avx512_bf16:
        case InstructionSet::avx512: return pick_avx512<Index, Real>();
#endif
#ifdef LABELQUORUM_HAVE_AVX2
        case InstructionSet::avx2: return pick_avx2<Index, Real>();
#endif
        default: return pick_baseline<Index, Real>();
    }
}

template const RowSums<std::int32_t, float>& row_sums();
template const RowSums<std::int32_t, double>& row_sums();
template const RowSums<std::int64_t, float>& row_sums();
template const RowSums<std::int64_t, double>& row_sums();

}  // namespace labelquorum
