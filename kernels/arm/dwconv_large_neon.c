/*
 * Depthwise convolution with large kernels, NEON, 4 channels at a time; a file apart, to compile
 * beside the other. 7x7: 4 rows of outputs (10 inputs, 4 sums), 11x11: 2 rows (12 inputs, 2 sums).
 */

#include "kernels/arm/neon_vec.h"

#include "kernels/internal.h"
#include "kernels/depthwise_template.h"

enum { SHAPE = DWB_PRIORITY_NEON + DWB_PRIORITY_SHAPE };

DEPTHWISE_SHAPE(k7s1, f32_nhwc_dwconv_k7s1__neon_4c4, 4, 4, 7, 1, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
DEPTHWISE_SHAPE(k11s1, f32_nhwc_dwconv_k11s1__neon_2c4, 2, 2, 11, 1, DWB_ISA_NEON, DWB_CPU_NEON,
                SHAPE);
