#pragma once

/*
 * The counters of a replicate. Every logical counter is in the list, whether it can be counted here
 * or not; one that cannot has a reason. Hardware counters are calibrated when the set is made and
 * then packed into groups that the PMU counts whole: a block of samples uses one group, the next
 * block the next, and nothing is ever multiplexed or scaled. The software counters (task_clock,
 * context_switches, page_faults) come from the kernel's accounting of this thread; the sampler
 * reads them around every sample.
 *
 * A set belongs to the thread that made it.
 */

#include "common/record.h"
#include "measure/calibrate.h"
#include "measure/perf.h"
#include "measure/work.h"

struct dwb_counters_config {
    const struct dwb_perf *perf;
    const struct dwb_work *work; /* NULL = made when there is a PMU to calibrate, freed after */
    enum dwb_isa isa;            /* whose FMA loop calibrates flops, when work is NULL */
    const char *directory;       /* of the event catalogue; NULL = none was found */
    const char *pmu;             /* libpfm4 name; NULL = detect */
    uint32_t cpu;                /* that the thread is pinned to */
};

enum dwb_software { /* position of the software counters after the hardware ones */
                    DWB_SOFTWARE_TASK_CLOCK,
                    DWB_SOFTWARE_CONTEXT_SWITCHES,
                    DWB_SOFTWARE_PAGE_FAULTS,
                    DWB_N_SOFTWARE
};

struct dwb_counted {
    uint32_t counter; /* index in the list */
    uint64_t value;
};

struct dwb_counters;

/* 0 or -ENOMEM: what goes wrong with counting is a reason in the list, not a failure. */
int dwb_counters_new(const struct dwb_counters_config *config, struct dwb_counters **ret_counters);
void dwb_counters_free(struct dwb_counters *counters);
static inline void dwb_counters_freep(struct dwb_counters **counters)
{
    dwb_counters_free(*counters);
}

/* The list; borrowed until the set is freed. */
const struct dwb_counter *dwb_counters_list(const struct dwb_counters *counters, size_t *ret_n);
uint32_t dwb_counters_software(const struct dwb_counters *counters, enum dwb_software which);
size_t dwb_counters_n_groups(const struct dwb_counters *counters);

/* What counter i of the list was held against; NULL when it did not come to that. Borrowed. */
const struct dwb_calibration *dwb_counters_calibration(const struct dwb_counters *counters,
                                                       size_t i);

/* What opening and reading an empty window takes; 0 without a group. */
uint64_t dwb_counters_window_ns(const struct dwb_counters *counters);

/* Counts group i (< n_groups) from start to stop. stop gives at most `max` values, and none when
 * the window had to be refused. */
void dwb_counters_start(struct dwb_counters *counters, size_t group);
size_t dwb_counters_stop(struct dwb_counters *counters, size_t group,
                         struct dwb_counted *ret_values, size_t max);

/* After the last window: a counter all of whose windows were refused loses its source and gets the
 * reason. Counters whose group never had a window say that. */
void dwb_counters_finish(struct dwb_counters *counters);
