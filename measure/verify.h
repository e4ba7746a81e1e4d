#pragma once

/*
 * Outputs against the oracle: some positions of a tensor, compared in double precision. The corners
 * come first (that is where padding and channel tails go wrong), the rest is random.
 */

#include "kernels/kernels.h"
#include "kernels/separable.h"
#include "measure/random.h"

struct dwb_verification {
    uint32_t n;          /* positions compared */
    uint32_t mismatched; /* of those, past the tolerance, NaN included */
    double worst;        /* largest |error| / tolerance; INFINITY when an output was NaN */
};

/*
 * Compares the output of one convolution with dwb_oracle and adds what it finds to *verification.
 * Tolerance: gamma_K * sum |a b|, K = products of one output; it bounds every order of summation in
 * fp32, fused or not. The number of positions is 128, and a replicate looks at its outputs twice:
 * 256 of an operation, unless the layer is so deep that the oracle would take longer than the
 * measurement (from 262,144 products an output); at least 32, and all of them when there are fewer.
 */
void dwb_verify(enum dwb_kernel_op op, const struct dwb_conv *conv, const float *input,
                const float *weights, const float *output, struct dwb_random *random,
                struct dwb_verification *verification);

/*
 * The same for the output of a depthwise and a pointwise in one, whose intermediate nobody sees:
 * against dwb_separable_oracle, tolerance gamma_(taps + M) * its magnitude.
 */
void dwb_verify_separable(const struct dwb_conv *depthwise, const struct dwb_conv *pointwise,
                          const float *input, const float *weights_depthwise,
                          const float *weights_pointwise, const float *output,
                          struct dwb_random *random, struct dwb_verification *verification);
