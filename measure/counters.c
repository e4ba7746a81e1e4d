/*
 * The counter set: catalogue + libpfm4 -> candidates -> calibration -> groups. See the header.
 *
 * Groups are packed greedily in the catalogue's order: an event joins the open group when the
 * kernel takes it and a trial window runs for all of its time; else it opens the next group. A
 * counter's own events always share a group, for their sum is one number of one window.
 *
 * Invariant: a member of a group has source HARDWARE; a counter with source NONE has a reason.
 */

#include "measure/counters.h"

#include "common/cleanup.h"
#include "measure/calibrate.h"
#include "measure/catalogue.h"
#include "measure/pmu.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define N_HARDWARE DWB_CATALOGUE_COUNTERS_MAX
#define N_ALL      (N_HARDWARE + DWB_N_SOFTWARE)

#define N_EMPTY_WINDOWS 16

struct candidate { /* how one hardware counter is counted */
    struct perf_event_attr attrs[DWB_CATALOGUE_EVENTS_MAX];
    uint32_t weights[DWB_CATALOGUE_EVENTS_MAX];
    size_t n;
};

struct group {
    struct dwb_perf_group events;
    uint32_t members[N_HARDWARE]; /* counters, in the order of their events */
    size_t n_members;
    uint32_t n_counted; /* windows */
    uint32_t n_refused;
    int last_error; /* of a refused window: DWB_PERF_E_* or -errno */
};

struct dwb_counters {
    const struct dwb_perf *perf;
    struct dwb_counter list[N_ALL];
    struct candidate candidates[N_HARDWARE];
    struct dwb_calibration calibrations[N_HARDWARE];
    bool is_calibrated[N_HARDWARE]; /* or the attempt was made */
    struct group groups[N_HARDWARE];
    size_t n_groups;
    uint64_t window_ns; /* an empty window; 0 = there is none */
};

static void list_init(struct dwb_counters *counters)
{
    static const struct {
        const char *name, *event, *unit;
    } software[DWB_N_SOFTWARE] = {
        [DWB_SOFTWARE_TASK_CLOCK] = {"task_clock", "clock_gettime(CLOCK_THREAD_CPUTIME_ID)", "ns"},
        [DWB_SOFTWARE_CONTEXT_SWITCHES] = {"context_switches",
                                           "getrusage(RUSAGE_THREAD) ru_nvcsw + ru_nivcsw", ""},
        [DWB_SOFTWARE_PAGE_FAULTS] = {"page_faults",
                                      "getrusage(RUSAGE_THREAD) ru_minflt + ru_majflt", ""},
    };

    for (size_t i = 0; i < N_HARDWARE; i++)
        snprintf(counters->list[i].name, sizeof counters->list[i].name, "%s",
                 dwb_catalogue_logical(i));
    for (size_t i = 0; i < DWB_N_SOFTWARE; i++) {
        struct dwb_counter *counter = &counters->list[N_HARDWARE + i];

        snprintf(counter->name, sizeof counter->name, "%s", software[i].name);
        snprintf(counter->event, sizeof counter->event, "%s", software[i].event);
        snprintf(counter->unit, sizeof counter->unit, "%s", software[i].unit);
        counter->source = DWB_SOURCE_SOFTWARE;
    }
}

static void __attribute__((format(printf, 3, 4)))
refuse(struct dwb_counter *counter, enum dwb_outcome outcome, const char *format, ...)
{
    va_list arguments;

    counter->source = DWB_SOURCE_NONE;
    counter->outcome = outcome;
    va_start(arguments, format);
    vsnprintf(counter->reason, sizeof counter->reason, format, arguments);
    va_end(arguments);
}

static void refuse_all(struct dwb_counters *counters, const struct dwb_refusal *refusal)
{
    for (size_t i = 0; i < N_HARDWARE; i++)
        refuse(&counters->list[i], refusal->outcome, "%s", refusal->reason);
}

/* "skx::A + 4*B" */
static void describe(struct dwb_counter *counter, const char *pmu,
                     const struct dwb_catalogue_counter *entry)
{
    size_t n = 0;

    for (size_t i = 0; i < entry->n_events && n < sizeof counter->event; i++) {
        char weight[16] = "";

        if (entry->events[i].weight > 1)
            snprintf(weight, sizeof weight, "%u*", entry->events[i].weight);
        n += (size_t)snprintf(counter->event + n, sizeof counter->event - n, "%s%s%s%s",
                              i ? " + " : pmu, i ? "" : "::", weight, entry->events[i].name);
    }
}

/* Encodes a catalogue entry. 0, or -ENOENT with the counter's reason set. */
static int encode(struct dwb_counters *counters, size_t i, const char *pmu, uint32_t cpu,
                  const struct dwb_catalogue_counter *entry)
{
    struct dwb_counter *counter = &counters->list[i];
    struct candidate *candidate = &counters->candidates[i];
    char error[96], version[32];

    describe(counter, pmu, entry);
    for (size_t k = 0; k < entry->n_events; k++) {
        int r = dwb_pmu_encode(counters->perf->root, pmu, entry->events[k].name, cpu,
                               &candidate->attrs[k], error, sizeof error);

        if (r < 0) {
            dwb_pmu_library_version(version, sizeof version);
            refuse(counter, DWB_OUTCOME_BAD_CATALOGUE, "libpfm4 %s does not encode %s::%.100s: %s",
                   version, pmu, entry->events[k].name, error);
            return r;
        }
        candidate->weights[k] = entry->events[k].weight;
    }
    candidate->n = entry->n_events;
    return 0;
}

static void calibrate(struct dwb_counters *counters, const struct dwb_counters_config *config,
                      const struct dwb_work *work, const char *pmu,
                      const struct dwb_catalogue *catalogue)
{
    for (size_t i = 0; i < N_HARDWARE; i++) {
        struct dwb_counter *counter = &counters->list[i];
        const struct dwb_catalogue_counter *entry = dwb_catalogue_get(catalogue, counter->name);
        struct dwb_candidate candidate = {
            .name = counter->name,
            .event = counter->event,
            .attrs = counters->candidates[i].attrs,
            .weights = counters->candidates[i].weights,
        };

        struct dwb_refusal refusal;

        if (!entry || entry->missing[0]) {
            refuse(counter, DWB_OUTCOME_NOT_ON_THIS_CPU, "%s",
                   entry ? entry->missing : "the event catalogue has none for this CPU");
            continue;
        }
        if (encode(counters, i, pmu, config->cpu, entry) < 0)
            continue;
        candidate.n = counters->candidates[i].n;
        counters->is_calibrated[i] = true;
        if (dwb_calibrate(config->perf, work, &candidate, &counters->calibrations[i], &refusal) <
            0) {
            refuse(counter, refusal.outcome, "%s", refusal.reason);
            continue;
        }
        counter->source = DWB_SOURCE_HARDWARE;
        counter->outcome = DWB_OUTCOME_COUNTED;
        snprintf(counter->reason, sizeof counter->reason, "%s", entry->note);
    }
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* The value of a counter from those of its group's events, of which its own begin at *at. */
static uint64_t weigh(const struct candidate *candidate, const uint64_t *values, size_t *at)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < candidate->n; i++)
        sum += values[(*at)++] * candidate->weights[i];
    return sum;
}

/* Does the group count, all of its events, right now? */
static bool trial(struct group *group, const struct dwb_work *work)
{
    uint64_t values[DWB_PERF_GROUP_MAX];

    if (dwb_perf_group_start(&group->events) < 0)
        return false;
    work->run(work->userdata, DWB_WORK_LOOP);
    return dwb_perf_group_stop(&group->events, values) == 0;
}

static bool join(struct dwb_counters *counters, struct group *group, size_t i,
                 const struct dwb_work *work)
{
    const struct candidate *candidate = &counters->candidates[i];

    if (dwb_perf_group_add(&group->events, candidate->attrs, candidate->n) < 0)
        return false;
    if (!trial(group, work)) {
        dwb_perf_group_drop(&group->events, candidate->n);
        return false;
    }
    group->members[group->n_members++] = (uint32_t)i;
    return true;
}

static void pack(struct dwb_counters *counters, const struct dwb_work *work)
{
    for (size_t i = 0; i < N_HARDWARE; i++) {
        struct dwb_counter *counter = &counters->list[i];
        struct group *group = &counters->groups[counters->n_groups - (counters->n_groups > 0)];

        if (counter->source != DWB_SOURCE_HARDWARE)
            continue;
        if (counters->n_groups > 0 && join(counters, group, i, work))
            continue;
        group = &counters->groups[counters->n_groups];
        dwb_perf_group_init(&group->events, counters->perf);
        if (join(counters, group, i, work)) {
            counters->n_groups++;
            continue;
        }
        refuse(counter, DWB_OUTCOME_HELD,
               "it counted alone, but could not be opened a second time");
    }
}

/* What a window costs that has nothing in it: starting and reading it is counted too, and takes
 * time. The least of some windows, for noise only adds. */
static void measure_overhead(struct dwb_counters *counters)
{
    for (size_t g = 0; g < counters->n_groups; g++) {
        struct group *group = &counters->groups[g];
        uint64_t values[DWB_PERF_GROUP_MAX], started_ns;

        for (size_t i = 0; i < N_EMPTY_WINDOWS; i++) {
            size_t at = 0;

            started_ns = now_ns();
            if (dwb_perf_group_start(&group->events) < 0 ||
                dwb_perf_group_stop(&group->events, values) != 0)
                continue;
            uint64_t elapsed_ns = now_ns() - started_ns;
            if (!counters->window_ns || elapsed_ns < counters->window_ns)
                counters->window_ns = elapsed_ns ? elapsed_ns : 1;
            for (size_t k = 0; k < group->n_members; k++) {
                struct dwb_counter *counter = &counters->list[group->members[k]];
                uint64_t sum = weigh(&counters->candidates[group->members[k]], values, &at);

                if (!counter->has_overhead || sum < counter->overhead)
                    counter->overhead = sum;
                counter->has_overhead = true;
            }
        }
    }
}

/* Catalogue and PMU name; false with every hardware counter's reason set. */
static bool find_catalogue(struct dwb_counters *counters, const struct dwb_counters_config *config,
                           char *pmu, size_t size, struct dwb_catalogue **ret_catalogue)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    struct dwb_refusal refusal;
    char path[4096] = "";
    int r = diags ? 0 : -ENOMEM;

    if (config->pmu)
        snprintf(pmu, size, "%s", config->pmu);
    else if (r == 0)
        r = dwb_pmu_detect(config->perf->root, config->cpu, pmu, size);
    if (r == -ENOSYS) {
        dwb_refuse(&refusal, DWB_OUTCOME_FAILED, "libpfm4 could not start");
        refuse_all(counters, &refusal);
        return false;
    }
    if (r == 0)
        r = config->directory ? dwb_catalogue_find(config->directory, pmu, diags, path, sizeof path,
                                                   ret_catalogue)
                              : -ENOENT;
    if (r == -ENOENT && config->directory && strcmp(pmu, DWB_PMU_GENERIC) != 0) {
        snprintf(pmu, size, "%s", DWB_PMU_GENERIC); /* a CPU the catalogue does not know */
        r = dwb_catalogue_find(config->directory, pmu, diags, path, sizeof path, ret_catalogue);
    }
    if (r == 0)
        return true;
    if (r == -EINVAL && diags->n > 0)
        dwb_refuse(&refusal, DWB_OUTCOME_BAD_CATALOGUE,
                   "the event catalogue is not valid: %.90s:%u:%u: %.100s", path,
                   diags->items[0].line, diags->items[0].column, diags->items[0].message);
    else
        dwb_refuse(&refusal, DWB_OUTCOME_BAD_CATALOGUE, "the event catalogue cannot be read: %s",
                   strerror(-r));
    refuse_all(counters, &refusal);
    return false;
}

static void open_hardware(struct dwb_counters *counters, const struct dwb_counters_config *config)
{
    DWB_CLEANUP(dwb_catalogue_freep) struct dwb_catalogue *catalogue = NULL;
    DWB_CLEANUP(dwb_work_freep) struct dwb_work *own_work = NULL;
    const struct dwb_work *work = config->work;
    struct dwb_refusal refusal;
    char pmu[64];

    if (dwb_calibrate_preflight(config->perf, &refusal) < 0) {
        refuse_all(counters, &refusal);
        return;
    }
    if (!find_catalogue(counters, config, pmu, sizeof pmu, &catalogue))
        return;
    if (!work) {
        int r = dwb_work_new(config->isa, &own_work);

        if (r < 0) {
            dwb_refuse(&refusal, DWB_OUTCOME_FAILED, "no known work to calibrate against: %s",
                       strerror(-r));
            refuse_all(counters, &refusal);
            return;
        }
        work = own_work;
    }
    calibrate(counters, config, work, pmu, catalogue);
    pack(counters, work);
    measure_overhead(counters);
}

int dwb_counters_new(const struct dwb_counters_config *config, struct dwb_counters **ret_counters)
{
    struct dwb_counters *counters = calloc(1, sizeof *counters);

    if (!counters)
        return -ENOMEM;
    counters->perf = config->perf;
    list_init(counters);
    open_hardware(counters, config);
    *ret_counters = counters;
    return 0;
}

void dwb_counters_free(struct dwb_counters *counters)
{
    if (!counters)
        return;
    for (size_t i = 0; i < counters->n_groups; i++)
        dwb_perf_group_deinit(&counters->groups[i].events);
    free(counters);
}

const struct dwb_counter *dwb_counters_list(const struct dwb_counters *counters, size_t *ret_n)
{
    *ret_n = N_ALL;
    return counters->list;
}

uint32_t dwb_counters_software(const struct dwb_counters *counters, enum dwb_software which)
{
    return N_HARDWARE + (uint32_t)which;
}

size_t dwb_counters_n_groups(const struct dwb_counters *counters)
{
    return counters->n_groups;
}

const struct dwb_calibration *dwb_counters_calibration(const struct dwb_counters *counters,
                                                       size_t i)
{
    return i < N_HARDWARE && counters->is_calibrated[i] ? &counters->calibrations[i] : NULL;
}

uint64_t dwb_counters_window_ns(const struct dwb_counters *counters)
{
    return counters->window_ns;
}

void dwb_counters_start(struct dwb_counters *counters, size_t index)
{
    struct group *group = &counters->groups[index];

    if (group->last_error < 0) /* a failed call: totals and windows no longer match */
        return;
    group->last_error = dwb_perf_group_start(&group->events);
}

size_t dwb_counters_stop(struct dwb_counters *counters, size_t index,
                         struct dwb_counted *ret_values, size_t max)
{
    struct group *group = &counters->groups[index];
    uint64_t values[DWB_PERF_GROUP_MAX];
    size_t at = 0, n = 0;

    if (group->last_error >= 0)
        group->last_error = dwb_perf_group_stop(&group->events, values);
    if (group->last_error != 0) {
        group->n_refused++;
        return 0;
    }
    group->n_counted++;
    for (size_t i = 0; i < group->n_members; i++) {
        uint64_t sum = weigh(&counters->candidates[group->members[i]], values, &at);

        if (n < max)
            ret_values[n++] = (struct dwb_counted){.counter = group->members[i], .value = sum};
    }
    return n;
}

void dwb_counters_finish(struct dwb_counters *counters)
{
    for (size_t i = 0; i < counters->n_groups; i++) {
        const struct group *group = &counters->groups[i];

        for (size_t k = 0; k < group->n_members && group->n_counted == 0; k++) {
            struct dwb_counter *counter = &counters->list[group->members[k]];

            if (group->n_refused == 0)
                refuse(counter, DWB_OUTCOME_NO_WINDOW,
                       "not in this replicate: fewer blocks than counter groups");
            else if (group->last_error < 0)
                refuse(counter, DWB_OUTCOME_FAILED, "reading it failed: %s",
                       strerror(-group->last_error));
            else
                refuse(counter, DWB_OUTCOME_HELD,
                       "refused in all %u windows: another user of the PMU took its "
                       "hardware counter (time_running < time_enabled)",
                       group->n_refused);
        }
    }
}
