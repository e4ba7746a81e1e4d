#pragma once

/*
 * What a job will need, before it is accepted, and how long one replicate may take. Pure. The rates
 * are pessimistic on purpose: they bound what hangs, they do not predict.
 */

#include "common/spec.h"

#include <stdint.h>

struct dwb_estimate {
    uint64_t memory_bytes; /* of the layer that needs most */
    size_t memory_layer;   /* which that is */
    uint64_t time_ns;      /* of the whole job, at most */
    size_t time_layer;     /* the layer that takes longest */
};

/* What is more than INT64_MAX, which JSON has no number for, is INT64_MAX. */
void dwb_estimate_of(const struct dwb_spec *spec, struct dwb_estimate *ret_estimate);

/* Timed calls and warm-up of one replicate. */
uint64_t dwb_estimate_slice_ns(const struct dwb_options *options);

/* When a replicate is given up: base_ns on top of its slice, its multiply-adds and, if it
 * simulates, those under Valgrind. */
uint64_t dwb_estimate_deadline_ns(const struct dwb_spec *spec, size_t layer, bool simulates,
                                  uint64_t base_ns);
