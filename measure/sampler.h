#pragma once

/*
 * The sampler: tasks in, raw samples out. It knows nothing of convolutions; it knows how to time
 * two things fairly on a machine that is not quiet.
 *
 * Everything that is timed goes through one call site in one function, so every task has the same
 * stack depth and the same loop around it. Samples come in random blocks: an order drawn at random,
 * then its mirror image, so a drift within a block falls on all tasks alike (ABBA). A sample is
 * n_calls calls, enough to last a millisecond where calls are short; tasks of one pair share one
 * n_calls. Where sides are compared, each pair is mirrored by itself within the block (a b b a), so
 * that what is compared is as near in time as it can be. In warm mode one untimed call comes before
 * each sample; in cold mode the caches are flushed before it and n_calls is 1. What disturbed a
 * sample (a context switch, a migration, time taken by the hypervisor, a gap between wall and
 * thread CPU time) is flagged, never judged here.
 */

#include "common/record.h"
#include "measure/counters.h"

#include <stdbool.h>

#define DWB_SAMPLE_WINDOW_NS     UINT64_C(1200000) /* a sample aims here: a margin over 1 ms */
#define DWB_SAMPLE_WINDOW_MAX_NS UINT64_C(5000000) /* the slower of a pair stays below, unless */
                                                   /* one call is longer */
#define DWB_SAMPLER_BLOCKS_MIN   2
#define DWB_SAMPLER_SAMPLES_MAX  24000 /* with the readings' limit: a record below 4 MiB */
#define DWB_SAMPLER_READINGS_MAX 60000

typedef void dwb_call_fn(void *context);

struct dwb_task { /* task i of the sampler is subject i of the record */
    dwb_call_fn *call;
    void *context;
    uint64_t window_ns;    /* a sample lasts this long or a little longer, or one call */
    uint32_t pair;         /* shares n_calls with the other tasks of this pair; 0 = of none */
    uint32_t multiple_of;  /* its pair's n_calls is a multiple of this; 0 = any number */
    bool keeps_warm;       /* measured warm in cold mode as well (probes of the machine) */
    bool first_block_only; /* the machine's figures: one block a replicate is enough */
    uint64_t call_ns;      /* set by the sampler: one call, roughly */
    uint32_t n_calls;      /* set by the sampler: calls of a sample */
};

struct dwb_sampler {
    struct dwb_task *tasks;
    size_t n_tasks;
    bool mirrors_pairs; /* each pair by itself; else the block as a whole */
    uint64_t slice_ns;  /* stop after this much of timed calls and their preparation */
    uint64_t seed;
    uint32_t replicate;
    uint32_t cpu;
    enum dwb_cache_mode cache;
    void (*flush)(void *userdata); /* evicts every operand from the caches; cold mode */
    void *flush_userdata;
    struct dwb_counters *counters;
    int stat_fd; /* an open /proc/stat, for stolen time; -1 = there is none */
    void (*progress)(uint64_t done_ns, void *userdata); /* after every sample; may be NULL */
    void *progress_userdata;
};

/* n_calls of every task from its call_ns. Pure. */
void dwb_sampler_plan(struct dwb_task *tasks, size_t n_tasks, enum dwb_cache_mode cache);

/*
 * Estimates call_ns, plans, then runs blocks until slice_ns is used up (at least
 * DWB_SAMPLER_BLOCKS_MIN, at most what the record can hold). Adds samples and readings to the
 * record and sets its kernel_ns. 0 or -ENOMEM.
 */
int dwb_sampler_run(struct dwb_sampler *sampler, struct dwb_record *record);
