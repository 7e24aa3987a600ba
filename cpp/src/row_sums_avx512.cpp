#define LABELQUORUM_ROW_SUMS_NAMESPACE avx512
#include "row_sums_kernels.hpp"
