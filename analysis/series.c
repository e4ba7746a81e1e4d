/*
 * Filtering and grouping of samples. A record is trusted as far as dwb_record_from_json vouches for
 * it: indices are in range, n_calls and wall_ns are at least 1.
 */

#include "analysis/series.h"

#include "analysis/stats.h"
#include "common/cleanup.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static bool subject_is(const struct dwb_subject *subject, const char *backend,
                       enum dwb_operation operation)
{
    return subject->operation == operation && strcmp(subject->backend, backend) == 0;
}

const struct dwb_subject *dwb_series_subject(const struct dwb_record *record, const char *backend,
                                             enum dwb_operation operation)
{
    for (size_t i = 0; i < record->n_subjects; i++)
        if (subject_is(&record->subjects[i], backend, operation))
            return &record->subjects[i];
    return NULL;
}

static bool is_paired(enum dwb_operation operation)
{
    return operation == DWB_OPERATION_STANDARD || operation == DWB_OPERATION_SEPARABLE ||
           operation == DWB_OPERATION_SEPARABLE_FUSED;
}

static uint64_t pair_key(const struct dwb_sample *sample)
{
    return (uint64_t)sample->block << 1 | sample->half;
}

static int compare_keys(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Sorted keys of the pairs in which any sample is flagged. */
static int flagged_pairs(const struct dwb_record *record, const char *backend, uint64_t **ret_keys,
                         size_t *ret_n)
{
    size_t n = 0;
    uint64_t *keys = malloc((record->n_samples + 1) * sizeof *keys);

    if (!keys)
        return -ENOMEM;
    for (size_t i = 0; i < record->n_samples; i++) {
        const struct dwb_sample *sample = &record->samples[i];
        const struct dwb_subject *subject = &record->subjects[sample->subject];
        if (sample->flags && is_paired(subject->operation) &&
            strcmp(subject->backend, backend) == 0)
            keys[n++] = pair_key(sample);
    }
    if (n > 1)
        qsort(keys, n, sizeof *keys, compare_keys);
    *ret_keys = keys;
    *ret_n = n;
    return 0;
}

/* Appends what is kept of one record to values[0..], sorts it, and returns how many. */
static int keep_samples(const struct dwb_record *record, const char *backend,
                        enum dwb_operation operation, double *values, size_t *ret_n,
                        size_t *ret_n_dropped)
{
    dwb_cleanup_free uint64_t *keys = NULL;
    size_t n = 0, n_dropped = 0, n_keys = 0;
    int r;

    if (is_paired(operation) && (r = flagged_pairs(record, backend, &keys, &n_keys)) < 0)
        return r;
    for (size_t i = 0; i < record->n_samples; i++) {
        const struct dwb_sample *sample = &record->samples[i];
        if (!subject_is(&record->subjects[sample->subject], backend, operation))
            continue;
        uint64_t key = pair_key(sample);
        if (sample->flags || (n_keys && bsearch(&key, keys, n_keys, sizeof *keys, compare_keys)))
            n_dropped++;
        else
            values[n++] = (double)sample->wall_ns / sample->n_calls;
    }
    dwb_stats_sort(values, n);
    *ret_n = n;
    *ret_n_dropped = n_dropped;
    return 0;
}

static size_t count_samples(const struct dwb_record *record, const char *backend,
                            enum dwb_operation operation)
{
    size_t n = 0;

    for (size_t i = 0; i < record->n_samples; i++)
        n += subject_is(&record->subjects[record->samples[i].subject], backend, operation);
    return n;
}

int dwb_series_init(struct dwb_record *const *records, const bool *disturbed, size_t n_records,
                    const char *backend, enum dwb_operation operation,
                    struct dwb_series *ret_series)
{
    struct dwb_series series = {.n_records = n_records};
    size_t n_all = 0;
    int r = 0;

    for (size_t i = 0; i < n_records; i++)
        n_all += count_samples(records[i], backend, operation);
    series.values = malloc((n_all + 1) * sizeof *series.values);
    series.floors = malloc((n_records + 1) * sizeof *series.floors);
    series.medians = malloc((n_records + 1) * sizeof *series.medians);
    if (!series.values || !series.floors || !series.medians)
        r = -ENOMEM;

    for (size_t i = 0; r == 0 && i < n_records; i++) {
        size_t n = 0, n_dropped = 0;
        double *values = series.values + series.n_values;

        if (disturbed[i])
            n_dropped = count_samples(records[i], backend, operation);
        else
            r = keep_samples(records[i], backend, operation, values, &n, &n_dropped);
        series.floors[i] = n ? dwb_stats_floor(values, n) : NAN;
        series.medians[i] = n ? dwb_stats_median(values, n) : NAN;
        series.n_values += n;
        series.n_dropped += n_dropped;
    }
    if (r < 0) {
        dwb_series_deinit(&series);
        return r;
    }
    dwb_stats_sort(series.values, series.n_values);
    *ret_series = series;
    return 0;
}

void dwb_series_deinit(struct dwb_series *series)
{
    free(series->values);
    free(series->floors);
    free(series->medians);
    *series = (struct dwb_series){0};
}

int dwb_series_disturbed(struct dwb_record *const *records, size_t n_records, bool *disturbed)
{
    struct dwb_series canary;
    size_t n = 0;
    int r;

    memset(disturbed, 0, n_records * sizeof *disturbed);
    r = dwb_series_init(records, disturbed, n_records, "", DWB_OPERATION_CANARY, &canary);
    if (r < 0)
        return r;
    /* The medians are not needed: their room holds the floors there are, sorted. */
    for (size_t i = 0; i < n_records; i++)
        if (!isnan(canary.floors[i]))
            canary.medians[n++] = canary.floors[i];
    if (n >= DWB_SERIES_CANARY_MIN) {
        dwb_stats_sort(canary.medians, n);
        double limit = dwb_stats_median(canary.medians, n) * (1 + DWB_SERIES_CANARY_MARGIN);
        for (size_t i = 0; i < n_records; i++)
            disturbed[i] = canary.floors[i] > limit;
    }
    dwb_series_deinit(&canary);
    return 0;
}
