#pragma once

/*
 * Counters of an entry, per call: what was counted, its floor and median over all readings; what
 * was not is null with the reason its records give. Noise only adds to a count, so the floor stands
 * for it, as it does for time. Values of different sources are never put together, arithmetic on
 * counted values is `derived`, and arithmetic on the shape has names of its own (`flops_analytic`).
 */

#include "analysis/figures.h"

#include <jansson.h>

struct dwb_count {
    double floor, median; /* a call; NAN = not counted */
    enum dwb_source source;
    double overhead;          /* that an empty window counts, a window; NAN = not known */
    const char *outcome;      /* of the attempt to count it; NULL = was not attempted */
    const char *event, *unit; /* borrowed from the records, "" = none */
    char reason[288];
};

/* Names of the counters in the records of an entry, distinct, in order of appearance, plus the
 * standard ones that a ratio is always shown for. Borrowed. */
struct dwb_counts_names {
    const char *items[160];
    size_t n;
};
void dwb_counts_names_of(const struct dwb_figures *figures, struct dwb_counts_names *ret_names);

/* One counter of one operation. 0 (also when it was not counted) or -ENOMEM. */
int dwb_counts_of(const struct dwb_figures *figures, enum dwb_operation operation, const char *name,
                  struct dwb_count *ret_count);

/* {NAME: {value, floor, median, unit, source, event, outcome, overhead, reason}}; new reference,
 * NULL without memory. */
json_t *dwb_counts_to_json(const struct dwb_figures *figures, enum dwb_operation operation);

/* {NAME: {value, theory, source, inputs, reason}}: separable over standard, for each counter,
 * beside what theory says of their work. */
json_t *dwb_counts_ratios_to_json(const struct dwb_figures *figures);
