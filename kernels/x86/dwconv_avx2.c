/*
 * Depthwise convolution, AVX2 + FMA: 2 rows x 4 pixels x 8 channels. 8 sums and the two rows of
 * weights that one input row meets (6 vectors of a 3x3) fill the 16 registers.
 */

#include "kernels/x86/avx2_vec.h"

#include "kernels/internal.h"
#include "kernels/depthwise_template.h"

enum { SHAPE = DWB_PRIORITY_AVX2 + DWB_PRIORITY_SHAPE };

DEPTHWISE_GENERAL(f32_nhwc_dwconv__avx2_1x8c8, 8, DWB_ISA_AVX2, DWB_CPU_AVX2, DWB_PRIORITY_AVX2);
DEPTHWISE_SHAPE(k3s1, f32_nhwc_dwconv_k3s1__avx2_2x4c8, 4, 3, 1, 0, DWB_ISA_AVX2, DWB_CPU_AVX2,
                SHAPE);
DEPTHWISE_SHAPE(k3s2, f32_nhwc_dwconv_k3s2__avx2_2x4c8, 4, 3, 2, 0, DWB_ISA_AVX2, DWB_CPU_AVX2,
                SHAPE);
DEPTHWISE_SHAPE(k5s1, f32_nhwc_dwconv_k5s1__avx2_2x4c8, 4, 5, 1, 0, DWB_ISA_AVX2, DWB_CPU_AVX2,
                SHAPE);
DEPTHWISE_SHAPE(k5s2, f32_nhwc_dwconv_k5s2__avx2_2x4c8, 4, 5, 2, 0, DWB_ISA_AVX2, DWB_CPU_AVX2,
                SHAPE);
