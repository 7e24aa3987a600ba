#define LABELQUORUM_DOT_TILE_NAMESPACE amx
#include "dot_tile_kernels.hpp"
