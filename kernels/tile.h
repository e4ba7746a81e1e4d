#pragma once

/*
 * Standard and pointwise convolution: the contract between the loop nest (tile.c, plain C, one for
 * all ISAs) and the register-tile kernels (tile_template.h, one instance an ISA and tile size).
 *
 * A tile is up to n_pixels_max output pixels times up to n_vectors vectors of output channels; its
 * accumulators stay in registers over all the taps and input channels of one call. In NHWC the taps
 * kx of one row and their channels m are contiguous, in the input (pixel + kx, m) as in the weights
 * (kx, m, channels): a call walks `n_rows` rows of one contiguous run of `length` steps, each step
 * multiplying one input float per pixel with one line of weights.
 *
 * Padding is skipped, not multiplied: the nest splits the taps of a tile at the border into groups
 * with the same valid pixels and calls a smaller tile for each, accumulating on the output.
 *
 * A call runs `n_tiles` equal tiles one after the other: between two calls the multipliers idle.
 *
 * The pixels come in two halves, each evenly spaced, so that a tile can cover one row or the same
 * columns of two rows (maps smaller than the tile).
 */

#include "kernels/kernels.h"

#include <stddef.h>

struct dwb_tile {
    const float *input[2];     /* first pixel of each half, at the first tap and channel */
    float *output[2];          /* first pixel of each half, at the first channel of the panel */
    ptrdiff_t input_step;      /* floats from a pixel to the next of its half */
    ptrdiff_t input_row;       /* floats from a row of taps to the next */
    ptrdiff_t output_step;     /* floats from a pixel to the next of its half */
    const float *weights;      /* steps of n_vectors * VL floats */
    ptrdiff_t weights_row;     /* floats from a row of taps to the next */
    const float *prefetch;     /* each step the line here is brought to L2; any address, */
    ptrdiff_t prefetch_step;   /* bytes further at each step, */
    const float *prefetch_end; /* about until here */
    ptrdiff_t input_advance;   /* floats from a tile to the next of the run */
    ptrdiff_t output_advance;
    uint32_t n_tiles; /* of the run: each as this one, further along the row */
    uint32_t n_rows;
    uint32_t length;
    uint32_t n_channels; /* of the panel that exist: the last vector may be partial */
    bool accumulate;     /* add to the output, or overwrite it */
};

typedef void dwb_tile_fn(const struct dwb_tile *tile);

#define DWB_TILE_VECTORS_MAX 4
#define DWB_TILE_PIXELS_MAX  14

/* The tiles of one ISA. run[v][n]: v + 1 vectors, n pixels, of which ceil(n / 2) in half 0. */
struct dwb_tile_family {
    uint32_t lanes;                              /* floats a vector */
    uint32_t n_vectors;                          /* of a full panel */
    uint32_t n_pixels_max[DWB_TILE_VECTORS_MAX]; /* by vectors - 1 */
    dwb_tile_fn *run[DWB_TILE_VECTORS_MAX][DWB_TILE_PIXELS_MAX + 1];
};

size_t dwb_tile_packed_bytes(const struct dwb_tile_family *family, const struct dwb_conv *conv);
void dwb_tile_pack(const struct dwb_tile_family *family, const struct dwb_conv *conv,
                   const float *weights, float *packed);
size_t dwb_tile_scratch_bytes(const struct dwb_conv *conv);
void dwb_tile_run(const struct dwb_tile_family *family, const struct dwb_kernel_args *args);

struct dwb_tile_range {
    const float *start, *end;
};

/* Some pixels of a pointwise convolution, one after the other. */
struct dwb_tile_pixels {
    const float *input; /* of the first pixel */
    float *output;
    int64_t n_pixels;
    int64_t input_pixel; /* floats from a pixel of the input to the next, M or more */
    const float *packed; /* all weights, as dwb_tile_pack left them */
    /* What the caller touches next: brought to L2 meanwhile, as far as there is time, in place of
     * the weights. start NULL: nothing. */
    struct dwb_tile_range ahead[2];
};

/* `conv` gives the channels; its sizes are not read. */
void dwb_tile_run_pixels(const struct dwb_tile_family *family, const struct dwb_conv *conv,
                         const struct dwb_tile_pixels *pixels);
/* Floats to leave between pixels of M channels that will be the input of a pointwise convolution:
 * M, or a little more where that many would fall into one set of the L1 cache. */
int64_t dwb_tile_pixel_step(int64_t m_count);
