#pragma once

/*
 * Depthwise convolution: the contract between the loop nest (depthwise.c, plain C) and the tile
 * kernels (depthwise_template.h, instantiated by each ISA).
 *
 * A tile is n_rows x n_columns output pixels of one vector of channels, kept in registers, and the
 * window of input pixels they need: each is loaded once and multiplied into every output it belongs
 * to. A call walks the channels [0, n_channels) of `n_tiles` tiles, one below the other.
 *
 * At a border only the rows [row_first, row_end) and columns [column_first, column_end) of the
 * window exist; the others are skipped. Which columns exist is known to the compiler in the kernels
 * of the table `edges`; `border` kernels look at each.
 */

#include "kernels/kernels.h"

#include <stddef.h>

struct dwb_depthwise_tile {
    const float *input;   /* the tensor */
    ptrdiff_t origin;     /* floats from there to the window's corner; negative at a border */
    ptrdiff_t input_row;  /* floats between the rows of the window */
    ptrdiff_t pixel;      /* floats between neighbouring pixels of the input: the channels */
    const float *weights; /* [vector of channels][ky][kx][lane], of the first channel */
    float *output;
    ptrdiff_t output_row;
    ptrdiff_t output_pixel; /* floats between neighbouring pixels of the output */
    uint32_t n_channels;    /* a multiple of the lanes; for `tail` kernels less than the lanes */
    uint32_t kernel_size, stride; /* read by the general kernels only */
    int32_t row_first, row_end;
    int32_t column_first, column_end;
    uint32_t n_tiles;        /* more than one only where no row is missing */
    ptrdiff_t input_advance; /* floats from a tile to the one below */
    ptrdiff_t output_advance;
};

typedef void dwb_depthwise_fn(const struct dwb_depthwise_tile *tile);

#define DWB_DEPTHWISE_ROWS_MAX    2
#define DWB_DEPTHWISE_COLUMNS_MAX 8

#define DWB_DEPTHWISE_EDGES_MAX 6

/* Kernels for windows whose first `left` and last `right` columns are missing. */
struct dwb_depthwise_edge {
    int32_t left, right;
    dwb_depthwise_fn *run[DWB_DEPTHWISE_ROWS_MAX][DWB_DEPTHWISE_COLUMNS_MAX]; /* by size - 1 */
};

struct dwb_depthwise_family {
    uint32_t lanes;
    uint32_t n_rows_max;
    uint32_t n_columns_max;
    struct dwb_depthwise_edge edges[DWB_DEPTHWISE_EDGES_MAX]; /* NULL in run: take `border` */
    dwb_depthwise_fn *border[DWB_DEPTHWISE_COLUMNS_MAX];      /* one row, any place */
    dwb_depthwise_fn *tail[DWB_DEPTHWISE_COLUMNS_MAX];        /* the same for a partial vector */
};

size_t dwb_depthwise_packed_bytes(const struct dwb_depthwise_family *family,
                                  const struct dwb_conv *conv);
void dwb_depthwise_pack(const struct dwb_depthwise_family *family, const struct dwb_conv *conv,
                        const float *weights, float *packed);
void dwb_depthwise_run(const struct dwb_depthwise_family *family,
                       const struct dwb_kernel_args *args);
/*
 * Output rows [y, y_end) only; output is where row y begins, output_pixel floats lie between its
 * pixels (at least the channels; what is between them stays as it is), the rows follow one another.
 * args->output and args->scratch are not read.
 */
void dwb_depthwise_run_rows(const struct dwb_depthwise_family *family,
                            const struct dwb_kernel_args *args, int64_t y, int64_t y_end,
                            ptrdiff_t output_pixel, float *output);
