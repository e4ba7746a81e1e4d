/*
 * Every kernel of one ISA (first argument) against the double-precision oracle: all tails of M and
 * N, kernel sizes, strides, paddings, small and odd maps, shapes large enough for the cache
 * blocking, random shapes. Inputs, weights, outputs and scratch lie against inaccessible pages,
 * alternately before and after; outputs start as NaN; inputs and weights must stay as they were.
 * The tolerance is that of the sum's length (Higham 2002, 3.1), not a guess. The fused separable
 * form of every pair of kernels goes through the same, against both oracles one after the other.
 *
 * DWB_TEST_SEED repeats a run (it is printed); DWB_TEST_SHARE = n runs one case in n of the large
 * sets (for emulators).
 */

#include "common/cleanup.h"
#include "kernels/kernels.h"
#include "kernels/separable.h"
#include "tests/kernels/guard.h"
#include "tests/unmarked.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SKIP = 77, KERNELS_MAX = 64, RANDOM_CASES = 250 };

static const struct dwb_kernel *kernels[KERNELS_MAX]; /* of the ISA under test */
static int n_kernels;
static uint64_t seed, state;
static uint32_t share = 1;

static uint32_t random_below(uint32_t n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((state >> 33) * n >> 31);
}

/* In [-1, 1), never small enough to be subnormal in a product. */
static void fill(float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = ((float)random_below(1 << 20) + 0.5f) * 0x1p-19f - 1.0f;
}

struct shape {
    uint32_t kernel_size, stride, input_size, in_channels, out_channels;
    enum dwb_padding padding;
};

struct buffers {
    struct guard input, weights, packed, output, scratch;
};

static size_t weight_count(const struct dwb_kernel *kernel, const struct dwb_conv *conv)
{
    const size_t taps = (size_t)conv->kernel_size * conv->kernel_size * conv->in_channels;

    return kernel->op == DWB_KERNEL_DEPTHWISE ? taps : taps * conv->out_channels;
}

static void open_buffers(struct buffers *buffers, const struct dwb_kernel *kernel,
                         const struct dwb_conv *conv)
{
    const size_t pixels_in = (size_t)conv->input_size * conv->input_size;
    const size_t pixels_out = (size_t)conv->output_size * conv->output_size;
    const enum guard_side side = random_below(2) ? GUARD_AFTER : GUARD_BEFORE;
    const size_t scratch = kernel->scratch_bytes ? kernel->scratch_bytes(conv) : 0;

    guard_open(&buffers->input, pixels_in * conv->in_channels * sizeof(float), 4, side);
    guard_open(&buffers->weights, weight_count(kernel, conv) * sizeof(float), 4, side);
    guard_open(&buffers->packed, kernel->packed_bytes(conv), 4, side);
    guard_open(&buffers->output, pixels_out * conv->out_channels * sizeof(float), 4, side);
    guard_open(&buffers->scratch, scratch, 64, side);
}

static void close_buffers(struct buffers *buffers)
{
    guard_close(&buffers->input);
    guard_close(&buffers->weights);
    guard_close(&buffers->packed);
    guard_close(&buffers->output);
    guard_close(&buffers->scratch);
}

#define CASE_FORMAT "%s Dk=%u s=%u p=%u Dx=%u M=%u N=%u (seed %llu)"
#define CASE_VALUES                                                                                \
    kernel->name, conv->kernel_size, conv->stride, conv->pad_before, conv->input_size,             \
        conv->in_channels, conv->out_channels, (unsigned long long)seed

/* Outputs whose exact value is not finite (an infinite weight reaches them) only have to be
 * written: NaN is what they may be. */
static void compare(const struct dwb_kernel *kernel, const struct dwb_conv *conv,
                    const struct buffers *buffers)
{
    const float *output = (const float *)buffers->output.start;
    const double u = 0x1p-24;

    for (uint32_t y = 0; y < conv->output_size; y++)
        for (uint32_t x = 0; x < conv->output_size; x++)
            for (uint32_t n = 0; n < conv->out_channels; n++, output++) {
                double magnitude;
                const double exact =
                    dwb_oracle(kernel->op, conv, (const float *)buffers->input.start,
                               (const float *)buffers->weights.start, y, x, n, &magnitude);
                const double length =
                    (double)conv->kernel_size * conv->kernel_size *
                        (kernel->op == DWB_KERNEL_DEPTHWISE ? 1 : conv->in_channels) +
                    1;
                const double tolerance = length * u / (1 - length * u) * magnitude;
                if (!isfinite(magnitude))
                    continue;
                ck_assert_msg(fabs(*output - exact) <= tolerance,
                              CASE_FORMAT ": output %u,%u,%u is %.9g, not %.9g +- %.3g",
                              CASE_VALUES, y, x, n, (double)*output, exact, tolerance);
            }
}

/* infinite_tap: weights of that tap are infinite; -1 = none. */
static void run_conv(const struct dwb_kernel *kernel, const struct dwb_conv *conv, int infinite_tap)
{
    struct buffers b;

    if (kernel->supports && !kernel->supports(conv))
        return;
    open_buffers(&b, kernel, conv);
    fill((float *)b.input.start, b.input.bytes / sizeof(float));
    fill((float *)b.weights.start, b.weights.bytes / sizeof(float));
    if (infinite_tap >= 0) {
        const size_t n = weight_count(kernel, conv) / conv->kernel_size / conv->kernel_size;
        for (size_t i = 0; i < n; i++)
            ((float *)b.weights.start)[(size_t)infinite_tap * n + i] = INFINITY;
    }
    dwb_cleanup_free void *input = malloc(b.input.bytes);
    dwb_cleanup_free void *packed = malloc(b.packed.bytes);
    ck_assert(input && packed);
    kernel->pack(conv, (const float *)b.weights.start, (float *)b.packed.start);
    memcpy(input, b.input.start, b.input.bytes);
    memcpy(packed, b.packed.start, b.packed.bytes);

    const struct dwb_kernel_args args = {
        .conv = conv,
        .input = (const float *)b.input.start,
        .packed = (const float *)b.packed.start,
        .output = (float *)b.output.start, /* NaN so far */
        .scratch = b.scratch.bytes ? b.scratch.start : NULL,
    };
    kernel->run(&args);
    compare(kernel, conv, &b);
    ck_assert_msg(!memcmp(input, b.input.start, b.input.bytes), CASE_FORMAT ": input changed",
                  CASE_VALUES);
    ck_assert_msg(!memcmp(packed, b.packed.start, b.packed.bytes), CASE_FORMAT ": weights changed",
                  CASE_VALUES);
    ck_assert_msg(guard_intact(&b.input) && guard_intact(&b.weights) && guard_intact(&b.packed) &&
                      guard_intact(&b.output) && guard_intact(&b.scratch),
                  CASE_FORMAT ": wrote outside its buffers", CASE_VALUES);
    close_buffers(&b);
}

static bool conv_of(const struct dwb_kernel *kernel, const struct shape *shape,
                    struct dwb_conv *ret_conv)
{
    const struct dwb_layer layer = {
        .kernel_size = shape->kernel_size,
        .stride = shape->stride,
        .input_size = shape->input_size,
        .in_channels = shape->in_channels,
        .out_channels = shape->out_channels,
        .padding = shape->padding,
        .repeat = 1,
    };

    if (dwb_layer_output_size(&layer) == 0)
        return false;
    dwb_conv_of_layer(&layer, kernel->op, ret_conv);
    return true;
}

static void run_shape(const struct dwb_kernel *kernel, const struct shape *shape)
{
    struct dwb_conv conv;

    if (conv_of(kernel, shape, &conv))
        run_conv(kernel, &conv, -1);
}

static bool is_chosen(void)
{
    return random_below(share) == 0;
}

/* Every M and N around vectors, tiles and panels, each on about half of the maps around the tiles
 * of pixels. */
START_TEST(test_channels)
{
    static const uint32_t sizes[] = {1, 2, 3, 5, 6, 7, 8, 9, 13, 14, 15, 17, 29};
    const struct dwb_kernel *kernel = kernels[_i];

    for (uint32_t channels = 1; channels <= 70; channels++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            const struct shape n_tail = {
                .kernel_size = 3,
                .stride = 1 + random_below(2),
                .input_size = sizes[i],
                .in_channels = 1 + random_below(5),
                .out_channels = channels,
                .padding = random_below(4) ? DWB_PADDING_SAME : DWB_PADDING_VALID,
            };
            struct shape m_tail = n_tail;
            m_tail.in_channels = channels;
            m_tail.out_channels = 1 + random_below(5);
            if (kernel->op != DWB_KERNEL_DEPTHWISE && random_below(2) && is_chosen())
                run_shape(kernel, &n_tail);
            if (random_below(2) && is_chosen())
                run_shape(kernel, &m_tail);
        }
}
END_TEST

/* Every kernel size, stride and padding on every small map. */
START_TEST(test_geometry)
{
    static const uint32_t sizes[] = {1, 2, 3, 4, 5, 7, 9, 13, 14};
    const struct dwb_kernel *kernel = kernels[_i];

    for (uint32_t k = 1; k <= DWB_KERNEL_SIZE_MAX; k++)
        for (uint32_t s = 1; s <= DWB_STRIDE_MAX; s++)
            for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
                for (int valid = 0; valid < 2; valid++) {
                    const struct shape shape = {
                        .kernel_size = k,
                        .stride = s,
                        .input_size = sizes[i],
                        .in_channels =
                            1 + random_below(kernel->op == DWB_KERNEL_DEPTHWISE ? 40 : 6),
                        .out_channels = 1 + random_below(40),
                        .padding = valid ? DWB_PADDING_VALID : DWB_PADDING_SAME,
                    };
                    if (is_chosen())
                        run_shape(kernel, &shape);
                }
}
END_TEST

/*
 * A multiply by a padding zero shows when the weight is infinite: 0 * inf is NaN. So with one
 * infinite tap every output that does not meet it on the input must still be right.
 */
START_TEST(test_padding_skipped)
{
    const struct dwb_kernel *kernel = kernels[_i];

    ck_assert(kernel->skips_padding);
    for (uint32_t i = 0; i < 150; i++) {
        const struct shape shape = {
            .kernel_size = 2 + random_below(i % 3 ? 4 : 8),
            .stride = 1 + random_below(2),
            .input_size = 1 + random_below(16),
            .in_channels = 1 + random_below(40),
            .out_channels = 1 + random_below(40),
        };
        struct dwb_conv conv;
        if (kernel->op != DWB_KERNEL_POINTWISE && is_chosen() && conv_of(kernel, &shape, &conv)) {
            const uint32_t taps = conv.kernel_size * conv.kernel_size;
            run_conv(kernel, &conv, (int)random_below(taps));
            run_conv(kernel, &conv, random_below(2) ? 0 : (int)taps - 1);
        }
    }
}
END_TEST

/* Shapes that reach the slices of weights, the blocks of rows, the copies of aliased inputs, the
 * groups of channels. */
START_TEST(test_blocking)
{
    static const struct shape shapes[] = {
        {3, 1, 7, 1024, 33, DWB_PADDING_SAME},  {3, 2, 5, 512, 40, DWB_PADDING_SAME},
        {5, 1, 4, 700, 34, DWB_PADDING_SAME},   {3, 4, 9, 256, 17, DWB_PADDING_SAME},
        {1, 1, 9, 1024, 50, DWB_PADDING_SAME},  {1, 2, 9, 512, 50, DWB_PADDING_SAME},
        {3, 1, 60, 24, 5, DWB_PADDING_SAME},    {3, 2, 61, 48, 4, DWB_PADDING_SAME},
        {1, 1, 61, 64, 3, DWB_PADDING_SAME},    {11, 1, 11, 64, 9, DWB_PADDING_SAME},
        {2, 1, 3, 2048, 20, DWB_PADDING_VALID}, {5, 2, 29, 72, 12, DWB_PADDING_SAME},
        {3, 1, 2, 3000, 7, DWB_PADDING_SAME},   {7, 3, 20, 130, 6, DWB_PADDING_SAME},
        {1, 1, 1, 5000, 70, DWB_PADDING_SAME},  {3, 1, 1, 1500, 35, DWB_PADDING_SAME},
        {5, 1, 9, 530, 3, DWB_PADDING_SAME},    {3, 1, 29, 290, 2, DWB_PADDING_VALID},
        {5, 2, 17, 275, 3, DWB_PADDING_SAME},   {3, 2, 16, 1030, 2, DWB_PADDING_SAME},
    };
    const struct dwb_kernel *kernel = kernels[_i];

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        if (share == 1 || i % 3 == seed % 3)
            run_shape(kernel, &shapes[i]);
}
END_TEST

START_TEST(test_random)
{
    const struct dwb_kernel *kernel = kernels[_i];

    for (int i = 0; i < RANDOM_CASES; i++) {
        const struct shape shape = {
            .kernel_size = 1 + random_below(i % 2 ? 5 : 11),
            .stride = 1 + random_below(DWB_STRIDE_MAX),
            .input_size = 1 + random_below(i % 8 ? 16 : 40),
            .in_channels = 1 + random_below(i % 4 && kernel->op != DWB_KERNEL_DEPTHWISE ? 12 : 60),
            .out_channels = 1 + random_below(i % 4 ? 12 : 80),
            .padding = random_below(2) ? DWB_PADDING_SAME : DWB_PADDING_VALID,
        };
        if (is_chosen())
            run_shape(kernel, &shape);
    }
}
END_TEST

struct separable_buffers {
    struct guard input, weights[2], packed[2], output, scratch;
};

#define SEPARABLE_FORMAT "%s + %s Dk=%u s=%u p=%u Dx=%u M=%u N=%u (seed %llu)"
#define SEPARABLE_VALUES                                                                           \
    separable->depthwise_kernel->name, separable->pointwise_kernel->name,                          \
        separable->depthwise.kernel_size, separable->depthwise.stride,                             \
        separable->depthwise.pad_before, separable->depthwise.input_size,                          \
        separable->pointwise.in_channels, separable->pointwise.out_channels,                       \
        (unsigned long long)seed

static void open_separable(struct separable_buffers *b, const struct dwb_separable *separable)
{
    const struct dwb_conv *depthwise = &separable->depthwise, *pointwise = &separable->pointwise;
    const enum guard_side side = random_below(2) ? GUARD_AFTER : GUARD_BEFORE;
    const size_t pixels_in = (size_t)depthwise->input_size * depthwise->input_size;
    const size_t pixels_out = (size_t)depthwise->output_size * depthwise->output_size;

    guard_open(&b->input, pixels_in * depthwise->in_channels * sizeof(float), 4, side);
    guard_open(&b->weights[0], weight_count(separable->depthwise_kernel, depthwise) * sizeof(float),
               4, side);
    guard_open(&b->weights[1], weight_count(separable->pointwise_kernel, pointwise) * sizeof(float),
               4, side);
    guard_open(&b->packed[0], separable->depthwise_kernel->packed_bytes(depthwise), 4, side);
    guard_open(&b->packed[1], separable->pointwise_kernel->packed_bytes(pointwise), 4, side);
    guard_open(&b->output, pixels_out * pointwise->out_channels * sizeof(float), 4, side);
    guard_open(&b->scratch, dwb_separable_scratch_bytes(separable), 64, side);
    fill((float *)b->input.start, b->input.bytes / sizeof(float));
    for (int i = 0; i < 2; i++)
        fill((float *)b->weights[i].start, b->weights[i].bytes / sizeof(float));
}

static void check_and_close(struct separable_buffers *b, const struct dwb_separable *separable)
{
    struct guard *guards[] = {&b->input,     &b->weights[0], &b->weights[1], &b->packed[0],
                              &b->packed[1], &b->output,     &b->scratch};

    for (size_t i = 0; i < sizeof(guards) / sizeof(guards[0]); i++) {
        ck_assert_msg(guard_intact(guards[i]), SEPARABLE_FORMAT ": wrote outside buffer %zu",
                      SEPARABLE_VALUES, i);
        guard_close(guards[i]);
    }
}

/* One pixel: the intermediate and its error bound by the depthwise oracle, then the sums of the
 * pointwise over them; dwb_separable_oracle must say the same. A magnitude that is not finite (an
 * infinite weight reaches the pixel) is not compared. */
static void compare_pixel(const struct dwb_separable *separable, const struct separable_buffers *b,
                          uint32_t y, uint32_t x)
{
    const struct dwb_conv *depthwise = &separable->depthwise, *pointwise = &separable->pointwise;
    const uint32_t m_count = pointwise->in_channels, n_count = pointwise->out_channels;
    const float *input = (const float *)b->input.start;
    const float *w1 = (const float *)b->weights[0].start, *w2 = (const float *)b->weights[1].start;
    const float *output =
        (const float *)b->output.start + ((size_t)y * depthwise->output_size + x) * n_count;
    const double ku =
        ((double)depthwise->kernel_size * depthwise->kernel_size + m_count + 1) * 0x1p-24;
    dwb_cleanup_free double *t = malloc(m_count * sizeof(double));
    dwb_cleanup_free double *bound = malloc(m_count * sizeof(double));

    ck_assert(t && bound);
    for (uint32_t m = 0; m < m_count; m++)
        t[m] = dwb_oracle(DWB_KERNEL_DEPTHWISE, depthwise, input, w1, y, x, m, &bound[m]);
    for (uint32_t n = 0; n < n_count; n++) {
        double exact = 0, magnitude = 0, own_magnitude;
        for (uint32_t m = 0; m < m_count; m++) {
            exact += t[m] * w2[(size_t)m * n_count + n];
            magnitude += bound[m] * fabsf(w2[(size_t)m * n_count + n]);
        }
        if (!isfinite(magnitude))
            continue;
        ck_assert_msg(fabs(output[n] - exact) <= ku / (1 - ku) * magnitude,
                      SEPARABLE_FORMAT ": output %u,%u,%u is %.9g, not %.9g", SEPARABLE_VALUES, y,
                      x, n, (double)output[n], exact);
        if (n % 16 == 0) {
            const double own =
                dwb_separable_oracle(depthwise, pointwise, input, w1, w2, y, x, n, &own_magnitude);
            ck_assert_double_eq_tol(own, exact, 1e-12 * magnitude);
            ck_assert_double_eq_tol(own_magnitude, magnitude, 1e-12 * magnitude);
        }
    }
}

/* What the two kernels give one after the other. */
static float *run_apart(const struct dwb_separable *separable,
                        const struct dwb_separable_args *fused)
{
    const struct dwb_conv *depthwise = &separable->depthwise, *pointwise = &separable->pointwise;
    const size_t n_pixels = (size_t)depthwise->output_size * depthwise->output_size;
    const size_t scratch_bytes = separable->pointwise_kernel->scratch_bytes(pointwise);
    dwb_cleanup_free float *t = malloc(n_pixels * depthwise->in_channels * sizeof(float));
    dwb_cleanup_free void *scratch = aligned_alloc(64, (scratch_bytes + 64) / 64 * 64);
    float *output = malloc(n_pixels * pointwise->out_channels * sizeof(float));

    ck_assert(t && scratch && output);
    separable->depthwise_kernel->run(&(struct dwb_kernel_args){
        .conv = depthwise, .input = fused->input, .packed = fused->packed_depthwise, .output = t});
    separable->pointwise_kernel->run(&(struct dwb_kernel_args){.conv = pointwise,
                                                               .input = t,
                                                               .packed = fused->packed_pointwise,
                                                               .output = output,
                                                               .scratch = scratch});
    return output;
}

/* infinite_tap: depthwise weights of that tap are infinite; -1 = none. */
static void run_separable(const struct dwb_separable *separable, int infinite_tap)
{
    const struct dwb_conv *depthwise = &separable->depthwise;
    struct separable_buffers b;

    open_separable(&b, separable);
    for (uint32_t m = 0; infinite_tap >= 0 && m < depthwise->in_channels; m++)
        ((float *)b.weights[0].start)[(size_t)infinite_tap * depthwise->in_channels + m] = INFINITY;
    dwb_cleanup_free void *input = malloc(b.input.bytes);
    ck_assert(input);
    memcpy(input, b.input.start, b.input.bytes);
    separable->depthwise_kernel->pack(depthwise, (const float *)b.weights[0].start,
                                      (float *)b.packed[0].start);
    separable->pointwise_kernel->pack(&separable->pointwise, (const float *)b.weights[1].start,
                                      (float *)b.packed[1].start);
    const struct dwb_separable_args args = {
        .input = (const float *)b.input.start,
        .packed_depthwise = (const float *)b.packed[0].start,
        .packed_pointwise = (const float *)b.packed[1].start,
        .output = (float *)b.output.start,
        .scratch = b.scratch.start,
    };
    dwb_separable_run(separable, &args);
    for (uint32_t y = 0; y < depthwise->output_size; y++)
        for (uint32_t x = 0; x < depthwise->output_size; x++)
            compare_pixel(separable, &b, y, x);
    dwb_cleanup_free float *apart = run_apart(separable, &args);
    ck_assert_msg(infinite_tap >= 0 || !memcmp(apart, b.output.start, b.output.bytes),
                  SEPARABLE_FORMAT ": not to the bit what the kernels give apart",
                  SEPARABLE_VALUES);
    ck_assert_msg(!memcmp(input, b.input.start, b.input.bytes), SEPARABLE_FORMAT ": input changed",
                  SEPARABLE_VALUES);
    check_and_close(&b, separable);
}

/* Every pair of kernels of the ISA that takes the shape. */
static void run_pairs(const struct shape *shape, int infinite_tap)
{
    for (int i = 0; i < n_kernels; i++)
        for (int j = 0; j < n_kernels; j++) {
            struct dwb_separable separable = {.depthwise_kernel = kernels[i],
                                              .pointwise_kernel = kernels[j]};
            if (kernels[i]->op == DWB_KERNEL_DEPTHWISE && kernels[i]->depthwise_tiles &&
                kernels[j]->op == DWB_KERNEL_POINTWISE && kernels[j]->tiles &&
                conv_of(kernels[i], shape, &separable.depthwise) &&
                conv_of(kernels[j], shape, &separable.pointwise) &&
                (!kernels[i]->supports || kernels[i]->supports(&separable.depthwise)))
                run_separable(&separable, infinite_tap);
        }
}

START_TEST(test_separable_shapes)
{
    static const uint32_t sizes[] = {1, 2, 3, 5, 6, 7, 8, 13, 14, 15, 29};

    for (uint32_t channels = 1; channels <= 70; channels++)
        for (int i = 0; i < 4; i++) {
            struct shape shape = {
                .kernel_size = random_below(4) ? 3 + 2 * random_below(2) : 1 + random_below(11),
                .stride = random_below(4) ? 1 + random_below(2) : 1 + random_below(DWB_STRIDE_MAX),
                .input_size = sizes[random_below(sizeof(sizes) / sizeof(sizes[0]))],
                .in_channels = channels,
                .out_channels = 1 + random_below(40),
                .padding = random_below(4) ? DWB_PADDING_SAME : DWB_PADDING_VALID,
            };
            if (i & 1) {
                shape.out_channels = channels;
                shape.in_channels = 1 + random_below(20);
            }
            if (is_chosen())
                run_pairs(&shape, -1);
            if (is_chosen() && i == 0)
                run_pairs(&shape, (int)random_below(shape.kernel_size * shape.kernel_size));
        }
}
END_TEST

/* Shapes of several blocks: a last one that is shorter, a lone row, strides, weights that stay in
 * the cache and that do not, pixels of the scratch apart. */
START_TEST(test_separable_blocks)
{
    static const struct {
        struct shape shape;
        bool several; /* blocks */
    } cases[] = {
        {{3, 1, 43, 64, 5, DWB_PADDING_SAME}, true},
        {{3, 1, 43, 67, 33, DWB_PADDING_VALID}, true},
        {{3, 2, 85, 65, 3, DWB_PADDING_SAME}, true},
        {{5, 1, 33, 100, 18, DWB_PADDING_SAME}, true},
        {{5, 2, 67, 100, 2, DWB_PADDING_VALID}, true},
        {{4, 3, 71, 160, 7, DWB_PADDING_SAME}, true},
        {{2, 4, 61, 240, 4, DWB_PADDING_SAME}, true}, /* rows of the input that nobody reads */
        {{3, 1, 5, 3072, 3, DWB_PADDING_SAME}, true},
        {{3, 1, 11, 1024, 17, DWB_PADDING_SAME}, true},
        {{3, 1, 9, 2048, 100, DWB_PADDING_SAME}, true}, /* 800 KiB of weights */
        {{3, 1, 3, 1024, 260, DWB_PADDING_SAME}, false},
        {{3, 2, 7, 40, 40, DWB_PADDING_SAME}, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dwb_separable separable = {0};
        const struct shape *shape = &cases[i].shape;

        for (int k = 0; k < n_kernels; k++)
            if (kernels[k]->op == DWB_KERNEL_POINTWISE && kernels[k]->tiles)
                separable.pointwise_kernel = kernels[k];
            else if (kernels[k]->op == DWB_KERNEL_DEPTHWISE && kernels[k]->depthwise_tiles)
                separable.depthwise_kernel = kernels[k];
        ck_assert(conv_of(separable.depthwise_kernel, shape, &separable.depthwise));
        ck_assert(conv_of(separable.pointwise_kernel, shape, &separable.pointwise));
        const uint32_t rows = dwb_separable_block_rows(&separable);
        ck_assert_uint_ge(rows, 1);
        ck_assert_msg(cases[i].several == (rows < separable.depthwise.output_size),
                      "case %zu: blocks of %u rows", i, rows);
        if (share == 1 || i % 3 == seed % 3)
            run_pairs(shape, -1);
    }
}
END_TEST

/* Each test starts from the seed, so one alone (CK_RUN_CASE) repeats what it did among all. */
static void restart(void)
{
    state = seed;
}

static void add_case(Suite *suite, const char *name, const TTest *test, int n)
{
    TCase *tcase = tcase_create(name);

    tcase_add_checked_fixture(tcase, restart, NULL);
    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, test, 0, n);
    suite_add_tcase(suite, tcase);
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    const uint32_t flags = dwb_cpu_flags();
    enum dwb_isa isa;
    size_t n_all;
    const struct dwb_kernel *const *all = dwb_kernels(&n_all);

    if (argc != 2 || dwb_isa_from_name(argv[1], &isa) < 0) {
        fprintf(stderr, "usage: %s portable|avx2|avx512|neon\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < n_all; i++)
        if (all[i]->isa == isa && (all[i]->cpu_flags & flags) == all[i]->cpu_flags)
            kernels[n_kernels++] = all[i];
    if (n_kernels == 0) {
        printf("no kernel of %s runs on this CPU\n", argv[1]);
        return SKIP;
    }
    seed = number_of("DWB_TEST_SEED", (uint64_t)time(NULL));
    share = (uint32_t)number_of("DWB_TEST_SHARE", 1);
    printf("DWB_TEST_SEED=%llu DWB_TEST_SHARE=%u, %d kernels\n", (unsigned long long)seed, share,
           n_kernels);
    fflush(stdout);

    Suite *suite = suite_create(argv[1]);
    add_case(suite, "channels", test_channels, n_kernels);
    add_case(suite, "geometry", test_geometry, n_kernels);
    add_case(suite, "padding_skipped", test_padding_skipped, n_kernels);
    add_case(suite, "blocking", test_blocking, n_kernels);
    add_case(suite, "random", test_random, n_kernels);
    add_case(suite, "separable_shapes", test_separable_shapes, 1);
    add_case(suite, "separable_blocks", test_separable_blocks, 1);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? 1 : 0;
}
