#pragma once

/*
 * The environment of a measurement, as a JSON object: everything that could make another run
 * differ. A member that cannot be read on this machine is null, and "unreadable" has the reason
 * under its dotted name ("cpu.microcode"); a member is never left out.
 */

#include "common/spec.h"

#include <jansson.h>
#include <stdint.h>

struct dwb_environment_options {
    const char *root; /* what stands before /proc and /sys; "" but in a test */
    uint32_t cpu;     /* that the measurement is pinned to */
    uint64_t seed;
    uint64_t fp_control;                          /* MXCSR or FPCR as dwb_fp_mode_set left it */
    const char *backend_versions[DWB_N_BACKENDS]; /* by bit; NULL = not loaded */
};

/* New reference, NULL without memory. */
json_t *dwb_environment_new(const struct dwb_environment_options *options);

/* A member that was null until now, and its reason, give way to a value. */
void dwb_environment_set(json_t *environment, const char *key, json_t *value);

/*
 * Adds what happened while measuring: {"during": {steal_ticks, voluntary_switches,
 * involuntary_switches, major_faults, memory_peak_bytes, load_after}}; the ticks are those of the
 * CPU since dwb_environment_new. 0, -ENOMEM.
 */
int dwb_environment_finish(json_t *environment, const struct dwb_environment_options *options);
