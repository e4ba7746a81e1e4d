#pragma once

/*
 * The environment of a measurement, as a JSON object: everything that could make another run
 * differ. A member that cannot be read on this machine is null; a member is never left out.
 */

#include <jansson.h>
#include <stdint.h>

/* cpu: the one the measurement is pinned to; fp_control: MXCSR or FPCR as dwb_fp_mode_set left it.
 * New reference, NULL without memory. */
json_t *dwb_environment_new(uint32_t cpu, uint64_t seed, uint64_t fp_control);

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
int dwb_environment_finish(json_t *environment, uint32_t cpu,
                           const struct dwb_environment_files *files);
