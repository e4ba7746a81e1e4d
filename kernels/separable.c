/*
 * The loop nest of the fused form (contract: kernels/separable.h).
 *
 *   for each block of rows of the intermediate
 *     depthwise tiles: input rows -> scratch           (kernels/depthwise.c)
 *     pointwise tiles: scratch -> output rows          (kernels/tile.c), and meanwhile the input
 *                                                      rows and output lines of the next block are
 *                                                      brought to L2
 *
 * Two things are gained. The intermediate (I bytes) never leaves L2. And the depthwise, bound by
 * memory, finds its input in L2, because the pointwise, bound by its multiply-adds, has asked for
 * it long before; the same goes for the output lines.
 *
 * How many rows. All weights of the pointwise (W bytes) pass by once a block. While they stay in L2
 * that is free, and the block is BLOCK_BYTES: less has the depthwise read the input rows that
 * blocks share too often, more begins to push input and output out of L2. If W is larger, each
 * block beyond the first costs W bytes from beyond L2, all blocks together save 2 I (written and
 * read again). A byte of weights is cheaper: it is prefetched while others are multiplied, the
 * intermediate's are waited for; it counts 1 / WEIGHTS_DISCOUNT. So n blocks, now as large as L2
 * can hold beside a slice of weights, are worth it while (n - 1) W < WEIGHTS_DISCOUNT * 2 I; else
 * the map is one block, and the nest does what the unfused form does. A block is whole strips of
 * the depthwise.
 *
 * Pixels of the scratch whose distance would be a multiple of 4 KiB get a few floats between them:
 * the depthwise writes them so, and the copy that the pointwise alone would need is spared.
 */

#include "kernels/separable.h"

#include "kernels/depthwise.h"
#include "kernels/internal.h"
#include "kernels/tile.h"

enum {
    WEIGHTS_BYTES = 768 << 10,      /* of the pointwise: these stay in L2 from block to block */
    BLOCK_BYTES = 128 << 10,        /* of the intermediate beside them */
    BLOCK_BYTES_STREAM = 512 << 10, /* the same where weights only pass by */
    WEIGHTS_DISCOUNT = 4,
};

bool dwb_separable_select(uint32_t flags, enum dwb_isa isa, const struct dwb_layer *layer,
                          struct dwb_separable *ret_separable)
{
    struct dwb_separable separable;

    dwb_conv_of_layer(layer, DWB_KERNEL_DEPTHWISE, &separable.depthwise);
    dwb_conv_of_layer(layer, DWB_KERNEL_POINTWISE, &separable.pointwise);
    separable.depthwise_kernel =
        dwb_kernel_select(flags, isa, DWB_KERNEL_DEPTHWISE, &separable.depthwise);
    separable.pointwise_kernel =
        dwb_kernel_select(flags, isa, DWB_KERNEL_POINTWISE, &separable.pointwise);
    if (!separable.depthwise_kernel || !separable.depthwise_kernel->depthwise_tiles ||
        !separable.pointwise_kernel || !separable.pointwise_kernel->tiles)
        return false;
    *ret_separable = separable;
    return true;
}

static int64_t pixel_step(const struct dwb_separable *separable)
{
    return dwb_tile_pixel_step(separable->pointwise.in_channels);
}

static int64_t row_bytes(const struct dwb_separable *separable)
{
    return separable->depthwise.output_size * pixel_step(separable) * (int64_t)sizeof(float);
}

static bool weights_stay(const struct dwb_separable *separable)
{
    return separable->pointwise_kernel->packed_bytes(&separable->pointwise) <= WEIGHTS_BYTES;
}

uint32_t dwb_separable_block_rows(const struct dwb_separable *separable)
{
    const int64_t n_rows = separable->depthwise.output_size, row = row_bytes(separable);
    const int64_t weight_bytes =
        (int64_t)separable->pointwise_kernel->packed_bytes(&separable->pointwise);
    const bool stay = weights_stay(separable);
    const int64_t strip = dwb_depthwise_strip_rows(separable->depthwise_kernel->depthwise_tiles,
                                                   &separable->depthwise);
    const int64_t fit = dwb_max_i64((stay ? BLOCK_BYTES : BLOCK_BYTES_STREAM) / row, 1);
    const int64_t unit = fit < strip ? 1 : strip, rows_max = fit / unit * unit;
    const int64_t n_blocks = (n_rows + rows_max - 1) / rows_max;
    const int64_t each = (n_rows + n_blocks - 1) / n_blocks; /* as even as can be */

    if (!stay && (n_blocks - 1) * weight_bytes >= WEIGHTS_DISCOUNT * 2 * n_rows * row)
        return (uint32_t)n_rows;
    return (uint32_t)dwb_min_i64((each + unit - 1) / unit * unit, n_rows);
}

size_t dwb_separable_scratch_bytes(const struct dwb_separable *separable)
{
    return (size_t)(dwb_separable_block_rows(separable) * row_bytes(separable)) + DWB_KERNEL_SLACK;
}

uint64_t dwb_separable_macs_executed(const struct dwb_separable *separable)
{
    return dwb_kernel_macs_executed(separable->depthwise_kernel, &separable->depthwise) +
           dwb_kernel_macs_executed(separable->pointwise_kernel, &separable->pointwise);
}

/* Input rows that the output rows [0, y_end) need: all up to this one. */
static int64_t input_rows(const struct dwb_conv *conv, int64_t y_end)
{
    return dwb_min_i64(conv->input_size,
                       (y_end - 1) * conv->stride - conv->pad_before + conv->kernel_size);
}

/* What the block of rows [y, y_end) reads that no block before did, and what it writes. */
static void set_ahead(const struct dwb_separable *separable, const struct dwb_separable_args *args,
                      int64_t y, int64_t y_end, struct dwb_tile_range ahead[2])
{
    const struct dwb_conv *conv = &separable->depthwise;
    const int64_t input_row = (int64_t)conv->input_size * conv->in_channels;
    const int64_t output_row = (int64_t)conv->output_size * separable->pointwise.out_channels;

    ahead[0] = (struct dwb_tile_range){args->input + input_rows(conv, y) * input_row,
                                       args->input + input_rows(conv, y_end) * input_row};
    ahead[1] =
        (struct dwb_tile_range){args->output + y * output_row, args->output + y_end * output_row};
}

void dwb_separable_run(const struct dwb_separable *separable, const struct dwb_separable_args *args)
{
    const struct dwb_conv *depthwise = &separable->depthwise, *pointwise = &separable->pointwise;
    const struct dwb_kernel_args depthwise_args = {
        .conv = depthwise, .input = args->input, .packed = args->packed_depthwise};
    const int64_t n_rows = depthwise->output_size, rows = dwb_separable_block_rows(separable);
    const int64_t step = pixel_step(separable);
    const bool ahead = rows < n_rows && weights_stay(separable);

    for (int64_t y = 0; y < n_rows; y += rows) {
        const int64_t y_end = dwb_min_i64(y + rows, n_rows);
        struct dwb_tile_pixels pixels = {
            .input = args->scratch,
            .output = args->output + y * n_rows * pointwise->out_channels,
            .n_pixels = (y_end - y) * n_rows,
            .input_pixel = step,
            .packed = args->packed_pointwise,
        };

        if (ahead)
            set_ahead(separable, args, y_end, dwb_min_i64(y_end + rows, n_rows), pixels.ahead);
        dwb_depthwise_run_rows(separable->depthwise_kernel->depthwise_tiles, &depthwise_args, y,
                               y_end, step, args->scratch);
        dwb_tile_run_pixels(separable->pointwise_kernel->tiles, pointwise, &pixels);
    }
}
