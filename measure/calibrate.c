/*
 * Calibration of counters. Counts that follow from the program (instructions, floating-point
 * operations) must be right within 2 %; counts that depend on the machine (misses, stalls) must
 * reach a fraction of what the work forces. A window may be disturbed, so the best of three
 * decides.
 *
 * The reasons are for the person who wonders why a column is empty: what happened, and what to do.
 */

#include "measure/calibrate.h"

#include "measure/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define TOLERANCE 0.02
#define N_WINDOWS 3

static struct dwb_calibration expect(const struct dwb_work *work, const char *name)
{
    const struct {
        const char *name;
        struct dwb_calibration calibration;
    } table[] = {
        {"cycles", {DWB_WORK_LOOP, work->instructions / 16, false, false, 0}},
        {"instructions", {DWB_WORK_LOOP, work->instructions, true, false, 0}},
        {"flops", {DWB_WORK_FLOPS, work->flops, true, false, 0}},
        {"branch_misses", {DWB_WORK_MISSES, work->n_branches / 10, false, false, 0}},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].calibration;
    /* Misses and stalls: every load misses; prefetches and merges may hide most, not all. */
    return (struct dwb_calibration){.kind = DWB_WORK_MISSES, .expected = work->n_loads / 8};
}

void dwb_refuse(struct dwb_refusal *refusal, enum dwb_outcome outcome, const char *format, ...)
{
    va_list arguments;

    refusal->outcome = outcome;
    va_start(arguments, format);
    vsnprintf(refusal->reason, sizeof refusal->reason, format, arguments);
    va_end(arguments);
}

static int read_setting(const struct dwb_perf *perf, const char *name, int64_t *ret_value)
{
    char path[512];

    snprintf(path, sizeof path, "%s/proc/sys/kernel/%s", perf->root, name);
    return dwb_machine_read_int(path, ret_value);
}

/* "" where no NMI watchdog holds a counter. */
static const char *watchdog_text(const struct dwb_perf *perf)
{
    int64_t watchdog;

    return read_setting(perf, "nmi_watchdog", &watchdog) == 0 && watchdog > 0
               ? " (the NMI watchdog holds a counter: sysctl kernel.nmi_watchdog=0)"
               : "";
}

static void refuse_permission(const struct dwb_perf *perf, int error, struct dwb_refusal *refusal)
{
    int64_t paranoid;
    bool known = read_setting(perf, "perf_event_paranoid", &paranoid) == 0;

    if (error == -EPERM)
        dwb_refuse(refusal, DWB_OUTCOME_SECCOMP,
                   "perf_event_open is forbidden (EPERM): a container's seccomp filter or a "
                   "security module denies it; allow perf_event_open there%s",
                   known && paranoid > 2 ? ", and set sysctl kernel.perf_event_paranoid=2" : "");
    else if (known && paranoid > 2)
        dwb_refuse(refusal, DWB_OUTCOME_PARANOID,
                   "no permission (EACCES): kernel.perf_event_paranoid is %" PRId64
                   " and counting one's own user mode needs 2 or less: sysctl "
                   "kernel.perf_event_paranoid=2 (where 3 exists, CAP_PERFMON alone does not help)",
                   paranoid);
    else if (known)
        dwb_refuse(refusal, DWB_OUTCOME_DENIED,
                   "no permission (EACCES), although kernel.perf_event_paranoid is %" PRId64
                   " and would allow it: a security module denies perf_event_open",
                   paranoid);
    else
        dwb_refuse(refusal, DWB_OUTCOME_DENIED,
                   "no permission (EACCES), and kernel.perf_event_paranoid cannot be read here; "
                   "counting one's own user mode needs it at 2 or less");
}

static const char *name_of(int error)
{
    const char *name = strerrorname_np(-error);

    return name ? name : "an unknown error";
}

static void refuse_no_pmu(int error, struct dwb_refusal *refusal)
{
    char hypervisor[64];

    if (dwb_machine_hypervisor(hypervisor, sizeof hypervisor) == 0 &&
        strcmp(hypervisor, "none") != 0)
        dwb_refuse(refusal, DWB_OUTCOME_NO_PMU,
                   "no PMU under this hypervisor (%s): hardware events give %s; run on bare metal "
                   "or on a virtual machine with a virtual PMU",
                   hypervisor, name_of(error));
    else
        dwb_refuse(refusal, DWB_OUTCOME_NO_PMU,
                   "this kernel reaches no PMU: hardware events give %s (a virtual machine without "
                   "one, or no driver for this CPU)",
                   name_of(error));
}

/* Errors that are the machine's, not one event's. */
static bool refuse_machine(const struct dwb_perf *perf, int error, struct dwb_refusal *refusal)
{
    switch (error) {
    case -EACCES:
    case -EPERM:
        refuse_permission(perf, error, refusal);
        return true;
    case -ENOSYS:
        dwb_refuse(refusal, DWB_OUTCOME_NO_SYSCALL,
                   "this kernel has no perf_event_open (ENOSYS): an emulator such as qemu-user, a "
                   "seccomp filter, or a kernel built without CONFIG_PERF_EVENTS");
        return true;
    default:
        return false;
    }
}

static void refuse_event(const struct dwb_perf *perf, int error, const char *event,
                         struct dwb_refusal *refusal)
{
    if (refuse_machine(perf, error, refusal))
        return;
    switch (error) {
    case -ENOENT:
    case -EOPNOTSUPP:
    case -ENODEV:
    case -ENXIO:
        dwb_refuse(refusal, DWB_OUTCOME_NOT_ON_THIS_CPU,
                   "the kernel's PMU driver has no such event on this CPU (%s): %.120s",
                   name_of(error), event);
        break;
    case -EINVAL:
    case -ENOSPC:
        dwb_refuse(
            refusal, DWB_OUTCOME_DOES_NOT_FIT,
            "the kernel refuses the encoding, or its events do not fit the counters together "
            "(%s)%s: %.60s",
            name_of(error), watchdog_text(perf), event);
        break;
    case -EBUSY:
        dwb_refuse(refusal, DWB_OUTCOME_HELD, "another tool holds the PMU for itself (EBUSY)");
        break;
    default:
        dwb_refuse(refusal, DWB_OUTCOME_FAILED, "perf_event_open failed: %s (%s)", strerror(-error),
                   name_of(error));
    }
}

int dwb_calibrate_preflight(const struct dwb_perf *perf, struct dwb_refusal *refusal)
{
    struct perf_event_attr attr;
    struct dwb_perf_group group;
    int r;

    memset(&attr, 0, sizeof attr);
    attr.type = PERF_TYPE_HARDWARE;
    attr.config = PERF_COUNT_HW_CPU_CYCLES;
    dwb_perf_group_init(&group, perf);
    r = dwb_perf_group_add(&group, &attr, 1);
    dwb_perf_group_deinit(&group);
    if (r == -ENOENT || r == -EOPNOTSUPP || r == -ENODEV || r == -ENXIO) {
        refuse_no_pmu(r, refusal);
        return r;
    }
    /* Any other error may be of this one event: each event then answers for itself. */
    return r < 0 && refuse_machine(perf, r, refusal) ? r : 0;
}

/* One window: the weighted sum of the candidate's events. */
static int window(struct dwb_perf_group *group, const struct dwb_work *work,
                  const struct dwb_candidate *candidate, enum dwb_work_kind kind,
                  uint64_t *ret_count)
{
    uint64_t values[DWB_PERF_GROUP_MAX], sum = 0;
    int r;

    work->prepare(work->userdata, kind);
    r = dwb_perf_group_start(group);
    if (r < 0)
        return r;
    work->run(work->userdata, kind);
    r = dwb_perf_group_stop(group, values);
    if (r != 0)
        return r;
    for (size_t i = 0; i < candidate->n; i++)
        sum += values[i] * candidate->weights[i];
    *ret_count = sum;
    return 0;
}

static bool passes(const struct dwb_calibration *calibration, uint64_t count)
{
    if (!calibration->exact)
        return count >= calibration->expected && count > 0;
    return fabs((double)count - (double)calibration->expected) <=
           TOLERANCE * (double)calibration->expected;
}

static void refuse_window(const struct dwb_perf *perf, int r, struct dwb_refusal *refusal)
{
    if (r == DWB_PERF_E_NOT_COUNTED)
        dwb_refuse(refusal, DWB_OUTCOME_HELD,
                   "not counted: it opened, but the PMU never had a free counter for it (read gave "
                   "nothing)%s",
                   watchdog_text(perf));
    else if (r == DWB_PERF_E_MULTIPLEXED)
        dwb_refuse(refusal, DWB_OUTCOME_HELD,
                   "refused: it shared its hardware counter with other events (time_running < "
                   "time_enabled), and dwbench scales nothing%s",
                   watchdog_text(perf));
    else
        dwb_refuse(refusal, DWB_OUTCOME_FAILED, "reading it failed: %s (%s)", strerror(-r),
                   name_of(r));
}

static void refuse_count(const struct dwb_calibration *calibration, uint64_t count,
                         struct dwb_refusal *refusal)
{
    const char *bound = calibration->exact ? "" : "at least ";

    if (count == 0)
        dwb_refuse(refusal, DWB_OUTCOME_COUNTS_NOTHING,
                   "it opened but counted 0 over work with %s%" PRIu64
                   ": this CPU or hypervisor does not implement it",
                   bound, calibration->expected);
    else
        dwb_refuse(refusal, DWB_OUTCOME_FAILS_CALIBRATION,
                   "failed its calibration: expected %s%" PRIu64 ", saw %" PRIu64 " (%.1f %%)",
                   bound, calibration->expected, count,
                   100.0 * (double)count / (double)calibration->expected);
}

/* The best of some windows decides. 0, or -ENODATA with the refusal. */
static int hold_against(struct dwb_perf_group *group, const struct dwb_work *work,
                        const struct dwb_candidate *candidate, struct dwb_calibration *calibration,
                        struct dwb_refusal *refusal)
{
    for (int i = 0; i < N_WINDOWS; i++) {
        uint64_t count;
        int r = window(group, work, candidate, calibration->kind, &count);

        if (r == 0) {
            calibration->has_seen = true;
            calibration->seen = count;
        }
        if (r == 0 && passes(calibration, count))
            return 0;
        if (r == 0)
            refuse_count(calibration, count, refusal);
        else
            refuse_window(group->perf, r, refusal);
    }
    return -ENODATA;
}

/* A sum of events with a weight a width is right only when each is: a wrong weight of one that the
 * kernels do not use would go unseen by their own loop. */
static int hold_against_widths(struct dwb_perf_group *group, const struct dwb_work *work,
                               const struct dwb_candidate *candidate, struct dwb_refusal *refusal)
{
    int r = 0;

    for (int kind = DWB_WORK_SCALAR; r == 0 && kind <= DWB_WORK_512; kind++) {
        struct dwb_calibration calibration = {
            .kind = (enum dwb_work_kind)kind, .expected = work->width_flops[kind], .exact = true};
        struct dwb_refusal own;

        if (calibration.expected == 0)
            continue;
        r = hold_against(group, work, candidate, &calibration, &own);
        if (r < 0)
            dwb_refuse(refusal, own.outcome, "%s: %.200s", dwb_work_name(calibration.kind),
                       own.reason);
    }
    return r;
}

int dwb_calibrate(const struct dwb_perf *perf, const struct dwb_work *work,
                  const struct dwb_candidate *candidate, struct dwb_calibration *ret_calibration,
                  struct dwb_refusal *refusal)
{
    struct dwb_perf_group group;
    int r;

    *ret_calibration = expect(work, candidate->name);
    dwb_perf_group_init(&group, perf);
    r = dwb_perf_group_add(&group, candidate->attrs, candidate->n);
    if (r < 0) {
        refuse_event(perf, r, candidate->event, refusal);
        return r;
    }
    r = hold_against(&group, work, candidate, ret_calibration, refusal);
    if (r == 0 && ret_calibration->kind == DWB_WORK_FLOPS)
        r = hold_against_widths(&group, work, candidate, refusal);
    dwb_perf_group_deinit(&group);
    return r;
}
