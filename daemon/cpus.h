#pragma once

/*
 * Which CPU measures, and the daemon's own affinity: everything but that one, so that the daemon
 * does not run beside what it measures.
 */

#include <sched.h>
#include <stdint.h>

/* Pure. wanted UINT64_MAX = the highest of `allowed`. 0, or -ENODEV when it is not allowed. */
int dwb_cpus_choose(const cpu_set_t *allowed, uint64_t wanted, uint32_t *ret_cpu);

/* Keeps this thread, and those it starts, off the CPU; does nothing when it is the only one. */
int dwb_cpus_avoid(const cpu_set_t *allowed, uint32_t cpu);
