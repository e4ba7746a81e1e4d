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
    uint64_t fp_control; /* MXCSR or FPCR as dwb_fp_mode_set left it */
};

/* New reference, NULL without memory. */
json_t *dwb_environment_new(const struct dwb_environment_options *options);

/* A member that was null until now, and its reason, give way to a value. */
void dwb_environment_set(json_t *environment, const char *key, json_t *value);

/* The version of a peer's library, once it is loaded. bit: of the backend. */
void dwb_environment_set_library(json_t *environment, unsigned bit, const char *version);

/* What is read again after the measurement, when no file can be opened any more (sandbox.h).
 * -1 = it cannot be read here, which makes its members null. */
struct dwb_environment_files {
    int stat_fd, loadavg_fd;
};

void dwb_environment_files_init(struct dwb_environment_files *files);
void dwb_environment_files_deinit(struct dwb_environment_files *files);

/*
 * Adds what happened while measuring: {"during": {steal_ticks, voluntary_switches,
 * involuntary_switches, major_faults, memory_peak_bytes, load_after}}; the ticks are those of the
 * CPU since dwb_environment_new. 0, -ENOMEM.
 */
int dwb_environment_finish(json_t *environment, const struct dwb_environment_options *options,
                           const struct dwb_environment_files *files);
