/*
 * Depthwise convolution, NEON, 4 channels at a time: the strips of AVX-512, for as many registers.
 */

#include "kernels/arm/neon_vec.h"

#include "kernels/internal.h"

/* A load moves its pointer on by itself. */
#define DEPTHWISE_BASE_ROWS 1
#include "kernels/depthwise_template.h"

enum { SHAPE = DWB_PRIORITY_NEON + DWB_PRIORITY_SHAPE };

DEPTHWISE_ANY(f32_nhwc_dwconv__neon_8c4, DWB_ISA_NEON, DWB_CPU_NEON, DWB_PRIORITY_NEON);
DEPTHWISE_SHAPE(k3s1, f32_nhwc_dwconv_k3s1__neon_7c4, 7, 7, 3, 1, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
DEPTHWISE_SHAPE(k3s2, f32_nhwc_dwconv_k3s2__neon_4c4, 4, 4, 3, 2, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
DEPTHWISE_SHAPE(k5s1, f32_nhwc_dwconv_k5s1__neon_4c4, 4, 4, 5, 1, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
DEPTHWISE_SHAPE(k5s2, f32_nhwc_dwconv_k5s2__neon_3c4, 3, 3, 5, 2, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
