/*
 * Depthwise convolution, AVX-512, 16 channels at a time. 3x3 at stride 1: 7 rows of outputs; 9
 * inputs, 7 sums and a weight of the 32 registers. Strips of 4 rows where rows alias: 6 + 4 lines
 * then meet in a set of 12 ways. At stride 2: 4 rows (9 inputs, 8 sums). 5x5: 4 rows (8 inputs, 4
 * sums), at stride 2: 3 (9 inputs, 9 sums). At stride 3: 3 and 2 (9 and 8 inputs). 1x1: 4
 * rows, for as many streams.
 */

#include "kernels/x86/avx512_vec.h"

#include "kernels/internal.h"
#include "kernels/depthwise_template.h"

enum { SHAPE = DWB_PRIORITY_AVX512 + DWB_PRIORITY_SHAPE };

DEPTHWISE_SHAPE(k1s1, f32_nhwc_dwconv_k1s1__avx512_4c16, 4, 4, 1, 1, DWB_ISA_AVX512, DWB_CPU_AVX512,
                SHAPE);
DEPTHWISE_SHAPE(k3s1, f32_nhwc_dwconv_k3s1__avx512_7c16, 7, 4, 3, 1, DWB_ISA_AVX512, DWB_CPU_AVX512,
                SHAPE);
DEPTHWISE_SHAPE(k3s2, f32_nhwc_dwconv_k3s2__avx512_4c16, 4, 4, 3, 2, DWB_ISA_AVX512, DWB_CPU_AVX512,
                SHAPE);
DEPTHWISE_SHAPE(k3s3, f32_nhwc_dwconv_k3s3__avx512_3c16, 3, 3, 3, 3, DWB_ISA_AVX512, DWB_CPU_AVX512,
                SHAPE);
DEPTHWISE_SHAPE(k5s1, f32_nhwc_dwconv_k5s1__avx512_4c16, 4, 4, 5, 1, DWB_ISA_AVX512, DWB_CPU_AVX512,
                SHAPE);
DEPTHWISE_SHAPE(k5s2, f32_nhwc_dwconv_k5s2__avx512_3c16, 3, 3, 5, 2, DWB_ISA_AVX512, DWB_CPU_AVX512,
                SHAPE);
DEPTHWISE_SHAPE(k5s3, f32_nhwc_dwconv_k5s3__avx512_2c16, 2, 2, 5, 3, DWB_ISA_AVX512, DWB_CPU_AVX512,
                SHAPE);
