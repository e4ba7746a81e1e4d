#pragma once

/* The vector vocabulary of the templates (kernels/portable_vec.h) on AVX-512. */

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512 vec;
typedef __m512 bcast;

#define VL 16

static inline vec vec_zero(void)
{
    return _mm512_setzero_ps();
}

static inline vec vec_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

static inline void vec_store(float *p, vec v)
{
    _mm512_storeu_ps(p, v);
}

static inline __mmask16 vec_mask(uint32_t n)
{
    return (__mmask16)((1u << n) - 1);
}

static inline vec vec_load_n(const float *p, uint32_t n)
{
    return _mm512_maskz_loadu_ps(vec_mask(n), p);
}

static inline void vec_store_n(float *p, vec v, uint32_t n)
{
    _mm512_mask_storeu_ps(p, vec_mask(n), v);
}

static inline bcast vec_bcast(const float *p)
{
    return _mm512_set1_ps(*p);
}

static inline vec vec_fma(vec acc, vec v, bcast b)
{
    return _mm512_fmadd_ps(v, b, acc);
}

static inline vec vec_fma_vec(vec acc, vec v, vec w)
{
    return _mm512_fmadd_ps(v, w, acc);
}

static inline vec vec_mul(vec v, vec w)
{
    return _mm512_mul_ps(v, w);
}

static inline vec vec_pinned(vec v)
{
    __asm__("" : "+v"(v));
    return v;
}
