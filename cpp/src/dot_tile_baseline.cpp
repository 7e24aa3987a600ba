#define LABELQUORUM_DOT_TILE_NAMESPACE baseline
#include "dot_tile_kernels.hpp"
