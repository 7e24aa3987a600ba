#define LABELQUORUM_ROW_SCAN_NAMESPACE avx512
#include "pack_bytes_kernel.hpp"
#include "row_scan_kernels.hpp"
