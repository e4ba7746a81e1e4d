/* Counters in result documents: counted, derived, analytic and simulated, never mixed. */

#include "result_fixture.h"

#include <string.h>

START_TEST(test_counters)
{
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, N);
    json_t *document = build(&job, "no_pmu"), *entry = at(document, "results.0");

    ck_assert(is_null(entry, "operations.standard.counters.cycles.value"));
    ck_assert(is_null(entry, "operations.standard.counters.cycles.source"));
    ck_assert_str_eq(text(entry, "operations.standard.counters.cycles.reason"),
                     "no PMU under this hypervisor");
    ck_assert(is_null(entry, "ratio.cycles.value"));
    ck_assert_str_eq(text(entry, "ratio.cycles.reason"), "no PMU under this hypervisor");
    ck_assert(is_null(entry, "ratio.cache_misses.value"));
    ck_assert_str_eq(text(entry, "ratio.cache_misses.reason"), "the CPU lacks the event");
    ck_assert(is_null(entry, "ratio.flops.value"));
    ck_assert_str_eq(text(entry, "ratio.flops.reason"), "not asked for");
    ck_assert(is_null(entry, "operations.standard.counters.ipc.value"));
    ck_assert_str_eq(text(entry, "operations.separable.counters.task_clock.source"), "software");
    ck_assert_double_eq(number(entry, "operations.separable.counters.task_clock.value"), 1.15e6);
    ck_near(number(entry, "ratio.task_clock.value"), SYNTHETIC_RATIO, 1e-12);
    ck_assert_str_eq(text(entry, "operations.standard.counters.flops_analytic.source"), "analytic");
    ck_near(number(entry, "ratio.flops_analytic.value"), number(entry, "theory.executed.ratio"),
            1e-12);
    json_decref(document);
    free_job(&job);

    s.counted = true;
    job = make_job(&s, N);
    job.records[3]->n_readings = 0; /* counted in nine of ten */
    document = build(&job, "pmu");
    entry = at(document, "results.0");
    ck_assert_double_eq(number(entry, "operations.standard.counters.cycles.value"), 3 * 8e6);
    ck_assert_str_eq(text(entry, "operations.standard.counters.cycles.source"), "hardware");
    ck_assert_str_eq(text(entry, "operations.standard.counters.cycles.reason"),
                     "counted in 9 of 10 processes");
    ck_assert_double_eq(number(entry, "operations.standard.counters.ipc.value"), 2);
    ck_assert_str_eq(text(entry, "operations.standard.counters.ipc.source"), "derived");
    ck_near(number(entry, "ratio.instructions.value"), SYNTHETIC_RATIO, 1e-12);
    ck_assert_str_eq(text(entry, "ratio.instructions.source"), "derived");
    ck_assert_str_eq(text(entry, "ratio.instructions.inputs"), "hardware");
    json_decref(document);
    free_job(&job);
}
END_TEST

/* Cycles become FLOPs, 2 % more than the shape has, and instructions misses of the last level. */
static void recount(struct dwb_record *record)
{
    snprintf(record->counters[0].name, sizeof record->counters[0].name, "flops");
    snprintf(record->counters[1].name, sizeof record->counters[1].name, "llc_misses");
    snprintf(record->counters[2].name, sizeof record->counters[2].name, "cycles");
    record->counters[0].has_overhead = true;
    record->counters[0].overhead = 30 + record->replicate;
    for (size_t i = 0; i < record->n_readings; i++) {
        struct dwb_reading *reading = &record->readings[i];

        if (reading->counter == 0)
            reading->value =
                reading->n_calls * record->subjects[reading->subject].macs_executed * 2 * 102 / 100;
    }
}

/* What is derived from a counter and the shape, and what stands beside it. */
START_TEST(test_counters_against_the_shape)
{
    struct synthetic s = synthetic_quiet();

    s.counted = true;
    struct job job = make_job(&s, N);
    for (size_t i = 0; i < N; i++)
        recount(job.records[i]);
    json_t *document = build(&job, "no_line"), *entry = at(document, "results.0");
    ck_assert(is_null(entry, "operations.standard.counters.llc_bytes_per_mac.value"));
    ck_assert_str_eq(text(entry, "operations.standard.counters.llc_bytes_per_mac.reason"),
                     "the size of a cache line is not known");
    json_decref(document);

    for (size_t i = 0; i < N; i++)
        json_object_set_new(at(job.records[i]->environment, "caches.0"), "line_bytes",
                            json_integer(64));
    document = build(&job, "against_the_shape");
    entry = at(document, "results.0");
    double macs = number(entry, "operations.standard.macs_executed");
    ck_near(number(entry, "operations.standard.counters.llc_bytes_per_mac.value"),
            6 * 8e6 * 64 / macs, 1e-12);
    ck_near(number(entry, "operations.standard.counters.llc_bytes_per_mac.median"),
            6 * 8e6 * 64 / macs, 1e-12);
    ck_assert_str_eq(text(entry, "operations.standard.counters.llc_bytes_per_mac.source"),
                     "derived");
    ck_assert_str_eq(text(entry, "operations.standard.counters.l1d_bytes_per_mac.reason"),
                     "l1d_misses: not asked for");
    ck_near(number(entry, "operations.separable.counters.flops_over_analytic.value"), 1.02, 1e-6);
    ck_assert(is_null(entry, "operations.standard.counters.flops_per_cycle.value"));
    ck_assert_double_eq(number(entry, "operations.standard.counters.flops.overhead"), 30);
    ck_assert_str_eq(text(entry, "operations.standard.counters.flops.outcome"), "counted");
    ck_assert_str_eq(text(entry, "operations.standard.counters.cycles.outcome"), "not_on_this_cpu");
    ck_assert(is_null(entry, "operations.standard.counters.llc_misses.overhead"));
    ck_near(number(entry, "ratio.llc_misses.value"), SYNTHETIC_RATIO, 1e-12);
    ck_near(number(entry, "ratio.llc_misses.theory"), number(entry, "theory.ratio"), 1e-12);
    ck_near(number(entry, "ratio.cycles.theory"), number(entry, "theory.ratio"), 1e-12);
    json_decref(document);
    free_job(&job);
}
END_TEST

/* Values of two sources are not put together, however alike their names are. */
START_TEST(test_sources_are_not_mixed)
{
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, 4);

    s.counted = true;
    for (size_t i = 2; i < 4; i++) {
        uint64_t state = i;
        dwb_record_free(job.records[i]);
        job.records[i] = synthetic_record(&s, (uint32_t)i, &state);
        job.records[i]->counters[3].source = DWB_SOURCE_SIMULATED;
        for (size_t k = 0; k < job.records[i]->n_readings; k++)
            job.records[i]->readings[k].value /= 1000;
    }
    json_t *document = build(&job, "two_sources"), *entry = at(document, "results.0");
    ck_assert_double_eq(number(entry, "operations.standard.counters.task_clock.value"), 8e6);
    ck_assert_str_eq(text(entry, "operations.standard.counters.task_clock.source"), "software");
    ck_assert_str_eq(text(entry, "operations.standard.counters.cycles.source"), "hardware");
    ck_assert_str_eq(text(entry, "operations.standard.counters.cycles.reason"),
                     "counted in 2 of 4 processes");
    json_decref(document);
    free_job(&job);
}
END_TEST

/* Two operations of a process: one counted, one with its reason. Freed with the record. */
static struct dwb_simulation *simulation_of(uint64_t standard, const char *separable_reason)
{
    struct dwb_simulation *simulation = calloc(1, sizeof *simulation);
    struct dwb_simulated *items = calloc(2, sizeof *items);

    ck_assert(simulation && items);
    snprintf(simulation->tool, sizeof simulation->tool, "valgrind-3.19.0, callgrind");
    snprintf(simulation->origin, sizeof simulation->origin, "sysfs");
    ck_assert_int_eq(
        dwb_geometry_parse("32768,8,64/49152,12,64/33554432,16,64", &simulation->geometry), 0);
    items[0] = (struct dwb_simulated){.subject = SYNTHETIC_STANDARD,
                                      .counted = true,
                                      .kernel = "std__avx2",
                                      .isa = "avx2",
                                      .counts = {standard, 30, 0, 5, 0}};
    items[1] = (struct dwb_simulated){.subject = SYNTHETIC_SEPARABLE,
                                      .counted = !separable_reason,
                                      .kernel = "sep__avx2",
                                      .isa = "avx2",
                                      .counts = {120, 12, 0, 3, 0}};
    if (separable_reason)
        snprintf(items[1].reason, sizeof items[1].reason, "%s", separable_reason);
    simulation->items = items;
    simulation->n = 2;
    return simulation;
}

/* Apart from the counters, and only where it was asked for. */
START_TEST(test_simulation)
{
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, N);
    json_t *document = build(&job, "not_simulated"), *entry = at(document, "results.0");

    ck_assert_ptr_null(json_object_get(entry, "simulation"));
    ck_assert_ptr_null(json_object_get(at(entry, "operations.standard"), "simulated"));
    json_decref(document);

    job.spec->options.simulate = true;
    document = build(&job, "simulation_lost");
    entry = at(document, "results.0");
    ck_assert_str_eq(text(entry, "simulation.reason"), "no replicate was simulated");
    ck_assert(is_null(entry, "operations.standard.simulated.counters.instructions.value"));
    json_decref(document);

    job.records[3]->simulation = simulation_of(1000, NULL);
    document = build(&job, "simulated");
    entry = at(document, "results.0");
    ck_near(number(entry, "simulation.ratio.instructions.value"), 0.12, 1e-12);
    ck_assert_str_eq(text(entry, "simulation.ratio.instructions.source"), "simulated");
    ck_near(number(entry, "simulation.theory"), number(entry, "theory.ratio"), 1e-12);
    ck_assert(is_null(entry, "simulation.ratio.ll_misses.value")); /* 0 of both sides */
    ck_near(number(entry, "simulation.geometry.D1.ways"), 12, 1e-12);
    ck_near(number(entry, "operations.standard.simulated.counters.instructions.value"), 1000,
            1e-12);
    ck_assert_str_eq(text(entry, "operations.standard.simulated.kernel"), "std__avx2");
    ck_assert_str_eq(text(entry, "operations.depthwise.simulated.reason"),
                     "no replicate was simulated");
    ck_assert(is_null(entry, "operations.standard.counters.instructions.value"));
    json_decref(document);

    dwb_simulation_free(job.records[3]->simulation);
    job.records[3]->simulation = simulation_of(1000, "valgrind was killed by SIGILL");
    document = build(&job, "simulated_in_part");
    ck_assert_str_eq(text(document, "results.0.simulation.ratio.instructions.reason"),
                     "valgrind was killed by SIGILL");
    json_decref(document);
    free_job(&job);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, test_counters);
    tcase_add_test(tests, test_counters_against_the_shape);
    tcase_add_test(tests, test_sources_are_not_mixed);
    tcase_add_test(tests, test_simulation);
}

int main(int argc, char **argv)
{
    return result_main(argc, argv, "result_counters", add);
}
