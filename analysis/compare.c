/*
 * The order of the questions, for each operation: may anything be said (both measured, both stable,
 * the machine's change known)? Is the change large enough to matter, relatively and in nanoseconds?
 * Is it more than chance makes? Only then it is `faster` or `slower`; what is large enough and may
 * be chance is `not_resolved`, never `same`.
 *
 * The floors of the history are put on b's machine (each job's drift to b is known, or the job is
 * left out), so that b's floor and the limit in the document are compared as they stand there.
 */

#include "analysis/compare.h"

#include "analysis/alike.h"
#include "analysis/environment.h"
#include "analysis/json.h"
#include "analysis/result.h"
#include "analysis/stats.h"
#include "common/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FENCE 3 /* interquartile ranges beyond the hinge: "far out" (Tukey 1977) */

enum verdict { SAME, FASTER, SLOWER, NOT_RESOLVED, N_VERDICTS };

static const char *const verdict_names[N_VERDICTS] = {"same", "faster", "slower", "not_resolved"};

/* A job of the history that is comparable with b. */
struct earlier {
    struct dwb_alike_pair *pairs; /* a: the job's entry, b: b's */
    size_t n_pairs;
    double drift; /* to b's machine, a logarithm */
};

struct comparing {
    const struct dwb_compare_input *input;
    const char *a_what, *b_what;
    struct dwb_alike_drift drift;
    struct earlier *earlier;
    size_t n_earlier;
    size_t counts[N_VERDICTS];
    json_t *rows;
};

struct side {
    const json_t *entry, *operation;
    double floor_ns, median_ns, low_ns, high_ns;
};

struct fences {
    size_t n;
    double low_ns, q1_ns, q3_ns, high_ns; /* NAN below DWB_COMPARE_HISTORY_MIN */
};

struct row {
    const char *operation;
    struct side a, b;
    double raw, code, median, low, high; /* changes, logarithms; NAN = not known */
    struct fences fences;
    enum verdict verdict;
    char reason[512];
};

static double figure(const json_t *object, const char *key)
{
    double value = json_number_value(json_object_get(object, key));

    return value > 0 ? value : NAN;
}

static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static struct side side_of(const json_t *entry, const char *name)
{
    const json_t *operation = dwb_alike_operation(entry, name);
    const json_t *time = json_object_get(operation, "time_ns");

    return (struct side){.entry = entry,
                         .operation = operation,
                         .floor_ns = figure(time, "floor"),
                         .median_ns = figure(time, "median"),
                         .low_ns = figure(time, "ci_low"),
                         .high_ns = figure(time, "ci_high")};
}

/* ---- verdict ---- */

static void __attribute__((format(printf, 3, 4)))
decide(struct row *row, enum verdict verdict, const char *format, ...)
{
    va_list arguments;

    row->verdict = verdict;
    va_start(arguments, format);
    vsnprintf(row->reason, sizeof row->reason, format, arguments);
    va_end(arguments);
}

/* Whether one side alone forbids an answer; then it is given. */
static bool side_is_out(struct row *row, const struct side *side, const char *what)
{
    const char *verdict = text(side->entry, "verdict");
    const json_t *reasons = json_object_get(side->entry, "verdict_reasons");
    const char *first = json_string_value(json_array_get(reasons, 0));
    const char *reason = text(side->operation, "reason");

    if (isnan(side->floor_ns)) {
        decide(row, NOT_RESOLVED, "%s has no time of it%s%s", what, reason && reason[0] ? ": " : "",
               reason ? reason : "");
        return true;
    }
    if (json_is_false(json_object_get(json_object_get(side->entry, "verification"), "ok"))) {
        decide(row, NOT_RESOLVED, "outputs of %s were wrong", what);
        return true;
    }
    if (!verdict || strcmp(verdict, "stable") != 0) {
        decide(row, NOT_RESOLVED, "%s is %s%s%s", what, verdict ? verdict : "without a verdict",
               first ? ": " : "", first ? first : "");
        return true;
    }
    return false;
}

static void judge_by_history(struct row *row, enum verdict direction)
{
    const struct fences *fences = &row->fences;
    bool beyond =
        direction == SLOWER ? row->b.floor_ns > fences->high_ns : row->b.floor_ns < fences->low_ns;

    if (beyond)
        decide(row, direction, "%s", "");
    else
        decide(row, NOT_RESOLVED,
               "%+.2f %% is within what the baseline's own jobs differ by (%.0f to %.0f ns)",
               100 * expm1(row->code), fences->low_ns, fences->high_ns);
}

static void judge_by_intervals(struct row *row, enum verdict direction)
{
    if (isnan(row->low))
        decide(row, NOT_RESOLVED, "a job with fewer than %d processes has no interval",
               DWB_STATS_PROCESSES_MIN);
    else if (direction == SLOWER ? row->low > 0 : row->high < 0)
        decide(row, direction, "%s", "");
    else if (row->low <= 0 && row->high >= 0)
        decide(row, NOT_RESOLVED, "%+.2f %%, and the intervals of the two jobs overlap",
               100 * expm1(row->code));
    else
        decide(row, NOT_RESOLVED, "floors say %+.2f %%, medians %+.2f %%", 100 * expm1(row->code),
               100 * expm1(row->median));
}

static void judge(const struct comparing *comparing, struct row *row)
{
    double difference_ns;

    if (side_is_out(row, &row->a, comparing->a_what) ||
        side_is_out(row, &row->b, comparing->b_what))
        return;
    if (!comparing->drift.agrees) {
        decide(row, NOT_RESOLVED, "%s", comparing->drift.reason);
        return;
    }
    difference_ns = fabs(row->a.floor_ns * expm1(row->code));
    if (fabs(expm1(row->code)) <= DWB_COMPARE_DELTA)
        decide(row, SAME, "%s", "");
    else if (difference_ns <= DWB_COMPARE_ABSOLUTE_FLOOR_NS)
        decide(row, SAME, "%.0f ns is not more than the absolute floor of %d ns", difference_ns,
               DWB_COMPARE_ABSOLUTE_FLOOR_NS);
    else if (row->fences.n >= DWB_COMPARE_HISTORY_MIN)
        judge_by_history(row, row->code > 0 ? SLOWER : FASTER);
    else
        judge_by_intervals(row, row->code > 0 ? SLOWER : FASTER);
}

/* ---- history ---- */

static const char *job_id(const json_t *document)
{
    return text(json_object_get(document, "job"), "id");
}

static bool same_job(const json_t *a, const json_t *b)
{
    const char *id_a = job_id(a), *id_b = job_id(b);

    return id_a && id_b && strcmp(id_a, id_b) == 0;
}

/* 0: added to comparing->earlier, or not comparable. */
static int take_earlier(struct comparing *comparing, const json_t *document)
{
    struct earlier *earlier = &comparing->earlier[comparing->n_earlier];
    const json_t *b = comparing->input->b;
    struct dwb_alike_drift drift;
    json_t *obstacles;
    int r;

    if (!dwb_compare_takes(document) || same_job(document, b) ||
        same_job(document, comparing->input->a))
        return 0;
    obstacles = dwb_alike_obstacles(document, b);
    r = !obstacles ? -ENOMEM : json_array_size(obstacles) == 0;
    json_decref(obstacles);
    if (r <= 0)
        return r;
    r = dwb_alike_pairs(document, b, &earlier->pairs, &earlier->n_pairs);
    if (r == 0)
        r = dwb_alike_drift_of(earlier->pairs, earlier->n_pairs, &drift);
    if (r < 0 || !drift.agrees) {
        free(earlier->pairs);
        return r;
    }
    earlier->drift = drift.machine;
    comparing->n_earlier++;
    return 0;
}

static int take_history(struct comparing *comparing)
{
    const json_t *document;
    size_t i;

    comparing->earlier =
        calloc(json_array_size(comparing->input->history) + 1, sizeof *comparing->earlier);
    if (!comparing->earlier)
        return -ENOMEM;
    json_array_foreach(comparing->input->history, i, document)
    {
        int r = take_earlier(comparing, document);

        if (r < 0)
            return r;
    }
    return 0;
}

/* The floor of the operation in an earlier job, as it would be on b's machine; NAN = not stable. */
static double earlier_floor(const struct earlier *earlier, const json_t *entry_b, const char *name)
{
    for (size_t i = 0; i < earlier->n_pairs; i++) {
        const char *verdict = text(earlier->pairs[i].a, "verdict");

        if (earlier->pairs[i].b == entry_b)
            return verdict && strcmp(verdict, "stable") == 0
                       ? side_of(earlier->pairs[i].a, name).floor_ns * exp(earlier->drift)
                       : NAN;
    }
    return NAN;
}

static int find_fences(const struct comparing *comparing, struct row *row)
{
    dwb_cleanup_free double *floors = calloc(comparing->n_earlier + 1, sizeof *floors);
    struct fences fences = {0, NAN, NAN, NAN, NAN};

    if (!floors)
        return -ENOMEM;
    for (size_t i = 0; i < comparing->n_earlier; i++) {
        double floor_ns = earlier_floor(&comparing->earlier[i], row->b.entry, row->operation);

        if (isfinite(floor_ns))
            floors[fences.n++] = floor_ns;
    }
    if (fences.n >= DWB_COMPARE_HISTORY_MIN) {
        dwb_stats_sort(floors, fences.n);
        dwb_stats_hinges(floors, fences.n, &fences.q1_ns, &fences.q3_ns);
        fences.low_ns = fences.q1_ns - FENCE * (fences.q3_ns - fences.q1_ns);
        fences.high_ns = fences.q3_ns + FENCE * (fences.q3_ns - fences.q1_ns);
    }
    row->fences = fences;
    return 0;
}

/* ---- rows ---- */

static json_t *side_to_json(const struct side *side, const char *what)
{
    return json_pack("{s:o, s:s?, s:s?, s:o, s:o}", "what", dwb_json_text(what), "isa",
                     text(side->operation, "isa"), "kernel", text(side->operation, "kernel"),
                     "floor_ns", dwb_json_number(side->floor_ns), "median_ns",
                     dwb_json_number(side->median_ns));
}

static json_t *change_to_json(const struct comparing *comparing, const struct row *row)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o}", "raw", dwb_json_number(expm1(row->raw)), "machine_drift",
        dwb_json_number(expm1(comparing->drift.machine)), "code", dwb_json_number(expm1(row->code)),
        "median", dwb_json_number(expm1(row->median)), "ci_low", dwb_json_number(expm1(row->low)),
        "ci_high", dwb_json_number(expm1(row->high)));
}

static json_t *fences_to_json(const struct fences *fences)
{
    return json_pack("{s:I, s:o, s:o, s:o, s:o}", "n", (json_int_t)fences->n, "q1_ns",
                     dwb_json_number(fences->q1_ns), "q3_ns", dwb_json_number(fences->q3_ns),
                     "limit_ns", dwb_json_number(fences->high_ns), "low_limit_ns",
                     dwb_json_number(fences->low_ns));
}

static json_t *row_to_json(const struct comparing *comparing, const struct row *row)
{
    const json_t *layer = json_object_get(row->a.entry, "layer");
    char method[64] = "intervals";

    if (row->fences.n >= DWB_COMPARE_HISTORY_MIN)
        snprintf(method, sizeof method, "history, Q3 + %d IQR of %zu jobs", FENCE, row->fences.n);
    return json_pack("{s:s?, s:s, s:s?, s:o, s:o, s:o, s:f, s:i, s:s, s:s, s:o, s:o}", "layer",
                     text(layer, "name"), "operation", row->operation, "backend",
                     text(row->a.entry, "backend"), "a", side_to_json(&row->a, comparing->a_what),
                     "b", side_to_json(&row->b, comparing->b_what), "change",
                     change_to_json(comparing, row), "delta", DWB_COMPARE_DELTA,
                     "absolute_floor_ns", DWB_COMPARE_ABSOLUTE_FLOOR_NS, "method", method,
                     "verdict", verdict_names[row->verdict], "reason", dwb_json_text(row->reason),
                     "history", fences_to_json(&row->fences));
}

static int add_row(struct comparing *comparing, const struct dwb_alike_pair *pair, const char *name)
{
    struct row row = {.operation = name, .a = side_of(pair->a, name), .b = side_of(pair->b, name)};
    double drift = comparing->drift.machine;
    int r;

    if (!row.a.operation || !row.b.operation)
        return 0;
    row.raw = log(row.b.floor_ns / row.a.floor_ns);
    row.code = row.raw - drift;
    row.median = log(row.b.median_ns / row.a.median_ns) - drift;
    row.low = log(row.b.low_ns / row.a.high_ns) - drift;
    row.high = log(row.b.high_ns / row.a.low_ns) - drift;
    r = find_fences(comparing, &row);
    if (r < 0)
        return r;
    judge(comparing, &row);
    comparing->counts[row.verdict]++;
    return json_array_append_new(comparing->rows, row_to_json(comparing, &row)) < 0 ? -ENOMEM : 0;
}

static int add_rows(struct comparing *comparing)
{
    static const char *const names[] = {"standard", "depthwise", "pointwise", "separable",
                                        "separable_fused"};
    dwb_cleanup_free struct dwb_alike_pair *pairs = NULL;
    size_t n_pairs = 0;
    int r = dwb_alike_pairs(comparing->input->a, comparing->input->b, &pairs, &n_pairs);

    if (r == 0)
        r = dwb_alike_drift_of(pairs, n_pairs, &comparing->drift);
    if (r == 0)
        r = take_history(comparing);
    for (size_t i = 0; r == 0 && i < n_pairs; i++)
        for (size_t k = 0; r == 0 && k < sizeof names / sizeof names[0]; k++)
            r = add_row(comparing, &pairs[i], names[k]);
    return r;
}

/* ---- the document ---- */

static enum verdict overall(const size_t counts[N_VERDICTS])
{
    if (counts[SLOWER])
        return SLOWER;
    if (counts[NOT_RESOLVED])
        return NOT_RESOLVED;
    if (counts[FASTER])
        return FASTER;
    return counts[SAME] ? SAME : NOT_RESOLVED; /* nothing was compared */
}

static json_t *machine_to_json(const struct dwb_alike_drift *drift)
{
    return json_pack(
        "{s:o, s:o, s:o, s:b, s:s}", "canary_change", dwb_json_number(expm1(drift->canary)),
        "peak_change", dwb_json_number(expm1(-drift->peak)), "drift",
        dwb_json_number(expm1(drift->machine)), "agrees", drift->agrees, "reason", drift->reason);
}

/* Takes the obstacles. */
static json_t *document_of(const struct comparing *comparing, json_t *obstacles)
{
    const json_t *a = comparing->input->a, *b = comparing->input->b;
    const size_t *counts = comparing->counts;

    return json_pack(
        "{s:s, s:o, s:o, s:b, s:o, s:o, s:o, s:O, s:{s:s, s:I, s:I, s:I, s:I}}", "schema",
        DWB_COMPARE_SCHEMA, "a", json_deep_copy(json_object_get(a, "job")), "b",
        json_deep_copy(json_object_get(b, "job")), "forced", (int)json_array_size(obstacles) > 0,
        "obstacles", obstacles, "differences",
        dwb_environment_diff(json_object_get(a, "environment"), json_object_get(b, "environment")),
        "machine", machine_to_json(&comparing->drift), "comparisons", comparing->rows, "overall",
        "verdict", verdict_names[overall(counts)], "faster", (json_int_t)counts[FASTER], "slower",
        (json_int_t)counts[SLOWER], "same", (json_int_t)counts[SAME], "not_resolved",
        (json_int_t)counts[NOT_RESOLVED]);
}

bool dwb_compare_takes(const json_t *document)
{
    const char *schema = text(document, "schema");

    return schema && strcmp(schema, DWB_RESULT_SCHEMA) == 0 &&
           json_is_array(json_object_get(document, "results")) &&
           json_is_object(json_object_get(document, "job"));
}

void dwb_compare_trim(json_t *document)
{
    static const char *const of_entry[] = {
        "theory",     "ratio",       "ratio_fused", "native_speedup",
        "simulation", "environment", "why",         "explain"};
    json_t *entry, *operation;
    const char *unused;
    size_t i;

    json_array_foreach(json_object_get(document, "results"), i, entry)
    {
        for (size_t k = 0; k < sizeof of_entry / sizeof of_entry[0]; k++)
            json_object_del(entry, of_entry[k]);
        json_object_foreach(json_object_get(entry, "operations"), unused, operation)
        {
            json_object_del(operation, "counters");
            json_object_del(operation, "simulated");
        }
    }
    json_object_del(document, "ratio");
    json_object_del(document, "totals");
}

int dwb_compare(const struct dwb_compare_input *input, json_t **ret_document)
{
    struct comparing comparing = {.input = input};
    json_t *obstacles, *document = NULL;
    int r;

    if (!dwb_compare_takes(input->a) || !dwb_compare_takes(input->b))
        return -EINVAL;
    comparing.a_what = input->a_what ? input->a_what : job_id(input->a);
    comparing.b_what = input->b_what ? input->b_what : job_id(input->b);
    comparing.a_what = comparing.a_what ? comparing.a_what : "a";
    comparing.b_what = comparing.b_what ? comparing.b_what : "b";
    obstacles = dwb_alike_obstacles(input->a, input->b);
    comparing.rows = json_array();
    r = obstacles && comparing.rows ? 0 : -ENOMEM;
    if (r == 0 && json_array_size(obstacles) > 0 && !input->force)
        r = -EXDEV;
    if (r == 0)
        r = add_rows(&comparing);
    if (r == 0) {
        document = document_of(&comparing, json_incref(obstacles));
        r = document ? 0 : -ENOMEM;
    }
    for (size_t i = 0; i < comparing.n_earlier; i++)
        free(comparing.earlier[i].pairs);
    free(comparing.earlier);
    json_decref(comparing.rows);
    json_decref(obstacles);
    if (r == 0)
        *ret_document = document;
    return r;
}
