#define LABELQUORUM_DOT_TILE_NAMESPACE avx512_bf16
#include "dot_tile_kernels.hpp"
