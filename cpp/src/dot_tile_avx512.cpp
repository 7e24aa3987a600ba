#define LABELQUORUM_DOT_TILE_NAMESPACE avx512
#include "dot_tile_kernels.hpp"
