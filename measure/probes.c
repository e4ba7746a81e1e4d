/*
 * Probes of the machine. See the header.
 *
 * Sizes: half of L1 and of L2 (the other half is for the stack, the tables and a neighbour); for
 * the last-level cache four times L2, which no L2 can hold, if that is at most half of it; for DRAM
 * four times the last level, at least twice when the limit of 128 MiB cuts it, else nothing.
 */

#include "measure/probes.h"

#define PEAK_ROUNDS    UINT64_C(10000)
#define CALL_BYTES_MIN (UINT64_C(1) << 18) /* of memory traffic in one call */

const char *dwb_probe_level_name(size_t level)
{
    static const char *const names[DWB_PROBE_LEVELS] = {"L1", "L2", "L3", "DRAM"};

    return level < DWB_PROBE_LEVELS ? names[level] : NULL;
}

void dwb_probe_sizes(const struct dwb_caches *caches, uint64_t ret_bytes[DWB_PROBE_LEVELS])
{
    uint64_t l1 = caches->levels[0].bytes, l2 = caches->levels[1].bytes;
    uint64_t l3 = caches->levels[2].bytes, last = 0, dram;

    for (size_t i = 0; i < 4; i++)
        if (caches->levels[i].bytes > last)
            last = caches->levels[i].bytes;
    ret_bytes[0] = l1 / 2;
    ret_bytes[1] = l2 / 2 > l1 ? l2 / 2 : 0;
    ret_bytes[2] = l2 && 4 * l2 <= l3 / 2 && 4 * l2 <= DWB_PROBE_BYTES_MAX ? 4 * l2 : 0;
    dram = 4 * last < DWB_PROBE_BYTES_MAX ? 4 * last : DWB_PROBE_BYTES_MAX;
    ret_bytes[DWB_PROBE_DRAM] = last && dram >= 2 * last ? dram : 0;
}

void dwb_peak_init(struct dwb_peak *peak, enum dwb_isa isa)
{
    *peak = (struct dwb_peak){.fn = dwb_fma_peak(isa), .n_rounds = PEAK_ROUNDS};
}

void dwb_peak_call(void *context)
{
    struct dwb_peak *peak = context;

    peak->sink = peak->fn(peak->n_rounds);
}

static uint32_t repeats(uint64_t bytes)
{
    return bytes >= CALL_BYTES_MIN ? 1 : (uint32_t)((CALL_BYTES_MIN + bytes - 1) / bytes);
}

void dwb_read_init(struct dwb_memory_probe *probe, enum dwb_isa isa, struct dwb_buffer *buffer,
                   uint64_t bytes, uint64_t *ret_bytes)
{
    *probe = (struct dwb_memory_probe){
        .read = dwb_read_probe(isa),
        .a = buffer->data,
        .n = bytes / sizeof(float),
        .n_repeats = repeats(bytes),
    };
    *ret_bytes = probe->n * sizeof(float) * probe->n_repeats;
}

void dwb_triad_init(struct dwb_memory_probe *probe, enum dwb_isa isa, struct dwb_buffer *buffer,
                    uint64_t bytes, uint64_t *ret_bytes)
{
    /* The arrays start 1 KiB apart modulo a page, or stores would alias with loads 4 KiB away. */
    size_t n = bytes / 3 / 4096 * 1024, stagger = 256;

    if (n == 0)
        n = 1024;
    *probe = (struct dwb_memory_probe){
        .triad = dwb_triad_probe(isa),
        .a = buffer->data,
        .b = buffer->data + n + stagger,
        .c = buffer->data + 2 * (n + stagger),
        .n = n,
        .n_repeats = repeats(3 * n * sizeof(float)),
    };
    *ret_bytes = 3 * n * sizeof(float) * probe->n_repeats;
}

void dwb_read_call(void *context)
{
    struct dwb_memory_probe *probe = context;

    for (uint32_t i = 0; i < probe->n_repeats; i++)
        probe->sink = probe->read(probe->a, probe->n);
}

void dwb_triad_call(void *context)
{
    struct dwb_memory_probe *probe = context;

    for (uint32_t i = 0; i < probe->n_repeats; i++)
        probe->triad(probe->a, probe->b, probe->c, 0.5f, probe->n);
}
