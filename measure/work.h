#pragma once

/*
 * Work whose counts are known beforehand, to find out what a counter really counts: opening an
 * event is not counting it (raw events that a CPU lacks can open and read 0, and event tables have
 * been wrong by a factor of two).
 */

#include "common/spec.h"

#include <stdint.h>

enum dwb_work_kind {
    DWB_WORK_LOOP,   /* a loop of an exact number of instructions */
    DWB_WORK_FLOPS,  /* an exact number of fp32 operations of one ISA; an FMA lane is two */
    DWB_WORK_MISSES, /* dependent loads, each of another page that no cache has; wild branches */
    DWB_WORK_SCALAR, /* fp32 additions, one a time */
    DWB_WORK_128,    /* ... four at a time */
    DWB_WORK_256,    /* multiply-adds of eight */
    DWB_WORK_512,    /* ... of sixteen */
    DWB_N_WORK_KINDS
};

const char *
dwb_work_name(enum dwb_work_kind kind); /* "loop", "flops", "misses", "scalar", "128 bit", ... */

struct dwb_work {
    /* What must not be counted (flushing caches) is done in prepare. */
    void (*prepare)(void *userdata, enum dwb_work_kind kind);
    void (*run)(void *userdata, enum dwb_work_kind kind);
    void *userdata;
    uint64_t instructions;                  /* of DWB_WORK_LOOP */
    uint64_t flops;                         /* of DWB_WORK_FLOPS */
    uint64_t width_flops[DWB_N_WORK_KINDS]; /* of DWB_WORK_SCALAR to _512; 0 = not on this CPU */
    uint64_t n_loads;    /* of DWB_WORK_MISSES: each misses every cache and the TLBs */
    uint64_t n_branches; /* of DWB_WORK_MISSES: half of them cannot be predicted */
};

/* Allocates 16 MiB. 0, -ENOMEM, -ENOSYS (the build has no FMA loop of the ISA). */
int dwb_work_new(enum dwb_isa isa, struct dwb_work **ret_work);
void dwb_work_free(struct dwb_work *work);
static inline void dwb_work_freep(struct dwb_work **work)
{
    dwb_work_free(*work);
}
