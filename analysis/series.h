#pragma once

/*
 * From raw records to clean series: the times of one operation of one backend, per call, grouped by
 * process (= record). What is dropped is dropped by external signals only, never by its own value:
 *
 * - a flagged sample goes, and with it the samples of the other form of the layer (standard and
 *   separable, fused or not) of the same block and half: a pair shares its fate;
 * - a process goes as a whole when the canary, fixed work that no layer changes, had a floor more
 *   than DWB_SERIES_CANARY_MARGIN above the median floor of its peers: something slowed the machine
 *   for as long as it lived (never more than half of the processes, by construction).
 */

#include "common/record.h"

#include <stdbool.h>
#include <stddef.h>

#define DWB_SERIES_CANARY_MARGIN 0.05
#define DWB_SERIES_CANARY_MIN    3 /* processes with a canary, to tell which of them is slow */

struct dwb_series {
    double *values; /* ns a call, ascending, all processes together; n_values */
    size_t n_values;
    size_t n_dropped;
    double *floors;  /* ns a call, one a record in the order of the records; NAN = nothing kept */
    double *medians; /* alike */
    size_t n_records;
};

/* Subject of an operation, or NULL. A backend of "" is that of the canary and the probes. */
const struct dwb_subject *dwb_series_subject(const struct dwb_record *record, const char *backend,
                                             enum dwb_operation operation);

/* Sets disturbed[i] for the records to drop as a whole; returns 0 or -ENOMEM. */
int dwb_series_disturbed(struct dwb_record *const *records, size_t n_records, bool *disturbed);

/* 0 or -ENOMEM; the caller deinits. A series may be empty. */
int dwb_series_init(struct dwb_record *const *records, const bool *disturbed, size_t n_records,
                    const char *backend, enum dwb_operation operation,
                    struct dwb_series *ret_series);
void dwb_series_deinit(struct dwb_series *series);
