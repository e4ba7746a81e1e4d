/*
 * Probes of one ISA: what its registers and the memory can do at best. An ISA file includes its
 * *_vec.h, then this, and makes the functions with PROBES(isa, chains).
 *
 * The chains of the FMA peak start from values the compiler cannot see (else it would merge equal
 * ones into one); nothing in the loop but multiply-adds on registers and the counter.
 */

#include <stddef.h>
#include <stdint.h>

#define PROBE_UNROLL _Pragma("GCC unroll 32")

typedef int32_t probe_bits __attribute__((vector_size(sizeof(vec))));

#if defined(__x86_64__)
#define PROBE_OPAQUE(v_) __asm__("" : "+v"(v_))
#elif defined(__aarch64__)
#define PROBE_OPAQUE(v_) __asm__("" : "+w"(v_))
#else
#define PROBE_OPAQUE(v_) __asm__("" : "+m"(v_))
#endif

/* Every chain by name, so that each is a register whatever the compiler thinks of unrolling. */
#define PROBE_10(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9)
#define PROBE_12(X) PROBE_10(X) X(10) X(11)
#define PROBE_24(X)                                                                                \
    PROBE_12(X)                                                                                    \
    X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)

#define PROBE_CHAIN_OPEN(i_)                                                                       \
    vec chain_##i_ = vec_zero();                                                                   \
    PROBE_OPAQUE(chain_##i_);
#define PROBE_CHAIN_STEP(i_)                                                                       \
    chain_##i_ = vec_fma_vec(chain_##i_, v, w);                                                    \
    PROBE_OPAQUE(chain_##i_);
#define PROBE_CHAIN_CLOSE(i_) all += chain_##i_;

#define PROBE_FMA(isa_, each_)                                                                     \
    float dwb_fma_peak_##isa_(uint64_t n_rounds)                                                   \
    {                                                                                              \
        static const float values[VL] = {0x1p-20f, 0x1p-21f, 0x1p-22f, 0x1p-23f};                  \
        vec v = vec_load(values), w = v, all = vec_zero();                                         \
        float lanes[VL], sum = 0;                                                                  \
        PROBE_OPAQUE(v);                                                                           \
        PROBE_OPAQUE(w);                                                                           \
        each_(PROBE_CHAIN_OPEN);                                                                   \
        while (n_rounds--) {                                                                       \
            each_(PROBE_CHAIN_STEP);                                                               \
        }                                                                                          \
        each_(PROBE_CHAIN_CLOSE);                                                                  \
        vec_store(lanes, all);                                                                     \
        for (int i = 0; i < VL; i++)                                                               \
            sum += lanes[i];                                                                       \
        return sum;                                                                                \
    }

/*
 * Bitwise, so that the arithmetic does not take the ports that the loads of the kernels share. The
 * streams are joined as vectors before any lane is looked at: a pass over half of L1 is some 200
 * cycles, and joining the lanes of all streams one by one took as long again.
 */
static inline __attribute__((always_inline)) float probe_read(const float *a, size_t n)
{
    probe_bits bits[8] = {0};
    int32_t all = 0;
    size_t i = 0;

    for (; i + 8 * VL <= n; i += 8 * VL) {
        PROBE_UNROLL
        for (int j = 0; j < 8; j++)
            bits[j] ^= (probe_bits)vec_load(a + i + j * VL);
    }
    for (; i < n; i++) {
        union {
            float value;
            int32_t bits;
        } one = {.value = a[i]};
        all ^= one.bits;
    }
    PROBE_UNROLL
    for (int j = 1; j < 8; j++)
        bits[0] ^= bits[j];
    for (int lane = 0; lane < VL; lane++)
        all ^= bits[0][lane];
    return (float)all;
}

static inline __attribute__((always_inline)) void probe_triad(float *a, const float *b,
                                                              const float *c, float s, size_t n)
{
    size_t i = 0;

    for (; i + 4 * VL <= n; i += 4 * VL) {
        PROBE_UNROLL
        for (int j = 0; j < 4; j++)
            vec_store(a + i + j * VL,
                      vec_fma(vec_load(b + i + j * VL), vec_load(c + i + j * VL), vec_bcast(&s)));
    }
    for (; i < n; i++)
        a[i] = b[i] + s * c[i];
}

#define PROBES(isa_, chains_)                                                                      \
    const uint64_t dwb_fma_peak_macs_##isa_ = (uint64_t)(chains_)*VL;                              \
    PROBE_FMA(isa_, PROBE_##chains_)                                                               \
    float dwb_read_##isa_(const float *a, size_t n)                                                \
    {                                                                                              \
        return probe_read(a, n);                                                                   \
    }                                                                                              \
    void dwb_triad_##isa_(float *a, const float *b, const float *c, float s, size_t n)             \
    {                                                                                              \
        probe_triad(a, b, c, s, n);                                                                \
    }
