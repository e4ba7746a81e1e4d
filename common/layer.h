#pragma once

/*
 * The layer: one convolution of a square input, as MobileNet's paper writes it (Howard et al.
 * 2017): kernel Dk x Dk, input Dx x Dx x M, output Dy x Dy x N. Everything downstream (theory,
 * kernels, results) derives from these seven fields.
 *
 * Padding follows TensorFlow: `same` gives Dy = ceil(Dx / stride) and splits the padding with the
 * odd element at the end; `valid` gives Dy = floor((Dx - Dk) / stride) + 1.
 */

#include <stdbool.h>
#include <stdint.h>

#define DWB_NAME_MAX           64 /* bytes of a layer or suite name, with the NUL */
#define DWB_KERNEL_SIZE_MAX    11
#define DWB_STRIDE_MAX         4
#define DWB_INPUT_SIZE_MAX     4096
#define DWB_CHANNELS_MAX       16384
#define DWB_REPEAT_MAX         1000
#define DWB_LAYER_ELEMENTS_MAX (UINT64_C(1) << 31) /* of any one tensor: 8 GiB of float */

enum dwb_padding { DWB_PADDING_SAME, DWB_PADDING_VALID };

struct dwb_layer {
    char name[DWB_NAME_MAX]; /* [A-Za-z0-9._-]+; "" until named */
    uint32_t kernel_size;    /* Dk, 1..DWB_KERNEL_SIZE_MAX */
    uint32_t input_size;     /* Dx, 1..DWB_INPUT_SIZE_MAX */
    uint32_t in_channels;    /* M,  1..DWB_CHANNELS_MAX */
    uint32_t out_channels;   /* N,  1..DWB_CHANNELS_MAX */
    uint32_t stride;         /* 1..DWB_STRIDE_MAX */
    enum dwb_padding padding;
    uint32_t repeat; /* how often the network has this layer; measured once, weighs in totals */
};

const char *dwb_padding_name(enum dwb_padding padding);

/* Whether all that makes the computation is the same: neither name nor repeat. */
bool dwb_layer_same_shape(const struct dwb_layer *a, const struct dwb_layer *b);

/* Dy. The layer must be in range; 0 when `valid` leaves no output (Dk > Dx). */
uint32_t dwb_layer_output_size(const struct dwb_layer *layer);

/* Rows (= columns) of zeros before the first input row. */
uint32_t dwb_layer_pad_before(const struct dwb_layer *layer);

/*
 * Bytes that one replicate needs for every tensor of both forms of the layer: input, the three
 * weight sets with their packed copies, the intermediate and the outputs. 0 and *ret_bytes, or
 * -EOVERFLOW when a tensor passes DWB_LAYER_ELEMENTS_MAX or the sum overflows.
 */
int dwb_layer_memory(const struct dwb_layer *layer, uint64_t *ret_bytes);
