/*
 * Standard and pointwise convolution, AVX2 + FMA: 6 pixels x 2 vectors (16 channels). 12
 * accumulators (8 hide the latency), 2 vectors of weights and one broadcast out of 16 registers; a
 * step is 12 multiply-adds for 8 loads. A panel of one vector holds 12 pixels instead.
 */

#include "kernels/x86/avx2_vec.h"

#include "kernels/internal.h"
#include "kernels/tile_template.h"

TILES_12(1)
TILES_6(2)

static const struct dwb_tile_family family = {
    .lanes = VL,
    .n_vectors = 2,
    .n_pixels_max = {12, 6},
    .run = {{TILE_ROW_12(1)}, {TILE_ROW_6(2)}},
};

TILE_KERNELS(f32_nhwc_conv__avx2_6x16, f32_nhwc_pwconv__avx2_6x16, DWB_ISA_AVX2, DWB_CPU_AVX2,
             DWB_PRIORITY_AVX2);
