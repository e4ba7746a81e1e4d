#include "client/doctor.h"

#include "common/record.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PARANOID_MAX 2 /* above it the kernel refuses user-only counters without a capability */
#define LOAD_QUIET   0.5
#define COUNTERS_MAX 64

const char *dwb_finding_level_name(enum dwb_finding_level level)
{
    static const char *const names[] = {"ok", "note", "problem"};

    return names[level];
}

void dwb_findings_add(struct dwb_findings *findings, enum dwb_finding_level level,
                      const char *subject, const char *fix, const char *format, ...)
{
    struct dwb_finding *finding = &findings->items[findings->n];
    va_list args;

    if (findings->n == DWB_FINDINGS_MAX)
        return;
    findings->n++;
    finding->level = level;
    finding->subject = subject;
    va_start(args, format);
    vsnprintf(finding->text, sizeof(finding->text), format, args);
    va_end(args);
    snprintf(finding->fix, sizeof(finding->fix), "%s", fix ? fix : "");
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool is_on(const json_t *value)
{
    return json_is_true(value) || (json_is_integer(value) && json_integer_value(value) > 0);
}

static void examine_loop(const json_t *info, struct dwb_findings *findings)
{
    const json_t *loop = json_object_get(info, "loop");
    const char *backend = text_of(loop, "backend"), *reason = text_of(loop, "fallback_reason");

    if (reason)
        dwb_findings_add(
            findings, DWB_FINDING_NOTE, "event loop",
            "in a container: a seccomp profile that allows io_uring; on the host: "
            "sudo sysctl kernel.io_uring_disabled=0",
            "%s, because io_uring is not to be had: %s (measurements do not depend on it)",
            backend ? backend : "unknown", reason);
    else
        dwb_findings_add(findings, DWB_FINDING_OK, "event loop", NULL, "%s",
                         backend ? backend : "unknown");
}

static void join(const json_t *array, char *buffer, size_t size)
{
    size_t n = 0;

    buffer[0] = '\0';
    for (size_t i = 0; i < json_array_size(array) && n < size; i++) {
        const char *item = json_string_value(json_array_get(array, i));

        if (item)
            n += (size_t)snprintf(buffer + n, size - n, "%s%s", n ? ", " : "", item);
    }
}

static void examine_cpu(const json_t *machine, struct dwb_findings *findings)
{
    const json_t *environment = json_object_get(machine, "environment");
    const char *model = text_of(json_object_get(machine, "cpu"), "model");
    const char *best = text_of(machine, "isa_best"),
               *hypervisor = text_of(environment, "hypervisor");
    const char *online = text_of(environment, "cpus_online");
    char isas[256];

    join(json_object_get(machine, "isas"), isas, sizeof(isas));
    dwb_findings_add(findings, DWB_FINDING_OK, "CPU", NULL, "%s%s%s", model ? model : "not known",
                     hypervisor ? ", under " : "", hypervisor ? hypervisor : "");
    dwb_findings_add(
        findings, best && strcmp(best, "portable") != 0 ? DWB_FINDING_OK : DWB_FINDING_NOTE,
        "kernels", NULL, "%s; the default is %s", isas[0] ? isas : "none", best ? best : "none");
    if (online && strcmp(online, "0") == 0)
        dwb_findings_add(
            findings, DWB_FINDING_NOTE, "CPU", NULL,
            "only one CPU is online: the daemon and everything else share it with what "
            "is measured");
}

static void examine_backends(const json_t *machine, struct dwb_findings *findings)
{
    const json_t *backends = json_object_get(machine, "backends");

    for (size_t i = 0; i < json_array_size(backends); i++) {
        const json_t *backend = json_array_get(backends, i);
        const char *name = text_of(backend, "name"), *reason = text_of(backend, "reason");

        if (json_is_true(json_object_get(backend, "available")))
            dwb_findings_add(findings, DWB_FINDING_OK, "backend", NULL, "%s, version %s",
                             name ? name : "?",
                             text_of(backend, "version") ? text_of(backend, "version") : "?");
        else
            dwb_findings_add(findings, DWB_FINDING_NOTE, "backend",
                             "sudo apt-get install libdnnl-dev libxnnpack-dev libpthreadpool-dev "
                             "libcpuinfo-dev, then build dwbench again",
                             "%s: %s", name ? name : "?", reason ? reason : "not available");
    }
}

static void examine_plugins(const json_t *info, struct dwb_findings *findings)
{
    const json_t *plugins = json_object_get(info, "plugins");
    const json_t *files = json_object_get(plugins, "files");
    const char *reason = text_of(plugins, "reason");

    if (!plugins)
        return; /* an older daemon */
    if (!json_is_true(json_object_get(plugins, "enabled")))
        dwb_findings_add(findings, DWB_FINDING_OK, "plugins", NULL,
                         "dwbenchctl run --plugin FILE takes yours; this daemon takes none: %s",
                         reason ? reason : "not known why");
    else if (reason && reason[0])
        dwb_findings_add(findings, DWB_FINDING_NOTE, "plugins", NULL, "%s", reason);
    else if (json_array_size(files) == 0)
        dwb_findings_add(findings, DWB_FINDING_OK, "plugins", NULL, "taken; there is none");
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        const char *name = text_of(file, "name"), *why = text_of(file, "reason");

        if (json_is_true(json_object_get(file, "available")))
            dwb_findings_add(findings, DWB_FINDING_OK, "plugin", NULL, "%s", name ? name : "?");
        else
            dwb_findings_add(findings, DWB_FINDING_NOTE, "plugin", NULL, "%s: %s",
                             name ? name : "?", why ? why : "not available");
    }
}

/* What would make it count, by what came of the attempt; docs/counters.md has more words. */
static const char *remedy_of(const char *outcome_name)
{
    static const char *const remedies[DWB_N_OUTCOMES] = {
        [DWB_OUTCOME_NO_PMU] = "a machine, or a virtual machine, that shows its PMU (QEMU: -cpu "
                               "host,pmu=on); without one: dwbenchctl run --simulate",
        [DWB_OUTCOME_PARANOID] = "sudo sysctl kernel.perf_event_paranoid=2 (to stay: the same line "
                                 "in /etc/sysctl.d/)",
        [DWB_OUTCOME_SECCOMP] =
            "docker run --security-opt seccomp=PROFILE.json, a profile that "
            "allows perf_event_open; in a unit: SystemCallFilter=perf_event_open",
        [DWB_OUTCOME_DENIED] = "sudo ausearch -m avc -c dwbench-worker (SELinux), sudo journalctl "
                               "-k -g apparmor (AppArmor): allow what they show",
        [DWB_OUTCOME_NO_SYSCALL] = "run without the emulator; in a container: a seccomp profile "
                                   "that allows perf_event_open",
        [DWB_OUTCOME_NOT_ON_THIS_CPU] = "perf list: if it shows such an event, name it in the "
                                        "CPU's file of the event catalogue",
        [DWB_OUTCOME_COUNTS_NOTHING] = "perf list: name another event in the CPU's file of the "
                                       "event catalogue",
        [DWB_OUTCOME_FAILS_CALIBRATION] = "compare event and weight with the CPU's manual, and "
                                          "correct its file of the event catalogue",
        [DWB_OUTCOME_DOES_NOT_FIT] = "sudo sysctl kernel.nmi_watchdog=0, or fewer events for it "
                                     "in the event catalogue",
        [DWB_OUTCOME_HELD] = "sudo sysctl kernel.nmi_watchdog=0; end what else counts (perf, "
                             "likwid, a profiler)",
        [DWB_OUTCOME_BAD_CATALOGUE] = "correct the place that it names",
        [DWB_OUTCOME_NO_WINDOW] = "a longer --budget",
    };
    enum dwb_outcome outcome;

    return outcome_name && dwb_outcome_from_name(outcome_name, &outcome) == 0 ? remedies[outcome]
                                                                              : NULL;
}

static const char *name_of(const json_t *counter)
{
    const char *name = text_of(counter, "name");

    return name ? name : "?";
}

/* Counters that count, in one line; then those that do not, a reason a line. */
static void examine_counters(const json_t *info, struct dwb_findings *findings)
{
    const json_t *counters = json_object_get(info, "counters");
    char text[400] = "";
    size_t n = 0, n_working = 0;

    for (size_t i = 0; i < json_array_size(counters) && n < sizeof(text); i++) {
        const json_t *counter = json_array_get(counters, i);

        if (!text_of(counter, "source"))
            continue;
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s (%s)", n ? ", " : "",
                              name_of(counter), text_of(counter, "source"));
        n_working++;
    }
    dwb_findings_add(findings, n_working ? DWB_FINDING_OK : DWB_FINDING_NOTE, "counters", NULL,
                     "%s", n_working ? text : "none counts");
    for (size_t i = 0; i < json_array_size(counters); i++) {
        const json_t *counter = json_array_get(counters, i);
        const char *reason = text_of(counter, "reason");
        bool said = false;

        if (text_of(counter, "source") || !reason)
            continue;
        n = 0;
        for (size_t k = 0; k < json_array_size(counters); k++) {
            const json_t *other = json_array_get(counters, k);
            const char *other_reason = text_of(other, "reason");

            if (text_of(other, "source") || !other_reason || strcmp(reason, other_reason) != 0)
                continue;
            said = said || k < i; /* with the first of this reason */
            if (n < sizeof(text))
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? ", " : "",
                                      name_of(other));
        }
        if (!said)
            dwb_findings_add(findings, DWB_FINDING_NOTE, "counters",
                             remedy_of(text_of(counter, "outcome")), "not counted: %s: %s", text,
                             reason);
    }
}

static bool has_outcome(const json_t *counters, const char *outcome)
{
    for (size_t i = 0; i < json_array_size(counters); i++) {
        const char *own = text_of(json_array_get(counters, i), "outcome");

        if (own && strcmp(own, outcome) == 0)
            return true;
    }
    return false;
}

/* What holds of a worker's isolation; without a reason all of it does. */
static void examine_sandbox(const json_t *environment, struct dwb_findings *findings)
{
    const json_t *sandbox = json_object_get(environment, "sandbox");
    const char *reason = text_of(sandbox, "reason");

    if (reason && reason[0])
        dwb_findings_add(findings, DWB_FINDING_NOTE, "sandbox",
                         "a kernel from 5.13 on with landlock in its lsm= list; in a container: a "
                         "seccomp profile that allows seccomp and landlock_*",
                         "workers are less isolated than they could be: %s", reason);
    else if (reason)
        dwb_findings_add(findings, DWB_FINDING_OK, "sandbox", NULL,
                         "workers are shut in by seccomp and Landlock (version %lld)",
                         (long long)json_integer_value(json_object_get(sandbox, "landlock")));
}

static void examine_simulation(const json_t *machine, struct dwb_findings *findings)
{
    const json_t *simulation = json_object_get(machine, "simulation");
    const char *tool = text_of(simulation, "tool"), *reason = text_of(simulation, "reason");
    const char *geometry = text_of(simulation, "geometry");

    if (tool)
        dwb_findings_add(findings, DWB_FINDING_OK, "simulation", NULL,
                         "--simulate works: %s, caches %s", tool,
                         geometry ? geometry : "to be given with --geometry");
    else if (reason)
        dwb_findings_add(findings, DWB_FINDING_NOTE, "simulation",
                         "sudo apt-get install valgrind (and build again, if it was not there)",
                         "%s", reason);
}

/* `counters`: where the level was the reason already, it is not told twice. */
static void examine_perf(const json_t *environment, const json_t *counters,
                         struct dwb_findings *findings)
{
    const json_t *paranoid = json_object_get(environment, "perf_event_paranoid");

    if (json_is_integer(paranoid) && json_integer_value(paranoid) > PARANOID_MAX &&
        !has_outcome(counters, dwb_outcome_name(DWB_OUTCOME_PARANOID)))
        dwb_findings_add(findings, DWB_FINDING_NOTE, "counters",
                         "sudo sysctl kernel.perf_event_paranoid=2 (to stay: the same line in "
                         "/etc/sysctl.d/)",
                         "kernel.perf_event_paranoid is %lld: the kernel refuses counters to plain "
                         "users",
                         (long long)json_integer_value(paranoid));
    if (is_on(json_object_get(environment, "nmi_watchdog")))
        dwb_findings_add(findings, DWB_FINDING_NOTE, "counters",
                         "sudo sysctl kernel.nmi_watchdog=0",
                         "the NMI watchdog holds one hardware counter");
}

static void examine_frequency(const json_t *environment, struct dwb_findings *findings)
{
    const char *governor = text_of(environment, "governor");

    if (!governor)
        dwb_findings_add(findings, DWB_FINDING_NOTE, "frequency", NULL,
                         "the governor is not visible here (usual in a virtual machine): the host "
                         "decides the clock rate");
    else if (strcmp(governor, "performance") != 0)
        dwb_findings_add(findings, DWB_FINDING_NOTE, "frequency",
                         "sudo cpupower frequency-set -g performance",
                         "the governor is %s: the clock rate follows the load", governor);
    else
        dwb_findings_add(findings, DWB_FINDING_OK, "frequency", NULL, "governor performance");
    if (is_on(json_object_get(environment, "boost")))
        dwb_findings_add(findings, DWB_FINDING_NOTE, "frequency",
                         "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost (Intel: echo 1 "
                         "to intel_pstate/no_turbo)",
                         "boost is on: the clock rate depends on heat and neighbours");
}

static void examine_disturbance(const json_t *environment, struct dwb_findings *findings)
{
    const char *clocksource = text_of(environment, "clocksource");
    const json_t *load = json_array_get(json_object_get(environment, "load"), 0);

    if (is_on(json_object_get(environment, "smt_active")))
        dwb_findings_add(findings, DWB_FINDING_NOTE, "neighbours",
                         "echo off | sudo tee /sys/devices/system/cpu/smt/control",
                         "SMT is on: what runs on the sibling (%s) changes the times",
                         text_of(environment, "smt_siblings") ? text_of(environment, "smt_siblings")
                                                              : "not known");
    if (json_is_number(load) && json_number_value(load) > LOAD_QUIET)
        dwb_findings_add(findings, DWB_FINDING_NOTE, "neighbours", "uptime; top",
                         "load %.2f: something else is running", json_number_value(load));
    if (json_is_integer(json_object_get(environment, "steal_ticks")) &&
        json_integer_value(json_object_get(environment, "steal_ticks")) > 0)
        dwb_findings_add(
            findings, DWB_FINDING_NOTE, "neighbours", NULL,
            "the hypervisor has taken time from this machine since it booted (%lld "
            "ticks); samples that it hits are dropped",
            (long long)json_integer_value(json_object_get(environment, "steal_ticks")));
    if (clocksource)
        dwb_findings_add(findings,
                         strcmp(clocksource, "tsc") == 0 ||
                                 strcmp(clocksource, "arch_sys_counter") == 0 ||
                                 strcmp(clocksource, "kvm-clock") == 0
                             ? DWB_FINDING_OK
                             : DWB_FINDING_NOTE,
                         "clock", NULL, "clocksource %s", clocksource);
}

void dwb_doctor_examine(const json_t *info, struct dwb_findings *findings)
{
    const json_t *machine = json_object_get(info, "machine");
    const json_t *environment = json_object_get(machine, "environment");
    const char *error = text_of(info, "machine_error");

    examine_loop(info, findings);
    if (!json_is_object(machine)) {
        dwb_findings_add(findings, DWB_FINDING_PROBLEM, "worker", NULL,
                         "dwbench-worker cannot look at the machine: %s",
                         error ? error : "it has not answered yet");
        return;
    }
    examine_cpu(machine, findings);
    examine_backends(machine, findings);
    examine_plugins(info, findings);
    examine_counters(info, findings);
    examine_perf(environment, json_object_get(info, "counters"), findings);
    examine_simulation(machine, findings);
    examine_sandbox(environment, findings);
    examine_frequency(environment, findings);
    examine_disturbance(environment, findings);
}
