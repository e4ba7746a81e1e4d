/*
 * Standard and pointwise convolution, AVX-512: 14 pixels x 2 vectors (32 channels). 28
 * accumulators, 2 vectors of weights and 2 broadcasts fill the 32 registers; a step is 28
 * multiply-adds (14 cycles on two ports) for 16 loads, so neither the loads nor the weights' 128
 * bytes a step from L2 are in the way, and 14 divides the maps of the MobileNets (112, 56, 28, 14;
 * 7 in pairs of rows).
 */

#include "kernels/x86/avx512_vec.h"

#include "kernels/internal.h"
#include "kernels/tile_template.h"

TILES_14(1)
TILES_14(2)

static const struct dwb_tile_family family = {
    .lanes = VL,
    .n_vectors = 2,
    .n_pixels_max = {14, 14},
    .run = {{TILE_ROW_14(1)}, {TILE_ROW_14(2)}},
};

TILE_KERNELS(f32_nhwc_conv__avx512_14x32, f32_nhwc_pwconv__avx512_14x32, DWB_ISA_AVX512,
             DWB_CPU_AVX512, DWB_PRIORITY_AVX512);
