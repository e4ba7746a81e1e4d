/*
 * Depthwise convolution, AVX-512: 2 rows x 7 pixels x 16 channels. 14 sums and the 9 weights of a
 * 3x3 stay in registers; 126 multiply-adds then take 36 loads. For 5x5 two rows of weights at a
 * time are kept. 7 divides the maps of the MobileNets.
 */

#include "kernels/x86/avx512_vec.h"

#include "kernels/internal.h"
#include "kernels/depthwise_template.h"

enum { SHAPE = DWB_PRIORITY_AVX512 + DWB_PRIORITY_SHAPE };

DEPTHWISE_GENERAL(f32_nhwc_dwconv__avx512_1x8c16, 8, DWB_ISA_AVX512, DWB_CPU_AVX512,
                  DWB_PRIORITY_AVX512);
DEPTHWISE_SHAPE(k3s1, f32_nhwc_dwconv_k3s1__avx512_2x7c16, 7, 3, 1, 1, DWB_ISA_AVX512,
                DWB_CPU_AVX512, SHAPE);
DEPTHWISE_SHAPE(k3s2, f32_nhwc_dwconv_k3s2__avx512_2x7c16, 7, 3, 2, 1, DWB_ISA_AVX512,
                DWB_CPU_AVX512, SHAPE);
DEPTHWISE_SHAPE(k5s1, f32_nhwc_dwconv_k5s1__avx512_2x7c16, 7, 5, 1, 0, DWB_ISA_AVX512,
                DWB_CPU_AVX512, SHAPE);
DEPTHWISE_SHAPE(k5s2, f32_nhwc_dwconv_k5s2__avx512_2x7c16, 7, 5, 2, 0, DWB_ISA_AVX512,
                DWB_CPU_AVX512, SHAPE);
