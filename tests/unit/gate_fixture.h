#pragma once

/*
 * Records of comparisons on machines that are made up: what b takes beside a is known, and so is
 * how samples and processes are disturbed.
 */

#include "analysis/gate.h"

#include <stdbool.h>

enum gate_noise { /* of a sample, on top of its true time */
                  GATE_EXPONENTIAL,
                  GATE_LOGNORMAL,
};

struct gate_machine {
    uint32_t operations; /* that both sides time; bits 1 << operation */
    bool has_forms;      /* in place of those: form_a on one side, form_b on the other */
    enum dwb_operation form_a, form_b;
    bool programs; /* each side in processes of its own */
    double call_ns;
    double change; /* of b: its true time over that of a, less 1 */
    uint32_t n_blocks;
    enum gate_noise noise;
    double sample_noise;     /* mean, or sigma of the logarithm */
    double process_noise;    /* sigma of the logarithm of a process's change */
    double drift;            /* relative, from one sample to the next */
    double slow_share, slow; /* of processes, whose b takes that much longer than it should */
    double flagged_share;    /* of samples: flagged, and half as long again */
};

struct gate_machine gate_quiet(void); /* no noise at all: one operation, 20 blocks, 0.1 ms */

/* A job of n_layers layers; text as in a document. To be freed with dwb_spec_free. */
struct dwb_spec *gate_spec(const char *a, const char *b, const char *operations, size_t n_layers);

/* To be freed; aborts without memory. The layer is the spec's first. */
struct dwb_record *gate_record(const struct gate_machine *machine, const struct dwb_spec *spec,
                               uint32_t replicate, uint64_t *state);
void gate_records(const struct gate_machine *machine, const struct dwb_spec *spec, uint64_t seed,
                  struct dwb_record **records, size_t n);
void gate_free(struct dwb_record **records, size_t n);

/* P(X >= k) and P(X <= k) of Binomial(n, p). */
double gate_binomial_above(int k, int n, double p);
double gate_binomial_below(int k, int n, double p);
/* The exact 95 % interval of a share (Clopper and Pearson 1934). */
void gate_share(int k, int n, double *ret_low, double *ret_high);
