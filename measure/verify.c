/*
 * Verification of outputs. The tolerance is a theorem, not a habit: whatever order a kernel sums
 * its K products in, with or without fused multiply-adds, its result differs from the exact sum by
 * at most gamma_K * sum |a b|, gamma_K = K u / (1 - K u), u = 2^-24 (Higham 2002, section 3.1). A
 * value past it is wrong, and one wrong tap is far past it: terms are at least 2^-20 of the
 * largest.
 */

#include "measure/verify.h"

#include <math.h>
#include <stdlib.h>

#define POSITIONS_MAX 128 /* a look; a replicate looks twice, before and after */
#define POSITIONS_MIN 32
#define PRODUCTS_MAX  (UINT64_C(1) << 25) /* of the oracle for one tensor: a tenth of a second */
#define N_CORNERS     8

/* What a tensor should hold. */
struct expected {
    enum dwb_kernel_op op; /* without a depthwise in front */
    const struct dwb_conv *conv, *depthwise;
    const float *input, *weights, *weights_depthwise;
    uint64_t products; /* of the oracle for one output */
    uint64_t length;   /* K: of the sum, for the tolerance */
};

static uint64_t products_of(enum dwb_kernel_op op, const struct dwb_conv *conv)
{
    uint64_t taps = (uint64_t)conv->kernel_size * conv->kernel_size;

    return op == DWB_KERNEL_DEPTHWISE ? taps : taps * conv->in_channels;
}

static double oracle(const struct expected *expected, uint32_t y, uint32_t x, uint32_t channel,
                     double *ret_magnitude)
{
    if (expected->depthwise)
        return dwb_separable_oracle(expected->depthwise, expected->conv, expected->input,
                                    expected->weights_depthwise, expected->weights, y, x, channel,
                                    ret_magnitude);
    return dwb_oracle(expected->op, expected->conv, expected->input, expected->weights, y, x,
                      channel, ret_magnitude);
}

static uint32_t n_positions(uint64_t products, uint64_t outputs)
{
    uint64_t n = PRODUCTS_MAX / products;

    if (n > POSITIONS_MAX)
        n = POSITIONS_MAX;
    if (n < POSITIONS_MIN)
        n = POSITIONS_MIN;
    return (uint32_t)(n < outputs ? n : outputs);
}

static double gamma_of(uint64_t products)
{
    double ku = (double)products * 0x1p-24;

    return ku < 0.5 ? ku / (1.0 - ku) : 1.0;
}

/* Position i of n: all of them in order when n is all, else the corners, then at random. */
static uint64_t position(uint32_t i, uint32_t n, uint64_t outputs, const struct dwb_conv *conv,
                         struct dwb_random *random)
{
    uint32_t last = conv->output_size - 1, channels = conv->out_channels;
    uint32_t y, x, channel;

    if (n == outputs)
        return i;
    if (i < N_CORNERS) {
        y = i & 1 ? last : 0;
        x = i & 2 ? last : 0;
        channel = i & 4 ? channels - 1 : 0;
    } else {
        y = dwb_random_below(random, conv->output_size);
        x = dwb_random_below(random, conv->output_size);
        channel = dwb_random_below(random, channels);
    }
    return ((uint64_t)y * conv->output_size + x) * channels + channel;
}

/* By channel: the weights of neighbours are in the same lines, a page apart from one product to the
 * next, and most of the oracle's time goes into fetching them. */
static int compare_channels(const void *left, const void *right, void *conv)
{
    uint64_t a = *(const uint64_t *)left % ((const struct dwb_conv *)conv)->out_channels;
    uint64_t b = *(const uint64_t *)right % ((const struct dwb_conv *)conv)->out_channels;

    return (a > b) - (a < b);
}

static void compare(const struct expected *expected, const float *output, struct dwb_random *random,
                    struct dwb_verification *verification)
{
    const struct dwb_conv *conv = expected->conv;
    uint64_t outputs = (uint64_t)conv->output_size * conv->output_size * conv->out_channels;
    uint64_t positions[POSITIONS_MAX];
    uint32_t n = n_positions(expected->products, outputs);
    double gamma = gamma_of(expected->length);

    for (uint32_t i = 0; i < n; i++)
        positions[i] = position(i, n, outputs, conv, random);
    qsort_r(positions, n, sizeof positions[0], compare_channels, (void *)conv);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = positions[i], pixel = at / conv->out_channels;
        double magnitude, exact, error, tolerance, score;

        exact = oracle(expected, (uint32_t)(pixel / conv->output_size),
                       (uint32_t)(pixel % conv->output_size), (uint32_t)(at % conv->out_channels),
                       &magnitude);
        error = fabs((double)output[at] - exact);
        tolerance = gamma * magnitude;
        /* A position with all taps on padding has tolerance 0 and must be exactly 0. */
        score = error == 0.0 ? 0.0 : error / tolerance;
        if (isnan(score))
            score = INFINITY;
        verification->n++;
        if (score > 1.0)
            verification->mismatched++;
        if (score > verification->worst)
            verification->worst = score;
    }
}

void dwb_verify(enum dwb_kernel_op op, const struct dwb_conv *conv, const float *input,
                const float *weights, const float *output, struct dwb_random *random,
                struct dwb_verification *verification)
{
    const struct expected expected = {
        .op = op,
        .conv = conv,
        .input = input,
        .weights = weights,
        .products = products_of(op, conv),
        .length = products_of(op, conv),
    };

    compare(&expected, output, random, verification);
}

void dwb_verify_separable(const struct dwb_conv *depthwise, const struct dwb_conv *pointwise,
                          const float *input, const float *weights_depthwise,
                          const float *weights_pointwise, const float *output,
                          struct dwb_random *random, struct dwb_verification *verification)
{
    uint64_t taps = products_of(DWB_KERNEL_DEPTHWISE, depthwise), m = pointwise->in_channels;
    const struct expected expected = {
        .conv = pointwise,
        .depthwise = depthwise,
        .input = input,
        .weights = weights_pointwise,
        .weights_depthwise = weights_depthwise,
        .products = (taps + 1) * m,
        .length = taps + m,
    };

    compare(&expected, output, random, verification);
}
