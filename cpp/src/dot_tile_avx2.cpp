#define LABELQUORUM_DOT_TILE_NAMESPACE avx2
#include "dot_tile_kernels.hpp"
