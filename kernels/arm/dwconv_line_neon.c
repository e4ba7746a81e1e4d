/* Depthwise convolution of any shape, NEON, 4 channels at a time. */

#include "kernels/arm/neon_vec.h"

#include "kernels/internal.h"
#include "kernels/depthwise_line_template.h"

DEPTHWISE_ANY(f32_nhwc_dwconv__neon_8c4, DWB_ISA_NEON, DWB_CPU_NEON, DWB_PRIORITY_NEON);
