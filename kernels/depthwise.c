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
 *
 * With fewer channels than a vector, and stride 1, what all taps of neighbouring pixels need is one
 * run of floats, as is what they give. So between the borders of a row its pixels are taken for one
 * with many channels; the weights are packed as often as that takes.
 */

#include "kernels/depthwise.h"

#include "kernels/internal.h"

#include <string.h>

enum {
    WINDOW_FLOATS = 8192, /* of it and the weights: 32 KiB */
    LINE_OUTPUTS = 8,
    FLAT_VECTORS_MIN = 8, /* of a run of pixels: fewer, and the call counts */
};

struct nest {
    const struct dwb_depthwise_family *family;
    const struct dwb_conv *conv;
    const float *input;
    const float *packed;
    float *output; /* of row y_first */
    ptrdiff_t output_pixel;
    int64_t y_first;
    int64_t channel, n_channels, first_vector; /* group at work */
};

/* Fewer channels than a vector, and all pixels of a row used one after the other. */
static bool is_narrow(const struct dwb_depthwise_family *family, const struct dwb_conv *conv)
{
    return conv->in_channels < family->lanes && conv->stride == 1;
}

/* Pixels whose channels are whole vectors, so that the weights of more of them only repeat. */
static int64_t flat_pixels(const struct dwb_depthwise_family *family, const struct dwb_conv *conv)
{
    const int64_t m_count = conv->in_channels;

    return (FLAT_VECTORS_MIN + m_count - 1) / m_count * family->lanes;
}

static size_t packed_vectors(const struct dwb_depthwise_family *family, const struct dwb_conv *conv)
{
    if (is_narrow(family, conv))
        return (size_t)flat_pixels(family, conv) * conv->in_channels / family->lanes;
    return (conv->in_channels + family->lanes - 1) / family->lanes;
}

size_t dwb_depthwise_packed_bytes(const struct dwb_depthwise_family *family,
                                  const struct dwb_conv *conv)
{
    return sizeof(float) * conv->kernel_size * conv->kernel_size * packed_vectors(family, conv) *
           family->lanes;
}

static void pack_narrow(const struct dwb_depthwise_family *family, const struct dwb_conv *conv,
                        const float *weights, float *packed)
{
    const size_t m_count = conv->in_channels, lanes = family->lanes;
    const size_t taps = (size_t)conv->kernel_size * conv->kernel_size;
    const size_t n_floats = packed_vectors(family, conv) * lanes;

    for (size_t start = 0; start < n_floats; start += lanes)
        for (size_t tap = 0; tap < taps; tap++, packed += lanes)
            for (size_t lane = 0; lane < lanes; lane++)
                packed[lane] = weights[tap * m_count + (start + lane) % m_count];
}

void dwb_depthwise_pack(const struct dwb_depthwise_family *family, const struct dwb_conv *conv,
                        const float *weights, float *packed)
{
    const size_t m_count = conv->in_channels, lanes = family->lanes;
    const size_t k = conv->kernel_size;
    const size_t present = m_count < lanes ? m_count : lanes;

    if (is_narrow(family, conv)) {
        pack_narrow(family, conv, weights, packed);
        return;
    }
    for (size_t m = 0; m < m_count; m += lanes) {
        const size_t start = m + present <= m_count ? m : m_count - present;
        for (size_t i = 0; i < k * k; i++, packed += lanes) {
            /* For strips column by column, as they read them. */
            const size_t tap = family->n_channels_max ? i % k * k + i / k : i;
            memcpy(packed, weights + tap * m_count + start, present * sizeof(float));
            memset(packed + present, 0, (lanes - present) * sizeof(float));
        }
    }
}

/* Output rows [y, y + n_rows), n_columns of outputs from column x on, of the channels from
 * `channel` on; of one column they may reach into the pixels behind it. */
static void run_part(const struct nest *nest, int64_t y, int64_t n_rows, int64_t x,
                     int64_t n_columns, int64_t channel, int64_t n_channels)
{
    const struct dwb_conv *conv = nest->conv;
    const int64_t k = conv->kernel_size, s = conv->stride, size = conv->input_size;
    const int64_t pad = conv->pad_before, top = y * s - pad, left = x * s - pad;
    const ptrdiff_t pixel = conv->in_channels;
    const ptrdiff_t output_row = conv->output_size * nest->output_pixel;
    const struct dwb_depthwise_strip strip = {
        .input = nest->input + channel,
        .origin = (top * size + left) * pixel,
        .input_row = size * pixel,
        .pixel = pixel,
        .weights = nest->packed + nest->first_vector * nest->family->lanes * k * k,
        .output =
            nest->output + (y - nest->y_first) * output_row + x * nest->output_pixel + channel,
        .output_row = output_row,
        .output_pixel = nest->output_pixel,
        .n_channels = (uint32_t)n_channels,
        .is_flat = n_channels > pixel,
        .kernel_size = conv->kernel_size,
        .stride = conv->stride,
        .row_first = (int32_t)dwb_max_i64(0, -top),
        .row_end = (int32_t)dwb_min_i64((n_rows - 1) * s + k, size - top),
        .column_first = (int32_t)dwb_max_i64(0, -left),
        .column_end = (int32_t)dwb_min_i64((n_columns - 1) * s + k, size - left),
        .n_columns = (int32_t)n_columns,
    };

    nest->family->run[n_rows - 1](&strip);
}

static void run_strip(const struct nest *nest, int64_t y, int64_t n_rows)
{
    const struct dwb_conv *conv = nest->conv;
    const int64_t lanes = nest->family->lanes;
    /* A last group of less than a vector begins earlier, as its weights do. */
    const int64_t n_channels = dwb_min_i64(conv->in_channels, dwb_max_i64(nest->n_channels, lanes));

    run_part(nest, y, n_rows, 0, conv->output_size, nest->channel + nest->n_channels - n_channels,
             n_channels);
}

/* All pixels between the borders have all taps, so those of a row are as many channels of one. */
static void run_narrow_strip(const struct nest *nest, int64_t y, int64_t n_rows)
{
    const struct dwb_conv *conv = nest->conv;
    const int64_t k = conv->kernel_size, size = conv->input_size, pad = conv->pad_before;
    const int64_t m_count = conv->in_channels, n_columns = conv->output_size;
    const int64_t flat = flat_pixels(nest->family, conv);
    const int64_t inner = dwb_min_i64(pad, n_columns);
    const int64_t inner_end = dwb_max_i64(inner, dwb_min_i64(size - k + pad + 1, n_columns));

    if (inner > 0)
        run_part(nest, y, n_rows, 0, inner, 0, m_count);
    for (int64_t x = inner; x < inner_end; x += flat)
        run_part(nest, y, n_rows, x, 1, 0, dwb_min_i64(flat, inner_end - x) * m_count);
    if (inner_end < n_columns)
        run_part(nest, y, n_rows, inner_end, n_columns - inner_end, 0, m_count);
}

/* Groups of channels. A general kernel wants its weights and the window of a line in L1. */
static int64_t count_groups(const struct dwb_depthwise_family *family, const struct dwb_conv *conv,
                            int64_t n_vectors)
{
    const int64_t k = conv->kernel_size, lanes = family->lanes, n_channels = n_vectors * lanes;
    const int64_t n_floats = k * (2 * k + LINE_OUTPUTS - 1);
    int64_t channels_max = DWB_DEPTHWISE_CHANNELS_MAX;

    if (family->n_channels_max)
        channels_max = family->n_channels_max;
    else if (n_channels * n_floats > WINDOW_FLOATS)
        channels_max = dwb_max_i64(lanes, dwb_min_i64(channels_max, WINDOW_FLOATS / n_floats));
    return n_channels <= channels_max ? 1 : dwb_depthwise_parts(n_vectors, channels_max / lanes);
}

int64_t dwb_depthwise_strip_rows(const struct dwb_depthwise_family *family,
                                 const struct dwb_conv *conv)
{
    const int64_t row_bytes =
        (int64_t)conv->input_size * conv->in_channels * (int64_t)sizeof(float);

    return row_bytes % DWB_ALIAS_BYTES ? family->n_rows_max : family->n_rows_aliased;
}

void dwb_depthwise_run_rows(const struct dwb_depthwise_family *family,
                            const struct dwb_kernel_args *args, int64_t y, int64_t y_end,
                            ptrdiff_t output_pixel, float *output)
{
    const struct dwb_conv *conv = args->conv;
    const int64_t m_count = conv->in_channels, lanes = family->lanes, n = y_end - y;
    const int64_t rows_max = dwb_depthwise_strip_rows(family, conv);
    const int64_t n_strips = dwb_depthwise_parts(n, rows_max);
    const int64_t n_vectors = (m_count + lanes - 1) / lanes;
    const int64_t n_groups = count_groups(family, conv, n_vectors);
    /* Pixels apart, as separable forms may want them, are no run of floats. */
    const bool narrow = is_narrow(family, conv) && output_pixel == m_count;
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
        nest.first_vector = dwb_depthwise_part(group, n_vectors, n_groups);
        nest.channel = nest.first_vector * lanes;
        nest.n_channels =
            dwb_min_i64(dwb_depthwise_part(group + 1, n_vectors, n_groups) * lanes, m_count) -
            nest.channel;
        for (int64_t i = 0; i < n_strips; i++) {
            const int64_t first = dwb_depthwise_part(i, n, n_strips);
            const int64_t end = dwb_depthwise_part(i + 1, n, n_strips);
            if (narrow)
                run_narrow_strip(&nest, y + first, end - first);
            else
                run_strip(&nest, y + first, end - first);
        }
    }
}

void dwb_depthwise_run(const struct dwb_depthwise_family *family,
                       const struct dwb_kernel_args *args)
{
    dwb_depthwise_run_rows(family, args, 0, args->conv->output_size, args->conv->in_channels,
                           args->output);
}
