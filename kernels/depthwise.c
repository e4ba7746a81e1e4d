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
    float *output;
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

static void run_tail(const struct nest *nest, struct dwb_depthwise_tile tile, int64_t n_rows,
                     int64_t n_columns)
{
    const int64_t lanes = nest->family->lanes, taps = (int64_t)tile.kernel_size * tile.kernel_size;
    const int64_t full = tile.n_channels / lanes * lanes;

    tile.weights += full * taps;
    tile.origin += full;
    tile.output += full;
    tile.n_channels -= (uint32_t)full;
    for (int64_t row = 0; row < n_rows; row++) {
        nest->family->tail[n_columns - 1](&tile);
        tile.origin += tile.stride * tile.input_row;
        tile.row_first -= (int32_t)tile.stride;
        tile.row_end -= (int32_t)tile.stride;
        tile.output += tile.output_row;
    }
}

static void run_tile(const struct nest *nest, int64_t y, int64_t n_rows, int64_t x,
                     int64_t n_columns)
{
    const struct dwb_depthwise_family *family = nest->family;
    const struct dwb_conv *conv = nest->conv;
    const int64_t k = conv->kernel_size, s = conv->stride, size = conv->input_size;
    const int64_t top = y * s - conv->pad_before, left = x * s - conv->pad_before;
    const int64_t n_window_rows = (n_rows - 1) * s + k, n_window_columns = (n_columns - 1) * s + k;
    const ptrdiff_t pixel = conv->in_channels, input_row = size * pixel;
    const ptrdiff_t output_row = conv->output_size * pixel;
    struct dwb_depthwise_tile tile = {
        .input = nest->input,
        .origin = top * input_row + left * pixel + nest->channel,
        .input_row = input_row,
        .pixel = pixel,
        .weights = nest->packed + nest->channel * k * k,
        .output = nest->output + y * output_row + x * pixel + nest->channel,
        .output_row = output_row,
        .n_channels = (uint32_t)nest->n_channels,
        .kernel_size = conv->kernel_size,
        .stride = conv->stride,
        .row_first = (int32_t)dwb_max_i64(0, -top),
        .row_end = (int32_t)dwb_min_i64(n_window_rows, size - top),
        .column_first = (int32_t)dwb_max_i64(0, -left),
        .column_end = (int32_t)dwb_min_i64(n_window_columns, size - left),
    };
    const bool inner = tile.row_first == 0 && tile.row_end == n_window_rows &&
                       tile.column_first == 0 && tile.column_end == n_window_columns;

    if (tile.n_channels >= family->lanes)
        (inner ? family->inner : family->border)[n_rows - 1][n_columns - 1](&tile);
    if (tile.n_channels % family->lanes)
        run_tail(nest, tile, n_rows, n_columns);
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

void dwb_depthwise_run(const struct dwb_depthwise_family *family,
                       const struct dwb_kernel_args *args)
{
    const int64_t out_size = args->conv->output_size, m_count = args->conv->in_channels;
    const int64_t n_strips = (out_size + family->n_columns_max - 1) / family->n_columns_max;
    struct nest nest = {
        .family = family,
        .conv = args->conv,
        .input = args->input,
        .packed = args->packed,
        .output = args->output,
    };
    const int64_t group = group_size(&nest);

    for (nest.channel = 0; nest.channel < m_count; nest.channel += group) {
        nest.n_channels = dwb_min_i64(group, m_count - nest.channel);
        for (int64_t i = 0; i < n_strips; i++) {
            const int64_t x = i * out_size / n_strips, x_end = (i + 1) * out_size / n_strips;
            for (int64_t y = 0; y < out_size; y += family->n_rows_max)
                run_tile(&nest, y, dwb_min_i64(family->n_rows_max, out_size - y), x, x_end - x);
        }
    }
}
