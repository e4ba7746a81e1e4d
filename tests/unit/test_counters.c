/*
 * Counters against a kernel and a PMU made of glass: the seam of measure/perf.h is taken by a fake
 * that refuses, multiplexes, counts nothing or counts twice, and the known work feeds it. Events
 * are the generic ones of libpfm4, so the test is the same on every architecture.
 */

#include "measure/counters.h"

#include "common/cleanup.h"
#include "kernels/kernels.h"
#include "measure/pmu.h"

#include <check.h>
#include <errno.h>
#include <ftw.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define FDS_MAX     64
#define FD_BASE     1000
#define N_HARDWARE  11
#define ALL_CONFIGS UINT64_MAX

/* The fake events by their PERF_COUNT_HW_* number. */
static const char catalogue_text[] = "pmu: [perf]\n"
                                     "counters:\n"
                                     "  cycles: {events: [CYCLES]}\n"
                                     "  instructions: {events: [INSTRUCTIONS], note: a note}\n"
                                     "  flops:\n"
                                     "    events:\n"
                                     "      - {event: BUS-CYCLES}\n"
                                     "      - {event: REF-CYCLES, weight: 8}\n"
                                     "  l1d_misses: {events: [CACHE-REFERENCES]}\n"
                                     "  llc_misses: {events: [CACHE-MISSES]}\n"
                                     "  branch_misses: {events: [BRANCH-MISSES]}\n"
                                     "  memory_stalls: {missing: no such event here}\n";

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
    uint64_t start_cost; /* what starting a window counts by itself */
    int group_max;       /* events that the PMU counts at once */
};

static struct fake fake;
static char directory[] = "/tmp/dwb-test-counters-XXXXXX";

static int fake_open(void *userdata, const struct perf_event_attr *attr, int group_fd)
{
    uint64_t config = attr->config & UINT32_MAX;
    int slot, in_group = 0;

    /* The first event asks whether there is a PMU at all, before any is chosen. */
    if (fake.n_opened > 0)
        ck_assert_uint_eq(attr->config >> 32, fake.core_type);
    ck_assert(attr->exclude_kernel && attr->exclude_hv);
    ck_assert_int_eq(attr->pinned, group_fd < 0);
    ck_assert_int_eq(attr->disabled, group_fd < 0);
    ck_assert_int_eq(attr->inherit, 0);
    if (fake.open_error && (fake.error_config == ALL_CONFIGS || fake.error_config == config))
        return fake.open_error;
    for (int i = 0; i < FDS_MAX; i++)
        in_group += fake.events[i].open && group_fd >= 0 && fake.events[i].leader == group_fd;
    if (in_group >= fake.group_max)
        return -EINVAL;
    for (slot = 0; fake.events[slot].open; slot++)
        ck_assert_int_lt(slot, FDS_MAX - 1);
    fake.events[slot] = (struct event){
        .open = true,
        .leader = group_fd < 0 ? FD_BASE + slot : group_fd,
        .config = config,
    };
    fake.n_open++;
    fake.n_opened++;
    return FD_BASE + slot;
}

static void fake_close(void *userdata, int fd)
{
    ck_assert(fake.events[fd - FD_BASE].open);
    fake.events[fd - FD_BASE].open = false;
    fake.n_open--;
}

static int fake_ioctl(void *userdata, int fd, unsigned long request, unsigned long argument)
{
    struct event *event = &fake.events[fd - FD_BASE];

    ck_assert_int_eq(event->leader, fd);
    event->enabled = request == PERF_EVENT_IOC_ENABLE;
    for (int i = 0; event->enabled && i < FDS_MAX; i++)
        if (fake.events[i].open && fake.events[i].leader == fd &&
            fake.events[i].config == PERF_COUNT_HW_INSTRUCTIONS)
            fake.events[i].total += fake.start_cost;
    if (event->enabled) { /* no window is so short that no time passes */
        event->enabled_ns++;
        event->running_ns++;
    }
    return 0;
}

static ssize_t fake_read(void *userdata, int fd, void *buffer, size_t size)
{
    struct event *leader = &fake.events[fd - FD_BASE];
    uint64_t *words = buffer;
    size_t n = 0;

    if (fake.reads_nothing)
        return 0;
    for (int i = 0; i < FDS_MAX; i++)
        if (fake.events[i].open && fake.events[i].leader == fd)
            words[3 + n++] = fake.events[i].total;
    words[0] = n;
    words[1] = leader->enabled_ns;
    words[2] = leader->running_ns;
    ck_assert_uint_eq(size, (3 + n) * sizeof *words);
    return (ssize_t)size;
}

static uint64_t count_of(enum dwb_work_kind kind, uint64_t config)
{
    if (config == fake.stuck_config)
        return 0;
    switch (kind) {
    case DWB_WORK_LOOP:
        return config == PERF_COUNT_HW_CPU_CYCLES     ? 600000
               : config == PERF_COUNT_HW_INSTRUCTIONS ? 1000000
                                                      : 0;
    case DWB_WORK_FLOPS:
        return config == PERF_COUNT_HW_REF_CPU_CYCLES ? 100000 * fake.flops_factor : 0;
    default:
        return config == PERF_COUNT_HW_CACHE_REFERENCES ? 4000
               : config == PERF_COUNT_HW_CACHE_MISSES   ? 3000
               : config == PERF_COUNT_HW_BRANCH_MISSES  ? 9000
                                                        : 0;
    }
}

static void work_run(void *userdata, enum dwb_work_kind kind)
{
    for (int i = 0; i < FDS_MAX; i++) {
        struct event *event = &fake.events[i];

        if (!event->open || !fake.events[event->leader - FD_BASE].enabled)
            continue;
        event->total += count_of(kind, event->config);
        event->enabled_ns += 1000;
        event->running_ns += fake.multiplexes ? 500 : 1000;
    }
}

static void work_prepare(void *userdata, enum dwb_work_kind kind)
{
}

static char root[sizeof directory]; /* of /proc and /sys */
static const struct dwb_perf perf = {
    .open = fake_open, .read = fake_read, .ioctl = fake_ioctl, .close = fake_close, .root = root};
static const struct dwb_work work = {.prepare = work_prepare,
                                     .run = work_run,
                                     .instructions = 1000000,
                                     .flops = 800000,
                                     .n_loads = 4096,
                                     .n_branches = 20000};

/* A file of the machine that is made up; path begins with "/proc" or "/sys". */
static void write_setting(const char *path, const char *text)
{
    char whole[256];

    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        ck_assert(mkdir(whole, 0755) == 0 || errno == EEXIST);
    }
    dwb_cleanup_file FILE *file = fopen(whole, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
}

static int remove_entry(const char *path, const struct stat *status, int flag, struct FTW *ftw)
{
    return remove(path);
}

static void write_catalogue(const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/fake.yaml", directory);
    dwb_cleanup_file FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
}

static void setup(void)
{
    fake = (struct fake){.stuck_config = ALL_CONFIGS, .flops_factor = 1, .group_max = 16};
    ck_assert_ptr_nonnull(mkdtemp(directory));
    memcpy(root, directory, sizeof root);
    write_catalogue(catalogue_text);
}

static void teardown(void)
{
    ck_assert_int_eq(fake.n_open, 0);
    nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    memcpy(directory + strlen(directory) - 6, "XXXXXX", 6);
}

static struct dwb_counters *make(void)
{
    const struct dwb_counters_config config = {
        .perf = &perf, .work = &work, .directory = directory, .pmu = "perf"};
    struct dwb_counters *counters;

    ck_assert_int_eq(dwb_counters_new(&config, &counters), 0);
    return counters;
}

static const struct dwb_counter *get(const struct dwb_counters *counters, const char *name)
{
    size_t n;
    const struct dwb_counter *list = dwb_counters_list(counters, &n);

    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    ck_abort_msg("no counter %s", name);
    return NULL;
}

static void assert_software(const struct dwb_counters *counters)
{
    ck_assert_int_eq(get(counters, "task_clock")->source, DWB_SOURCE_SOFTWARE);
    ck_assert_str_eq(get(counters, "task_clock")->unit, "ns");
    ck_assert_int_eq(get(counters, "context_switches")->source, DWB_SOURCE_SOFTWARE);
    ck_assert_int_eq(get(counters, "page_faults")->source, DWB_SOURCE_SOFTWARE);
}

/* No counter of this name, because of this. */
static void assert_none(const struct dwb_counters *counters, const char *name, const char *reason)
{
    const struct dwb_counter *counter = get(counters, name);

    ck_assert_int_eq(counter->source, DWB_SOURCE_NONE);
    ck_assert_int_ne(counter->outcome, DWB_OUTCOME_COUNTED);
    ck_assert_msg(strstr(counter->reason, reason), "%s: \"%s\" lacks \"%s\"", name, counter->reason,
                  reason);
}

static uint64_t value_of(const struct dwb_counters *counters, const struct dwb_counted *counted,
                         size_t n, const char *name)
{
    const struct dwb_counter *list;
    size_t n_list;

    list = dwb_counters_list(counters, &n_list);
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[counted[i].counter].name, name) == 0)
            return counted[i].value;
    return UINT64_MAX;
}

START_TEST(test_all_count)
{
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();
    struct dwb_counted counted[32];
    size_t n;

    ck_assert_uint_eq(dwb_counters_n_groups(counters), 1);
    ck_assert_int_eq(get(counters, "cycles")->source, DWB_SOURCE_HARDWARE);
    ck_assert_int_eq(get(counters, "flops")->source, DWB_SOURCE_HARDWARE);
    ck_assert_str_eq(get(counters, "flops")->event, "perf::BUS-CYCLES + 8*REF-CYCLES");
    ck_assert_str_eq(get(counters, "instructions")->reason, "a note");
    assert_none(counters, "memory_stalls", "no such event here");
    assert_none(counters, "dtlb_misses", "the event catalogue has none");
    assert_software(counters);

    /* Two windows: each is its own difference, not a running total. */
    for (int i = 0; i < 2; i++) {
        dwb_counters_start(counters, 0);
        work.run(NULL, DWB_WORK_LOOP);
        work.run(NULL, DWB_WORK_FLOPS);
        n = dwb_counters_stop(counters, 0, counted, 32);
        ck_assert_uint_eq(n, 6);
        ck_assert_uint_eq(value_of(counters, counted, n, "instructions"), 1000000);
        ck_assert_uint_eq(value_of(counters, counted, n, "cycles"), 600000);
        ck_assert_uint_eq(value_of(counters, counted, n, "flops"), 800000);
        ck_assert_uint_eq(value_of(counters, counted, n, "llc_misses"), 0);
        work.run(NULL, DWB_WORK_LOOP); /* outside of a window */
    }
    dwb_counters_finish(counters);
    ck_assert_int_eq(get(counters, "cycles")->source, DWB_SOURCE_HARDWARE);
}
END_TEST

static const struct {
    int error;
    const char *paranoid; /* of the machine; NULL = cannot be read */
    enum dwb_outcome outcome;
    const char *text;
} refusals[] = {
    {-EACCES, "3", DWB_OUTCOME_PARANOID, "kernel.perf_event_paranoid is 3 and counting"},
    {-EACCES, "4", DWB_OUTCOME_PARANOID, "kernel.perf_event_paranoid is 4 and counting"},
    {-EACCES, "2", DWB_OUTCOME_DENIED, "although kernel.perf_event_paranoid is 2"},
    {-EACCES, "-1", DWB_OUTCOME_DENIED, "although kernel.perf_event_paranoid is -1"},
    {-EACCES, NULL, DWB_OUTCOME_DENIED, "cannot be read"},
    {-EPERM, "2", DWB_OUTCOME_SECCOMP,
     "seccomp filter or a security module denies it; allow "
     "perf_event_open there"},
    {-EPERM, "4", DWB_OUTCOME_SECCOMP, ", and set sysctl kernel.perf_event_paranoid=2"},
    {-ENOENT, "2", DWB_OUTCOME_NO_PMU, "hardware events give ENOENT"},
    {-EOPNOTSUPP, "2", DWB_OUTCOME_NO_PMU, "hardware events give EOPNOTSUPP"},
    {-ENOSYS, "2", DWB_OUTCOME_NO_SYSCALL, "no perf_event_open (ENOSYS)"},
};

/* The machine refuses: one reason for all, told once, and the software counters stay. */
START_TEST(test_machine_refuses)
{
    fake.open_error = refusals[_i].error;
    fake.error_config = ALL_CONFIGS;
    if (refusals[_i].paranoid)
        write_setting("/proc/sys/kernel/perf_event_paranoid", refusals[_i].paranoid);
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();
    size_t n;
    const struct dwb_counter *list = dwb_counters_list(counters, &n);

    ck_assert_uint_eq(n, N_HARDWARE + DWB_N_SOFTWARE);
    ck_assert_uint_eq(dwb_counters_n_groups(counters), 0);
    assert_none(counters, "cycles", refusals[_i].text);
    for (size_t i = 0; i < N_HARDWARE; i++) {
        ck_assert_int_eq(list[i].source, DWB_SOURCE_NONE);
        ck_assert_int_eq(list[i].outcome, refusals[_i].outcome);
        ck_assert_str_eq(list[i].reason, list[0].reason);
    }
    assert_software(counters);
}
END_TEST

static const struct {
    int error;
    enum dwb_outcome outcome;
    const char *text;
} event_refusals[] = {
    {-ENOENT, DWB_OUTCOME_NOT_ON_THIS_CPU, "no such event on this CPU (ENOENT)"},
    {-EINVAL, DWB_OUTCOME_DOES_NOT_FIT, "(EINVAL)"},
    {-EACCES, DWB_OUTCOME_DENIED, "EACCES"},
    {-EBUSY, DWB_OUTCOME_HELD, "EBUSY"},
    {-EMFILE, DWB_OUTCOME_FAILED, "EMFILE"},
};

/* One event is refused: the others count. */
START_TEST(test_event_refused)
{
    fake.open_error = event_refusals[_i].error;
    fake.error_config = PERF_COUNT_HW_CACHE_MISSES;
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();

    assert_none(counters, "llc_misses", event_refusals[_i].text);
    ck_assert_int_eq(get(counters, "llc_misses")->outcome, event_refusals[_i].outcome);
    ck_assert_int_eq(get(counters, "l1d_misses")->source, DWB_SOURCE_HARDWARE);
    ck_assert_int_eq(get(counters, "branch_misses")->source, DWB_SOURCE_HARDWARE);
}
END_TEST

START_TEST(test_read_of_nothing)
{
    fake.reads_nothing = true;
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();

    assert_none(counters, "cycles", "(read gave nothing)");
    assert_none(counters, "flops", "(read gave nothing)");
    ck_assert_int_eq(get(counters, "cycles")->outcome, DWB_OUTCOME_HELD);
    ck_assert_uint_eq(dwb_counters_n_groups(counters), 0);
}
END_TEST

/* The watchdog is named wherever a counter is missing for want of room, and only when it runs. */
START_TEST(test_nmi_watchdog)
{
    const char *watchdog = "the NMI watchdog holds a counter: sysctl kernel.nmi_watchdog=0";
    const char *name = _i / 2 == 2 ? "flops" : "cycles";

    write_setting("/proc/sys/kernel/nmi_watchdog", _i % 2 ? "1\n" : "0\n");
    fake.reads_nothing = _i / 2 == 0;
    fake.multiplexes = _i / 2 == 1;
    fake.group_max = _i / 2 == 2 ? 1 : 16; /* flops takes two at once */
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();

    if (_i % 2)
        assert_none(counters, name, watchdog);
    else
        ck_assert_ptr_null(strstr(get(counters, name)->reason, "watchdog"));
    ck_assert_int_eq(get(counters, name)->outcome,
                     _i / 2 == 2 ? DWB_OUTCOME_DOES_NOT_FIT : DWB_OUTCOME_HELD);
}
END_TEST

/* Two kinds of cores: each event is opened on the PMU of the core that measures, generic ones by
 * the upper half of their config. */
START_TEST(test_hybrid)
{
    static const struct {
        uint32_t cpu, type;
    } cores[] = {{0, 4}, {3, 4}, {4, 10}, {7, 10}};
    const struct dwb_counters_config config = {
        .perf = &perf, .work = &work, .directory = directory, .cpu = cores[_i].cpu};
    struct dwb_counters *counters;
    char pmu[64];

    write_setting("/sys/bus/event_source/devices/cpu_core/type", "4\n");
    write_setting("/sys/bus/event_source/devices/cpu_core/cpus", "0-3\n");
    write_setting("/sys/bus/event_source/devices/cpu_atom/type", "10\n");
    write_setting("/sys/bus/event_source/devices/cpu_atom/cpus", "4-7\n");
    write_setting("/sys/bus/event_source/devices/software/type", "1\n");
    ck_assert_int_eq(dwb_pmu_detect(root, cores[_i].cpu, pmu, sizeof pmu), 0);
    ck_assert_str_eq(pmu, "perf");
    fake.core_type = cores[_i].type;
    ck_assert_int_eq(dwb_counters_new(&config, &counters), 0);
    ck_assert_int_eq(get(counters, "cycles")->source, DWB_SOURCE_HARDWARE);
    ck_assert_int_eq(get(counters, "flops")->source, DWB_SOURCE_HARDWARE);
    dwb_counters_free(counters);
}
END_TEST

/* One kind of core has one PMU, or none that says its CPUs: nothing is added. */
START_TEST(test_one_core_pmu)
{
    write_setting("/sys/bus/event_source/devices/cpu/type", "4\n");
    write_setting("/sys/bus/event_source/devices/armv8_pmuv3_0/type", "8\n");
    write_setting("/sys/bus/event_source/devices/armv8_pmuv3_0/cpus", "0-3\n");
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();

    ck_assert_int_eq(get(counters, "cycles")->source, DWB_SOURCE_HARDWARE);
}
END_TEST

/* What an empty window counts is told, and taken from nothing. */
START_TEST(test_overhead)
{
    fake.start_cost = 30;
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();
    struct dwb_counted counted[32];
    size_t n;

    ck_assert(get(counters, "instructions")->has_overhead);
    ck_assert_uint_eq(get(counters, "instructions")->overhead, 30);
    ck_assert_uint_eq(get(counters, "cycles")->overhead, 0);
    ck_assert(!get(counters, "memory_stalls")->has_overhead);
    ck_assert(!get(counters, "task_clock")->has_overhead);
    ck_assert_uint_gt(dwb_counters_window_ns(counters), 0);
    dwb_counters_start(counters, 0);
    work.run(NULL, DWB_WORK_LOOP);
    n = dwb_counters_stop(counters, 0, counted, 32);
    ck_assert_uint_eq(value_of(counters, counted, n, "instructions"), 1000030);
}
END_TEST

START_TEST(test_multiplexed_from_the_start)
{
    fake.multiplexes = true;
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();

    assert_none(counters, "cycles", "time_running < time_enabled");
    ck_assert_uint_eq(dwb_counters_n_groups(counters), 0);
}
END_TEST

/* Another tool comes while we measure: its windows are refused, the rest stays. */
START_TEST(test_multiplexed_later)
{
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();
    struct dwb_counted counted[32];

    fake.multiplexes = true;
    dwb_counters_start(counters, 0);
    work.run(NULL, DWB_WORK_LOOP);
    ck_assert_uint_eq(dwb_counters_stop(counters, 0, counted, 32), 0);
    fake.multiplexes = false;
    dwb_counters_start(counters, 0);
    work.run(NULL, DWB_WORK_LOOP);
    ck_assert_uint_eq(dwb_counters_stop(counters, 0, counted, 32), 6);
    ck_assert_uint_eq(value_of(counters, counted, 6, "instructions"), 1000000);
    dwb_counters_finish(counters);
    ck_assert_int_eq(get(counters, "cycles")->source, DWB_SOURCE_HARDWARE);
}
END_TEST

START_TEST(test_multiplexed_always_later)
{
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();
    struct dwb_counted counted[32];

    fake.multiplexes = true;
    for (int i = 0; i < 3; i++) {
        dwb_counters_start(counters, 0);
        work.run(NULL, DWB_WORK_LOOP);
        ck_assert_uint_eq(dwb_counters_stop(counters, 0, counted, 32), 0);
    }
    dwb_counters_finish(counters);
    assert_none(counters, "cycles", "refused in all 3 windows");
}
END_TEST

START_TEST(test_no_window)
{
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();

    dwb_counters_finish(counters);
    assert_none(counters, "cycles", "fewer blocks than counter groups");
    ck_assert_int_eq(get(counters, "cycles")->outcome, DWB_OUTCOME_NO_WINDOW);
}
END_TEST

START_TEST(test_stuck_at_zero)
{
    fake.stuck_config = PERF_COUNT_HW_CACHE_REFERENCES;
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();

    assert_none(counters, "l1d_misses", "opened but counted 0");
    ck_assert_int_eq(get(counters, "l1d_misses")->outcome, DWB_OUTCOME_COUNTS_NOTHING);
    ck_assert_int_eq(get(counters, "llc_misses")->source, DWB_SOURCE_HARDWARE);
}
END_TEST

START_TEST(test_flops_wrong_by_two)
{
    fake.flops_factor = 2;
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();

    assert_none(counters, "flops", "expected 800000, saw 1600000");
    const struct dwb_calibration *calibration = dwb_counters_calibration(counters, 2);
    ck_assert_ptr_nonnull(calibration);
    ck_assert(calibration->exact && calibration->has_seen);
    ck_assert_uint_eq(calibration->expected, 800000);
    ck_assert_uint_eq(calibration->seen, 1600000);
    ck_assert_ptr_null(dwb_counters_calibration(counters, 10)); /* memory_stalls: missing */
    ck_assert_ptr_null(dwb_counters_calibration(counters, N_HARDWARE));
    ck_assert_int_eq(get(counters, "flops")->outcome, DWB_OUTCOME_FAILS_CALIBRATION);
    ck_assert_int_eq(get(counters, "cycles")->source, DWB_SOURCE_HARDWARE);
}
END_TEST

/* Small PMUs need passes: every counter is in one group, with all of its events. */
START_TEST(test_groups)
{
    fake.group_max = 2;
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();
    struct dwb_counted counted[32];
    uint32_t seen = 0;

    ck_assert_uint_eq(dwb_counters_n_groups(counters), 4); /* 7 events; flops needs two together */
    for (size_t i = 0; i < dwb_counters_n_groups(counters); i++) {
        dwb_counters_start(counters, i);
        work.run(NULL, DWB_WORK_FLOPS);
        size_t n = dwb_counters_stop(counters, i, counted, 32);
        for (size_t k = 0; k < n; k++) {
            ck_assert(!(seen & 1u << counted[k].counter));
            seen |= 1u << counted[k].counter;
        }
        if (value_of(counters, counted, n, "flops") != UINT64_MAX)
            ck_assert_uint_eq(value_of(counters, counted, n, "flops"), 800000);
    }
    ck_assert_int_eq(__builtin_popcount(seen), 6);
}
END_TEST

START_TEST(test_event_too_big_for_the_pmu)
{
    fake.group_max = 1;
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();

    assert_none(counters, "flops", "do not fit");
    ck_assert_uint_eq(dwb_counters_n_groups(counters), 5);
}
END_TEST

START_TEST(test_unknown_event)
{
    write_catalogue("pmu: [perf]\ncounters:\n  cycles: {events: [NO-SUCH-EVENT]}\n");
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();

    assert_none(counters, "cycles", "does not encode perf::NO-SUCH-EVENT");
}
END_TEST

START_TEST(test_bad_catalogue)
{
    write_catalogue("pmu: [perf]\ncounters:\n  cycles: {event: [CYCLES]}\n");
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();

    assert_none(counters, "cycles", "fake.yaml:3:12: ");
    ck_assert_int_eq(get(counters, "flops")->outcome, DWB_OUTCOME_BAD_CATALOGUE);
    assert_software(counters);
}
END_TEST

/* The kernel that runs this test, whatever it allows. */
START_TEST(test_real_kernel)
{
    const struct dwb_counters_config config = {
        .perf = &dwb_perf_kernel, .isa = DWB_ISA_PORTABLE, .directory = directory};
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = NULL;
    const struct dwb_counter *list;
    size_t n;

    ck_assert_int_eq(dwb_counters_new(&config, &counters), 0);
    list = dwb_counters_list(counters, &n);
    for (size_t i = 0; i < n; i++)
        ck_assert(list[i].source != DWB_SOURCE_NONE || list[i].reason[0] != '\0');
    assert_software(counters);
}
END_TEST

/* The work that real counters are held against: it runs, and takes the time that its counts imply.
 */
START_TEST(test_known_work)
{
    DWB_CLEANUP(dwb_work_freep) struct dwb_work *known = NULL;
    struct timespec before, after;

    ck_assert_int_eq(dwb_work_new(DWB_ISA_PORTABLE, &known), 0);
    ck_assert_uint_eq(known->flops % (2 * dwb_fma_peak_macs(DWB_ISA_PORTABLE)), 0);
    for (int kind = DWB_WORK_LOOP; kind <= DWB_WORK_MISSES; kind++) {
        known->prepare(known->userdata, (enum dwb_work_kind)kind);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
        known->run(known->userdata, (enum dwb_work_kind)kind);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
        /* 20,000 branches, 500,000 iterations and more: none of it is done in 10 us. */
        ck_assert_int_gt(
            (after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec, 10000);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("counters");
    TCase *tests = tcase_create("counters");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_all_count);
    tcase_add_loop_test(tests, test_machine_refuses, 0, sizeof refusals / sizeof refusals[0]);
    tcase_add_loop_test(tests, test_event_refused, 0,
                        sizeof event_refusals / sizeof event_refusals[0]);
    tcase_add_test(tests, test_read_of_nothing);
    tcase_add_loop_test(tests, test_nmi_watchdog, 0, 6);
    tcase_add_loop_test(tests, test_hybrid, 0, 4);
    tcase_add_test(tests, test_one_core_pmu);
    tcase_add_test(tests, test_overhead);
    tcase_add_test(tests, test_multiplexed_from_the_start);
    tcase_add_test(tests, test_multiplexed_later);
    tcase_add_test(tests, test_multiplexed_always_later);
    tcase_add_test(tests, test_no_window);
    tcase_add_test(tests, test_stuck_at_zero);
    tcase_add_test(tests, test_flops_wrong_by_two);
    tcase_add_test(tests, test_groups);
    tcase_add_test(tests, test_event_too_big_for_the_pmu);
    tcase_add_test(tests, test_unknown_event);
    tcase_add_test(tests, test_bad_catalogue);
    tcase_add_test(tests, test_real_kernel);
    tcase_add_test(tests, test_known_work);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
