#define LABELQUORUM_ROW_SUMS_NAMESPACE avx2
#include "row_sums_kernels.hpp"
