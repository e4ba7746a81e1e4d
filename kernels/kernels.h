#pragma once

/*
 * The kernel contract. A kernel computes one convolution, fp32, NHWC, batch 1, one thread, no bias:
 *
 *   standard   out[y][x][n] = sum of in[y s + ky - p][x s + kx - p][m] w[ky][kx][m][n]   (ky, kx,
 * m) depthwise  out[y][x][m] = sum of in[y s + ky - p][x s + kx - p][m] w[ky][kx][m]      (ky, kx)
 *   pointwise  out[y][x][n] = sum of in[y][x][m] w[m][n]                                 (m)
 *
 * with in = 0 outside the input. Tensors are dense: input [Dx][Dx][M], output [Dy][Dy][N]
 * (depthwise: [Dy][Dy][M]), weights [Dk][Dk][M][N], [Dk][Dk][M], [M][N]. A kernel reads and writes
 * exactly these floats, any alignment; it may read DWB_KERNEL_SLACK bytes past packed weights and
 * scratch only (the caller allocates them through the size calls below, which include the slack).
 * Every output element is written on every call. Weights are packed once, outside any timing.
 * Kernels are reentrant, allocate nothing and touch no global state.
 */

#include "common/layer.h"
#include "common/spec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DWB_KERNEL_SLACK 64 /* bytes a kernel may read past packed weights and scratch */

enum dwb_kernel_op { DWB_KERNEL_STANDARD, DWB_KERNEL_DEPTHWISE, DWB_KERNEL_POINTWISE };

/* Geometry of one convolution, derived once. For a pointwise: kernel_size 1, stride 1, input_size =
 * output_size = Dy of the layer. For a depthwise: out_channels = in_channels. */
struct dwb_conv {
    uint32_t kernel_size;
    uint32_t stride;
    uint32_t pad_before;
    uint32_t input_size;
    uint32_t output_size;
    uint32_t in_channels;
    uint32_t out_channels;
};

struct dwb_kernel_args {
    const struct dwb_conv *conv;
    const float *input;
    const float *packed; /* weights, as `pack` left them */
    float *output;
    void *scratch; /* scratch_bytes, 64-byte aligned; NULL when that is 0 */
};

typedef void dwb_kernel_fn(const struct dwb_kernel_args *args);

/* CPU features as bits, detected by dwb_cpu_flags: CPUID and XGETBV on x86, auxv on ARM. */
enum {
    DWB_CPU_AVX2 = 1u << 0,   /* AVX2 and FMA, ymm state enabled by the OS */
    DWB_CPU_AVX512 = 1u << 1, /* F, BW, DQ, VL, zmm state enabled by the OS */
    DWB_CPU_NEON = 1u << 2,
};

struct dwb_kernel {
    const char *name; /* "f32_nhwc_dwconv_k3s1__avx2_2x4c8": dtype, layout, op, ISA, tile */
    enum dwb_kernel_op op;
    enum dwb_isa isa;
    const char *algorithm;                         /* "direct", "reference" */
    uint32_t cpu_flags;                            /* all of them are needed */
    bool skips_padding;                            /* executed MACs leave padding taps out */
    int priority;                                  /* among those that fit, the highest wins */
    bool (*supports)(const struct dwb_conv *conv); /* NULL = every conv */
    size_t (*packed_bytes)(const struct dwb_conv *conv);
    void (*pack)(const struct dwb_conv *conv, const float *weights, float *packed);
    size_t (*scratch_bytes)(const struct dwb_conv *conv); /* NULL = none */
    dwb_kernel_fn *run;
    /* Its register tiles, for forms that are made of those of two kernels; else NULL. */
    const struct dwb_tile_family *tiles;
    const struct dwb_depthwise_family *depthwise_tiles;
};

void dwb_conv_of_layer(const struct dwb_layer *layer, enum dwb_kernel_op op,
                       struct dwb_conv *ret_conv);

/* Features of the CPU this thread runs on that the OS lets us use. */
uint32_t dwb_cpu_flags(void);
/* "avx2,avx512" into buffer. */
void dwb_cpu_flags_text(uint32_t flags, char *buffer, size_t size);
/* Whether kernels of this ISA may run; AUTO and portable ones always. */
bool dwb_cpu_allows(uint32_t flags, enum dwb_isa isa);
/* The widest ISA of flags. */
enum dwb_isa dwb_cpu_best_isa(uint32_t flags);

/* All kernels of this build, reference included. */
const struct dwb_kernel *const *dwb_kernels(size_t *ret_n);
const struct dwb_kernel *dwb_kernel_by_name(const char *name);

/*
 * Pure: the kernel for (flags, isa, op, conv). isa AUTO takes the best the flags allow; any other
 * takes kernels of exactly that ISA: no silent fallback. NULL when the CPU lacks it or none
 * supports conv. The reference is never selected (take it by name).
 */
const struct dwb_kernel *dwb_kernel_select(uint32_t flags, enum dwb_isa isa, enum dwb_kernel_op op,
                                           const struct dwb_conv *conv);

/* Multiply-adds one call executes: theory's count of executed or nominal taps, by skips_padding. */
uint64_t dwb_kernel_macs_executed(const struct dwb_kernel *kernel, const struct dwb_conv *conv);

/*
 * The oracle: one output position in double precision from unpacked weights. Also sums |a b| into
 * *ret_magnitude, from which the caller takes its tolerance: any order of fp32 summation of K
 * products stays within gamma_K * magnitude, gamma_K = K u / (1 - K u), u = 2^-24 (Higham
 * 2002, 3.1).
 */
double dwb_oracle(enum dwb_kernel_op op, const struct dwb_conv *conv, const float *input,
                  const float *weights, uint32_t y, uint32_t x, uint32_t channel,
                  double *ret_magnitude);

/*
 * FMA peak: runs n_rounds of a register-only multiply-add loop of the ISA with enough independent
 * chains to hide the latency; returns a value that depends on all of them. One round executes
 * dwb_fma_peak_macs(isa) multiply-adds. -> NULL function when the build lacks the ISA.
 */
typedef float dwb_fma_peak_fn(uint64_t n_rounds);
dwb_fma_peak_fn *dwb_fma_peak(enum dwb_isa isa);
uint64_t dwb_fma_peak_macs(enum dwb_isa isa);

/* Memory probes of the ISA: read n floats (returns a value that depends on all), a[i] = b[i] + s
 * c[i]. */
typedef float dwb_read_fn(const float *a, size_t n);
typedef void dwb_triad_fn(float *a, const float *b, const float *c, float s, size_t n);
dwb_read_fn *dwb_read_probe(enum dwb_isa isa);
dwb_triad_fn *dwb_triad_probe(enum dwb_isa isa);

/* Flush-to-zero and denormals-are-zero for this thread; returns the control register as it was set
 * (MXCSR or FPCR). */
uint64_t dwb_fp_mode_set(void);

/* Evicts [start, start + bytes) from every cache level (clflush, dc civac); for the cold mode. */
void dwb_cache_flush(const void *start, size_t bytes);
