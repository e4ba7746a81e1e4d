#pragma once

/*
 * libpfm4, and the only file that knows it: event strings in, perf_event_attr out. Its text for an
 * error is kept. Not thread-safe (libpfm4 is not).
 */

#include <linux/perf_event.h>
#include <stddef.h>
#include <stdint.h>

#define DWB_PMU_GENERIC "perf" /* events that the kernel maps to this CPU by itself */

/* "4.13.0" */
void dwb_pmu_library_version(char *buffer, size_t size);

/*
 * libpfm4's name of the core PMU of this CPU ("skx", "amd64_fam19h_zen4", "arm_n1") into buffer;
 * DWB_PMU_GENERIC when it has no table for it, and on a machine with two kinds of cores, for
 * libpfm4 does not say which of its names is whose. A name says what the CPU is, not that the PMU
 * can be reached: hypervisors hide it. root: what stands before /sys. 0, or -ENOSYS when the
 * library cannot start.
 */
int dwb_pmu_detect(const char *root, uint32_t cpu, char *buffer, size_t size);

/*
 * Encodes "pmu::event" for this thread's user mode: exclude_kernel and exclude_hv are set. On a
 * machine with several core PMUs the one of `cpu` is taken. 0; -ENOENT with the library's text in
 * error.
 */
int dwb_pmu_encode(const char *root, const char *pmu, const char *event, uint32_t cpu,
                   struct perf_event_attr *ret_attr, char *error, size_t error_size);
