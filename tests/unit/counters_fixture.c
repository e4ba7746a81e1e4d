#include "counters_fixture.h"

#include "common/cleanup.h"
#include "tests/unmarked.h"

#include <errno.h>
#include <ftw.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FD_BASE 1000

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

struct fake fake;
char directory[FIXTURE_PATH_MAX] = "/tmp/dwb-test-counters-XXXXXX";

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
    case DWB_WORK_SCALAR: /* of weight 1 */
        return config == PERF_COUNT_HW_BUS_CYCLES ? 1000 * fake.width_factor[kind] : 0;
    case DWB_WORK_128:
    case DWB_WORK_256:
    case DWB_WORK_512: /* of weight 8 */
        return config == PERF_COUNT_HW_REF_CPU_CYCLES ? 1000 * fake.width_factor[kind] : 0;
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

char root[FIXTURE_PATH_MAX]; /* of /proc and /sys */
const struct dwb_perf perf = {
    .open = fake_open, .read = fake_read, .ioctl = fake_ioctl, .close = fake_close, .root = root};
const struct dwb_work work = {.prepare = work_prepare,
                              .run = work_run,
                              .instructions = 1000000,
                              .flops = 800000,
                              .width_flops = {[DWB_WORK_SCALAR] = 1000,
                                              [DWB_WORK_128] = 8000,
                                              [DWB_WORK_256] = 8000,
                                              [DWB_WORK_512] = 8000},
                              .n_loads = 4096,
                              .n_branches = 20000};

/* A file of the machine that is made up; path begins with "/proc" or "/sys". */
void write_setting(const char *path, const char *text)
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

void write_catalogue(const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/fake.yaml", directory);
    dwb_cleanup_file FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
}

void setup(void)
{
    fake = (struct fake){.stuck_config = ALL_CONFIGS, .flops_factor = 1, .group_max = 16};
    for (int i = 0; i < DWB_N_WORK_KINDS; i++)
        fake.width_factor[i] = 1;
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(root, sizeof root, "%s", directory);
    write_catalogue(catalogue_text);
}

void teardown(void)
{
    ck_assert_int_eq(fake.n_open, 0);
    nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    memcpy(directory + strlen(directory) - 6, "XXXXXX", 6);
}

struct dwb_counters *make(void)
{
    const struct dwb_counters_config config = {
        .perf = &perf, .work = &work, .directory = directory, .pmu = "perf"};
    struct dwb_counters *counters;

    ck_assert_int_eq(dwb_counters_new(&config, &counters), 0);
    return counters;
}

const struct dwb_counter *get(const struct dwb_counters *counters, const char *name)
{
    size_t n;
    const struct dwb_counter *list = dwb_counters_list(counters, &n);

    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    ck_abort_msg("no counter %s", name);
    return NULL;
}

void assert_software(const struct dwb_counters *counters)
{
    ck_assert_int_eq(get(counters, "task_clock")->source, DWB_SOURCE_SOFTWARE);
    ck_assert_str_eq(get(counters, "task_clock")->unit, "ns");
    ck_assert_int_eq(get(counters, "context_switches")->source, DWB_SOURCE_SOFTWARE);
    ck_assert_int_eq(get(counters, "page_faults")->source, DWB_SOURCE_SOFTWARE);
}

/* No counter of this name, because of this. */
void assert_none(const struct dwb_counters *counters, const char *name, const char *reason)
{
    const struct dwb_counter *counter = get(counters, name);

    ck_assert_int_eq(counter->source, DWB_SOURCE_NONE);
    ck_assert_int_ne(counter->outcome, DWB_OUTCOME_COUNTED);
    ck_assert_msg(strstr(counter->reason, reason), "%s: \"%s\" lacks \"%s\"", name, counter->reason,
                  reason);
}

uint64_t value_of(const struct dwb_counters *counters, const struct dwb_counted *counted, size_t n,
                  const char *name)
{
    const struct dwb_counter *list;
    size_t n_list;

    list = dwb_counters_list(counters, &n_list);
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[counted[i].counter].name, name) == 0)
            return counted[i].value;
    return UINT64_MAX;
}
