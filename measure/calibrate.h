#pragma once

/*
 * Does a counter count what its name says? Each is opened alone and held against work whose count
 * is known (measure/work.h); one that fails is never used, and the answer says what was seen.
 */

#include "common/record.h"
#include "measure/perf.h"
#include "measure/work.h"

#include <stdbool.h>

#define DWB_REASON_MAX 256

struct dwb_refusal { /* why a counter is not counted */
    enum dwb_outcome outcome;
    char reason[DWB_REASON_MAX];
};

void dwb_refuse(struct dwb_refusal *refusal, enum dwb_outcome outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct dwb_candidate {
    const char *name;  /* logical counter */
    const char *event; /* for the text of a reason */
    const struct perf_event_attr *attrs;
    const uint32_t *weights;
    size_t n;
};

/*
 * Is there a PMU to reach at all? 0; or a negative errno when no hardware event can be opened on
 * this machine, with a refusal that fits all of them.
 */
int dwb_calibrate_preflight(const struct dwb_perf *perf, struct dwb_refusal *refusal);

struct dwb_calibration { /* what a counter was held against, and what it said; the last window */
    enum dwb_work_kind kind;
    uint64_t expected;
    bool exact; /* else `expected` is the least */
    bool has_seen;
    uint64_t seen;
};

/* 0: the counter passed; else -ENODATA or the negative errno of opening it, and the refusal. */
int dwb_calibrate(const struct dwb_perf *perf, const struct dwb_work *work,
                  const struct dwb_candidate *candidate, struct dwb_calibration *ret_calibration,
                  struct dwb_refusal *refusal);
