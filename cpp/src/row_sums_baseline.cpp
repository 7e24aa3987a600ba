#define LABELQUORUM_ROW_SUMS_NAMESPACE baseline
#include "row_sums_kernels.hpp"
