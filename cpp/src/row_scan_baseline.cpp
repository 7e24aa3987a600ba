#define LABELQUORUM_ROW_SCAN_NAMESPACE baseline
#include "row_scan_kernels.hpp"
