#define LABELQUORUM_ROW_SCAN_NAMESPACE avx2
#include "row_scan_kernels.hpp"
