/*
 * Depthwise convolution, NEON: 2 rows x 7 pixels x 4 channels; 14 sums and the 9 weights of a 3x3
 * stay in the 32 registers. For 5x5 two rows of weights at a time are kept.
 */

#include "kernels/arm/neon_vec.h"

#include "kernels/internal.h"
#include "kernels/depthwise_template.h"

enum { SHAPE = DWB_PRIORITY_NEON + DWB_PRIORITY_SHAPE };

DEPTHWISE_GENERAL(f32_nhwc_dwconv__neon_1x8c4, 8, DWB_ISA_NEON, DWB_CPU_NEON, DWB_PRIORITY_NEON);
DEPTHWISE_SHAPE(k3s1, f32_nhwc_dwconv_k3s1__neon_2x7c4, 7, 3, 1, 1, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
DEPTHWISE_SHAPE(k3s2, f32_nhwc_dwconv_k3s2__neon_2x7c4, 7, 3, 2, 1, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
DEPTHWISE_SHAPE(k5s1, f32_nhwc_dwconv_k5s1__neon_2x7c4, 7, 5, 1, 0, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
DEPTHWISE_SHAPE(k5s2, f32_nhwc_dwconv_k5s2__neon_2x7c4, 7, 5, 2, 0, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
