/*
 * Standard and pointwise convolution on GNU vectors, for any ISA at its baseline: 4 pixels x 2
 * vectors of 4 floats. 8 accumulators leave room in 16 registers for weights, a broadcast and,
 * where the baseline has no fused multiply-add, the product.
 */

#include "kernels/portable_vec.h"

#include "kernels/internal.h"
#include "kernels/tile_template.h"

TILES_8(1)
TILES_4(2)

static const struct dwb_tile_family family = {
    .lanes = VL,
    .n_vectors = 2,
    .n_pixels_max = {8, 4},
    .run = {{TILE_ROW_8(1)}, {TILE_ROW_4(2)}},
};

TILE_KERNELS(f32_nhwc_conv__portable_4x8, f32_nhwc_pwconv__portable_4x8, DWB_ISA_PORTABLE, 0,
             DWB_PRIORITY_PORTABLE);
