#pragma once

/*
 * perf_event_open(2): the seam between counting and the kernel, and a group of events over it.
 *
 * The seam is the system's four calls as pointers and the place of /proc and /sys, so that a test
 * can stand in for a kernel that refuses, a PMU that multiplexes, an event that counts nothing, a
 * watchdog, or a CPU with two kinds of cores.
 *
 * A group counts user mode of the calling thread, all of its events at once or not at all: the
 * leader is pinned, and a window in which the group did not run for all of its time is refused.
 * Nothing is scaled.
 */

#include <linux/perf_event.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct dwb_perf {
    /* This thread, any CPU, close-on-exec; group_fd -1 = a leader. A descriptor, or -errno. */
    int (*open)(void *userdata, const struct perf_event_attr *attr, int group_fd);
    ssize_t (*read)(void *userdata, int fd, void *buffer, size_t size); /* bytes, or -errno */
    int (*ioctl)(void *userdata, int fd, unsigned long request, unsigned long argument);
    void (*close)(void *userdata, int fd);
    void *userdata;
    const char *root; /* before /proc and /sys: "" = the machine's own */
};

extern const struct dwb_perf dwb_perf_kernel;

#define DWB_PERF_GROUP_MAX 32

enum {
    DWB_PERF_E_NOT_COUNTED = 1, /* never got hardware: read gave 0 bytes, or no time passed */
    DWB_PERF_E_MULTIPLEXED,     /* time_running < time_enabled */
};

struct dwb_perf_group {
    const struct dwb_perf *perf;
    int fds[DWB_PERF_GROUP_MAX]; /* [0] leads */
    size_t n;
    uint64_t last[DWB_PERF_GROUP_MAX]; /* running totals at the end of the last window */
    uint64_t last_enabled_ns, last_running_ns;
};

void dwb_perf_group_init(struct dwb_perf_group *group, const struct dwb_perf *perf);
void dwb_perf_group_deinit(struct dwb_perf_group *group);

/* Adds all of attrs[0..n) or none. 0, or the -errno of the first that was refused (-EINVAL also
 * when they do not fit the PMU together). */
int dwb_perf_group_add(struct dwb_perf_group *group, const struct perf_event_attr *attrs, size_t n);
/* Takes the last n events out again. */
void dwb_perf_group_drop(struct dwb_perf_group *group, size_t n);

/* A window: what passes between the two is counted. stop: 0 and ret_values[0..n of group);
 * DWB_PERF_E_*; -errno. */
int dwb_perf_group_start(struct dwb_perf_group *group);
int dwb_perf_group_stop(struct dwb_perf_group *group, uint64_t *ret_values);
