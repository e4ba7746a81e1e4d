/*
 * The reference: the sums of kernels.h as they stand there, each output accumulated in double
 * precision and rounded once. Slow on purpose and simple enough to be right by reading. Built with
 * -ffp-contract=off, so its result does not depend on whether the target has FMA. A product of two
 * floats is exact in double.
 */

#include "kernels/kernels.h"

#include "kernels/internal.h"
#include "kernels/separable.h"

#include <math.h>
#include <string.h>

struct window { /* taps of one output on one axis that fall on the input: [first, end) */
    uint32_t first;
    uint32_t end;
    int64_t origin; /* input index of tap 0, may be negative */
};

static struct window window_of(const struct dwb_conv *conv, uint32_t output)
{
    const int64_t origin = (int64_t)output * conv->stride - conv->pad_before;
    const int64_t end = dwb_min_i64(conv->kernel_size, (int64_t)conv->input_size - origin);

    return (struct window){
        .first = (uint32_t)dwb_max_i64(0, -origin),
        .end = (uint32_t)dwb_max_i64(0, end),
        .origin = origin,
    };
}

double dwb_oracle(enum dwb_kernel_op op, const struct dwb_conv *conv, const float *input,
                  const float *weights, uint32_t y, uint32_t x, uint32_t channel,
                  double *ret_magnitude)
{
    const struct window rows = window_of(conv, y), columns = window_of(conv, x);
    const size_t m_count = conv->in_channels, n_count = conv->out_channels;
    const bool depthwise = op == DWB_KERNEL_DEPTHWISE;
    const size_t first = depthwise ? channel : 0, end = depthwise ? channel + 1 : m_count;
    double sum = 0, magnitude = 0;

    for (uint32_t ky = rows.first; ky < rows.end; ky++)
        for (uint32_t kx = columns.first; kx < columns.end; kx++) {
            const size_t row = (size_t)(rows.origin + ky), column = (size_t)(columns.origin + kx);
            const float *pixel = input + (row * conv->input_size + column) * m_count;
            const size_t tap = (size_t)ky * conv->kernel_size + kx;
            for (size_t m = first; m < end; m++) {
                const float weight = depthwise ? weights[tap * m_count + m]
                                               : weights[(tap * m_count + m) * n_count + channel];
                const double product = (double)pixel[m] * weight;
                sum += product;
                magnitude += fabs(product);
            }
        }
    *ret_magnitude = magnitude;
    return sum;
}

double dwb_separable_oracle(const struct dwb_conv *depthwise, const struct dwb_conv *pointwise,
                            const float *input, const float *weights_depthwise,
                            const float *weights_pointwise, uint32_t y, uint32_t x,
                            uint32_t channel, double *ret_magnitude)
{
    double sum = 0, magnitude = 0;

    for (uint32_t m = 0; m < pointwise->in_channels; m++) {
        const float weight = weights_pointwise[(size_t)m * pointwise->out_channels + channel];
        double inner;

        sum +=
            dwb_oracle(DWB_KERNEL_DEPTHWISE, depthwise, input, weights_depthwise, y, x, m, &inner) *
            weight;
        magnitude += inner * fabsf(weight);
    }
    *ret_magnitude = magnitude;
    return sum;
}

static void run_all(enum dwb_kernel_op op, const struct dwb_kernel_args *args)
{
    const struct dwb_conv *conv = args->conv;
    float *output = args->output;

    for (uint32_t y = 0; y < conv->output_size; y++)
        for (uint32_t x = 0; x < conv->output_size; x++)
            for (uint32_t n = 0; n < conv->out_channels; n++) {
                double magnitude;
                *output++ =
                    (float)dwb_oracle(op, conv, args->input, args->packed, y, x, n, &magnitude);
            }
}

static void run_standard(const struct dwb_kernel_args *args)
{
    run_all(DWB_KERNEL_STANDARD, args);
}

static void run_depthwise(const struct dwb_kernel_args *args)
{
    run_all(DWB_KERNEL_DEPTHWISE, args);
}

static void run_pointwise(const struct dwb_kernel_args *args)
{
    run_all(DWB_KERNEL_POINTWISE, args);
}

static size_t full_bytes(const struct dwb_conv *conv)
{
    return sizeof(float) * conv->kernel_size * conv->kernel_size * conv->in_channels *
           conv->out_channels;
}

static size_t depthwise_bytes(const struct dwb_conv *conv)
{
    return sizeof(float) * conv->kernel_size * conv->kernel_size * conv->in_channels;
}

static void pack_full(const struct dwb_conv *conv, const float *weights, float *packed)
{
    memcpy(packed, weights, full_bytes(conv));
}

static void pack_depthwise(const struct dwb_conv *conv, const float *weights, float *packed)
{
    memcpy(packed, weights, depthwise_bytes(conv));
}

#define REFERENCE(id_, op_, bytes_, pack_, run_)                                                   \
    DWB_KERNEL_DEFINE(id_) = {                                                                     \
        .name = #id_,                                                                              \
        .op = op_,                                                                                 \
        .isa = DWB_ISA_PORTABLE,                                                                   \
        .algorithm = "reference",                                                                  \
        .skips_padding = true,                                                                     \
        .priority = DWB_PRIORITY_REFERENCE,                                                        \
        .packed_bytes = bytes_,                                                                    \
        .pack = pack_,                                                                             \
        .run = run_,                                                                               \
    }

REFERENCE(f32_nhwc_conv__reference, DWB_KERNEL_STANDARD, full_bytes, pack_full, run_standard);
REFERENCE(f32_nhwc_pwconv__reference, DWB_KERNEL_POINTWISE, full_bytes, pack_full, run_pointwise);
REFERENCE(f32_nhwc_dwconv__reference, DWB_KERNEL_DEPTHWISE, depthwise_bytes, pack_depthwise,
          run_depthwise);
