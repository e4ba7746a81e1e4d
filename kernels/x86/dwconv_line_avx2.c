/* Depthwise convolution of any shape, AVX2 + FMA, 8 channels at a time. */

#include "kernels/x86/avx2_vec.h"

#include "kernels/internal.h"
#include "kernels/depthwise_line_template.h"

DEPTHWISE_ANY(f32_nhwc_dwconv__avx2_8c8, DWB_ISA_AVX2, DWB_CPU_AVX2, DWB_PRIORITY_AVX2);
