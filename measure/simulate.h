#pragma once

/*
 * Counters without a PMU: one call of each operation on the CPU that Valgrind's Callgrind makes up,
 * with this machine's caches or given ones. Each operation has a Valgrind of its own, which runs
 * this very program (measure/callgrind.h), so none finds what another has left; it dies with this
 * process. Nothing is timed, and nothing that was timed is touched.
 */

#include "common/record.h"
#include "measure/machine.h"
#include "measure/request.h"

#define DWB_SIMULATE_ERROR_MAX 320

/* A sentence that says why nothing can be simulated here, or 0 and the tool's name and version. */
int dwb_simulate_available(char error[DWB_SIMULATE_ERROR_MAX], char *tool, size_t tool_size);

/*
 * Callgrind's two levels from a machine's caches: the first, and the last of all. It takes only a
 * power of two of sets: another cache becomes the nearest one below with as many bytes a way or
 * more, and *ret_exact says no. 0; -ENODATA when a cache is not known.
 */
int dwb_simulate_geometry(const struct dwb_caches *caches, struct dwb_geometry *ret_geometry,
                          bool *ret_exact);

/* Tool and geometry for a request, before anything is measured. 0; a negative errno with a sentence
 * in error. */
int dwb_simulate_prepare(const struct dwb_request *request, uint32_t cpu,
                         char error[DWB_SIMULATE_ERROR_MAX],
                         struct dwb_simulation **ret_simulation);

struct dwb_simulate_progress {
    const struct dwb_subject *subject;
    uint32_t step, n_steps; /* from 1 */
    uint64_t elapsed_ns;    /* in this step */
};

typedef void dwb_simulate_progress_fn(const struct dwb_simulate_progress *progress, void *userdata);

/*
 * Simulates every operation among the subjects; what cannot be counted has its reason. progress is
 * called at the start of each step and once a second. 0 or -ENOMEM.
 */
int dwb_simulate_run(const struct dwb_request *request, const struct dwb_subject *subjects,
                     size_t n_subjects, dwb_simulate_progress_fn *progress, void *userdata,
                     struct dwb_simulation *simulation);

/* The numbers of a Callgrind output, in the order of enum dwb_simulated_count. 0 or -EINVAL. */
int dwb_simulate_parse(const char *text, uint64_t counts[DWB_N_SIMULATED]);
