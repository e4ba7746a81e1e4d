#pragma once

/*
 * The vector vocabulary of the templates, on GNU vectors of 16 bytes: any ISA the compiler knows,
 * at its baseline. Every *_vec.h defines the same names:
 *
 *   vec, VL              a vector and its lanes
 *   vec_load_n/store_n   the first n lanes, 1 <= n < VL; the others read as 0 and stay unwritten;
 *                        no byte outside the n lanes is touched
 *   vec_pinned(v)        v in a register: it is not loaded again where it is used
 *   bcast, vec_fma(acc, v, b)   acc + v * b, b one float in the form the ISA likes to multiply by
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float vec __attribute__((vector_size(16)));
typedef float vec_unaligned __attribute__((vector_size(16), aligned(4)));
typedef float bcast;

#define VL 4

static inline vec vec_zero(void)
{
    return (vec){0};
}

static inline vec vec_load(const float *p)
{
    return *(const vec_unaligned *)p;
}

static inline void vec_store(float *p, vec v)
{
    *(vec_unaligned *)p = v;
}

static inline vec vec_load_n(const float *p, uint32_t n)
{
    float lanes[VL] = {0};

    memcpy(lanes, p, n * sizeof(float));
    return vec_load(lanes);
}

static inline void vec_store_n(float *p, vec v, uint32_t n)
{
    float lanes[VL];

    vec_store(lanes, v);
    memcpy(p, lanes, n * sizeof(float));
}

static inline bcast vec_bcast(const float *p)
{
    return *p;
}

static inline vec vec_fma(vec acc, vec v, bcast b)
{
    return acc + v * b;
}

static inline vec vec_fma_vec(vec acc, vec v, vec w)
{
    return acc + v * w;
}

static inline vec vec_mul(vec v, vec w)
{
    return v * w;
}

static inline vec vec_pinned(vec v)
{
    return v;
}
