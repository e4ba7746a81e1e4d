#pragma once

/*
 * How a figure is written for a person, one spelling for every format: what was not measured is a
 * dash. All of them write to the caller's buffer, cut what does not fit, and return the buffer.
 */

#include "client/report.h"

#include <stdbool.h>
#include <stddef.h>

struct dwb_time_unit {
    double ns;
    const char *name;
};

/* One unit for all times of a report. */
struct dwb_time_unit dwb_figure_time_unit(const struct dwb_report *report, bool utf8);
const char *dwb_figure_time(double ns, struct dwb_time_unit unit, char *buffer, size_t size);

/* "0.1317 ±0.4%"; without a half-width the ratio alone. */
const char *dwb_figure_ratio(double ratio, double half_width, bool utf8, char *buffer, size_t size);
/* "90%", of a share from 0 to 1. */
const char *dwb_figure_share(double share, char *buffer, size_t size);
/* Of a relative change, with its sign: "+2.10%". */
const char *dwb_figure_change(double change, char *buffer, size_t size);
/* GFLOP/s, and per cents of a peak or bound, right-aligned in `width` columns. */
const char *dwb_figure_rate(double value, int width, char *buffer, size_t size);
const char *dwb_figure_percent(double value, int width, char *buffer, size_t size);

/* "GFLOP/s (% of peak): std 114 (97), dw 66 (56), pw 111 (94)" */
const char *dwb_figure_rates(const struct dwb_report_figures *operations, char *buffer,
                             size_t size);
/* "held by: std compute (97%), dw L3 (76%)": what bounds each operation, and how much of that it
 * reaches; "" = nothing is known. */
const char *dwb_figure_bounds(const struct dwb_report_row *row, char *buffer, size_t size);
/* Of a peer's row, how our kernels do against it, an operation each; "" on our own. */
const char *dwb_figure_speedup(const struct dwb_report_row *row, bool utf8, char *buffer,
                               size_t size);

/* "dws7 x5 onednn": what repeats and who, only where it says something. */
const char *dwb_figure_layer(const struct dwb_report_row *row, char *buffer, size_t size);
/* "56 128x128 k3 s1" */
const char *dwb_figure_shape(const struct dwb_report_row *row, char *buffer, size_t size);
/* A word; "WRONG" when outputs were. Not the caller's buffer. */
const char *dwb_figure_verdict(const struct dwb_report_row *row);
/* Strings of an array with "; " between them; "" when there is none. */
const char *dwb_figure_reasons(const json_t *reasons, char *buffer, size_t size);
/* What keeps the layer from its saving, or from a ratio, or from meaning anything; "" = nothing. */
const char *dwb_figure_why(const struct dwb_report_row *row, char *buffer, size_t size);

/* "AMD EPYC 9R14, avx512, peak 118 GFLOP/s measured, Linux 6.18.5, under KVM" */
const char *dwb_figure_machine(const struct dwb_report *report, char *buffer, size_t size);
/* The kernel of each operation when all layers share one; how many there are otherwise. */
const char *dwb_figure_kernels(const struct dwb_report *report, char *buffer, size_t size);
/* A string as it is, anything else as compact JSON; "not known" for null and NULL. */
const char *dwb_figure_value(const json_t *value, char *buffer, size_t size);
