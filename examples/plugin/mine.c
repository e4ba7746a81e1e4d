/*
 * A plugin to start from: one depthwise and one pointwise kernel in plain C, written so that the
 * compiler vectorises them. Build and race it:
 *
 *   cc -O3 -march=native -fPIC -shared -I PREFIX/include mine.c -o mine.so
 *   dwbenchctl run --plugin ./mine.so --layer Dk=3,Dx=56,M=128,N=128
 *
 * Both keep a block of output channels in local arrays, which the compiler turns into registers:
 * the sums never wait for memory, and each weight that is loaded serves all pixels of the block.
 */

#include <dwbench/kernel.h>

#include <string.h>

#define CHANNELS 32 /* of a block: two vectors of AVX-512, four of AVX2 */
#define PIXELS   6  /* of a block of the pointwise */

/* ---- depthwise: pixel by pixel, a block of channels at a time ---- */

/* n channels of one output pixel: taps that fall on padding are left out. */
static inline void depthwise_block(const struct dwbench_conv *c, const float *input,
                                   const float *weights, float *output, long y0, long x0, int n)
{
    const size_t m = c->in_channels;
    const long size = c->input_size;
    float sum[CHANNELS] = {0};

    for (uint32_t ky = 0; ky < c->kernel_size; ky++) {
        if (y0 + ky < 0 || y0 + ky >= size)
            continue;
        for (uint32_t kx = 0; kx < c->kernel_size; kx++) {
            const float *pixel =
                input + ((size_t)(y0 + ky) * c->input_size + (size_t)(x0 + kx)) * m;
            const float *tap = weights + (ky * c->kernel_size + kx) * m;

            if (x0 + kx < 0 || x0 + kx >= size)
                continue;
            for (int i = 0; i < n; i++)
                sum[i] += pixel[i] * tap[i];
        }
    }
    memcpy(output, sum, (size_t)n * sizeof(float));
}

static void depthwise_run(const struct dwbench_args *args)
{
    const struct dwbench_conv *c = args->conv;
    const float *weights = args->packed; /* no pack(): as they are */
    const uint32_t m = c->in_channels;

    for (uint32_t y = 0; y < c->output_size; y++)
        for (uint32_t x = 0; x < c->output_size; x++) {
            float *output = args->output + ((size_t)y * c->output_size + x) * m;
            const long y0 = (long)y * c->stride - c->pad_before;
            const long x0 = (long)x * c->stride - c->pad_before;
            uint32_t at = 0;

            for (; at + CHANNELS <= m; at += CHANNELS) /* n is a constant here: full vectors */
                depthwise_block(c, args->input + at, weights + at, output + at, y0, x0, CHANNELS);
            if (at < m)
                depthwise_block(c, args->input + at, weights + at, output + at, y0, x0,
                                (int)(m - at));
        }
}

/* ---- pointwise: a product of matrices, blocks of PIXELS x CHANNELS ---- */

static size_t blocks_of(const struct dwbench_conv *c)
{
    return ((size_t)c->out_channels + CHANNELS - 1) / CHANNELS;
}

static size_t pointwise_packed_bytes(const struct dwbench_conv *c)
{
    return blocks_of(c) * c->in_channels * CHANNELS * sizeof(float);
}

/* [block][m][CHANNELS]: what the inner loop reads lies in a row, with zeros past the last channel.
 */
static void pointwise_pack(const struct dwbench_conv *c, const float *weights, void *packed)
{
    float *to = packed;

    for (size_t block = 0; block < blocks_of(c); block++)
        for (uint32_t m = 0; m < c->in_channels; m++)
            for (size_t i = 0; i < CHANNELS; i++, to++) {
                size_t n = block * CHANNELS + i;

                *to = n < c->out_channels ? weights[(size_t)m * c->out_channels + n] : 0;
            }
}

/* `pixels` is a constant at both calls, so the sums are registers and the loops are unrolled. */
static inline __attribute__((always_inline)) void
pointwise_block(const struct dwbench_conv *c, const float *input, const float *packed,
                float *output, uint32_t pixels, uint32_t n)
{
    float sum[PIXELS][CHANNELS] = {{0}};

    for (uint32_t m = 0; m < c->in_channels; m++, packed += CHANNELS)
        for (uint32_t p = 0; p < pixels; p++)
            for (uint32_t i = 0; i < CHANNELS; i++)
                sum[p][i] += input[(size_t)p * c->in_channels + m] * packed[i];
    for (uint32_t p = 0; p < pixels; p++)
        memcpy(output + (size_t)p * c->out_channels, sum[p], n * sizeof(float));
}

static void pointwise_run(const struct dwbench_args *args)
{
    const struct dwbench_conv *c = args->conv;
    const size_t n_pixels = (size_t)c->output_size * c->output_size;

    for (size_t block = 0; block < blocks_of(c); block++) {
        const float *packed = (const float *)args->packed + block * c->in_channels * CHANNELS;
        float *output = args->output + block * CHANNELS;
        uint32_t left = c->out_channels - (uint32_t)block * CHANNELS;
        uint32_t n = left < CHANNELS ? left : CHANNELS;
        size_t at = 0;

        for (; at + PIXELS <= n_pixels; at += PIXELS)
            pointwise_block(c, args->input + at * c->in_channels, packed,
                            output + at * c->out_channels, PIXELS, n);
        for (; at < n_pixels; at++)
            pointwise_block(c, args->input + at * c->in_channels, packed,
                            output + at * c->out_channels, 1, n);
    }
}

/* ---- what dwbench is told ---- */

static const struct dwbench_kernel depthwise = {
    .size = sizeof(depthwise),
    .op = DWBENCH_DEPTHWISE,
    .name = "mine_depthwise_c32",
    .isa = DWBENCH_ISA,
    .run = depthwise_run,
};

static const struct dwbench_kernel pointwise = {
    .size = sizeof(pointwise),
    .op = DWBENCH_POINTWISE,
    .name = "mine_pointwise_6x32",
    .isa = DWBENCH_ISA,
    .packed_bytes = pointwise_packed_bytes,
    .pack = pointwise_pack,
    .run = pointwise_run,
};

static const struct dwbench_kernel *const kernels[] = {&depthwise, &pointwise};

static const struct dwbench_plugin plugin = {
    .abi = DWBENCH_KERNEL_ABI,
    .size = sizeof(plugin),
    .name = "mine",
    .version = "1.0",
    .n_kernels = sizeof(kernels) / sizeof(kernels[0]),
    .kernels = kernels,
};

const struct dwbench_plugin *dwbench_plugin(uint32_t abi)
{
    return abi == DWBENCH_KERNEL_ABI ? &plugin : NULL;
}
