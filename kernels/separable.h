#pragma once

/*
 * The fused separable form: depthwise and pointwise of one layer in one loop nest. Blocks of rows
 * of the intermediate t go from the register tiles of the depthwise through a scratch that stays in
 * the cache straight into those of the pointwise.
 *
 *   out[y][x][n] = sum of t[y][x][m] w2[m][n]                                (m)
 *   t[y][x][m]   = sum of in[y s + ky - p][x s + kx - p][m] w1[ky][kx][m]    (ky, kx)
 *
 * It is made of the tiles of two kernels of the registry and takes the weights that they packed:
 * nothing but the order of the work differs from running one after the other, and each output is
 * the same to the bit. The rules are those of kernels/kernels.h: dense NHWC tensors of any
 * alignment, exactly these floats read and written, at most DWB_KERNEL_SLACK bytes past packed
 * weights and scratch read, taps on padding skipped, every output written on every call, reentrant,
 * no allocation, no global state.
 */

#include "kernels/kernels.h"

struct dwb_separable {
    struct dwb_conv depthwise, pointwise;
    const struct dwb_kernel *depthwise_kernel, *pointwise_kernel;
};

struct dwb_separable_args {
    const float *input;            /* [Dx][Dx][M] */
    const float *packed_depthwise; /* as the `pack` of the two kernels left them */
    const float *packed_pointwise;
    float *output; /* [Dy][Dy][N] */
    void *scratch; /* dwb_separable_scratch_bytes, 64-byte aligned */
};

/*
 * Pure: the fused form of a layer from the two kernels that dwb_kernel_select takes for it. False
 * where that has none; there is no fallback to another ISA either.
 */
bool dwb_separable_select(uint32_t flags, enum dwb_isa isa, const struct dwb_layer *layer,
                          struct dwb_separable *ret_separable);

/* Rows of the intermediate that are made before the pointwise takes them; Dy = all in one. */
uint32_t dwb_separable_block_rows(const struct dwb_separable *separable);

size_t dwb_separable_scratch_bytes(const struct dwb_separable *separable);

/* Multiply-adds one call executes. */
uint64_t dwb_separable_macs_executed(const struct dwb_separable *separable);

void dwb_separable_run(const struct dwb_separable *separable,
                       const struct dwb_separable_args *args);

/*
 * The oracle of the whole layer: one output in double precision from unpacked weights, through an
 * intermediate in double precision. *ret_magnitude is the sum over m of A_m |w2[m]|, A_m the
 * magnitude of t[m] (dwb_oracle). With K1 taps and M channels, any order of fp32 summation stays
 * within gamma_(K1 + M) of it: |t^ - t| <= gamma_K1 A, and gamma_K1 + gamma_M + gamma_K1 gamma_M <=
 * gamma_(K1 + M) (Higham 2002, lemma 3.3).
 */
double dwb_separable_oracle(const struct dwb_conv *depthwise, const struct dwb_conv *pointwise,
                            const float *input, const float *weights_depthwise,
                            const float *weights_pointwise, uint32_t y, uint32_t x,
                            uint32_t channel, double *ret_magnitude);
