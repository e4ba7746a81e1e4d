/*
 * What this CPU can do and the operating system lets us use. A CPUID bit alone is not enough: the
 * kernel must also save the wide registers on a context switch, which XGETBV tells (a hypervisor or
 * "noxsave" on the command line can leave the bit on and the state off).
 */

#include "kernels/kernels.h"

#include <stdio.h>

#if defined(__x86_64__)
#include <cpuid.h>

enum {
    XCR0_YMM = 0x06, /* SSE and AVX state */
    XCR0_ZMM = 0xe6, /* and opmask, the upper halves of zmm0-15, zmm16-31 */
};

static uint64_t xcr0(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

uint32_t dwb_cpu_flags(void)
{
    const uint32_t avx512_bits = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    uint32_t a, b, c, d, flags = 0;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return 0;
    if (!(c & bit_AVX) || !(c & bit_FMA) || (xcr0() & XCR0_YMM) != XCR0_YMM)
        return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    if (b & bit_AVX2)
        flags |= DWB_CPU_AVX2;
    if ((b & avx512_bits) == avx512_bits && (xcr0() & XCR0_ZMM) == XCR0_ZMM)
        flags |= DWB_CPU_AVX512;
    return flags;
}
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

uint32_t dwb_cpu_flags(void)
{
    return getauxval(AT_HWCAP) & HWCAP_ASIMD ? DWB_CPU_NEON : 0;
}
#else
uint32_t dwb_cpu_flags(void)
{
    return 0;
}
#endif

void dwb_cpu_flags_text(uint32_t flags, char *buffer, size_t size)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } names[] = {{DWB_CPU_AVX2, "avx2"}, {DWB_CPU_AVX512, "avx512"}, {DWB_CPU_NEON, "neon"}};
    size_t used = 0;

    if (size)
        buffer[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!(flags & names[i].flag) || used >= size)
            continue;
        int n = snprintf(buffer + used, size - used, "%s%s", used ? "," : "", names[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
}

bool dwb_cpu_allows(uint32_t flags, enum dwb_isa isa)
{
    switch (isa) {
    case DWB_ISA_AVX2:
        return flags & DWB_CPU_AVX2;
    case DWB_ISA_AVX512:
        return flags & DWB_CPU_AVX512;
    case DWB_ISA_NEON:
        return flags & DWB_CPU_NEON;
    default:
        return true;
    }
}

enum dwb_isa dwb_cpu_best_isa(uint32_t flags)
{
    if (flags & DWB_CPU_AVX512)
        return DWB_ISA_AVX512;
    if (flags & DWB_CPU_AVX2)
        return DWB_ISA_AVX2;
    if (flags & DWB_CPU_NEON)
        return DWB_ISA_NEON;
    return DWB_ISA_PORTABLE;
}
