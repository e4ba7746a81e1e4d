/*
 * Depthwise convolution on GNU vectors, for any ISA at its baseline: lines of 8 outputs by
 * 4 channels, any kernel size and stride.
 */

#include "kernels/portable_vec.h"

#include "kernels/internal.h"
#include "kernels/depthwise_line_template.h"

DEPTHWISE_ANY(f32_nhwc_dwconv__portable_8c4, DWB_ISA_PORTABLE, 0, DWB_PRIORITY_PORTABLE);
