#pragma once

/*
 * A kernel and a PMU made of glass: the seam of measure/perf.h is taken by a fake that refuses,
 * multiplexes, counts nothing or counts twice, and the known work feeds it. Events are the generic
 * ones of libpfm4, so the tests are the same on every architecture.
 */

#include "measure/counters.h"

#include <stdbool.h>

#define FDS_MAX          64
#define N_HARDWARE       11
#define ALL_CONFIGS      UINT64_MAX
#define FIXTURE_PATH_MAX 64

struct event {
    bool open;
    int leader;
    uint64_t config, total;
    bool enabled; /* of a leader */
    uint64_t enabled_ns, running_ns;
};

struct fake {
    struct event events[FDS_MAX];
    int n_open, n_opened;
    int open_error;        /* of events with error_config */
    uint64_t error_config; /* ALL_CONFIGS = every event */
    uint32_t core_type;    /* PMU of the measuring core that each event must name; 0 = none */
    bool reads_nothing;
    bool multiplexes;
    uint64_t stuck_config;
    uint64_t flops_factor;
    uint64_t width_factor[DWB_N_WORK_KINDS]; /* what an addition of that width counts; right: 1 */
    uint64_t start_cost;                     /* what starting a window counts by itself */
    int group_max;                           /* events that the PMU counts at once */
};

extern struct fake fake;
extern char directory[FIXTURE_PATH_MAX]; /* of the catalogue */
extern char root[FIXTURE_PATH_MAX];      /* of /proc and /sys */
extern const struct dwb_perf perf;
extern const struct dwb_work work;

/* A checked fixture: a machine without faults, and the catalogue. */
void setup(void);
void teardown(void);

/* A file of the machine that is made up; path begins with "/proc" or "/sys". */
void write_setting(const char *path, const char *text);
void write_catalogue(const char *text);

struct dwb_counters *make(void);
const struct dwb_counter *get(const struct dwb_counters *counters, const char *name);
void assert_software(const struct dwb_counters *counters);
/* No counter of this name, because of this. */
void assert_none(const struct dwb_counters *counters, const char *name, const char *reason);
/* UINT64_MAX when it is not among them. */
uint64_t value_of(const struct dwb_counters *counters, const struct dwb_counted *counted, size_t n,
                  const char *name);
