/*
 * Standard and pointwise convolution, NEON: 6 pixels x 4 vectors (16 channels). 24 accumulators, up
 * to 4 vectors of weights and the pixels' scalars out of 32 registers; a step is 24 multiply-adds
 * for 10 loads. Narrower last panels hold more pixels, so that enough sums stay under way.
 */

#include "kernels/arm/neon_vec.h"

#include "kernels/internal.h"
#include "kernels/tile_template.h"

TILES_14(1)
TILES_12(2)
TILES_8(3)
TILES_6(4)

static const struct dwb_tile_family family = {
    .lanes = VL,
    .n_vectors = 4,
    .n_pixels_max = {14, 12, 8, 6},
    .run = {{TILE_ROW_14(1)}, {TILE_ROW_12(2)}, {TILE_ROW_8(3)}, {TILE_ROW_6(4)}},
};

TILE_KERNELS(f32_nhwc_conv__neon_6x16, f32_nhwc_pwconv__neon_6x16, DWB_ISA_NEON, DWB_CPU_NEON,
             DWB_PRIORITY_NEON);
