/*
 * The loop nest around the depthwise tiles (contract: kernels/depthwise.h).
 *
 *   for each group of channels      as many as keep the window of one tile in L1
 *     for each strip of columns     one tile wide
 *       for each tile down it       the rows that neighbouring windows share are still in L1
 *
 * A depthwise convolution has so little arithmetic that it is bound by L2 as soon as an input row
 * is loaded more than about once: walking down a strip re-reads only the columns that strips share.
 */

#include "kernels/depthwise.h"

#include "kernels/internal.h"

#include <string.h>

enum { WINDOW_BYTES = 24 << 10 }; /* of L1, for the window of a tile */

struct nest {
    const struct dwb_depthwise_family *family;
    const struct dwb_conv *conv;
    const float *input;
    const float *packed;
    float *output; /* of row y_first */
    ptrdiff_t output_pixel;
    int64_t y_first, y_end;
    int64_t channel, n_channels; /* group at work */
};

size_t dwb_depthwise_packed_bytes(const struct dwb_depthwise_family *family,
                                  const struct dwb_conv *conv)
{
    const size_t vectors = (conv->in_channels + family->lanes - 1) / family->lanes;

    return sizeof(float) * conv->kernel_size * conv->kernel_size * vectors * family->lanes;
}

void dwb_depthwise_pack(const struct dwb_depthwise_family *family, const struct dwb_conv *conv,
                        const float *weights, float *packed)
{
    const size_t m_count = conv->in_channels, lanes = family->lanes;
    const size_t taps = (size_t)conv->kernel_size * conv->kernel_size;

    for (size_t m = 0; m < m_count; m += lanes) {
        const size_t present = m_count - m < lanes ? m_count - m : lanes;
        for (size_t tap = 0; tap < taps; tap++, packed += lanes) {
            memcpy(packed, weights + tap * m_count + m, present * sizeof(float));
            memset(packed + present, 0, (lanes - present) * sizeof(float));
        }
    }
}

/* Rows are clipped to the window of one output row; those of the runs of n_tiles all exist. */
static void run_each_row(dwb_depthwise_fn *run, struct dwb_depthwise_tile tile, int64_t n_rows)
{
    const int32_t k = (int32_t)tile.kernel_size, first = tile.row_first, end = tile.row_end;
    const bool clipped = tile.n_tiles == 1;
    const int64_t n = tile.n_tiles * n_rows;

    tile.n_tiles = 1;
    for (int64_t row = 0; row < n; row++) {
        const int32_t above = (int32_t)(row * tile.stride);
        tile.row_first = clipped ? (int32_t)dwb_max_i64(0, first - above) : 0;
        tile.row_end = clipped ? (int32_t)dwb_min_i64(k, end - above) : k;
        run(&tile);
        tile.origin += tile.stride * tile.input_row;
        tile.output += tile.output_row;
    }
}

static dwb_depthwise_fn *edge_kernel(const struct dwb_depthwise_family *family, int64_t left,
                                     int64_t right, int64_t n_rows, int64_t n_columns)
{
    for (size_t i = 0; i < DWB_DEPTHWISE_EDGES_MAX; i++)
        if (family->edges[i].left == left && family->edges[i].right == right &&
            family->edges[i].run[n_rows - 1][n_columns - 1])
            return family->edges[i].run[n_rows - 1][n_columns - 1];
    return NULL;
}

/* n_tiles tiles of n_rows x n_columns from output (y, x) down. */
static void run_tiles(const struct nest *nest, int64_t y, int64_t n_rows, int64_t n_tiles,
                      int64_t x, int64_t n_columns)
{
    const struct dwb_depthwise_family *family = nest->family;
    const struct dwb_conv *conv = nest->conv;
    const int64_t k = conv->kernel_size, s = conv->stride, size = conv->input_size;
    const int64_t top = y * s - conv->pad_before, left = x * s - conv->pad_before;
    const int64_t n_window_rows = (n_rows - 1) * s + k, n_window_columns = (n_columns - 1) * s + k;
    const int64_t column_first = dwb_max_i64(0, -left);
    const int64_t column_end = dwb_min_i64(n_window_columns, size - left);
    const ptrdiff_t pixel = conv->in_channels, input_row = size * pixel;
    const ptrdiff_t output_row = conv->output_size * nest->output_pixel;
    struct dwb_depthwise_tile tile = {
        .input = nest->input,
        .origin = top * input_row + left * pixel + nest->channel,
        .input_row = input_row,
        .pixel = pixel,
        .weights = nest->packed + nest->channel * k * k,
        .output = nest->output + (y - nest->y_first) * output_row + x * nest->output_pixel +
                  nest->channel,
        .output_row = output_row,
        .output_pixel = nest->output_pixel,
        .n_channels = (uint32_t)nest->n_channels,
        .kernel_size = conv->kernel_size,
        .stride = conv->stride,
        .row_first = (int32_t)dwb_max_i64(0, -top),
        .row_end = (int32_t)dwb_min_i64(n_window_rows, size - top),
        .column_first = (int32_t)column_first,
        .column_end = (int32_t)column_end,
        .n_tiles = (uint32_t)n_tiles,
        .input_advance = n_rows * s * input_row,
        .output_advance = n_rows * output_row,
    };
    const int64_t full = tile.n_channels / family->lanes * family->lanes;
    dwb_depthwise_fn *run =
        edge_kernel(family, column_first, n_window_columns - column_end, n_rows, n_columns);

    if (full && run)
        run(&tile);
    else if (full)
        run_each_row(family->border[n_columns - 1], tile, n_rows);
    if (tile.n_channels > full) {
        tile.weights += full * k * k;
        tile.origin += full;
        tile.output += full;
        tile.n_channels -= (uint32_t)full;
        run_each_row(family->tail[n_columns - 1], tile, n_rows);
    }
}

/* One strip of columns: tiles that miss rows one by one, those between them as one run. */
static void run_strip(const struct nest *nest, int64_t x, int64_t n_columns)
{
    const struct dwb_conv *conv = nest->conv;
    const int64_t k = conv->kernel_size, s = conv->stride, pad = conv->pad_before;
    const int64_t y_end = nest->y_end, rows_max = nest->family->n_rows_max;

    for (int64_t y = nest->y_first, n_tiles; y < y_end; y += n_tiles * rows_max) {
        const int64_t top = y * s - pad, window = (rows_max - 1) * s + k;
        const int64_t room = conv->input_size - top - window; /* rows below the window */
        const int64_t n_whole = (y_end - y) / rows_max;
        n_tiles = 1;
        if (n_whole == 0) {
            run_tiles(nest, y, y_end - y, 1, x, n_columns);
            break;
        }
        if (top >= 0 && room >= 0)
            n_tiles = dwb_min_i64(n_whole, room / (rows_max * s) + 1);
        run_tiles(nest, y, rows_max, n_tiles, x, n_columns);
    }
}

/* Channels whose window of one tile fits WINDOW_BYTES, in whole vectors. */
static int64_t group_size(const struct nest *nest)
{
    const struct dwb_conv *conv = nest->conv;
    const int64_t k = conv->kernel_size, s = conv->stride, lanes = nest->family->lanes;
    const int64_t rows = (nest->family->n_rows_max - 1) * s + k;
    const int64_t columns = (nest->family->n_columns_max - 1) * s + k;
    const int64_t fit = WINDOW_BYTES / (int64_t)sizeof(float) / (rows * columns) / lanes;
    const int64_t vectors = (conv->in_channels + lanes - 1) / lanes;
    const int64_t n_groups = (vectors + dwb_max_i64(fit, 2) - 1) / dwb_max_i64(fit, 2);

    return (vectors + n_groups - 1) / n_groups * lanes;
}

void dwb_depthwise_run_rows(const struct dwb_depthwise_family *family,
                            const struct dwb_kernel_args *args, int64_t y, int64_t y_end,
                            ptrdiff_t output_pixel, float *output)
{
    const int64_t out_size = args->conv->output_size, m_count = args->conv->in_channels;
    const int64_t n_strips = (out_size + family->n_columns_max - 1) / family->n_columns_max;
    struct nest nest = {
        .family = family,
        .conv = args->conv,
        .input = args->input,
        .packed = args->packed,
        .output = output,
        .output_pixel = output_pixel,
        .y_first = y,
        .y_end = y_end,
    };
    const int64_t group = group_size(&nest);

    for (nest.channel = 0; nest.channel < m_count; nest.channel += group) {
        nest.n_channels = dwb_min_i64(group, m_count - nest.channel);
        for (int64_t i = 0; i < n_strips; i++) {
            const int64_t x = i * out_size / n_strips, x_end = (i + 1) * out_size / n_strips;
            run_strip(&nest, x, x_end - x);
        }
    }
}

void dwb_depthwise_run(const struct dwb_depthwise_family *family,
                       const struct dwb_kernel_args *args)
{
    dwb_depthwise_run_rows(family, args, 0, args->conv->output_size, args->conv->in_channels,
                           args->output);
}
