/*
 * Known work. The instruction loop is assembly, because a compiler's loop has no known length. The
 * loads chase one pointer a page through a random cycle over more pages than a second-level TLB
 * holds: prefetchers stop at page ends, so each load is a demand miss. Between windows the lines
 * are flushed.
 */

#include "measure/work.h"

#include "common/cleanup.h"
#include "kernels/kernels.h"
#include "measure/random.h"

#include <errno.h>
#include <sys/mman.h>

#define N_ITERATIONS UINT64_C(500000)
#define N_FMA_ROUNDS UINT64_C(20000)
#define N_ADDITIONS  UINT64_C(100000)
#define N_PAGES      4096u
#define PAGE_BYTES   4096u
#define AREA_BYTES   ((size_t)N_PAGES * PAGE_BYTES)
#define N_BRANCHES   UINT64_C(20000)

struct area {
    struct dwb_work work; /* first: a work is freed through its address */
    char *pages;
    dwb_fma_peak_fn *fma;
    struct dwb_random random;
    volatile uint64_t sink;
};

/* Two instructions an iteration. */
static void run_loop(void)
{
    uint64_t n = N_ITERATIONS;

#if defined(__x86_64__)
    __asm__ volatile("1: sub $1, %0\n\tjnz 1b" : "+r"(n) : : "cc");
#elif defined(__aarch64__)
    __asm__ volatile("1: subs %0, %0, #1\n\tb.ne 1b" : "+r"(n) : : "cc");
#else
    while (n--)
        __asm__ volatile("");
#endif
}

/* N_ADDITIONS additions of one fp32 number, or of four. Sums of zeros: no value matters. */
static void run_additions(enum dwb_work_kind kind)
{
    uint64_t n = N_ADDITIONS;

#if defined(__x86_64__)
    if (kind == DWB_WORK_SCALAR)
        __asm__ volatile("xorps %%xmm0, %%xmm0\n"
                         "1: addss %%xmm0, %%xmm0\n\tsub $1, %0\n\tjnz 1b"
                         : "+r"(n)
                         :
                         : "cc", "xmm0");
    else
        __asm__ volatile("xorps %%xmm0, %%xmm0\n"
                         "1: addps %%xmm0, %%xmm0\n\tsub $1, %0\n\tjnz 1b"
                         : "+r"(n)
                         :
                         : "cc", "xmm0");
#elif defined(__aarch64__)
    if (kind == DWB_WORK_SCALAR)
        __asm__ volatile("movi v0.4s, #0\n"
                         "1: fadd s0, s0, s0\n\tsubs %0, %0, #1\n\tb.ne 1b"
                         : "+r"(n)
                         :
                         : "cc", "v0");
    else
        __asm__ volatile("movi v0.4s, #0\n"
                         "1: fadd v0.4s, v0.4s, v0.4s\n\tsubs %0, %0, #1\n\tb.ne 1b"
                         : "+r"(n)
                         :
                         : "cc", "v0");
#endif
}

/* Each page holds the number of the next one at a line of its own, so sets are spread. */
static void **slot_of(struct area *area, uint32_t page)
{
    return (void **)(void *)(area->pages + (size_t)page * PAGE_BYTES + page * 64 % PAGE_BYTES);
}

static void link_pages(struct area *area)
{
    static uint32_t order[N_PAGES];

    for (uint32_t i = 0; i < N_PAGES; i++)
        order[i] = i;
    for (uint32_t i = N_PAGES - 1; i > 0; i--) {
        uint32_t j = dwb_random_below(&area->random, i + 1), swap = order[i];

        order[i] = order[j];
        order[j] = swap;
    }
    for (uint32_t i = 0; i < N_PAGES; i++)
        *slot_of(area, order[i]) = slot_of(area, order[(i + 1) % N_PAGES]);
}

static void prepare(void *userdata, enum dwb_work_kind kind)
{
    struct area *area = userdata;

    if (kind == DWB_WORK_MISSES)
        dwb_cache_flush(area->pages, AREA_BYTES);
}

static void run_misses(struct area *area)
{
    void **at = slot_of(area, 0);
    uint64_t bits = 0, sum = 0;

    for (uint32_t i = 0; i < N_PAGES; i++)
        at = *at;
    for (uint64_t i = 0; i < N_BRANCHES; i++) {
        bits = i % 64 ? bits >> 1 : dwb_random_next(&area->random);
        if (bits & 1) { /* volatile below keeps it a branch */
            __asm__ volatile("" : "+r"(sum));
            sum += i;
        } else {
            __asm__ volatile("" : "+r"(sum));
            sum ^= i;
        }
    }
    area->sink = sum + (uintptr_t)at;
}

static enum dwb_isa isa_of(enum dwb_work_kind kind)
{
    return kind == DWB_WORK_512 ? DWB_ISA_AVX512 : DWB_ISA_AVX2;
}

/* What of each width this CPU can be asked for. */
static void count_widths(uint64_t counts[DWB_N_WORK_KINDS])
{
    uint32_t flags = dwb_cpu_flags();

#if defined(__x86_64__) || defined(__aarch64__)
    counts[DWB_WORK_SCALAR] = N_ADDITIONS;
    counts[DWB_WORK_128] = 4 * N_ADDITIONS;
#endif
    if ((flags & DWB_CPU_AVX2) && dwb_fma_peak(DWB_ISA_AVX2))
        counts[DWB_WORK_256] = 2 * N_FMA_ROUNDS * dwb_fma_peak_macs(DWB_ISA_AVX2);
    if ((flags & DWB_CPU_AVX512) && dwb_fma_peak(DWB_ISA_AVX512))
        counts[DWB_WORK_512] = 2 * N_FMA_ROUNDS * dwb_fma_peak_macs(DWB_ISA_AVX512);
}

static void run(void *userdata, enum dwb_work_kind kind)
{
    struct area *area = userdata;

    if (kind == DWB_WORK_LOOP)
        run_loop();
    else if (kind == DWB_WORK_FLOPS)
        area->sink = area->fma(N_FMA_ROUNDS) > 0;
    else if (kind == DWB_WORK_256 || kind == DWB_WORK_512)
        area->sink = dwb_fma_peak(isa_of(kind))(N_FMA_ROUNDS) > 0;
    else if (kind == DWB_WORK_SCALAR || kind == DWB_WORK_128)
        run_additions(kind);
    else
        run_misses(area);
}

const char *dwb_work_name(enum dwb_work_kind kind)
{
    static const char *const names[DWB_N_WORK_KINDS] = {"loop",    "flops",   "misses", "scalar",
                                                        "128 bit", "256 bit", "512 bit"};

    return names[kind];
}

int dwb_work_new(enum dwb_isa isa, struct dwb_work **ret_work)
{
    dwb_fma_peak_fn *fma = dwb_fma_peak(isa);
    struct area *area;

    if (!fma)
        return -ENOSYS;
    area = calloc(1, sizeof *area);
    if (!area)
        return -ENOMEM;
    area->pages =
        mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area->pages == MAP_FAILED) {
        free(area);
        return -ENOMEM;
    }
    madvise(area->pages, AREA_BYTES, MADV_NOHUGEPAGE); /* or the TLB never misses */
    area->fma = fma;
    area->random = dwb_random_stream(1, 0x776f726b);
    link_pages(area);
    area->work = (struct dwb_work){
        .prepare = prepare,
        .run = run,
        .userdata = area,
        .instructions = 2 * N_ITERATIONS,
        .flops = 2 * N_FMA_ROUNDS * dwb_fma_peak_macs(isa),
        .n_loads = N_PAGES,
        .n_branches = N_BRANCHES,
    };
    count_widths(area->work.width_flops);
    *ret_work = &area->work;
    return 0;
}

void dwb_work_free(struct dwb_work *work)
{
    struct area *area = (struct area *)work;

    if (!area)
        return;
    munmap(area->pages, AREA_BYTES);
    free(area);
}
