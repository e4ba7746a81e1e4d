#pragma once

/*
 * The vector vocabulary of the templates (kernels/portable_vec.h) on NEON. A broadcast stays a
 * scalar: fmla by element multiplies by lane 0 of a register that a plain scalar load has filled,
 * so no vector pipe is spent on ld1r.
 */

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float32x4_t vec;
typedef float bcast;

#define VL 4

#define DEPTHWISE_BASE_ROWS 1 /* a load moves its pointer on by itself */

static inline vec vec_zero(void)
{
    return vdupq_n_f32(0);
}

static inline vec vec_load(const float *p)
{
    return vld1q_f32(p);
}

static inline void vec_store(float *p, vec v)
{
    vst1q_f32(p, v);
}

static inline vec vec_load_n(const float *p, uint32_t n)
{
    float lanes[VL] = {0};

    memcpy(lanes, p, n * sizeof(float));
    return vld1q_f32(lanes);
}

static inline void vec_store_n(float *p, vec v, uint32_t n)
{
    float lanes[VL];

    vst1q_f32(lanes, v);
    memcpy(p, lanes, n * sizeof(float));
}

static inline bcast vec_bcast(const float *p)
{
    return *p;
}

static inline vec vec_fma(vec acc, vec v, bcast b)
{
    return vfmaq_n_f32(acc, v, b);
}

/* Multiply-adds are written out, because to the compiler the sum then is one variable; for the
 * intrinsic it is a new one each time, which it moves about. */
static inline vec vec_fma_vec(vec acc, vec v, vec w)
{
    __asm__("fmla %0.4s, %1.4s, %2.4s" : "+w"(acc) : "w"(v), "w"(w));
    return acc;
}

/* Times element i, a constant once this is inlined. */
static inline __attribute__((always_inline)) vec vec_fma_element(vec acc, vec v, vec x, const int i)
{
    __asm__("fmla %0.4s, %1.4s, %2.s[%3]" : "+w"(acc) : "w"(v), "w"(x), "i"(i));
    return acc;
}

static inline vec vec_mul(vec v, vec w)
{
    return vmulq_f32(v, w);
}

static inline vec vec_pinned(vec v)
{
    __asm__("" : "+w"(v));
    return v;
}
