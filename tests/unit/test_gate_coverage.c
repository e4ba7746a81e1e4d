/*
 * How often does a comparison err? Sets of records of machines that are made up, with the true
 * change known, go through the same code as real ones: does the interval cover the truth as often
 * as it says, how often is a change reported where there is none, how often is one of 2 % found?
 * Shares are printed with their exact 95 % intervals (Clopper and Pearson).
 *
 * Samples of both sides are disturbed by the same law, and the changes of processes are lognormal:
 * then the median over processes is the truth exactly, also where the noise of a sample is skewed.
 */

#include "analysis/gate.h"
#include "analysis/figures.h"

#include "gate_fixture.h"
#include "tests/unmarked.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_MAX    40
#define SURPRISE 1e-4 /* what is less probable than this at the nominal level fails the test */

static int n_sets = 1000; /* argv[1]: more of them, for figures to publish */

struct scene {
    const char *name;
    enum gate_noise noise;
    double sample_noise, process_noise, drift, slow_share, flagged_share;
    bool programs;
    double found_least; /* of changes of 2 %, with 20 processes a side */
};

static const struct scene scenes[] = {
    {"lognormal 1 %", GATE_LOGNORMAL, 0.01, 0, 0, 0, 0, false, 0.999},
    {"exponential 2 %", GATE_EXPONENTIAL, 0.02, 0, 0, 0, 0, false, 0.999},
    {"exponential 10 %", GATE_EXPONENTIAL, 0.1, 0, 0, 0, 0, false, 0}, /* too noisy for 2 % */
    {"processes 0.5 %", GATE_EXPONENTIAL, 0.01, 0.005, 0, 0, 0, false, 0.99},
    {"drift 0.1 % a sample", GATE_LOGNORMAL, 0.01, 0.003, 0.001, 0, 0, false, 0.99},
    {"flags, 1 in 5", GATE_EXPONENTIAL, 0.02, 0.003, 0, 0, 0.2, false, 0.99},
    {"programs, exponential 2 %", GATE_EXPONENTIAL, 0.02, 0.003, 0, 0, 0, true, 0.99},
    {"programs, lognormal 1 %", GATE_LOGNORMAL, 0.01, 0.003, 0.0002, 0, 0, true, 0.9},
};

struct tally {
    int missed, verdicts[DWB_N_CHANGES];
    double width; /* sum of half-widths */
};

static struct gate_machine machine_of(const struct scene *scene, double change)
{
    struct gate_machine machine = gate_quiet();

    machine.n_blocks = 8;
    machine.change = change;
    machine.noise = scene->noise;
    machine.sample_noise = scene->sample_noise;
    machine.process_noise = scene->process_noise;
    machine.drift = scene->drift;
    machine.slow_share = scene->slow_share;
    machine.flagged_share = scene->flagged_share;
    machine.programs = scene->programs;
    return machine;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    ck_assert_msg(json_is_number(value), "%s is no number", key);
    return json_number_value(value);
}

static void judge(const struct dwb_spec *spec, struct dwb_record **records, size_t n, double truth,
                  struct tally *tally)
{
    json_t *comparisons = json_array();
    enum dwb_change change;

    ck_assert_int_eq(dwb_gate_add_layer(spec, &spec->layers[0], records, n, comparisons), 0);
    const json_t *comparison = json_array_get(comparisons, 0);
    const json_t *of = json_object_get(comparison, "change");
    double low = number(of, "ci_low"), high = number(of, "ci_high");

    ck_assert_int_eq(
        dwb_change_from_name(json_string_value(json_object_get(comparison, "verdict")), &change),
        0);
    tally->missed += truth < low || truth > high;
    tally->verdicts[change]++;
    tally->width += (high - low) / 2;
    json_decref(comparisons);
}

static struct tally run(const struct scene *scene, size_t n, double change)
{
    struct dwb_spec *spec = scene->programs ? gate_spec("worker:a", "worker:b", "depthwise", 1)
                                            : gate_spec("native", "native", "depthwise", 1);
    struct gate_machine machine = machine_of(scene, change);
    struct dwb_record *records[2 * N_MAX];
    struct tally tally = {0};

    n *= scene->programs ? 2 : 1;
    for (int set = 0; set < n_sets; set++) {
        uint64_t seed = (uint64_t)set * 1000003 + n + (change > 0 ? UINT64_C(1) << 40 : 0);

        gate_records(&machine, spec, seed, records, n);
        judge(spec, records, n, change, &tally);
        gate_free(records, n);
    }
    dwb_spec_free(spec);
    return tally;
}

static void print_share(const char *what, int k)
{
    double low, high;

    gate_share(k, n_sets, &low, &high);
    printf("  %s %d of %d (%.2f to %.2f %%)", what, k, n_sets, low * 100, high * 100);
}

static void check_missed(const char *name, int missed, double alpha)
{
    ck_assert_msg(gate_binomial_above(missed, n_sets, alpha) > SURPRISE, "%s: %d of %d missed",
                  name, missed, n_sets);
}

START_TEST(test_coverage)
{
    static const size_t n_processes[] = {20, 8};
    const struct scene *scene = &scenes[_i];

    for (size_t i = 0; i < sizeof n_processes / sizeof *n_processes; i++) {
        size_t n = n_processes[i];
        struct tally none = run(scene, n, 0), two = run(scene, n, 0.02);

        printf("%-26s %2zu processes:", scene->name, n);
        print_share("missed", none.missed);
        print_share("at +2 % missed", two.missed);
        print_share("false alarms", none.verdicts[DWB_CHANGE_SLOWER]);
        print_share("found +2 %", two.verdicts[DWB_CHANGE_SLOWER]);
        printf("  same %d, +-%.2f %%\n", none.verdicts[DWB_CHANGE_SAME], none.width / n_sets * 100);
        check_missed(scene->name, none.missed, DWB_FIGURES_ALPHA);
        check_missed(scene->name, two.missed, DWB_FIGURES_ALPHA);
        check_missed(scene->name, none.verdicts[DWB_CHANGE_SLOWER], DWB_FIGURES_ALPHA / 2);
        check_missed(scene->name, none.verdicts[DWB_CHANGE_FASTER], DWB_FIGURES_ALPHA / 2);
        check_missed(scene->name, two.verdicts[DWB_CHANGE_FASTER], DWB_FIGURES_ALPHA / 2);
        if (n == 20)
            ck_assert_msg(gate_binomial_below(two.verdicts[DWB_CHANGE_SLOWER], n_sets,
                                              scene->found_least) > SURPRISE,
                          "%s: +2 %% found %d times", scene->name, two.verdicts[DWB_CHANGE_SLOWER]);
    }
}
END_TEST

/* b is 5 % slower in one process of four: no false alarm comes of that. */
START_TEST(test_slow_processes)
{
    const struct scene scene = {
        "slow, 1 in 4", GATE_EXPONENTIAL, 0.01, 0.002, 0, 0.25, 0, false, 0};
    struct gate_machine machine = machine_of(&scene, 0);
    struct dwb_spec *spec = gate_spec("native", "native", "depthwise", 1);
    struct dwb_record *records[N_MAX];
    struct tally tally = {0};

    machine.slow = 0.05;
    for (int set = 0; set < n_sets; set++) {
        gate_records(&machine, spec, (uint64_t)set * 7919, records, 20);
        judge(spec, records, 20, 0, &tally);
        gate_free(records, 20);
    }
    printf("%-26s 20 processes:", scene.name);
    print_share("false alarms", tally.verdicts[DWB_CHANGE_SLOWER]);
    printf("\n");
    check_missed(scene.name, tally.verdicts[DWB_CHANGE_SLOWER], DWB_FIGURES_ALPHA / 2);
    dwb_spec_free(spec);
}
END_TEST

/* The daemon's rule: at least 10 processes, then one more at a time up to 20 until it is precise.
 */
START_TEST(test_stopping)
{
    struct scene scene = scenes[3];
    struct dwb_spec *spec = gate_spec("native", "native", "depthwise", 1);
    struct gate_machine machine = machine_of(&scene, 0.02);
    struct dwb_record *records[N_MAX];
    struct tally tally = {0};
    int n_stopped = 0;

    for (int set = 0; set < n_sets; set++) {
        double half_width;
        size_t n = 10;

        gate_records(&machine, spec, (uint64_t)set * 104729, records, 20);
        for (;; n++) {
            ck_assert_int_eq(dwb_gate_half_width(spec, records, n, &half_width), 0);
            if (half_width <= 0.004 || n == 20)
                break;
        }
        n_stopped += n < 20;
        judge(spec, records, n, 0.02, &tally);
        gate_free(records, 20);
    }
    printf("%-26s stopped early %d:", "10 to 20 processes", n_stopped);
    print_share("missed", tally.missed);
    printf("\n");
    ck_assert_int_gt(n_stopped, n_sets / 20);
    ck_assert_int_lt(n_stopped, n_sets);
    check_missed("stopping", tally.missed, DWB_FIGURES_ALPHA);
    dwb_spec_free(spec);
}
END_TEST

START_TEST(test_exact_figures)
{
    double low, high;

    /* By hand: 0.5^10, and Clopper-Pearson of none in 100 is 1 - 0.025^(1/100). */
    ck_assert_double_eq_tol(gate_binomial_above(10, 10, 0.5), pow(0.5, 10), 1e-12);
    ck_assert_double_eq_tol(gate_binomial_below(0, 10, 0.5), pow(0.5, 10), 1e-12);
    ck_assert_double_eq_tol(gate_binomial_above(3, 10, 0.2) + gate_binomial_below(2, 10, 0.2), 1,
                            1e-9);
    gate_share(0, 100, &low, &high);
    ck_assert_double_eq(low, 0);
    ck_assert_double_eq_tol(high, 1 - pow(0.025, 0.01), 1e-6);
    gate_share(100, 100, &low, &high);
    ck_assert_double_eq_tol(low, pow(0.025, 0.01), 1e-6);
    ck_assert_double_eq(high, 1);
    gate_share(10, 100, &low, &high);
    ck_assert_double_eq_tol(low, 0.0490, 1e-4);
    ck_assert_double_eq_tol(high, 0.1762, 1e-4);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("gate_coverage");
    TCase *tests = tcase_create("gate_coverage");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    if (argc > 1)
        n_sets = atoi(argv[1]);
    tcase_set_timeout(tests, 3600);
    tcase_add_test(tests, test_exact_figures);
    tcase_add_loop_test(tests, test_coverage, 0, sizeof scenes / sizeof *scenes);
    tcase_add_test(tests, test_slow_processes);
    tcase_add_test(tests, test_stopping);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
