/* Every way in which counting goes wrong: each has its outcome and its message, and no number. */

#include "counters_fixture.h"

#include "common/cleanup.h"
#include "measure/pmu.h"

#include <check.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>

/* The kernels' own width is right, another one is not: a sum is not believed in part. */
START_TEST(test_one_width_is_wrong)
{
    static const char *const texts[] = {"scalar: failed its calibration: expected 1000, saw 2000",
                                        "128 bit: failed its calibration: expected 8000, saw 16000",
                                        "256 bit: failed its calibration: expected 8000, saw 16000",
                                        "512 bit: it opened but counted 0"};

    fake.width_factor[DWB_WORK_SCALAR + _i] = _i == 3 ? 0 : 2;
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = make();

    assert_none(counters, "flops", texts[_i]);
    ck_assert_int_eq(get(counters, "flops")->outcome,
                     _i == 3 ? DWB_OUTCOME_COUNTS_NOTHING : DWB_OUTCOME_FAILS_CALIBRATION);
    ck_assert_int_eq(get(counters, "instructions")->source, DWB_SOURCE_HARDWARE);
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

int main(void)
{
    Suite *suite = suite_create("counters_faults");
    TCase *tests = tcase_create("counters_faults");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_machine_refuses, 0, sizeof refusals / sizeof refusals[0]);
    tcase_add_loop_test(tests, test_event_refused, 0,
                        sizeof event_refusals / sizeof event_refusals[0]);
    tcase_add_test(tests, test_read_of_nothing);
    tcase_add_loop_test(tests, test_nmi_watchdog, 0, 6);
    tcase_add_loop_test(tests, test_hybrid, 0, 4);
    tcase_add_test(tests, test_one_core_pmu);
    tcase_add_test(tests, test_multiplexed_from_the_start);
    tcase_add_test(tests, test_multiplexed_later);
    tcase_add_test(tests, test_multiplexed_always_later);
    tcase_add_test(tests, test_no_window);
    tcase_add_test(tests, test_stuck_at_zero);
    tcase_add_test(tests, test_flops_wrong_by_two);
    tcase_add_loop_test(tests, test_one_width_is_wrong, 0, 4);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
