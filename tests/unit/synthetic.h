#pragma once

/*
 * Replicate records of a machine that is made up, so that the truth is known: what each kernel
 * takes when nothing disturbs it, and how processes and samples are disturbed.
 */

#include "common/record.h"

#include <stdbool.h>

enum { /* subjects, in this order */
       SYNTHETIC_STANDARD,
       SYNTHETIC_DEPTHWISE,
       SYNTHETIC_POINTWISE,
       SYNTHETIC_SEPARABLE,
       SYNTHETIC_CANARY,
       SYNTHETIC_PEAK,
       SYNTHETIC_READ,
       SYNTHETIC_TRIAD,
       SYNTHETIC_N_SUBJECTS
};

struct synthetic {
    struct dwb_layer layer;
    enum dwb_cache_mode cache;
    double call_ns[SYNTHETIC_CANARY + 1]; /* truth, of standard .. canary */
    double peak_gflops;                   /* 0 = no probes */
    double gbps;                          /* of L2, read and triad */
    uint32_t n_blocks;
    double sample_noise;                        /* mean of an exponential, relative */
    double process_noise[SYNTHETIC_CANARY + 1]; /* alike, of a process as a whole */
    double process_sigma;   /* above 0: that one is lognormal, process_noise its median */
    double disturbed_share; /* of processes ... */
    double disturbed[SYNTHETIC_CANARY + 1]; /* ... that are slower by this factor */
    double flagged_share;                   /* of samples: flagged, and half as long again */
    bool counted; /* cycles and instructions from a PMU; cache misses never */
};

uint64_t synthetic_random(uint64_t *state);
double synthetic_uniform(uint64_t *state); /* (0, 1) */

/*
 * Fails the test when an interval of level 1 - alpha would miss as often as this, or more often,
 * with probability below SYNTHETIC_SURPRISE (exact binomial): it misses more than its level allows.
 * Seeds are fixed, so a cell that passes does not fail by bad luck another time.
 */
#define SYNTHETIC_SURPRISE 1e-3
void synthetic_check_missed(int missed, int n_trials, double alpha, const char *what);

/* A quiet machine: 56x56, 128 -> 128, standard 8 ms, depthwise 0.2 ms, pointwise 0.95 ms. */
#define SYNTHETIC_RATIO (1.15 / 8)
struct synthetic synthetic_quiet(void);

/* A record, to be freed; aborts without memory. */
struct dwb_record *synthetic_record(const struct synthetic *synthetic, uint32_t replicate,
                                    uint64_t *state);

/* n of them with replicate 0 .. n-1, seeded. */
void synthetic_records(const struct synthetic *synthetic, uint64_t seed,
                       struct dwb_record **records, size_t n);
void synthetic_free(struct dwb_record **records, size_t n);

/* A job of this one layer. To be freed. */
struct dwb_spec *synthetic_spec(const struct synthetic *synthetic);
