#pragma once

/*
 * Order statistics of small samples. Nothing here takes a mean: times are skewed to one side and a
 * mean follows the tail. All values are finite and positive; arrays called `sorted` ascend.
 */

#include <stdbool.h>
#include <stddef.h>

#define DWB_STATS_PROCESSES_MIN 3 /* fewer say nothing about how processes differ */

struct dwb_interval {
    double low, high;
    bool stretched; /* the range was too short for the level; see dwb_stats_interval */
};

void dwb_stats_sort(double *values, size_t n);

/* First percentile as an order statistic, x(ceil(n / 100)): the minimum up to 100 values, and past
 * that a few freak readings cannot make it. n >= 1. */
double dwb_stats_floor(const double *sorted, size_t n);

/* n >= 1. */
double dwb_stats_median(const double *sorted, size_t n);

/*
 * Tukey's hinges: the medians of the lower and of the upper half, both with the middle value where
 * n is odd (Tukey, Exploratory Data Analysis, 1977, section 2C). n >= 1.
 */
void dwb_stats_hinges(const double *sorted, size_t n, double *ret_low, double *ret_high);

/*
 * Largest k with 2 P(Binomial(n, 1/2) < k) <= alpha: [x(k), x(n+1-k)] then covers the median of any
 * continuous distribution with probability >= 1 - alpha (sign test; Conover 1999, section 3.2).
 * 0 when there is none, because n is too small for alpha.
 */
size_t dwb_stats_sign_rank(size_t n, double alpha);

/*
 * Interval for the median at level 1 - alpha. With a sign rank it is exact and assumes nothing.
 * Without one, it is the range stretched on both ends, on a log scale, by lambda times itself,
 *
 *     1 + lambda = (2^(1-n) / alpha)^(1/(n-1))
 *
 * which has level 1 - alpha exactly for a uniform density and more for one that falls away from its
 * median; whatever the distribution, it covers with probability >= 1 - 2^(1-n), as the range does.
 * (Given all n values on one side of the median, uniform on [0, 1] from it, the nearest is beyond
 * lambda times the range with probability (1 + lambda)^(1-n).)
 * 0; -ENODATA for n < DWB_STATS_PROCESSES_MIN.
 */
int dwb_stats_interval(const double *sorted, size_t n, double alpha,
                       struct dwb_interval *ret_interval);
