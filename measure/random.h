#pragma once

/*
 * SplitMix64 (Steele, Lea, Flood 2014): one 64-bit word of state, every seed is a good seed. It
 * makes inputs, orders and positions that anybody can make again from the seed of a record; nothing
 * here needs more quality than that.
 */

#include <stdint.h>

struct dwb_random {
    uint64_t state;
};

static inline uint64_t dwb_random_next(struct dwb_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Uniform in [0, n), n >= 1. The bias of the multiplication is below n / 2^32. */
static inline uint32_t dwb_random_below(struct dwb_random *random, uint32_t n)
{
    return (uint32_t)(((dwb_random_next(random) >> 32) * n) >> 32);
}

/* A stream of its own for each (seed, purpose): streams do not overlap by counting up a seed. */
static inline struct dwb_random dwb_random_stream(uint64_t seed, uint64_t purpose)
{
    struct dwb_random random = {.state = seed};

    random.state = dwb_random_next(&random) ^ (purpose * UINT64_C(0xd1342543de82ef95));
    random.state = dwb_random_next(&random);
    return random;
}

/* A float with 2^-10 <= |x| < 1 and either sign: never zero, never subnormal, and no product of two
 * of them is. */
static inline float dwb_random_float(struct dwb_random *random)
{
    uint64_t bits = dwb_random_next(random);
    float u = (float)(bits >> 41) * 0x1p-23f; /* [0, 1), exact */
    float x = 0x1p-10f + u * (1.0f - 0x1p-10f);

    return bits & 1 ? -x : x;
}
