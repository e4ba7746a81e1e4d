/*
 * Does the interval of a ratio cover the truth as often as it says? Whole records of machines that
 * are made up go through the same code as real ones. The truth is the median, over processes, of
 * floor over floor; for machines on which both sides are disturbed alike it is the ratio of the
 * undisturbed times, otherwise it is taken from many processes.
 */

#include "analysis/figures.h"
#include "analysis/stats.h"

#include "synthetic.h"
#include "tests/unmarked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N_TRUTH 20001

static int n_trials = 100; /* argv[1]: more of them, for figures to publish */

struct machine {
    const char *name;
    void (*set)(struct synthetic *synthetic);
    bool symmetric;    /* truth is SYNTHETIC_RATIO */
    double width_most; /* median half-width with 10 processes and one layer */
};

static void set_quiet(struct synthetic *s)
{
}

/* Where pages fall differs from process to process, on both sides alike. */
static void set_placement(struct synthetic *s)
{
    s->process_noise[SYNTHETIC_STANDARD] = s->process_noise[SYNTHETIC_SEPARABLE] = 0.003;
}

static void set_one_sided(struct synthetic *s)
{
    s->process_noise[SYNTHETIC_SEPARABLE] = 0.01;
}

static void set_lognormal(struct synthetic *s)
{
    s->process_noise[SYNTHETIC_SEPARABLE] = 0.01;
    s->process_sigma = 1;
}

/* The other side alone: the quotients are skewed the other way. */
static void set_mirrored(struct synthetic *s)
{
    s->process_noise[SYNTHETIC_STANDARD] = 0.01;
}

/* A busy SMT sibling for the whole life of a quarter of the processes; the canary sees it. */
static void set_sibling(struct synthetic *s)
{
    s->disturbed_share = 0.25;
    s->disturbed[SYNTHETIC_STANDARD] = 1.3;
    s->disturbed[SYNTHETIC_SEPARABLE] = 1.15;
    s->disturbed[SYNTHETIC_CANARY] = 1.4;
}

/* Something the canary does not see: another tenant in the last-level cache. */
static void set_neighbour(struct synthetic *s)
{
    s->disturbed_share = 0.25;
    s->disturbed[SYNTHETIC_STANDARD] = 1.01;
    s->disturbed[SYNTHETIC_SEPARABLE] = 1.05;
}

static void set_switches(struct synthetic *s)
{
    s->flagged_share = 0.2;
}

static const struct machine machines[] = {
    {"quiet", set_quiet, true, 0.005},
    {"placement 0.3 %", set_placement, true, 0.02},
    {"one-sided 1 %", set_one_sided, false, 0.04},
    {"the other side 1 %", set_mirrored, false, 0.04},
    {"lognormal 1 %", set_lognormal, false, 0.08},
    {"SMT sibling, 1 in 4", set_sibling, true, 0.005},
    {"unseen, 1 in 4", set_neighbour, false, 0.05},
    {"switches, 1 in 5", set_switches, true, 0.005},
};

static double truth_of(const struct machine *machine, const struct synthetic *s)
{
    static double quotients[N_TRUTH];
    uint64_t state = 99;

    if (machine->symmetric)
        return SYNTHETIC_RATIO;
    for (size_t i = 0; i < N_TRUTH; i++) {
        struct dwb_record *record = synthetic_record(s, 0, &state);
        bool disturbed = false;
        struct dwb_series series[2];
        ck_assert_int_eq(
            dwb_series_init(&record, &disturbed, 1, "native", DWB_OPERATION_STANDARD, &series[0]),
            0);
        ck_assert_int_eq(
            dwb_series_init(&record, &disturbed, 1, "native", DWB_OPERATION_SEPARABLE, &series[1]),
            0);
        quotients[i] = series[1].floors[0] / series[0].floors[0];
        dwb_series_deinit(&series[0]);
        dwb_series_deinit(&series[1]);
        dwb_record_free(record);
    }
    dwb_stats_sort(quotients, N_TRUTH);
    return dwb_stats_median(quotients, N_TRUTH);
}

static struct dwb_ratio_figures measure(struct dwb_spec *spec, struct dwb_record **records,
                                        size_t n)
{
    struct dwb_figures_input input = {spec, &spec->layers[0], records, n, "native"};
    struct dwb_figures figures;

    ck_assert_int_eq(dwb_figures_init(&input, &figures), 0);
    struct dwb_ratio_figures ratio = figures.ratio;
    dwb_figures_deinit(&figures);
    return ratio;
}

/* Misses in n_trials jobs of n processes; *ret_width is the median half-width. */
static int count_misses(const struct synthetic *s, struct dwb_spec *spec, size_t n, double truth,
                        double *ret_width)
{
    double *widths = calloc((size_t)n_trials, sizeof *widths);
    struct dwb_record *records[10];
    int missed = 0;

    ck_assert_ptr_nonnull(widths);
    for (int trial = 0; trial < n_trials; trial++) {
        synthetic_records(s, (uint64_t)trial * 1000003 + n, records, n);
        struct dwb_ratio_figures ratio = measure(spec, records, n);
        if (isfinite(ratio.half_width)) { /* else the canary left too few, and nothing is claimed */
            ck_assert_double_le(ratio.ci_low, ratio.floor);
            ck_assert_double_ge(ratio.ci_high, ratio.floor);
        }
        missed += truth < ratio.ci_low || truth > ratio.ci_high;
        widths[trial] = ratio.half_width;
        synthetic_free(records, n);
    }
    dwb_stats_sort(widths, (size_t)n_trials);
    *ret_width = widths[n_trials / 2]; /* infinite where most jobs have no interval */
    free(widths);
    return missed;
}

START_TEST(test_coverage)
{
    const struct machine *machine = &machines[_i];
    struct synthetic s = synthetic_quiet();
    static const struct {
        size_t n_processes, n_layers;
    } jobs[] = {{10, 1}, {10, 13}, {7, 1}, {5, 1}, {4, 1}};

    s.peak_gflops = 0; /* no probes: less to draw */
    machine->set(&s);
    double truth = truth_of(machine, &s);
    struct dwb_spec *spec = synthetic_spec(&s);
    printf("%-20s", machine->name);
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        double width;
        spec->n_layers = jobs[i].n_layers; /* only its number matters here: Bonferroni */
        double alpha = dwb_figures_alpha(spec);
        int missed = count_misses(&s, spec, jobs[i].n_processes, truth, &width);
        printf("  n=%zu of %zu: missed %d of %d, +-%.2f %%", jobs[i].n_processes, jobs[i].n_layers,
               missed, n_trials, width * 100);
        synthetic_check_missed(missed, n_trials, alpha, machine->name);
        if (i == 0)
            ck_assert_double_le(width, machine->width_most);
    }
    printf("\n");
    spec->n_layers = 1;
    dwb_spec_free(spec);
}
END_TEST

/* The daemon's rule: 10 processes, then one more at a time up to 20 until the width is reached. */
START_TEST(test_coverage_with_stopping)
{
    struct synthetic s = synthetic_quiet();
    struct dwb_record *records[20];
    int missed = 0, n_stopped = 0;

    s.peak_gflops = 0;
    /* So much that it stops late, or not at all. */
    s.process_noise[SYNTHETIC_STANDARD] = s.process_noise[SYNTHETIC_SEPARABLE] = 0.005;
    struct dwb_spec *spec = synthetic_spec(&s);
    for (int trial = 0; trial < n_trials; trial++) {
        struct dwb_ratio_figures ratio;
        size_t n = 10;
        synthetic_records(&s, (uint64_t)trial * 7919, records, 20);
        for (ratio = measure(spec, records, n); n < 20 && ratio.half_width > 0.005;)
            ratio = measure(spec, records, ++n);
        n_stopped += ratio.half_width <= 0.005;
        missed += SYNTHETIC_RATIO < ratio.ci_low || SYNTHETIC_RATIO > ratio.ci_high;
        synthetic_free(records, 20);
    }
    printf("stopping at 0.5 %%: missed %d of %d, stopped %d\n", missed, n_trials, n_stopped);
    synthetic_check_missed(missed, n_trials, 0.01, "stopping");
    ck_assert_int_gt(n_stopped, n_trials / 10);
    ck_assert_int_lt(n_stopped, n_trials);
    dwb_spec_free(spec);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("coverage");
    TCase *tcase = tcase_create("ratio");

    if (argc > 1)
        n_trials = atoi(argv[1]);
    tcase_set_timeout(tcase, 3600);
    tcase_add_loop_test(tcase, test_coverage, 0, sizeof machines / sizeof *machines);
    tcase_add_test(tcase, test_coverage_with_stopping);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
