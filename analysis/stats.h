#pragma once

/*
 * Order statistics of small samples. Nothing here takes a mean: times are skewed to one side and a
 * mean follows the tail. All values are finite and positive; arrays called `sorted` ascend.
 */

#include <stdbool.h>
#include <stddef.h>

/* Fewer say too little of how processes differ: where one in four is slowed for as long as it
 * lives, all of three are with a probability of 1.6 %, and of the others they then know nothing. */
#define DWB_STATS_PROCESSES_MIN 4
#define DWB_STATS_PEAK_MAX      2.0 /* the exponential's; a lognormal's below a sigma of 1.17 */

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
 * Without one, it is the range stretched on both ends, on a log scale, by lambda times itself, with
 * the smallest lambda for which
 *
 *     2^-n ((1 + lambda)^(1-n) + (1 + lambda / DWB_STATS_PEAK_MAX)^(1-n)) <= alpha
 *
 * which is a bound of what is missed by it when the density of the logarithms has one peak, of at
 * most DWB_STATS_PEAK_MAX times the density at the median (docs/method.md has the proof): one side
 * falls away from the median, the other may rise to its peak first. Whatever the distribution, it
 * covers with probability >= 1 - 2^(1-n), as the range does.
 * 0; -ENODATA for n < DWB_STATS_PROCESSES_MIN.
 */
int dwb_stats_interval(const double *sorted, size_t n, double alpha,
                       struct dwb_interval *ret_interval);
