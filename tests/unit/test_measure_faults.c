/*
 * The laboratory without memory: each allocation fails once, for the record of the machine, the
 * event catalogue and the counters. What is made then says what it lacks, or is not made; none
 * of it crashes and nothing is lost. Exit 77 under a sanitizer, whose allocator stays.
 */

#include "common/cleanup.h"
#include "common/diag.h"
#include "measure/catalogue.h"
#include "measure/environment.h"
#include "measure/pmu.h"
#include "tests/unit/counters_fixture.h"
#include "tests/unit/heap.h"
#include "tests/unmarked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALLOCATIONS_MAX 20000

static json_t *whole;   /* the record of the machine with memory enough */
static bool had_failed; /* the allocation, before memory was whole again */

static void make_machine(void)
{
    setup();
    write_setting("/proc/cpuinfo", "model name\t: A CPU\nvendor_id\t: AVendor\ncpu family\t: 6\n"
                                   "model\t\t: 207\nstepping\t: 2\nflags\t\t: fma avx2 sse\n");
    write_setting("/proc/meminfo", "MemTotal:  2048 kB\nMemAvailable: 4 kB\n");
    write_setting("/proc/loadavg", "0.5 0.25 0.125 1/200 4242\n");
    write_setting("/proc/stat", "cpu  1 2 3 4 5 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 42 0 0\n");
    write_setting("/sys/devices/system/cpu/cpufreq/boost", "1\n");
    write_setting("/sys/devices/system/cpu/vulnerabilities/meltdown", "Mitigation: PTI\n");
    write_setting("/sys/devices/system/cpu/cpu0/cache/index0/level", "1\n");
    write_setting("/sys/devices/system/cpu/cpu0/cache/index0/type", "Data\n");
    write_setting("/sys/devices/system/cpu/cpu0/cache/index0/size", "32K\n");
}

/* ---- what is made ---- */

/* A member is there, or null with a reason; what is there is what it is. */
static int make_environment(void)
{
    const struct dwb_environment_options options = {.root = root, .seed = 5};
    json_t *environment = dwb_environment_new(&options), *value;
    const char *key;

    if (!environment)
        return -ENOMEM;
    had_failed = heap_has_failed();
    heap_fail_at(0, false);
    json_object_foreach(environment, key, value)
    {
        const json_t *own = json_object_get(whole, key);

        ck_assert_msg(own != NULL, "%s", key);
        ck_assert_msg(json_is_null(value) || json_typeof(value) == json_typeof(own), "%s", key);
        if (!json_is_object(value) && !json_is_array(value) && !json_is_null(value))
            ck_assert_msg(json_equal(value, own), "%s", key);
    }
    json_decref(environment);
    return 0;
}

static int finish_environment(void)
{
    const struct dwb_environment_options options = {.root = root, .seed = 5};
    const struct dwb_environment_files none = {.stat_fd = -1, .loadavg_fd = -1};
    json_t *environment = json_pack("{s:{}, s:i}", "unreadable", "steal_ticks", 3);
    int r = environment ? dwb_environment_finish(environment, &options, &none) : -ENOMEM;

    json_decref(environment);
    return r;
}

static int find_catalogue(void)
{
    DWB_CLEANUP(dwb_catalogue_freep) struct dwb_catalogue *catalogue = NULL;
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    char path[4096] = "";
    int r =
        diags ? dwb_catalogue_find(directory, DWB_PMU_GENERIC, diags, path, sizeof path, &catalogue)
              : -ENOMEM;

    ck_assert(r < 0 || (catalogue && dwb_catalogue_get(catalogue, "cycles")));
    return r;
}

/* Without memory a counter has a reason instead of a source. */
static int make_counters(void)
{
    const struct dwb_counters_config config = {
        .perf = &perf, .work = &work, .directory = directory, .pmu = DWB_PMU_GENERIC};
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = NULL;
    int r = dwb_counters_new(&config, &counters);
    size_t n = 0;

    if (r < 0)
        return r;
    const struct dwb_counter *list = dwb_counters_list(counters, &n);
    ck_assert_uint_eq(n, N_HARDWARE + DWB_N_SOFTWARE);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(list[i].source != DWB_SOURCE_NONE || list[i].reason[0], "%s", list[i].name);
    return 0;
}

static const struct {
    int (*make)(void);
    bool may_lack; /* and says what */
} makers[] = {{make_environment, true},
              {finish_environment, true},
              {find_catalogue, true}, /* a stream without a buffer */
              {make_counters, true}};

START_TEST(test_memory)
{
    const struct dwb_environment_options options = {.root = root, .seed = 5};
    unsigned long nth = 0, n_said = 0;
    bool failed = true;

    whole = dwb_environment_new(&options);
    ck_assert_int_eq(makers[_i].make(), 0); /* what libraries keep they have now */
    while (failed) {
        size_t n_blocks = heap_blocks();

        ck_assert_uint_lt(nth, ALLOCATIONS_MAX);
        had_failed = false;
        heap_fail_at(++nth, false);
        int r = makers[_i].make();
        failed = heap_has_failed() || had_failed;
        heap_fail_at(0, false);
        n_said += r == -ENOMEM;
        ck_assert_msg(r == (failed ? -ENOMEM : 0) || (r == 0 && makers[_i].may_lack),
                      "allocation %lu: %d", nth, r);
        ck_assert_msg(heap_blocks() == n_blocks, "allocation %lu: lost", nth);
    }
    ck_assert_uint_gt(nth, 1);
    ck_assert_uint_gt(n_said, 0);
    json_decref(whole);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("measure_faults");
    TCase *tests = tcase_create("measure_faults");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    suite_add_tcase(suite, tests);
    if (!heap_is_watched()) {
        puts("a sanitizer has the allocator");
        return 77;
    }
    tcase_add_checked_fixture(tests, make_machine, teardown);
    tcase_add_loop_test(tests, test_memory, 0, sizeof makers / sizeof makers[0]);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
