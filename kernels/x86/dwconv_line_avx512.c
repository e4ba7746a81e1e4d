/* Depthwise convolution of any shape, AVX-512, 16 channels at a time. */

#include "kernels/x86/avx512_vec.h"

#include "kernels/internal.h"
#include "kernels/depthwise_line_template.h"

DEPTHWISE_ANY(f32_nhwc_dwconv__avx512_8c16, DWB_ISA_AVX512, DWB_CPU_AVX512, DWB_PRIORITY_AVX512);
