#pragma once

/*
 * Probes of the machine, measured in the same blocks as the layer: what one core could do at best.
 * The FMA peak is a register-only loop; read and triad run over a working set that fits one level
 * of the memory hierarchy and not the one above it. A level whose working set would have to be
 * absurd (a 300 MiB cache in front of the memory) has no probe: a wrong label is worse than none.
 */

#include "kernels/kernels.h"
#include "measure/machine.h"
#include "measure/memory.h"

#define DWB_PROBE_LEVELS    4 /* L1, L2, L3, DRAM */
#define DWB_PROBE_DRAM      3
#define DWB_PROBE_BYTES_MAX (UINT64_C(128) << 20)

struct dwb_peak { /* context of dwb_peak_call */
    dwb_fma_peak_fn *fn;
    uint64_t n_rounds;
    volatile float sink;
};

struct dwb_memory_probe { /* context of dwb_read_call and dwb_triad_call */
    dwb_read_fn *read;
    dwb_triad_fn *triad;
    float *a, *b, *c;   /* b and c: triad */
    size_t n;           /* floats of each */
    uint32_t n_repeats; /* a call repeats a small working set, or the call itself would weigh */
    volatile float sink;
};

const char *dwb_probe_level_name(size_t level);

/* Working set of each level in bytes, 0 = no probe. Pure. */
void dwb_probe_sizes(const struct dwb_caches *caches, uint64_t ret_bytes[DWB_PROBE_LEVELS]);

/* One call: n_rounds of about 20 us in all on a fast core. */
void dwb_peak_init(struct dwb_peak *peak, enum dwb_isa isa);
void dwb_peak_call(void *context);

/* Lay a working set of `bytes` out in buffer (at least that large plus a page). *ret_bytes is what
 * a call reads and writes together. */
void dwb_read_init(struct dwb_memory_probe *probe, enum dwb_isa isa, struct dwb_buffer *buffer,
                   uint64_t bytes, uint64_t *ret_bytes);
void dwb_triad_init(struct dwb_memory_probe *probe, enum dwb_isa isa, struct dwb_buffer *buffer,
                    uint64_t bytes, uint64_t *ret_bytes);
void dwb_read_call(void *context);
void dwb_triad_call(void *context);
