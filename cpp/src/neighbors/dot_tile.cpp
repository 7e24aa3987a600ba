#include "dot_tile.hpp"

#include "labelquorum/instruction_sets.hpp"

namespace labelquorum {

#define LABELQUORUM_DECLARE_TILE(set) \
    namespace set {                   \
    extern const DotTile tile;        \
    }

LABELQUORUM_DECLARE_TILE(baseline)
#ifdef LABELQUORUM_HAVE_AVX2
LABELQUORUM_DECLARE_TILE(avx2)
#endif
#ifdef LABELQUORUM_HAVE_AVX512
LABELQUORUM_DECLARE_TILE(avx512)
#endif
#ifdef LABELQUORUM_HAVE_AVX512_BF16
LABELQUORUM_DECLARE_TILE(avx512_bf16)
#endif
#ifdef LABELQUORUM_HAVE_AMX
LABELQUORUM_DECLARE_TILE(amx)
#endif

const DotTile& fast_dot_tile() {
    switch (instruction_set()) {
#ifdef LABELQUORUM_HAVE_AMX
        case InstructionSet::amx: return amx::tile;
#endif
#ifdef LABELQUORUM_HAVE_AVX512_BF16
        case InstructionSet::avx512_bf16: return avx512_bf16::tile;
#endif
        default: return precise_dot_tile();
    }
}

const DotTile& precise_dot_tile() {
    switch (instruction_set()) {
#ifdef LABELQUORUM_HAVE_AVX512
        case InstructionSet::amx:
        case InstructionSet::avx512_bf16:
        case InstructionSet::avx512: return avx512::tile;
#endif
#ifdef LABELQUORUM_HAVE_AVX2
        case InstructionSet::avx2: return avx2::tile;
#endif
        default: return baseline::tile;
    }
}

}  // namespace labelquorum
