#pragma once

/*
 * The raw record of one replicate: what one fresh dwbench-worker process saw of one layer. It is
 * kept as it is in the store, so every result can be computed again from it. Analysis turns records
 * into results; nothing here is aggregated, filtered or rounded.
 *
 * A `subject` is anything that is timed: an operation of a backend, the canary, a probe. A sample
 * is n_calls calls of one subject, timed as a whole. On the pipe and in the store a record is one
 * line of JSON; samples and readings are arrays of arrays there, in the order of the fields below.
 */

#include "common/layer.h"
#include "common/plugins.h"
#include "common/simulation.h"
#include "common/spec.h"

#include <jansson.h>
#include <stddef.h>

#define DWB_RECORD_SCHEMA    "dwbench.replicate/1"
#define DWB_RECORD_BYTES_MAX (4u << 20)

enum dwb_source {                       /* where a value comes from; never mixed */
                  DWB_SOURCE_NONE,      /* not counted: `reason` says why */
                  DWB_SOURCE_HARDWARE,  /* PMU, user-only, own thread, never multiplexed */
                  DWB_SOURCE_SOFTWARE,  /* kernel accounting: perf software events, getrusage */
                  DWB_SOURCE_DERIVED,   /* arithmetic on counted values */
                  DWB_SOURCE_ANALYTIC,  /* arithmetic on the shape */
                  DWB_SOURCE_SIMULATED, /* Valgrind */
};

enum dwb_outcome { /* of the attempt to count: a closed list, each with a remedy */
                   DWB_OUTCOME_COUNTED, /* docs/counters.md says what to do about the others */
                   DWB_OUTCOME_NO_PMU,
                   DWB_OUTCOME_PARANOID,   /* kernel.perf_event_paranoid above 2 */
                   DWB_OUTCOME_SECCOMP,    /* EPERM */
                   DWB_OUTCOME_DENIED,     /* EACCES, and the paranoid level is not why */
                   DWB_OUTCOME_NO_SYSCALL, /* ENOSYS */
                   DWB_OUTCOME_NOT_ON_THIS_CPU,
                   DWB_OUTCOME_COUNTS_NOTHING, /* opens, and stays at 0 */
                   DWB_OUTCOME_FAILS_CALIBRATION,
                   DWB_OUTCOME_DOES_NOT_FIT, /* too many events for the PMU at once */
                   DWB_OUTCOME_HELD,         /* the NMI watchdog or another tool has the PMU */
                   DWB_OUTCOME_BAD_CATALOGUE,
                   DWB_OUTCOME_NO_WINDOW, /* fewer blocks than passes */
                   DWB_OUTCOME_FAILED,    /* anything else; the reason has the error */
                   DWB_N_OUTCOMES
};

struct dwb_subject {
    enum dwb_operation operation;
    char backend[DWB_BACKEND_NAME_MAX]; /* "native", "onednn", "plugin:mine", ...; "" for canary
                                         * and probes */
    char isa[16];                       /* "avx2", ...; of the kernel that runs */
    char kernel[128];                   /* registry name(s), "a + b" for a composite */
    char algorithm[48];                 /* "direct", "gemm", ... */
    char level[8];                      /* probes of memory: "L1", "L2", "L3", "DRAM"; else "" */
    uint64_t macs_nominal;              /* a call; 0 for memory probes */
    uint64_t macs_executed;             /* a call */
    uint64_t bytes;                     /* a call, memory probes: bytes read plus written; else 0 */
    uint32_t verified;   /* output positions compared with the oracle; 0 = not an operation */
    uint32_t mismatched; /* of those, past the tolerance */
    double worst_error;  /* largest |error| / tolerance seen */
    char side;           /* 'a' or 'b' of a comparison; 0 = it is not part of one */
};

/* An operation that a backend was asked for and does not have, for this layer or at all. */
struct dwb_omission {
    enum dwb_operation operation;
    char backend[DWB_BACKEND_NAME_MAX];
    char reason[160];
};

enum {                          /* dwb_sample.flags: external signals seen during the sample */
       DWB_SAMPLE_SWITCHED = 1, /* a context switch */
       DWB_SAMPLE_MIGRATED = 2, /* began and ended on different CPUs */
       DWB_SAMPLE_STOLEN = 4,   /* the hypervisor took time */
       DWB_SAMPLE_GAP = 8,      /* wall - thread CPU >= 1 % of wall */
};

struct dwb_sample {
    uint32_t subject; /* index */
    uint32_t block;   /* random block; a block runs an order and its mirror image (ABBA) */
    uint32_t half;    /* 0 or 1 within the block: a standard/separable pair shares both */
    uint32_t n_calls;
    uint64_t wall_ns;
    uint64_t cpu_ns; /* thread CPU time */
    uint32_t flags;
};

struct dwb_counter {
    char name[32];   /* "cycles", "instructions", "flops", "l1d_misses", "task_clock", ... */
    char event[192]; /* libpfm4 event string(s) or the kernel interface */
    char unit[16];   /* "", "ns" */
    enum dwb_source source;
    char reason[256]; /* why not, when source is NONE; else a note or "" */
    enum dwb_outcome outcome;
    bool has_overhead;
    uint64_t overhead; /* what an empty window counts: starting and reading it, a window */
};

struct dwb_reading {
    uint32_t subject;
    uint32_t counter;
    uint32_t block;
    uint32_t n_calls;
    uint64_t value; /* over n_calls */
};

struct dwb_record {
    struct dwb_layer layer;
    uint32_t replicate;
    uint32_t cpu; /* the one it was pinned to */
    uint64_t seed;
    enum dwb_cache_mode cache;
    uint64_t elapsed_ns; /* wall, from main() to the record */
    uint64_t kernel_ns;  /* of that, in timed calls and their warm-up */
    struct dwb_subject *subjects;
    size_t n_subjects;
    struct dwb_sample *samples;
    size_t n_samples;
    struct dwb_counter *counters;
    size_t n_counters;
    struct dwb_reading *readings;
    size_t n_readings;
    json_t *environment;            /* object; unreadable members are null */
    struct dwb_omission *omissions; /* only plugins have any */
    size_t n_omissions;
    struct dwb_simulation *simulation; /* NULL = was not asked for in this replicate */
};

const char *dwb_source_name(enum dwb_source source);    /* NULL for NONE */
const char *dwb_outcome_name(enum dwb_outcome outcome); /* "counted", "no_pmu", ... */
int dwb_outcome_from_name(const char *name, enum dwb_outcome *ret_outcome);

/* New reference, or NULL without memory. */
json_t *dwb_record_to_json(const struct dwb_record *record);

/* Trusts nothing: every index, count and string is checked. 0, -EINVAL, -ENOMEM. */
int dwb_record_from_json(const json_t *object, struct dwb_record **ret_record);

void dwb_record_free(struct dwb_record *record);
static inline void dwb_record_freep(struct dwb_record **record)
{
    dwb_record_free(*record);
}
