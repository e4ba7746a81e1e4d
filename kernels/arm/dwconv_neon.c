/*
 * Depthwise convolution, NEON, 4 channels at a time: the strips of AVX-512, for as many registers.
 */

#include "kernels/arm/neon_vec.h"

#include "kernels/internal.h"
#include "kernels/depthwise_template.h"

enum { SHAPE = DWB_PRIORITY_NEON + DWB_PRIORITY_SHAPE };

DEPTHWISE_SHAPE(k1s1, f32_nhwc_dwconv_k1s1__neon_4c4, 4, 4, 1, 1, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
DEPTHWISE_SHAPE(k3s1, f32_nhwc_dwconv_k3s1__neon_7c4, 7, 7, 3, 1, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
DEPTHWISE_SHAPE(k3s2, f32_nhwc_dwconv_k3s2__neon_4c4, 4, 4, 3, 2, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
DEPTHWISE_SHAPE(k3s3, f32_nhwc_dwconv_k3s3__neon_3c4, 3, 3, 3, 3, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
DEPTHWISE_SHAPE(k5s1, f32_nhwc_dwconv_k5s1__neon_4c4, 4, 4, 5, 1, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
DEPTHWISE_SHAPE(k5s2, f32_nhwc_dwconv_k5s2__neon_3c4, 3, 3, 5, 2, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
DEPTHWISE_SHAPE(k5s3, f32_nhwc_dwconv_k5s3__neon_2c4, 2, 2, 5, 3, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
