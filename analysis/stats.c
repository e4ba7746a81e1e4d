/*
 * Order statistics. Pure arithmetic; see docs/method.md for why these and their simulated coverage.
 */

#include "analysis/stats.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define N_HALVINGS 60 /* to the last bit of a double */

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

void dwb_stats_sort(double *values, size_t n)
{
    if (n > 1)
        qsort(values, n, sizeof *values, compare);
}

double dwb_stats_floor(const double *sorted, size_t n)
{
    return sorted[(n + 99) / 100 - 1];
}

double dwb_stats_median(const double *sorted, size_t n)
{
    return n % 2 ? sorted[n / 2] : sorted[n / 2 - 1] + (sorted[n / 2] - sorted[n / 2 - 1]) / 2;
}

/* log of C(n, k) / 2^n: the terms themselves underflow past n = 1,000. */
static double log_binomial(size_t n, size_t k)
{
    int sign; /* lgamma() would write a global */

    return lgamma_r((double)n + 1, &sign) - lgamma_r((double)k + 1, &sign) -
           lgamma_r((double)(n - k) + 1, &sign) - (double)n * M_LN2;
}

void dwb_stats_hinges(const double *sorted, size_t n, double *ret_low, double *ret_high)
{
    size_t n_half = (n + 1) / 2;

    *ret_low = dwb_stats_median(sorted, n_half);
    *ret_high = dwb_stats_median(sorted + n - n_half, n_half);
}

size_t dwb_stats_sign_rank(size_t n, double alpha)
{
    double tail = 0;
    size_t k;

    for (k = 0; k < n / 2; k++) {
        tail += 2 * exp(log_binomial(n, k));
        if (tail > alpha * (1 + 1e-9)) /* lgamma is good to 1e-15 of its value, not of the sum */
            break;
    }
    return k;
}

/* Of both sides of the median: what a range stretched by lambda still misses, at most. */
static double missed_most(size_t n, double lambda)
{
    double power = 1 - (double)n;

    return exp2(-(double)n) *
           (pow(1 + lambda, power) + pow(1 + lambda / DWB_STATS_PEAK_MAX, power));
}

/* The smallest stretch that misses no more than alpha: by halving, as there is no closed form. */
static double stretch_of(size_t n, double alpha)
{
    double low = 0;
    double high = DWB_STATS_PEAK_MAX * (pow(exp2(1 - (double)n) / alpha, 1 / ((double)n - 1)) - 1);

    for (unsigned i = 0; i < N_HALVINGS; i++) {
        double middle = low + (high - low) / 2;

        if (missed_most(n, middle) > alpha)
            low = middle;
        else
            high = middle;
    }
    return high;
}

int dwb_stats_interval(const double *sorted, size_t n, double alpha,
                       struct dwb_interval *ret_interval)
{
    if (n < DWB_STATS_PROCESSES_MIN)
        return -ENODATA;

    size_t k = dwb_stats_sign_rank(n, alpha);
    if (k > 0) {
        *ret_interval = (struct dwb_interval){sorted[k - 1], sorted[n - k], false};
        return 0;
    }
    double stretch = pow(sorted[n - 1] / sorted[0], stretch_of(n, alpha));
    *ret_interval = (struct dwb_interval){sorted[0] / stretch, sorted[n - 1] * stretch, true};
    return 0;
}
