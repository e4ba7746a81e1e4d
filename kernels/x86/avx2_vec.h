#pragma once

/* The vector vocabulary of the templates (kernels/portable_vec.h) on AVX2 and FMA. */

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m256 vec;
typedef __m256 bcast;

#define VL 8

static inline vec vec_zero(void)
{
    return _mm256_setzero_ps();
}

static inline vec vec_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

static inline void vec_store(float *p, vec v)
{
    _mm256_storeu_ps(p, v);
}

static inline __m256i vec_mask(uint32_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

static inline vec vec_load_n(const float *p, uint32_t n)
{
    return _mm256_maskload_ps(p, vec_mask(n));
}

static inline void vec_store_n(float *p, vec v, uint32_t n)
{
    _mm256_maskstore_ps(p, vec_mask(n), v);
}

static inline bcast vec_bcast(const float *p)
{
    return _mm256_broadcast_ss(p);
}

static inline vec vec_fma(vec acc, vec v, bcast b)
{
    return _mm256_fmadd_ps(v, b, acc);
}

static inline vec vec_fma_vec(vec acc, vec v, vec w)
{
    return _mm256_fmadd_ps(v, w, acc);
}

static inline vec vec_mul(vec v, vec w)
{
    return _mm256_mul_ps(v, w);
}

static inline vec vec_pinned(vec v)
{
    __asm__("" : "+x"(v));
    return v;
}
