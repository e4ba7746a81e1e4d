/*
 * The cost model, in checked 64-bit arithmetic: a count that does not fit is an error, not a
 * number.
 */

#include "common/theory.h"

#include <errno.h>

/* Taps of all outputs of one axis: all of them, and those that fall on the input. */
static void axis_taps(const struct dwb_layer *layer, uint64_t *ret_nominal, uint64_t *ret_executed)
{
    uint32_t n_outputs = dwb_layer_output_size(layer);
    int64_t pad = dwb_layer_pad_before(layer);
    uint64_t executed = 0;

    for (uint32_t i = 0; i < n_outputs; i++) {
        int64_t first = (int64_t)i * layer->stride - pad;
        int64_t end = first + layer->kernel_size;
        if (first < 0)
            first = 0;
        if (end > (int64_t)layer->input_size)
            end = layer->input_size;
        executed += (uint64_t)(end - first);
    }
    *ret_nominal = (uint64_t)n_outputs * layer->kernel_size;
    *ret_executed = executed;
}

static int product(uint64_t a, uint64_t b, uint64_t c, uint64_t *ret_product)
{
    uint64_t value;

    if (__builtin_mul_overflow(a, b, &value) || __builtin_mul_overflow(value, c, &value) ||
        value > INT64_MAX)
        return -EOVERFLOW;
    *ret_product = value;
    return 0;
}

static int macs_of(const struct dwb_layer *layer, uint64_t taps, struct dwb_macs *ret_macs)
{
    uint64_t n_outputs = dwb_layer_output_size(layer);
    uint64_t in_channels = layer->in_channels, out_channels = layer->out_channels;
    struct dwb_macs macs;
    int r;

    if ((r = product(taps, in_channels, out_channels, &macs.standard)) < 0 ||
        (r = product(taps, in_channels, 1, &macs.depthwise)) < 0 ||
        (r = product(n_outputs * n_outputs, in_channels, out_channels, &macs.pointwise)) < 0)
        return r;
    macs.separable = macs.depthwise + macs.pointwise;
    if (macs.separable > INT64_MAX)
        return -EOVERFLOW;
    *ret_macs = macs;
    return 0;
}

int dwb_theory_of(const struct dwb_layer *layer, struct dwb_theory *ret_theory)
{
    struct dwb_theory theory = {0};
    uint64_t nominal, executed;
    uint64_t taps = (uint64_t)layer->kernel_size * layer->kernel_size;
    int r;

    if (dwb_layer_output_size(layer) == 0)
        return -EINVAL;

    axis_taps(layer, &nominal, &executed);
    r = macs_of(layer, nominal * nominal, &theory.nominal);
    if (r < 0)
        return r;
    r = macs_of(layer, executed * executed, &theory.executed);
    if (r < 0)
        return r;

    theory.standard_parameters = taps * layer->in_channels * layer->out_channels;
    theory.separable_parameters =
        taps * layer->in_channels + (uint64_t)layer->in_channels * layer->out_channels;
    theory.ratio = 1.0 / layer->out_channels + 1.0 / (double)taps;
    *ret_theory = theory;
    return 0;
}
