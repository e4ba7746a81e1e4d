#pragma once

/*
 * Depthwise convolution: the contract between the loop nest (depthwise.c, plain C) and the strip
 * kernels (depthwise_template.h, instantiated by each ISA).
 *
 * A strip is some neighbouring output rows over the whole width of the map, for a group of
 * channels, and the window of input rows and columns that they need. Of the window only the rows
 * [row_first, row_end) and the columns [column_first, column_end) exist, the others are padding:
 * they are skipped.
 */

#include "kernels/kernels.h"

#include <stdbool.h>
#include <stddef.h>

#define DWB_DEPTHWISE_ROWS_MAX     7
#define DWB_DEPTHWISE_CHANNELS_MAX 256  /* of a group */
#define DWB_DEPTHWISE_PARTIAL_MAX  4096 /* sums that a kernel keeps for a group */
#define DWB_DEPTHWISE_GROUP_FLOATS (41 * DWB_DEPTHWISE_CHANNELS_MAX) /* with weights: 41 KiB */

struct dwb_depthwise_strip {
    const float *input;   /* the tensor, at the group's first channel */
    ptrdiff_t origin;     /* floats from there to the window's corner; negative at a border */
    ptrdiff_t input_row;  /* floats between the rows of the input */
    ptrdiff_t pixel;      /* floats between neighbouring pixels of the input */
    const float *weights; /* [vector of channels][kx][ky][lane] (lines: [ky][kx]), of the
                           * group's first */
    float *output;        /* of the first row, pixel and channel */
    ptrdiff_t output_row;
    ptrdiff_t output_pixel;       /* floats between neighbouring pixels of the output */
    uint32_t n_channels;          /* vectors from the first on, but the last ends with the last
                                   * channel; fewer than a vector: for general kernels only */
    bool is_flat;                 /* the channels are those of neighbouring pixels, and the last
                                   * vector is what is left: for general kernels only */
    uint32_t kernel_size, stride; /* read by the general kernels only */
    int32_t row_first, row_end;
    int32_t column_first, column_end;
    int32_t n_columns; /* of outputs */
};

typedef void dwb_depthwise_fn(const struct dwb_depthwise_strip *strip);

/* The strip kernels for some shapes: run[rows - 1]. */
struct dwb_depthwise_family {
    uint32_t lanes;
    uint32_t n_channels_max; /* of a group; 0: it goes by lines, whose window has to stay in L1 */
    uint32_t n_rows_max, n_rows_aliased; /* the latter where rows share sets of the L1 cache */
    dwb_depthwise_fn *run[DWB_DEPTHWISE_ROWS_MAX];
};

/* How many parts of at most `most` n is cut into, and where part i begins. On a map of one pixel a
 * division takes longer than its multiply-adds. */
static inline int64_t dwb_depthwise_parts(int64_t n, int64_t most)
{
    return n <= most ? 1 : (n + most - 1) / most;
}

static inline int64_t dwb_depthwise_part(int64_t i, int64_t n, int64_t n_parts)
{
    return n_parts == 1 ? i * n : i * n / n_parts;
}

size_t dwb_depthwise_packed_bytes(const struct dwb_depthwise_family *family,
                                  const struct dwb_conv *conv);
void dwb_depthwise_pack(const struct dwb_depthwise_family *family, const struct dwb_conv *conv,
                        const float *weights, float *packed);
void dwb_depthwise_run(const struct dwb_depthwise_family *family,
                       const struct dwb_kernel_args *args);
/* Rows of outputs that a strip has at the most. */
int64_t dwb_depthwise_strip_rows(const struct dwb_depthwise_family *family,
                                 const struct dwb_conv *conv);
/*
 * Output rows [y, y_end) only; output is where row y begins, output_pixel floats lie between its
 * pixels (at least the channels; what is between them stays as it is), the rows follow one another.
 * args->output and args->scratch are not read.
 */
void dwb_depthwise_run_rows(const struct dwb_depthwise_family *family,
                            const struct dwb_kernel_args *args, int64_t y, int64_t y_end,
                            ptrdiff_t output_pixel, float *output);
