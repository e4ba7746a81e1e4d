/*
 * Geometry of one convolution and the multiply-adds it takes. Padding is the same on both axes, so
 * the taps of an output (y, x) that fall on the input are taps(y) * taps(x), and their sum over the
 * whole output is the square of the sum over one axis.
 */

#include "kernels/kernels.h"

void dwb_conv_of_layer(const struct dwb_layer *layer, enum dwb_kernel_op op,
                       struct dwb_conv *ret_conv)
{
    const uint32_t output_size = dwb_layer_output_size(layer);

    if (op == DWB_KERNEL_POINTWISE) {
        *ret_conv = (struct dwb_conv){
            .kernel_size = 1,
            .stride = 1,
            .input_size = output_size,
            .output_size = output_size,
            .in_channels = layer->in_channels,
            .out_channels = layer->out_channels,
        };
        return;
    }
    *ret_conv = (struct dwb_conv){
        .kernel_size = layer->kernel_size,
        .stride = layer->stride,
        .pad_before = dwb_layer_pad_before(layer),
        .input_size = layer->input_size,
        .output_size = output_size,
        .in_channels = layer->in_channels,
        .out_channels = op == DWB_KERNEL_DEPTHWISE ? layer->in_channels : layer->out_channels,
    };
}

/* Sum over the outputs of one axis of the taps that fall on the input. */
static uint64_t axis_taps(const struct dwb_conv *conv)
{
    const int64_t size = conv->input_size;
    uint64_t sum = 0;

    for (uint32_t x = 0; x < conv->output_size; x++) {
        int64_t first = (int64_t)x * conv->stride - conv->pad_before;
        int64_t end = first + conv->kernel_size;
        if (end > size)
            end = size;
        if (first < 0)
            first = 0;
        if (end > first)
            sum += (uint64_t)(end - first);
    }
    return sum;
}

uint64_t dwb_kernel_macs_executed(const struct dwb_kernel *kernel, const struct dwb_conv *conv)
{
    const uint64_t nominal = (uint64_t)conv->kernel_size * conv->output_size;
    const uint64_t taps = kernel->skips_padding ? axis_taps(conv) : nominal;
    const uint64_t per_tap = kernel->op == DWB_KERNEL_DEPTHWISE
                                 ? conv->in_channels
                                 : (uint64_t)conv->in_channels * conv->out_channels;

    return taps * taps * per_tap;
}
