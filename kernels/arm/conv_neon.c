/*
 * Standard and pointwise convolution, NEON: 6 pixels x 4 vectors (16 channels). 24 sums, a vector
 * of input a pixel and two of weights are all 32 registers; four steps are 96 multiply-adds for 14
 * loads. Narrower last panels hold more pixels, so that enough sums stay under way.
 */

#include "kernels/arm/neon_vec.h"

#include "kernels/internal.h"
#define TILE_ROW_TEMPLATE "kernels/arm/neon_row_template.h"
#include "kernels/tile_template.h"

TILES_14(1)
TILES_10(2)
TILES_7(3)
TILES_6(4)

static const struct dwb_tile_family family = {
    .lanes = VL,
    .n_vectors = 4,
    .n_pixels_max = {14, 10, 7, 6},
    .run = {{TILE_ROW_14(1)}, {TILE_ROW_10(2)}, {TILE_ROW_7(3)}, {TILE_ROW_6(4)}},
};

TILE_KERNELS(f32_nhwc_conv__neon_6x16, f32_nhwc_pwconv__neon_6x16, DWB_ISA_NEON, DWB_CPU_NEON,
             DWB_PRIORITY_NEON);
