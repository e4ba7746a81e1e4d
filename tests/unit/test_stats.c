/*
 * Order statistics against values that can be worked out by hand, and the coverage of the interval
 * against distributions with a known median.
 */

#include "analysis/stats.h"

#include "synthetic.h"
#include "tests/unmarked.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

START_TEST(test_floor_and_median)
{
    double one[] = {3}, four[] = {1, 2, 4, 8};
    double many[301];

    ck_assert_double_eq(dwb_stats_floor(one, 1), 3);
    ck_assert_double_eq(dwb_stats_median(one, 1), 3);
    ck_assert_double_eq(dwb_stats_floor(four, 4), 1);
    ck_assert_double_eq(dwb_stats_median(four, 4), 3);
    ck_assert_double_eq(dwb_stats_median(four, 3), 2);
    for (int i = 0; i < 301; i++)
        many[i] = i + 1;
    ck_assert_double_eq(dwb_stats_floor(many, 100), 1);
    ck_assert_double_eq(dwb_stats_floor(many, 101), 2);
    ck_assert_double_eq(dwb_stats_floor(many, 300), 3);
    ck_assert_double_eq(dwb_stats_floor(many, 301), 4);
}
END_TEST

START_TEST(test_sort)
{
    double values[] = {5, 1, 4, 1, 3};

    dwb_stats_sort(values, 5);
    for (int i = 1; i < 5; i++)
        ck_assert_double_le(values[i - 1], values[i]);
    ck_assert_double_eq(values[4], 5);
    dwb_stats_sort(NULL, 0);
}
END_TEST

START_TEST(test_hinges)
{
    static const double values[] = {1, 2, 4, 8, 16, 32, 64};
    static const double want[][2] = {{1, 1}, {1, 2}, {1.5, 3}, {1.5, 6}, {2, 8}, {2, 16}, {3, 24}};

    for (size_t n = 1; n <= 7; n++) {
        double low, high;

        dwb_stats_hinges(values, n, &low, &high);
        ck_assert_double_eq(low, want[n - 1][0]);
        ck_assert_double_eq(high, want[n - 1][1]);
    }
}
END_TEST

START_TEST(test_sign_rank)
{
    /* Binomial tables: 2 P(B(n, 1/2) < k) <= alpha. */
    static const struct {
        size_t n;
        double alpha;
        size_t k;
    } rows[] = {
        {0, 0.01, 0},       {1, 0.01, 0},       {7, 0.01, 0},    {8, 0.01, 1},  {10, 0.01, 1},
        {11, 0.01, 1},      {12, 0.01, 2},      {15, 0.01, 3},   {18, 0.01, 4}, {20, 0.01, 4},
        {25, 0.01, 6},      {50, 0.01, 16},     {100, 0.01, 37}, {6, 0.05, 1},  {20, 0.05, 6},
        {11, 0.01 / 13, 0}, {12, 0.01 / 13, 1}, {2, 0.5, 1},     {1, 1.0, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_msg(dwb_stats_sign_rank(rows[i].n, rows[i].alpha) == rows[i].k,
                      "n = %zu: %zu, not %zu", rows[i].n,
                      dwb_stats_sign_rank(rows[i].n, rows[i].alpha), rows[i].k);
    /* Normal approximation far out: n / 2 - z sqrt(n) / 2, z = 2.576. */
    ck_assert_uint_ge(dwb_stats_sign_rank(100000, 0.01), 49590);
    ck_assert_uint_le(dwb_stats_sign_rank(100000, 0.01), 49595);
}
END_TEST

START_TEST(test_interval)
{
    double values[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    double geometric[] = {1, 2, 2, 4};
    struct dwb_interval interval = {-1, -1, false};

    ck_assert_int_eq(dwb_stats_interval(values, 0, 0.01, &interval), -ENODATA);
    ck_assert_int_eq(dwb_stats_interval(values, 3, 0.01, &interval), -ENODATA);
    ck_assert_double_eq(interval.low, -1);
    ck_assert_int_eq(dwb_stats_interval(values, 12, 0.01, &interval), 0);
    ck_assert_double_eq(interval.low, 2);
    ck_assert_double_eq(interval.high, 11);
    ck_assert(!interval.stretched);
    ck_assert_int_eq(dwb_stats_interval(values, 8, 0.01, &interval), 0);
    ck_assert_double_eq(interval.low, 1);
    ck_assert_double_eq(interval.high, 8);
    ck_assert(!interval.stretched);
    /* n = 4, lambda = 2: (1/27 + 1/8) / 16 = 35/3456. The range is a factor 4: 4^2 each way. */
    ck_assert_int_eq(dwb_stats_interval(geometric, 4, 35.0 / 3456, &interval), 0);
    ck_assert(interval.stretched);
    ck_assert_double_eq_tol(interval.low, 1.0 / 16, 1e-12);
    ck_assert_double_eq_tol(interval.high, 64, 1e-9);
    /* Ties: no width, no harm. */
    double ties[] = {7, 7, 7, 7};
    ck_assert_int_eq(dwb_stats_interval(ties, 4, 0.01, &interval), 0);
    ck_assert_double_eq(interval.low, 7);
    ck_assert_double_eq(interval.high, 7);
}
END_TEST

static int n_trials = 1000; /* argv[1]: more of them, for figures to publish */

/* Draws on a log scale around a median of 0; the interval works on their exponentials. */
static double draw(int shape, uint64_t *state)
{
    double u = synthetic_uniform(state), v = synthetic_uniform(state);
    double normal = sqrt(-2 * log(u)) * cos(2 * M_PI * v);

    switch (shape) {
    case 0:
        return 2 * u - 1; /* uniform */
    case 1:
        return normal;
    case 2:
        return -log(u) - M_LN2; /* exponential: its peak is twice the density at its median */
    case 3:
        return M_LN2 + log(u); /* the same, its tail to the left */
    case 4:
        return exp(normal) - 1; /* lognormal: a peak of 1.65 times */
    case 5:
        return log(u) - log(v); /* Laplace: long tails */
    default:
        return tan(M_PI * (u - 0.5)) / 10; /* Cauchy */
    }
}

static const char *const shapes[] = {"uniform",   "normal",  "exponential", "its mirror image",
                                     "lognormal", "Laplace", "Cauchy"};
#define N_SHAPES (sizeof shapes / sizeof shapes[0])

/* Jobs of one layer and of thirteen. */
START_TEST(test_coverage)
{
    static const size_t sizes[] = {4, 5, 6, 7, 8, 10, 12, 20};
    const double alpha = _i ? 0.01 / 13 : 0.01;
    uint64_t state = 7;

    printf("missed, %% of %d trials, 1 - alpha = %.4f\n%-18s", n_trials, 1 - alpha, "");
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        printf("  n = %-2zu", sizes[k]);
    printf("\n");
    for (size_t shape = 0; shape < N_SHAPES; shape++) {
        printf("%-18s", shapes[shape]);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            size_t n = sizes[k];
            int missed = 0;
            for (int trial = 0; trial < n_trials; trial++) {
                struct dwb_interval interval;
                double values[20];
                for (size_t i = 0; i < n; i++)
                    values[i] = exp(draw((int)shape, &state) / 100);
                dwb_stats_sort(values, n);
                ck_assert_int_eq(dwb_stats_interval(values, n, alpha, &interval), 0);
                ck_assert(interval.stretched == (dwb_stats_sign_rank(n, alpha) == 0));
                missed += interval.low > 1 || interval.high < 1;
            }
            printf("  %6.3f", 100.0 * missed / n_trials);
            synthetic_check_missed(missed, n_trials, alpha, shapes[shape]);
        }
        printf("\n");
    }
}
END_TEST

/* The bound itself, at its level: no stretch smaller than the one that is taken would do. */
START_TEST(test_stretch)
{
    for (size_t n = DWB_STATS_PROCESSES_MIN; n < 12; n++) {
        const double alpha = 0.01 / 13;
        double values[12];
        struct dwb_interval interval;

        for (size_t i = 0; i < n; i++)
            values[i] = exp((double)i / (double)(n - 1)); /* a range of 1 on the log scale */
        ck_assert_int_eq(dwb_stats_interval(values, n, alpha, &interval), 0);
        double lambda = log(interval.high) - 1, power = 1 - (double)n;
        ck_assert_double_eq_tol(-log(interval.low), lambda, 1e-9);
        double missed = (pow(1 + lambda, power) + pow(1 + lambda / DWB_STATS_PEAK_MAX, power)) /
                        pow(2, (double)n);
        ck_assert_double_eq_tol(missed, alpha, 1e-9);
    }
}
END_TEST

int main(int argc, char **argv)
{
    if (argc > 1)
        n_trials = atoi(argv[1]);
    Suite *suite = suite_create("stats");
    TCase *tcase = tcase_create("order statistics");

    tcase_set_timeout(tcase, 600);
    tcase_add_test(tcase, test_floor_and_median);
    tcase_add_test(tcase, test_sort);
    tcase_add_test(tcase, test_hinges);
    tcase_add_test(tcase, test_sign_rank);
    tcase_add_test(tcase, test_interval);
    tcase_add_test(tcase, test_stretch);
    tcase_add_loop_test(tcase, test_coverage, 0, 2);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
