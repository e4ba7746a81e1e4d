/*
 * Depthwise convolution with large kernels, AVX-512, 16 channels at a time; a file apart, to
 * compile beside the other. 7x7: 4 rows of outputs (10 inputs, 4 sums), 11x11: 2 rows (12 inputs, 2
 * sums).
 */

#include "kernels/x86/avx512_vec.h"

#include "kernels/internal.h"
#include "kernels/depthwise_template.h"

enum { SHAPE = DWB_PRIORITY_AVX512 + DWB_PRIORITY_SHAPE };

DEPTHWISE_SHAPE(k7s1, f32_nhwc_dwconv_k7s1__avx512_4c16, 4, 4, 7, 1, DWB_ISA_AVX512, DWB_CPU_AVX512,
                SHAPE);
DEPTHWISE_SHAPE(k11s1, f32_nhwc_dwconv_k11s1__avx512_2c16, 2, 2, 11, 1, DWB_ISA_AVX512,
                DWB_CPU_AVX512, SHAPE);
