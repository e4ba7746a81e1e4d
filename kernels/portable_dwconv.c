/*
 * Depthwise convolution on GNU vectors, for any ISA at its baseline: one row of 4 pixels by 4
 * channels, any kernel size and stride.
 */

#include "kernels/portable_vec.h"

#include "kernels/internal.h"
#include "kernels/depthwise_template.h"

DEPTHWISE_GENERAL(f32_nhwc_dwconv__portable_1x4c4, 4, DWB_ISA_PORTABLE, 0, DWB_PRIORITY_PORTABLE);
