/*
 * Groups of events on the PMU of the machine that runs this, as far as they go: what fits counts,
 * what does not is refused by the kernel, and a pinned group without room reads nothing. Exit 77
 * where there is no PMU to ask.
 *
 * test_perf [N]: N = how many events a group must hold here (an emulated Neoverse N1: 7).
 */

#include "measure/perf.h"

#include "measure/calibrate.h"
#include "measure/work.h"

#include "common/cleanup.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static size_t n_expected; /* 0 = any */

/* Instructions: every PMU has them, and they can be counted several times over. */
static const struct perf_event_attr instructions = {.type = PERF_TYPE_HARDWARE,
                                                    .config = PERF_COUNT_HW_INSTRUCTIONS};
/* Many PMUs have a counter for cycles and for nothing else. */
static const struct perf_event_attr cycles = {.type = PERF_TYPE_HARDWARE,
                                              .config = PERF_COUNT_HW_CPU_CYCLES};

/* The leader, then instructions until the kernel takes no more of them. */
static void fill(struct dwb_perf_group *group, const struct perf_event_attr *leader, int *ret_error)
{
    *ret_error = dwb_perf_group_add(group, leader, 1);
    while (*ret_error == 0 && group->n < DWB_PERF_GROUP_MAX)
        *ret_error = dwb_perf_group_add(group, &instructions, 1);
}

static int window(struct dwb_perf_group *group, struct dwb_work *work, uint64_t *values)
{
    int r = dwb_perf_group_start(group);

    if (r < 0)
        return r;
    work->run(work->userdata, DWB_WORK_LOOP);
    return dwb_perf_group_stop(group, values);
}

START_TEST(test_group_holds_what_fits)
{
    DWB_CLEANUP(dwb_work_freep) struct dwb_work *work = NULL;
    struct dwb_perf_group group;
    uint64_t values[DWB_PERF_GROUP_MAX] = {0};
    int error;

    ck_assert_int_eq(dwb_work_new(DWB_ISA_PORTABLE, &work), 0);
    dwb_perf_group_init(&group, &dwb_perf_kernel);
    fill(&group, &cycles, &error);
    ck_assert_uint_ge(group.n, 1);
    if (n_expected)
        ck_assert_uint_eq(group.n, n_expected);
    if (group.n < DWB_PERF_GROUP_MAX)
        ck_assert_int_eq(error, -EINVAL);
    ck_assert_int_eq(window(&group, work, values), 0);
    ck_assert_uint_gt(values[0], 0);
    for (size_t i = 1; i < group.n; i++) {
        ck_assert_uint_ge(values[i], work->instructions);
        ck_assert_uint_le(values[i], work->instructions * 102 / 100);
    }
    printf("%zu events in a group; a window of %llu instructions counted %llu\n", group.n,
           (unsigned long long)work->instructions, (unsigned long long)values[group.n - 1]);
    dwb_perf_group_deinit(&group);
}
END_TEST

/* The kernel takes a second group, and then cannot run it beside the first: not counted, never 0.
 */
START_TEST(test_no_room_reads_nothing)
{
    DWB_CLEANUP(dwb_work_freep) struct dwb_work *work = NULL;
    struct dwb_perf_group first, second;
    uint64_t values[DWB_PERF_GROUP_MAX];
    int error;

    ck_assert_int_eq(dwb_work_new(DWB_ISA_PORTABLE, &work), 0);
    dwb_perf_group_init(&first, &dwb_perf_kernel);
    dwb_perf_group_init(&second, &dwb_perf_kernel);
    fill(&first, &cycles, &error);
    fill(&second, &cycles, &error);
    memset(values, 0x5a, sizeof values);
    ck_assert_int_eq(dwb_perf_group_start(&first), 0);
    ck_assert_int_eq(window(&second, work, values), DWB_PERF_E_NOT_COUNTED);
    ck_assert_uint_eq(values[0], UINT64_C(0x5a5a5a5a5a5a5a5a)); /* nothing was written */
    ck_assert_int_eq(dwb_perf_group_stop(&first, values), 0);
    dwb_perf_group_deinit(&second);
    dwb_perf_group_deinit(&first);
}
END_TEST

/* ARM's driver leaves a disabled leader out when it asks whether a group fits. Seven events that
 * are no cycles are taken for six counters, and never run: opening is not fitting. */
START_TEST(test_opening_is_not_fitting)
{
    DWB_CLEANUP(dwb_work_freep) struct dwb_work *work = NULL;
    struct dwb_perf_group group;
    uint64_t values[DWB_PERF_GROUP_MAX];
    int error;

    ck_assert_int_eq(dwb_work_new(DWB_ISA_PORTABLE, &work), 0);
    dwb_perf_group_init(&group, &dwb_perf_kernel);
    fill(&group, &instructions, &error);
    ck_assert_uint_eq(group.n, n_expected);
    ck_assert_int_eq(error, -EINVAL);
    ck_assert_int_eq(window(&group, work, values), DWB_PERF_E_NOT_COUNTED);
    dwb_perf_group_deinit(&group);
}
END_TEST

int main(int argc, char **argv)
{
    struct dwb_refusal refusal;
    Suite *suite;
    TCase *tests;
    SRunner *runner;
    int n_failed;

    n_expected = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    if (dwb_calibrate_preflight(&dwb_perf_kernel, &refusal) < 0) {
        printf("skipped: %s\n", refusal.reason);
        return 77;
    }
    suite = suite_create("perf");
    tests = tcase_create("perf");
    runner = srunner_create(suite);
    tcase_add_test(tests, test_group_holds_what_fits);
    tcase_add_test(tests, test_no_room_reads_nothing);
    if (n_expected)
        tcase_add_test(tests, test_opening_is_not_fitting);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
