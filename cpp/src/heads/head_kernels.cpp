#include "head_kernels.hpp"

#include "labelquorum/instruction_sets.hpp"

namespace labelquorum {

#define LABELQUORUM_DECLARE_HEADS(set)        \
    namespace set {                           \
    extern const HeadKernels<float> heads32;  \
    extern const HeadKernels<double> heads64; \
    }                                         \
    template <class Real>                     \
    const HeadKernels<Real>& pick_##set() {   \
        if constexpr (sizeof(Real) == 4) {    \
            return set::heads32;              \
        } else {                              \
            return set::heads64;              \
        }                                     \
    }

LABELQUORUM_DECLARE_HEADS(baseline)
#ifdef LABELQUORUM_HAVE_AVX2
LABELQUORUM_DECLARE_HEADS(avx2)
#endif
#ifdef LABELQUORUM_HAVE_AVX512
LABELQUORUM_DECLARE_HEADS(avx512)
#endif
#ifdef LABELQUORUM_HAVE_AVX512_BF16
LABELQUORUM_DECLARE_HEADS(avx512_bf16)
#endif

template <class Real>
const HeadKernels<Real>& head_kernels() {
    switch (instruction_set()) {
#ifdef LABELQUORUM_HAVE_AVX512_BF16
        case InstructionSet::amx:
        case InstructionSet::avx512_bf16: return pick_avx512_bf16<Real>();
#endif
#ifdef LABELQUORUM_HAVE_AVX512
        case InstructionSet::avx512: return pick_avx512<Real>();
#endif
#ifdef LABELQUORUM_HAVE_AVX2
        case InstructionSet::avx2: return pick_avx2<Real>();
#endif
        default: return pick_baseline<Real>();
    }
}

template const HeadKernels<float>& head_kernels();
template const HeadKernels<double>& head_kernels();

}  // namespace labelquorum
