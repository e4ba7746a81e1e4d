/* Counters on a machine that counts: values, groups, overhead, the catalogue, the known work. */

#include "counters_fixture.h"

#include "common/cleanup.h"
#include "kernels/kernels.h"

#include <check.h>
#include <time.h>

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
    for (int kind = DWB_WORK_LOOP; kind < DWB_N_WORK_KINDS; kind++) {
        if (kind >= DWB_WORK_SCALAR && known->width_flops[kind] == 0)
            continue; /* this CPU lacks it */
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
    tcase_add_test(tests, test_overhead);
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
