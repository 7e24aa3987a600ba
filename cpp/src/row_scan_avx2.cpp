#define LABELQUORUM_ROW_SCAN_NAMESPACE avx2
#include "pack_bytes_kernel.hpp"
#include "row_scan_kernels.hpp"
