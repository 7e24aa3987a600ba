#define LABELQUORUM_ROW_SCAN_NAMESPACE avx512
#include "row_scan_kernels.hpp"
