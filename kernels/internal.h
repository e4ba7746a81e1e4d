#pragma once

/*
 * What the files of kernels/ share: the list of kernels (one line each) and small helpers. The list
 * is an X-macro, so that the registry, its tests and the benches walk the same one.
 */

#include "kernels/kernels.h"

/* clang-format off */
#define DWB_KERNELS_ANY(X)                                                                         \
    X(f32_nhwc_conv__reference)                                                                    \
    X(f32_nhwc_dwconv__reference)                                                                  \
    X(f32_nhwc_pwconv__reference)                                                                  \
    X(f32_nhwc_conv__portable_4x8)                                                                 \
    X(f32_nhwc_pwconv__portable_4x8)                                                               \
    X(f32_nhwc_dwconv__portable_8c4)

#if defined(__x86_64__)
#define DWB_KERNELS_ARCH(X)                                                                        \
    X(f32_nhwc_conv__avx2_6x16)                                                                    \
    X(f32_nhwc_pwconv__avx2_6x16)                                                                  \
    X(f32_nhwc_dwconv__avx2_8c8)                                                                   \
    X(f32_nhwc_dwconv_k1s1__avx2_4c8)                                                              \
    X(f32_nhwc_dwconv_k3s1__avx2_4c8)                                                              \
    X(f32_nhwc_dwconv_k3s2__avx2_3c8)                                                              \
    X(f32_nhwc_dwconv_k5s1__avx2_4c8)                                                              \
    X(f32_nhwc_dwconv_k5s2__avx2_2c8)                                                              \
    X(f32_nhwc_dwconv_k7s1__avx2_4c8)                                                              \
    X(f32_nhwc_dwconv_k11s1__avx2_2c8)                                                             \
    X(f32_nhwc_dwconv_k3s3__avx2_3c8)                                                              \
    X(f32_nhwc_dwconv_k5s3__avx2_2c8)                                                              \
    X(f32_nhwc_conv__avx512_14x32)                                                                 \
    X(f32_nhwc_pwconv__avx512_14x32)                                                               \
    X(f32_nhwc_dwconv__avx512_8c16)                                                                \
    X(f32_nhwc_dwconv_k1s1__avx512_4c16)                                                           \
    X(f32_nhwc_dwconv_k3s1__avx512_7c16)                                                           \
    X(f32_nhwc_dwconv_k3s2__avx512_4c16)                                                           \
    X(f32_nhwc_dwconv_k5s1__avx512_4c16)                                                           \
    X(f32_nhwc_dwconv_k5s2__avx512_3c16)                                                           \
    X(f32_nhwc_dwconv_k7s1__avx512_4c16)                                                           \
    X(f32_nhwc_dwconv_k11s1__avx512_2c16)                                                          \
    X(f32_nhwc_dwconv_k3s3__avx512_3c16)                                                           \
    X(f32_nhwc_dwconv_k5s3__avx512_2c16)
#elif defined(__aarch64__)
#define DWB_KERNELS_ARCH(X)                                                                        \
    X(f32_nhwc_conv__neon_6x16)                                                                    \
    X(f32_nhwc_pwconv__neon_6x16)                                                                  \
    X(f32_nhwc_dwconv__neon_8c4)                                                                   \
    X(f32_nhwc_dwconv_k1s1__neon_4c4)                                                              \
    X(f32_nhwc_dwconv_k3s1__neon_7c4)                                                              \
    X(f32_nhwc_dwconv_k3s2__neon_4c4)                                                              \
    X(f32_nhwc_dwconv_k5s1__neon_4c4)                                                              \
    X(f32_nhwc_dwconv_k5s2__neon_3c4)                                                              \
    X(f32_nhwc_dwconv_k7s1__neon_4c4)                                                              \
    X(f32_nhwc_dwconv_k11s1__neon_2c4)                                                             \
    X(f32_nhwc_dwconv_k3s3__neon_3c4)                                                              \
    X(f32_nhwc_dwconv_k5s3__neon_2c4)
#else
#define DWB_KERNELS_ARCH(X)
#endif
/* clang-format on */

#define DWB_KERNEL_DECLARE(id_) extern const struct dwb_kernel dwb_##id_;
DWB_KERNELS_ANY(DWB_KERNEL_DECLARE)
DWB_KERNELS_ARCH(DWB_KERNEL_DECLARE)

#define DWB_KERNEL_DEFINE(id_) const struct dwb_kernel dwb_##id_

/* Priorities: a wider ISA over a narrower one, a kernel made for the shape over a general one. */
enum {
    DWB_PRIORITY_REFERENCE = 0,
    DWB_PRIORITY_PORTABLE = 10,
    DWB_PRIORITY_AVX2 = 20,
    DWB_PRIORITY_AVX512 = 30,
    DWB_PRIORITY_NEON = 20,
    DWB_PRIORITY_SHAPE = 1,
};

/* What lies a multiple of this apart meets in one set of an L1 cache. */
enum { DWB_ALIAS_BYTES = 4096 };

static inline int64_t dwb_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t dwb_max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Probes of the ISAs, gathered by probes.c. */
dwb_fma_peak_fn dwb_fma_peak_portable, dwb_fma_peak_avx2, dwb_fma_peak_avx512, dwb_fma_peak_neon;
dwb_read_fn dwb_read_portable, dwb_read_avx2, dwb_read_avx512, dwb_read_neon;
dwb_triad_fn dwb_triad_portable, dwb_triad_avx2, dwb_triad_avx512, dwb_triad_neon;
extern const uint64_t dwb_fma_peak_macs_portable, dwb_fma_peak_macs_avx2, dwb_fma_peak_macs_avx512,
    dwb_fma_peak_macs_neon;
