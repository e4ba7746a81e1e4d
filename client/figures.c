#include "client/figures.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct dwb_time_unit dwb_figure_time_unit(const struct dwb_report *report, bool utf8)
{
    double longest = 0;

    for (size_t i = 0; i < report->n_rows; i++)
        longest = fmax(longest, report->rows[i].operations[DWB_REPORT_STANDARD].floor_ns);
    if (longest >= 1e8)
        return (struct dwb_time_unit){1e6, "ms"};
    return (struct dwb_time_unit){1e3, utf8 ? "µs" : "us"};
}

const char *dwb_figure_time(double ns, struct dwb_time_unit unit, char *buffer, size_t size)
{
    if (isfinite(ns))
        snprintf(buffer, size, "%.*f", ns / unit.ns < 10 ? 2 : 1, ns / unit.ns);
    else
        snprintf(buffer, size, "-");
    return buffer;
}

const char *dwb_figure_ratio(double ratio, double half_width, bool utf8, char *buffer, size_t size)
{
    const char *sign = utf8 ? "±" : "+-";
    double percent = 100 * half_width;

    if (isfinite(ratio) && percent > 100)
        snprintf(buffer, size, "%.4f %s>100%%", ratio, sign);
    else if (isfinite(ratio) && isfinite(percent))
        snprintf(buffer, size, "%.4f %s%.*f%%", ratio, sign,
                 percent < 0.095 ? 2
                 : percent < 100 ? 1
                                 : 0,
                 percent);
    else if (isfinite(ratio))
        snprintf(buffer, size, "%.4f", ratio);
    else
        snprintf(buffer, size, "-");
    return buffer;
}

const char *dwb_figure_share(double share, char *buffer, size_t size)
{
    if (isfinite(share))
        snprintf(buffer, size, "%.0f%%", 100 * share);
    else
        snprintf(buffer, size, "-");
    return buffer;
}

const char *dwb_figure_change(double change, char *buffer, size_t size)
{
    if (isfinite(change))
        snprintf(buffer, size, "%+.2f%%", 100 * change);
    else
        snprintf(buffer, size, "-");
    return buffer;
}

const char *dwb_figure_rate(double value, int width, char *buffer, size_t size)
{
    if (isfinite(value))
        snprintf(buffer, size, "%*.*f", width, value < 9.95 ? 1 : 0, value);
    else
        snprintf(buffer, size, "%*s", width, "-");
    return buffer;
}

const char *dwb_figure_percent(double value, int width, char *buffer, size_t size)
{
    if (isfinite(value))
        snprintf(buffer, size, "%*.0f", width, value);
    else
        snprintf(buffer, size, "%*s", width, "-");
    return buffer;
}

const char *dwb_figure_rates(const struct dwb_report_figures *operations, char *buffer, size_t size)
{
    static const char *const names[] = {"std", "dw", "pw"};
    size_t n = (size_t)snprintf(buffer, size, "GFLOP/s (%% of peak): ");
    char rate[24], share[24];

    for (size_t k = 0; k < 3 && n < size; k++)
        n += (size_t)snprintf(
            buffer + n, size - n, "%s%s %s (%s)", k ? ", " : "", names[k],
            dwb_figure_rate(operations[k].gflops, 0, rate, sizeof(rate)),
            dwb_figure_percent(operations[k].percent_of_peak, 0, share, sizeof(share)));
    return buffer;
}

const char *dwb_figure_bounds(const struct dwb_report_row *row, char *buffer, size_t size)
{
    static const char *const names[DWB_REPORT_N_BOUNDS] = {"std", "dw", "pw", "separable", "fused"};
    char share[24];
    size_t n = 0;

    snprintf(buffer, size, "%s", "");
    for (size_t k = 0; k < DWB_REPORT_N_BOUNDS && n < size; k++) {
        const struct dwb_report_bound *bound = &row->bounds[k];

        if (bound->held_by && isfinite(bound->percent))
            n += (size_t)snprintf(buffer + n, size - n, "%s%s %.8s (%s%%)",
                                  n ? ", " : "held by: ", names[k], bound->held_by,
                                  dwb_figure_percent(bound->percent, 0, share, sizeof(share)));
    }
    return buffer;
}

const char *dwb_figure_speedup(const struct dwb_report_row *row, bool utf8, char *buffer,
                               size_t size)
{
    static const char *const names[] = {"standard", "depthwise", "pointwise", "separable"};
    const json_t *speedup = json_object_get(row->entry, "native_speedup");
    char cell[48];
    size_t n = 0;

    snprintf(buffer, size, "%s", "");
    for (size_t k = 0; speedup && k < sizeof(names) / sizeof(names[0]) && n < size; k++) {
        const json_t *ratio = json_object_get(speedup, names[k]);
        double value = json_number_value(json_object_get(ratio, "floor"));
        double half = json_number_value(json_object_get(ratio, "half_width"));

        if (value > 0 && half > 0)
            snprintf(cell, sizeof(cell), "%.3f %s%.1f%%", value, utf8 ? "±" : "+-", 100 * half);
        else if (value > 0)
            snprintf(cell, sizeof(cell), "%.3f", value);
        else
            snprintf(cell, sizeof(cell), "-");
        n += (size_t)snprintf(buffer + n, size - n, "%s%s %s",
                              k ? ", " : "its time / native's: ", names[k], cell);
    }
    return buffer;
}

const char *dwb_figure_layer(const struct dwb_report_row *row, char *buffer, size_t size)
{
    bool is_peer = row->backend && strcmp(row->backend, "native") != 0;
    char repeat[24] = "";

    if (row->repeat > 1)
        snprintf(repeat, sizeof(repeat), " x%" PRIu64, row->repeat);
    snprintf(buffer, size, "%.60s%s%s%s", row->name, repeat, is_peer ? " " : "",
             is_peer ? row->backend : "");
    return buffer;
}

const char *dwb_figure_shape(const struct dwb_report_row *row, char *buffer, size_t size)
{
    bool valid = row->padding && strcmp(row->padding, "valid") == 0;

    snprintf(buffer, size, "%" PRIu64 " %" PRIu64 "x%" PRIu64 " k%" PRIu64 " s%" PRIu64 "%s",
             row->input_size, row->in_channels, row->out_channels, row->kernel_size, row->stride,
             valid ? " valid" : "");
    return buffer;
}

const char *dwb_figure_verdict(const struct dwb_report_row *row)
{
    return row->outputs_wrong ? "WRONG" : row->verdict ? row->verdict : "-";
}

const char *dwb_figure_reasons(const json_t *reasons, char *buffer, size_t size)
{
    const json_t *reason;
    size_t i, n = 0;

    snprintf(buffer, size, "%s", "");
    json_array_foreach(reasons, i, reason)
    {
        if (json_is_string(reason) && n < size)
            n += (size_t)snprintf(buffer + n, size - n, "%s%s", n ? "; " : "",
                                  json_string_value(reason));
    }
    return buffer;
}

const char *dwb_figure_why(const struct dwb_report_row *row, char *buffer, size_t size)
{
    if (row->outputs_wrong)
        snprintf(buffer, size,
                 "OUTPUTS WRONG: a kernel's results differ from the reference; its times mean "
                 "nothing.");
    else if (!isfinite(row->ratio) && !(row->why && strstr(row->why, "no ratio")))
        snprintf(buffer, size, "no ratio: %s",
                 row->ratio_reason ? row->ratio_reason : "the result does not say why");
    else
        snprintf(buffer, size, "%s", row->why ? row->why : "");
    return buffer;
}

static const char *text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    /* Processes that differ leave {first, last, distinct}. */
    return json_string_value(json_is_object(value) ? json_object_get(value, "first") : value);
}

/* GFLOP/s of the multiply-add loop: the best of what was seen beside the layers. */
static double peak_gflops(const struct dwb_report *report)
{
    double peak = NAN;

    for (size_t i = 0; i < report->n_rows; i++)
        peak = fmax(peak, report->rows[i].peak_gflops); /* a NAN loses against a number */
    return peak;
}

const char *dwb_figure_machine(const struct dwb_report *report, char *buffer, size_t size)
{
    const json_t *environment = json_object_get(report->document, "environment");
    const char *model = text_of(json_object_get(environment, "cpu"), "model");
    const char *hypervisor = text_of(environment, "hypervisor");
    const char *kernel = text_of(environment, "kernel");
    const char *isa = report->n_rows ? report->rows[0].isa : NULL;
    double peak = peak_gflops(report);
    char peak_text[64] = "peak not measured";
    int n_kernel = kernel ? (int)strcspn(kernel, "#") : 0; /* "Linux 6.1.0 #1 SMP ..." */

    if (isfinite(peak))
        snprintf(peak_text, sizeof(peak_text), "peak %.0f GFLOP/s measured", peak);
    while (n_kernel > 0 && kernel[n_kernel - 1] == ' ')
        n_kernel--;
    snprintf(buffer, size, "%s, %s, %s, %.*s%s%s", model ? model : "CPU not known",
             isa ? isa : "ISA not known", peak_text, n_kernel ? n_kernel : 20,
             n_kernel ? kernel : "kernel not known", hypervisor ? ", under " : "",
             hypervisor ? hypervisor : "");
    return buffer;
}

const char *dwb_figure_kernels(const struct dwb_report *report, char *buffer, size_t size)
{
    static const char *const names[] = {"standard", "depthwise", "pointwise"};
    size_t n = 0;

    for (size_t k = 0; k < 3 && n < size; k++) {
        const char *kernel = report->n_rows ? report->rows[0].operations[k].kernel : NULL;
        size_t n_distinct = 0;

        for (size_t i = 0; i < report->n_rows; i++) {
            const char *own = report->rows[i].operations[k].kernel;
            size_t before = 0;

            while (before < i && own &&
                   (!report->rows[before].operations[k].kernel ||
                    strcmp(report->rows[before].operations[k].kernel, own)))
                before++;
            n_distinct += own && before == i;
        }
        if (n_distinct == 1 && kernel)
            n += (size_t)snprintf(buffer + n, size - n, "%s%s %s", k ? ", " : "", names[k], kernel);
        else
            n += (size_t)snprintf(buffer + n, size - n, "%s%s %zu kinds", k ? ", " : "", names[k],
                                  n_distinct);
    }
    return buffer;
}

const char *dwb_figure_value(const json_t *value, char *buffer, size_t size)
{
    if (!value || json_is_null(value)) {
        snprintf(buffer, size, "not known");
    } else if (json_is_string(value)) {
        snprintf(buffer, size, "%s", json_string_value(value));
    } else {
        /* It ends before the first piece that has no room, and leaves the rest as it was. */
        memset(buffer, 0, size);
        if (json_dumpb(value, buffer, size - 1,
                       JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_REAL_PRECISION(9)) ==
            0)
            snprintf(buffer, size, "no memory for it");
    }
    return buffer;
}
