/*
 * Which probe belongs to which ISA, and the two switches of the machine that measuring needs: the
 * treatment of subnormal numbers and the eviction of data from the caches.
 */

#include "kernels/kernels.h"

#include "kernels/internal.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

struct probes {
    dwb_fma_peak_fn *fma_peak;
    uint64_t fma_peak_macs;
    dwb_read_fn *read;
    dwb_triad_fn *triad;
};

#define PROBES_OF(isa_)                                                                            \
    (struct probes)                                                                                \
    {                                                                                              \
        dwb_fma_peak_##isa_, dwb_fma_peak_macs_##isa_, dwb_read_##isa_, dwb_triad_##isa_           \
    }

static struct probes probes_of(enum dwb_isa isa)
{
    if (isa == DWB_ISA_AUTO)
        isa = dwb_cpu_best_isa(dwb_cpu_flags());
    switch (isa) {
    case DWB_ISA_PORTABLE:
        return PROBES_OF(portable);
#if defined(__x86_64__)
    case DWB_ISA_AVX2:
        return PROBES_OF(avx2);
    case DWB_ISA_AVX512:
        return PROBES_OF(avx512);
#elif defined(__aarch64__)
    case DWB_ISA_NEON:
        return PROBES_OF(neon);
#endif
    default:
        return (struct probes){0};
    }
}

dwb_fma_peak_fn *dwb_fma_peak(enum dwb_isa isa)
{
    return probes_of(isa).fma_peak;
}

uint64_t dwb_fma_peak_macs(enum dwb_isa isa)
{
    return probes_of(isa).fma_peak_macs;
}

dwb_read_fn *dwb_read_probe(enum dwb_isa isa)
{
    return probes_of(isa).read;
}

dwb_triad_fn *dwb_triad_probe(enum dwb_isa isa)
{
    return probes_of(isa).triad;
}

#if defined(__x86_64__)
uint64_t dwb_fp_mode_set(void)
{
    enum { DAZ = 1 << 6, FTZ = 1 << 15 };

    _mm_setcsr(_mm_getcsr() | DAZ | FTZ);
    return _mm_getcsr();
}

void dwb_cache_flush(const void *start, size_t bytes)
{
    enum { LINE = 64 };
    uint32_t a, b = 0, c, d;
    const bool optimised = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_CLFLUSHOPT);
    const uintptr_t end = (uintptr_t)start + bytes;

    for (uintptr_t line = (uintptr_t)start & ~(uintptr_t)(LINE - 1); line < end; line += LINE) {
        if (optimised)
            __asm__ volatile("clflushopt %0" : "+m"(*(volatile char *)line));
        else
            __asm__ volatile("clflush %0" : "+m"(*(volatile char *)line));
    }
    __asm__ volatile("mfence" ::: "memory");
}
#elif defined(__aarch64__)
uint64_t dwb_fp_mode_set(void)
{
    const uint64_t flush_to_zero = UINT64_C(1) << 24; /* inputs and results */
    uint64_t control;

    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    control |= flush_to_zero;
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control;
}

void dwb_cache_flush(const void *start, size_t bytes)
{
    const uintptr_t end = (uintptr_t)start + bytes;
    uint64_t type;

    __asm__ volatile("mrs %0, ctr_el0" : "=r"(type));
    const uintptr_t line_bytes = (uintptr_t)4 << (type >> 16 & 15);
    for (uintptr_t line = (uintptr_t)start & ~(line_bytes - 1); line < end; line += line_bytes)
        __asm__ volatile("dc civac, %0" : : "r"(line) : "memory");
    __asm__ volatile("dsb ish" ::: "memory");
}
#else
uint64_t dwb_fp_mode_set(void)
{
    return 0;
}

/* Nothing that user space may use evicts here. */
void dwb_cache_flush(const void *start, size_t bytes)
{
}
#endif
