/*
 * Geometry and memory of a layer; every product is checked, for the fields come from outside.
 */

#include "common/layer.h"

#include <errno.h>
#include <stddef.h>

const char *dwb_padding_name(enum dwb_padding padding)
{
    return padding == DWB_PADDING_SAME ? "same" : "valid";
}

bool dwb_layer_same_shape(const struct dwb_layer *a, const struct dwb_layer *b)
{
    return a->kernel_size == b->kernel_size && a->input_size == b->input_size &&
           a->in_channels == b->in_channels && a->out_channels == b->out_channels &&
           a->stride == b->stride && a->padding == b->padding;
}

uint32_t dwb_layer_output_size(const struct dwb_layer *layer)
{
    if (layer->padding == DWB_PADDING_SAME)
        return (layer->input_size + layer->stride - 1) / layer->stride;
    if (layer->kernel_size > layer->input_size)
        return 0;
    return (layer->input_size - layer->kernel_size) / layer->stride + 1;
}

uint32_t dwb_layer_pad_before(const struct dwb_layer *layer)
{
    if (layer->padding == DWB_PADDING_VALID)
        return 0;

    uint32_t covered = (dwb_layer_output_size(layer) - 1) * layer->stride + layer->kernel_size;
    return covered > layer->input_size ? (covered - layer->input_size) / 2 : 0;
}

static int add_tensor(uint64_t a, uint64_t b, uint64_t c, unsigned copies, uint64_t *sum_bytes)
{
    uint64_t elements, bytes;

    if (__builtin_mul_overflow(a, b, &elements) || __builtin_mul_overflow(elements, c, &elements) ||
        elements > DWB_LAYER_ELEMENTS_MAX)
        return -EOVERFLOW;
    if (__builtin_mul_overflow(elements, (uint64_t)copies * sizeof(float), &bytes) ||
        __builtin_add_overflow(*sum_bytes, bytes, sum_bytes))
        return -EOVERFLOW;
    return 0;
}

int dwb_layer_memory(const struct dwb_layer *layer, uint64_t *ret_bytes)
{
    uint64_t in_pixels = (uint64_t)layer->input_size * layer->input_size;
    uint64_t out_size = dwb_layer_output_size(layer);
    uint64_t taps = (uint64_t)layer->kernel_size * layer->kernel_size;
    uint64_t in_channels = layer->in_channels, out_channels = layer->out_channels;
    uint64_t bytes = 0;
    const struct {
        uint64_t a, b, c;
        unsigned copies;
    } tensors[] = {
        {in_pixels, in_channels, 1, 1},            /* input */
        {taps, in_channels, out_channels, 2},      /* standard weights, packed copy */
        {taps, in_channels, 1, 2},                 /* depthwise weights */
        {in_channels, out_channels, 1, 2},         /* pointwise weights */
        {out_size * out_size, in_channels, 1, 2},  /* depthwise output: alone, as intermediate */
        {out_size * out_size, out_channels, 1, 3}, /* outputs: standard, pointwise, separable */
    };

    for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++) {
        int r = add_tensor(tensors[i].a, tensors[i].b, tensors[i].c, tensors[i].copies, &bytes);
        if (r < 0)
            return r;
    }
    *ret_bytes = bytes;
    return 0;
}
