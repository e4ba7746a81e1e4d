/*
 * dwbench/kernel.h: bring your own convolution kernel and race it against the ones of dwbench.
 *
 * A plugin is a shared object with one function, dwbench_plugin. It names kernels of any of three
 * operations, each one convolution in fp32, NHWC, batch 1, without a bias:
 *
 *   standard   out[y][x][n] = sum over ky, kx, m of in[y s + ky - p][x s + kx - p][m]
 * w[ky][kx][m][n] depthwise  out[y][x][m] = sum over ky, kx    of in[y s + ky - p][x s + kx - p][m]
 * w[ky][kx][m] pointwise  out[y][x][n] = sum over m         of in[y][x][m] w[m][n]
 *
 * s is `stride`, p is `pad_before`; in = 0 outside of the input. Build it with
 *
 *   cc -O3 -march=native -fPIC -shared -I PREFIX/include mine.c -o mine.so
 *   dwbenchctl run --plugin ./mine.so --layer Dk=3,Dx=56,M=128,N=128
 *
 * This file needs nothing but the two headers below, and compiles as C99 and as C++.
 *
 * What holds for every call
 *
 *   Thread     One thread, pinned to one CPU, calls everything. Threads of your own would share
 * that CPU: they gain nothing, and what they do is not counted. Floats     Flush-to-zero and
 * denormals-are-zero are on (x86: MXCSR; ARM: FPCR), rounding is to nearest. Leave the control
 * register as you find it. Memory     The caller allocates all of it, and nothing in it moves until
 * the process ends. A kernel allocates nothing in `run`. Every pointer is aligned to 64 bytes (to a
 * page, as it is; do not rely on that). 64 bytes past the end of `input`, `packed` and `scratch`
 * may be read and hold anything; nothing past the end of any of them may be written. Order
 * supports, packed_bytes, pack, scratch_bytes once each for a layer, outside of any timing; then
 * `run`, some thousand times, with the same arguments. Outputs    `run` writes every element of the
 * output, each time. Before a measurement the output is filled with NaN, then compared with a
 * double-precision reference at many positions; once more after it. |error| <= K u / (1 - K u) *
 * sum |a b| is allowed, K products an output and u = 2^-24: any order of summation passes, fused or
 * not. A wrong output fails the job. Crashes    A plugin lives in the measuring process alone. A
 * crash, an exit or a loop without end is a failed measurement with a reason that names the plugin;
 * a third one fails the job. Strings    Printable ASCII, constant for the life of the process.
 */

#ifndef DWBENCH_KERNEL_H
#define DWBENCH_KERNEL_H

#include <stddef.h>
#include <stdint.h>

/*
 * Versions. DWBENCH_KERNEL_ABI changes when an old plugin could not be understood any more, and
 * then a newer dwbench says so in place of guessing. Members are only added, at the end of a
 * struct, within one version; `size` of each struct tells which of them there are, and one that is
 * not there counts as 0. So set `size` to sizeof the struct, and leave out of the initialiser what
 * you do not use.
 */
#define DWBENCH_KERNEL_ABI 1

#ifdef __cplusplus
extern "C" {
#endif

/* Values of dwbench_conv.op and dwbench_kernel.op. */
#define DWBENCH_STANDARD  0u
#define DWBENCH_DEPTHWISE 1u
#define DWBENCH_POINTWISE 2u

/*
 * One convolution. Maps are square, tensors dense:
 *   input   [input_size][input_size][in_channels]
 *   output  [output_size][output_size][out_channels]   (depthwise: out_channels = in_channels)
 *   weights [kernel_size][kernel_size][in_channels][out_channels]
 *           depthwise [kernel_size][kernel_size][in_channels], pointwise
 * [in_channels][out_channels] Of a pointwise kernel_size and stride are 1, pad_before is 0,
 * input_size = output_size.
 *
 * Padding is not in the input: rows and columns -pad_before to -1, and those from input_size on,
 * count as zeros, and it is for the kernel to leave them out. The last window ends at (output_size
 * - 1) * stride - pad_before + kernel_size, which may be below input_size, too.
 */
struct dwbench_conv {
    uint32_t size; /* of this struct */
    uint32_t op;
    uint32_t kernel_size; /* 1 to 11 */
    uint32_t stride;      /* 1 to 4, in both directions */
    uint32_t pad_before;  /* rows of zeros above, columns of zeros on the left */
    uint32_t input_size;
    uint32_t output_size;
    uint32_t in_channels;  /* 1 to 16384 */
    uint32_t out_channels; /* 1 to 16384 */
};

/* What `run` gets. conv, input and packed are not to be written to. */
struct dwbench_args {
    size_t size; /* of this struct */
    const struct dwbench_conv *conv;
    const float *input;
    const void
        *packed; /* the weights as `pack` has left them; without `pack` as they are, see above */
    float *output;
    void *scratch; /* scratch_bytes(conv) bytes, zeroed once, kept from call to call; NULL when 0 */
};

struct dwbench_kernel {
    size_t size; /* of this struct */
    uint32_t op;
    const char *name; /* 1 to 47 characters, your own; shown beside its figures */
    /*
     * The instruction set it uses, as a job asks for it: "portable", "avx2", "avx512", "neon"; or
     * "" when it is none of these or open. It decides which peak its speed is set against. A kernel
     * for one that the CPU lacks is left out, and a job with `isa:` takes kernels of exactly that
     * one only. DWBENCH_ISA below is what the compiler was told.
     */
    const char *isa;
    /* Not 0: this kernel computes that convolution. NULL: it computes every one of its operation.
     * Of several kernels of one operation the first that fits is taken. */
    int (*supports)(const struct dwbench_conv *conv);
    /* Bytes of the weights in your own layout, and what puts them there. Both, or neither (NULL).
     */
    size_t (*packed_bytes)(const struct dwbench_conv *conv);
    void (*pack)(const struct dwbench_conv *conv, const float *weights, void *packed);
    size_t (*scratch_bytes)(const struct dwbench_conv *conv); /* NULL: none */
    void (*run)(const struct dwbench_args *args);             /* this is what is timed */
};

struct dwbench_plugin {
    uint32_t abi;        /* DWBENCH_KERNEL_ABI */
    size_t size;         /* of this struct */
    const char *name;    /* 1 to 63 characters */
    const char *version; /* 1 to 63 characters */
    uint32_t n_kernels;  /* 1 to 64 */
    const struct dwbench_kernel *const *kernels;
};

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define DWBENCH_ISA "avx512"
#elif defined(__AVX2__) && defined(__FMA__)
#define DWBENCH_ISA "avx2"
#elif defined(__aarch64__)
#define DWBENCH_ISA "neon"
#else
#define DWBENCH_ISA "portable"
#endif

#if defined(__GNUC__)
#define DWBENCH_EXPORT __attribute__((visibility("default")))
#else
#define DWBENCH_EXPORT
#endif

/*
 * The one symbol of a plugin. abi is the version that this dwbench speaks: return what speaks it,
 * or NULL. What it returns stays valid and unchanged until the process ends.
 */
DWBENCH_EXPORT const struct dwbench_plugin *dwbench_plugin(uint32_t abi);

#ifdef __cplusplus
}
#endif

#endif
