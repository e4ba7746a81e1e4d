/*
 * The line is built from clauses: how much of the saving, the largest part that pushes that way,
 * its rates, and the bound of the operation it blames. All rates are GFLOP/s of executed
 * multiply-adds.
 */

#include "analysis/explain.h"

#include "analysis/bounds.h"
#include "analysis/json.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#define AS_THEORY  0.02 /* within this of 1 the saving is as theory says */
#define NEAR_BOUND 85   /* percent of a bound from where the machine, not the kernel, holds it */

struct line {
    char *text;
    size_t size;
    size_t length;
};

static const char *const cause_names[DWB_N_CAUSES] = {
    [DWB_CAUSE_DEPTHWISE] = "depthwise",
    [DWB_CAUSE_POINTWISE] = "pointwise",
    [DWB_CAUSE_PADDING] = "padding",
    [DWB_CAUSE_COMPOSITION] = "composition",
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
    va_list arguments;

    if (line->length + 1 >= line->size)
        return;
    va_start(arguments, format);
    int n = vsnprintf(line->text + line->length, line->size - line->length, format, arguments);
    va_end(arguments);
    if (n > 0)
        line->length = strlen(line->text);
}

static const struct dwb_operation_figures *op_of(const struct dwb_figures *figures,
                                                 enum dwb_operation operation)
{
    return &figures->operations[operation];
}

static double executed(const struct dwb_operation_figures *op)
{
    return (double)op->subject->macs_executed;
}

int dwb_explain_of(const struct dwb_figures *figures, struct dwb_explain *ret_explain)
{
    const struct dwb_operation_figures *standard = op_of(figures, DWB_OPERATION_STANDARD);
    const struct dwb_operation_figures *depthwise = op_of(figures, DWB_OPERATION_DEPTHWISE);
    const struct dwb_operation_figures *pointwise = op_of(figures, DWB_OPERATION_POINTWISE);
    const struct dwb_operation_figures *separable = op_of(figures, DWB_OPERATION_SEPARABLE);
    struct dwb_explain explain = {.saving = figures->saving_delivered};

    if (isnan(standard->floor_ns) || isnan(depthwise->floor_ns) || isnan(pointwise->floor_ns) ||
        isnan(separable->floor_ns) || executed(standard) == 0 || executed(depthwise) == 0 ||
        executed(pointwise) == 0)
        return -ENODATA;

    double ns_per_mac = standard->floor_ns / executed(standard);
    explain.theory_ns = figures->theory.ratio * standard->floor_ns;
    explain.parts[DWB_CAUSE_DEPTHWISE] = depthwise->floor_ns - executed(depthwise) * ns_per_mac;
    explain.parts[DWB_CAUSE_POINTWISE] = pointwise->floor_ns - executed(pointwise) * ns_per_mac;
    explain.parts[DWB_CAUSE_PADDING] =
        (executed(depthwise) + executed(pointwise)) * ns_per_mac - explain.theory_ns;
    explain.parts[DWB_CAUSE_COMPOSITION] =
        separable->floor_ns - depthwise->floor_ns - pointwise->floor_ns;
    explain.depthwise_mac_share = executed(depthwise) / (executed(depthwise) + executed(pointwise));
    explain.depthwise_time_share =
        depthwise->floor_ns / (depthwise->floor_ns + pointwise->floor_ns);
    *ret_explain = explain;
    return 0;
}

/* The cause that pushes furthest in a direction (sign +1: slower than theory, -1: faster). */
static enum dwb_cause main_cause(const struct dwb_explain *explain, double sign, int except)
{
    int best = except == 0 ? 1 : 0;

    for (int i = 0; i < DWB_N_CAUSES; i++)
        if (i != except && sign * explain->parts[i] > sign * explain->parts[best])
            best = i;
    return (enum dwb_cause)best;
}

/* "2.1 GFLOP/s" and "105 GFLOP/s" both show three digits. */
static const char *number(char *buffer, size_t size, double value)
{
    snprintf(buffer, size, "%.*f", value < 10 ? 2 : value < 100 ? 1 : 0, value);
    return buffer;
}

static void add_bytes(struct line *line, double bytes)
{
    if (bytes >= 1e6)
        add(line, "%.1f MB", bytes / 1e6);
    else
        add(line, "%.0f kB", bytes / 1e3);
}

/* What the machine would let this operation do, if there are probes. */
static void add_bound(struct line *line, const struct dwb_figures *figures,
                      enum dwb_operation operation)
{
    struct dwb_bound bound;
    char rate[32], gbps[32];

    if (dwb_bounds_of(figures, operation, &bound) < 0)
        return;
    number(rate, sizeof rate, bound.gflops);
    if (operation == DWB_OPERATION_SEPARABLE) {
        add(line, "; the bounds of both, one after the other, allow %s, it reaches %.0f%%", rate,
            bound.percent);
    } else if (bound.by_bandwidth) {
        add(line, "; %s bandwidth (", bound.level);
        add_bytes(line, bound.bytes);
        add(line, " at %s GB/s) allows %s%s%.0f%%", number(gbps, sizeof gbps, bound.gbps), rate,
            bound.percent >= NEAR_BOUND ? " and holds it there: it reaches " : ", it reaches ",
            bound.percent);
    } else if (bound.percent >= NEAR_BOUND) {
        add(line, "; held by the FMA peak: %.0f%% of %s", bound.percent, rate);
    } else {
        add(line, "; %.0f%% of the FMA peak %s", bound.percent, rate);
        if (bound.level)
            add(line, ", which %s bandwidth allows", bound.level);
    }
}

static void add_cause(struct line *line, const struct dwb_figures *figures,
                      const struct dwb_explain *explain, enum dwb_cause cause)
{
    const struct dwb_operation_figures *standard = op_of(figures, DWB_OPERATION_STANDARD);
    const struct dwb_operation_figures *pointwise = op_of(figures, DWB_OPERATION_POINTWISE);
    char own[32], other[32];

    number(other, sizeof other, standard->gflops_executed);
    switch (cause) {
    case DWB_CAUSE_DEPTHWISE:
        add(line,
            "the depthwise is %.1f%% of the MACs and %.1f%% of the time, %s GFLOP/s (standard: %s)",
            explain->depthwise_mac_share * 100, explain->depthwise_time_share * 100,
            number(own, sizeof own, op_of(figures, DWB_OPERATION_DEPTHWISE)->gflops_executed),
            other);
        break;
    case DWB_CAUSE_POINTWISE:
        add(line, "the pointwise runs at %s GFLOP/s (standard: %s)",
            number(own, sizeof own, pointwise->gflops_executed), other);
        break;
    case DWB_CAUSE_PADDING:
        add(line,
            "the standard skips the %.1f%% of its taps that fall on padding, the pointwise "
            "has none to skip",
            100 * (1 - executed(standard) / (double)standard->subject->macs_nominal));
        break;
    default:
        add(line, "depthwise and pointwise together take %.1f%% %s than one by one (intermediate: ",
            100 * fabs(explain->parts[DWB_CAUSE_COMPOSITION]) /
                (op_of(figures, DWB_OPERATION_DEPTHWISE)->floor_ns + pointwise->floor_ns),
            explain->parts[DWB_CAUSE_COMPOSITION] > 0 ? "longer" : "less");
        add_bytes(line, 4.0 * dwb_layer_output_size(figures->input.layer) *
                            dwb_layer_output_size(figures->input.layer) *
                            figures->input.layer->in_channels);
        add(line, ")");
        break;
    }
}

/* More than theory: either side may be the reason, so the standard's own rate is said too. */
static void add_standard(struct line *line, const struct dwb_figures *figures)
{
    const struct dwb_operation_figures *standard = op_of(figures, DWB_OPERATION_STANDARD);

    if (!isnan(standard->percent_of_peak))
        add(line, "; the standard reaches %.0f%% of the FMA peak", standard->percent_of_peak);
}

static void add_why(struct line *line, const struct dwb_figures *figures,
                    const struct dwb_explain *explain)
{
    double sign = explain->saving < 1 ? 1 : -1;
    enum dwb_cause cause = main_cause(explain, sign, -1);
    enum dwb_cause second = main_cause(explain, sign, (int)cause);

    add_cause(line, figures, explain, cause);
    if (sign > 0 && cause == DWB_CAUSE_DEPTHWISE)
        add_bound(line, figures, DWB_OPERATION_DEPTHWISE);
    else if (sign > 0 && cause == DWB_CAUSE_POINTWISE)
        add_bound(line, figures, DWB_OPERATION_POINTWISE);
    else if (sign > 0 && cause == DWB_CAUSE_COMPOSITION)
        add_bound(line, figures, DWB_OPERATION_SEPARABLE);
    if (sign * explain->parts[second] > sign * explain->parts[cause] / 3) {
        add(line, "; then ");
        add_cause(line, figures, explain, second);
    }
    if (sign < 0)
        add_standard(line, figures);
}

void dwb_explain_text(const struct dwb_figures *figures, char *buffer, size_t size)
{
    struct line line = {buffer, size, 0};
    struct dwb_explain explain;
    char own[32], other[32];

    buffer[0] = '\0';
    if (isnan(figures->saving_delivered)) {
        add(&line, "no ratio: %s", figures->ratio.reason);
        return;
    }
    add(&line, "%.1f%% of the saving", figures->saving_delivered * 100);
    if (dwb_explain_of(figures, &explain) < 0) {
        add(&line, "; depthwise and pointwise were not measured apart, so it cannot be said why");
    } else if (fabs(explain.saving - 1) <= AS_THEORY) {
        add(&line, ", as theory says: the separable form runs at %s GFLOP/s, the standard at %s",
            number(own, sizeof own, op_of(figures, DWB_OPERATION_SEPARABLE)->gflops_executed),
            number(other, sizeof other, op_of(figures, DWB_OPERATION_STANDARD)->gflops_executed));
        add_standard(&line, figures);
    } else {
        add(&line, explain.saving < 1 ? ": " : ", more than theory: ");
        add_why(&line, figures, &explain);
    }
    if (figures->n_mismatched)
        add(&line, " (outputs are wrong: these figures mean nothing)");
    else if (figures->verdict == DWB_VERDICT_CONTAMINATED)
        add(&line, " (contaminated: do not rely on it)");
}

static json_t *bound_to_json(const struct dwb_figures *figures, enum dwb_operation operation)
{
    struct dwb_bound bound;

    if (dwb_bounds_of(figures, operation, &bound) < 0)
        return json_null();
    return json_pack("{s:s, s:s, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kind",
                     bound.by_bandwidth ? "bandwidth" : "fma", "held_by", dwb_bounds_holder(&bound),
                     "level", bound.level, "bytes", dwb_json_number(bound.bytes), "flops_per_byte",
                     dwb_json_number(bound.flops_per_byte), "gbps", dwb_json_number(bound.gbps),
                     "attained_gbps", dwb_json_number(bound.attained_gbps), "bound_ns",
                     dwb_json_number(bound.ns), "gflops", dwb_json_number(bound.gflops), "percent",
                     dwb_json_number(bound.percent));
}

static json_t *bounds_to_json(const struct dwb_figures *figures)
{
    json_t *object = json_object();

    for (unsigned k = 0; object && k < DWB_FIGURES_N_OPERATIONS; k++) {
        enum dwb_operation operation = (enum dwb_operation)k;
        if (operation == DWB_OPERATION_SEPARABLE_FUSED && !figures->operations[k].subject)
            continue;
        if (json_object_set_new(object, dwb_operation_name(operation),
                                bound_to_json(figures, operation)) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *parts_to_json(const struct dwb_explain *explain)
{
    double percent = 100 / explain->theory_ns;

    return json_pack("{s:o, s:o, s:o, s:o}", cause_names[DWB_CAUSE_DEPTHWISE],
                     dwb_json_number(explain->parts[DWB_CAUSE_DEPTHWISE] * percent),
                     cause_names[DWB_CAUSE_POINTWISE],
                     dwb_json_number(explain->parts[DWB_CAUSE_POINTWISE] * percent),
                     cause_names[DWB_CAUSE_PADDING],
                     dwb_json_number(explain->parts[DWB_CAUSE_PADDING] * percent),
                     cause_names[DWB_CAUSE_COMPOSITION],
                     dwb_json_number(explain->parts[DWB_CAUSE_COMPOSITION] * percent));
}

json_t *dwb_explain_to_json(const struct dwb_figures *figures)
{
    struct dwb_explain explain;
    bool known = !isnan(figures->saving_delivered) && dwb_explain_of(figures, &explain) == 0;
    const char *cause = NULL;

    if (known && fabs(explain.saving - 1) > AS_THEORY)
        cause = cause_names[main_cause(&explain, explain.saving < 1 ? 1 : -1, -1)];
    return json_pack("{s:s?, s:o, s:o, s:o}", "cause", cause, "beyond_theory_percent",
                     known ? parts_to_json(&explain) : json_null(), "depthwise_share",
                     known ? json_pack("{s:o, s:o}", "macs",
                                       dwb_json_number(explain.depthwise_mac_share), "time",
                                       dwb_json_number(explain.depthwise_time_share))
                           : json_null(),
                     "bounds", bounds_to_json(figures));
}
