/*
 * The loop nest around the depthwise strips (contract: kernels/depthwise.h).
 *
 *   for each group of channels      their sums under way stay in L1
 *     for each strip of rows        as many as the kernel takes, about evenly
 *
 * Rows that are a multiple of 4 KiB apart meet in one set of the L1 cache. A strip reads and writes
 * one line of each of its rows at a time; where there are more of them than ways, lines that were
 * fetched for a store are gone again before it is its turn, and stores then wait one for another.
 * So such maps get strips of fewer rows.
 */

#include "kernels/depthwise.h"

#include "kernels/internal.h"

#include <string.h>

enum { ALIAS_BYTES = 4096 };

struct nest {
    const struct dwb_depthwise_family *family;
    const struct dwb_conv *conv;
    const float *input;
    const float *packed;
    float *output; /* of row y_first */
    ptrdiff_t output_pixel;
    int64_t y_first;
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
    const size_t k = conv->kernel_size;
    const size_t present = m_count < lanes ? m_count : lanes;

    for (size_t m = 0; m < m_count; m += lanes) {
        const size_t start = m + present <= m_count ? m : m_count - present;
        for (size_t i = 0; i < k * k; i++, packed += lanes) {
            const size_t tap = i % k * k + i / k; /* column by column */
            memcpy(packed, weights + tap * m_count + start, present * sizeof(float));
            memset(packed + present, 0, (lanes - present) * sizeof(float));
        }
    }
}

/* Output rows [y, y + n_rows) of the group. */
static void run_strip(const struct nest *nest, int64_t y, int64_t n_rows)
{
    const struct dwb_conv *conv = nest->conv;
    const int64_t k = conv->kernel_size, s = conv->stride, size = conv->input_size;
    const int64_t pad = conv->pad_before, out_size = conv->output_size, top = y * s - pad;
    const int64_t lanes = nest->family->lanes, first_vector = nest->channel / lanes;
    /* A last group of less than a vector begins earlier, as its weights do. */
    const int64_t n_channels = dwb_min_i64(conv->in_channels, dwb_max_i64(nest->n_channels, lanes));
    const int64_t channel = nest->channel + nest->n_channels - n_channels;
    const ptrdiff_t pixel = conv->in_channels, output_row = out_size * nest->output_pixel;
    const struct dwb_depthwise_strip strip = {
        .input = nest->input + channel,
        .origin = (top * size - pad) * pixel,
        .input_row = size * pixel,
        .pixel = pixel,
        .weights = nest->packed + first_vector * lanes * k * k,
        .output = nest->output + (y - nest->y_first) * output_row + channel,
        .output_row = output_row,
        .output_pixel = nest->output_pixel,
        .n_channels = (uint32_t)n_channels,
        .kernel_size = conv->kernel_size,
        .stride = conv->stride,
        .row_first = (int32_t)dwb_max_i64(0, -top),
        .row_end = (int32_t)dwb_min_i64((n_rows - 1) * s + k, size - top),
        .column_first = (int32_t)pad,
        .column_end = (int32_t)dwb_min_i64((out_size - 1) * s + k, size + pad),
        .n_columns = (int32_t)out_size,
    };

    nest->family->run[n_rows - 1](&strip);
}

int64_t dwb_depthwise_strip_rows(const struct dwb_depthwise_family *family,
                                 const struct dwb_conv *conv)
{
    const int64_t row_bytes =
        (int64_t)conv->input_size * conv->in_channels * (int64_t)sizeof(float);

    return row_bytes % ALIAS_BYTES ? family->n_rows_max : family->n_rows_aliased;
}

void dwb_depthwise_run_rows(const struct dwb_depthwise_family *family,
                            const struct dwb_kernel_args *args, int64_t y, int64_t y_end,
                            ptrdiff_t output_pixel, float *output)
{
    const struct dwb_conv *conv = args->conv;
    const int64_t m_count = conv->in_channels, lanes = family->lanes, n = y_end - y;
    const int64_t rows_max = dwb_depthwise_strip_rows(family, conv);
    const int64_t n_strips = (n + rows_max - 1) / rows_max;
    const int64_t n_vectors = (m_count + lanes - 1) / lanes;
    const int64_t n_groups =
        (n_vectors * lanes + DWB_DEPTHWISE_CHANNELS_MAX - 1) / DWB_DEPTHWISE_CHANNELS_MAX;
    struct nest nest = {
        .family = family,
        .conv = conv,
        .input = args->input,
        .packed = args->packed,
        .output = output,
        .output_pixel = output_pixel,
        .y_first = y,
    };

    for (int64_t group = 0; group < n_groups; group++) {
        nest.channel = group * n_vectors / n_groups * lanes;
        nest.n_channels =
            dwb_min_i64((group + 1) * n_vectors / n_groups * lanes, m_count) - nest.channel;
        for (int64_t i = 0; i < n_strips; i++)
            run_strip(&nest, y + i * n / n_strips, (i + 1) * n / n_strips - i * n / n_strips);
    }
}

void dwb_depthwise_run(const struct dwb_depthwise_family *family,
                       const struct dwb_kernel_args *args)
{
    dwb_depthwise_run_rows(family, args, 0, args->conv->output_size, args->conv->in_channels,
                           args->output);
}
