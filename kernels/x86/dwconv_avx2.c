/*
 * Depthwise convolution, AVX2 + FMA, 8 channels at a time. 3x3 at stride 1: 4 rows of outputs (6
 * inputs, 4 sums and a weight of the 16 registers), at stride 2: 3 rows (7 inputs, 6 sums). 5x5: 4
 * rows (8 inputs, 4 sums), at stride 2: 2 (7 inputs, 6 sums). At stride 3: as many as inputs leave
 * room for. 1x1: 4 rows, for as many streams.
 */

#include "kernels/x86/avx2_vec.h"

#include "kernels/internal.h"
#include "kernels/depthwise_template.h"

enum { SHAPE = DWB_PRIORITY_AVX2 + DWB_PRIORITY_SHAPE };

DEPTHWISE_SHAPE(k1s1, f32_nhwc_dwconv_k1s1__avx2_4c8, 4, 4, 1, 1, DWB_ISA_AVX2, DWB_CPU_AVX2,
                SHAPE);
DEPTHWISE_SHAPE(k3s1, f32_nhwc_dwconv_k3s1__avx2_4c8, 4, 4, 3, 1, DWB_ISA_AVX2, DWB_CPU_AVX2,
                SHAPE);
DEPTHWISE_SHAPE(k3s2, f32_nhwc_dwconv_k3s2__avx2_3c8, 3, 3, 3, 2, DWB_ISA_AVX2, DWB_CPU_AVX2,
                SHAPE);
DEPTHWISE_SHAPE(k3s3, f32_nhwc_dwconv_k3s3__avx2_3c8, 3, 3, 3, 3, DWB_ISA_AVX2, DWB_CPU_AVX2,
                SHAPE);
DEPTHWISE_SHAPE(k5s1, f32_nhwc_dwconv_k5s1__avx2_4c8, 4, 4, 5, 1, DWB_ISA_AVX2, DWB_CPU_AVX2,
                SHAPE);
DEPTHWISE_SHAPE(k5s2, f32_nhwc_dwconv_k5s2__avx2_2c8, 2, 2, 5, 2, DWB_ISA_AVX2, DWB_CPU_AVX2,
                SHAPE);
DEPTHWISE_SHAPE(k5s3, f32_nhwc_dwconv_k5s3__avx2_2c8, 2, 2, 5, 3, DWB_ISA_AVX2, DWB_CPU_AVX2,
                SHAPE);
