/*
 * An entry is known by its layer's name and its backend, as people know it; that the shape behind
 * the name is the same is checked, not assumed. A CPU whose model both environments leave open (a
 * container that hides it) counts as the same: nothing says otherwise.
 *
 * Drift: the canary and the register-only multiply-add loop are fixed work. Both follow the clock;
 * a change of code, compiler flags or layer moves neither. Each entry has both, measured in the
 * layer's own blocks, and the median over entries is taken, which one odd entry does not move.
 */

#include "analysis/alike.h"

#include "analysis/stats.h"
#include "common/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const operations[] = {"standard", "depthwise", "pointwise", "separable",
                                         "separable_fused"};

#define N_OPERATIONS (sizeof operations / sizeof operations[0])

const json_t *dwb_alike_operation(const json_t *entry, const char *name)
{
    return json_object_get(json_object_get(entry, "operations"), name);
}

static const char *layer_name(const json_t *entry)
{
    return json_string_value(json_object_get(json_object_get(entry, "layer"), "name"));
}

static const char *backend_name(const json_t *entry)
{
    return json_string_value(json_object_get(entry, "backend"));
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_name(const json_t *a, const json_t *b)
{
    return same_text(layer_name(a), layer_name(b)) && same_text(backend_name(a), backend_name(b));
}

/* The entry of `document` that results[index] of `of` is called by, or NULL. */
static const json_t *counterpart(const json_t *of, size_t index, const json_t *document)
{
    const json_t *theirs = json_object_get(of, "results");
    const json_t *ours = json_object_get(document, "results");
    const json_t *wanted = json_array_get(theirs, index);
    size_t n_before = 0;

    for (size_t i = 0; i < index; i++)
        n_before += same_name(json_array_get(theirs, i), wanted);
    for (size_t i = 0; i < json_array_size(ours); i++) {
        const json_t *entry = json_array_get(ours, i);

        if (same_name(entry, wanted) && n_before-- == 0)
            return entry;
    }
    return NULL;
}

int dwb_alike_pairs(const json_t *a, const json_t *b, struct dwb_alike_pair **ret_pairs,
                    size_t *ret_n_pairs)
{
    const json_t *results = json_object_get(a, "results");
    struct dwb_alike_pair *pairs = calloc(json_array_size(results) + 1, sizeof *pairs);
    size_t n = 0;

    if (!pairs)
        return -ENOMEM;
    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *other = counterpart(a, i, b);

        if (other)
            pairs[n++] = (struct dwb_alike_pair){json_array_get(results, i), other};
    }
    *ret_pairs = pairs;
    *ret_n_pairs = n;
    return 0;
}

/* ---- obstacles ---- */

/* Adds a row when the two differ; a member that neither has does not. 0 or less without memory. */
static int add(json_t *rows, const char *member, const json_t *a, const json_t *b)
{
    json_t *null = json_null();

    a = a ? a : null;
    b = b ? b : null;
    if (json_equal(a, b))
        return 0;
    return json_array_append_new(rows, json_pack("{s:s, s:o, s:o}", "member", member, "a",
                                                 json_deep_copy(a), "b", json_deep_copy(b)));
}

static int add_cpu(json_t *rows, const json_t *a, const json_t *b)
{
    static const char *const members[] = {"vendor", "family", "model", "model_number", "stepping"};
    const json_t *cpu_a = json_object_get(json_object_get(a, "environment"), "cpu");
    const json_t *cpu_b = json_object_get(json_object_get(b, "environment"), "cpu");
    char member[32];
    int r = 0;

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        snprintf(member, sizeof member, "cpu.%s", members[i]);
        r |= add(rows, member, json_object_get(cpu_a, members[i]),
                 json_object_get(cpu_b, members[i]));
    }
    return r;
}

static void label_of(const json_t *entry, const char *what, char *buffer, size_t size)
{
    const char *layer = layer_name(entry), *backend = backend_name(entry);

    snprintf(buffer, size, "%s.%s%s%s", layer ? layer : "layer", backend ? backend : "none",
             what[0] ? "." : "", what);
}

static int add_pair(json_t *rows, const struct dwb_alike_pair *pair)
{
    static const char *const of_entry[] = {"isa", "cache", "threads"};
    static const char *const of_layer[] = {"Dk", "Dx", "M", "N", "stride", "padding"};
    const json_t *layer_a = json_object_get(pair->a, "layer");
    const json_t *layer_b = json_object_get(pair->b, "layer");
    char member[256], what[64];
    int r = 0;

    for (size_t i = 0; i < sizeof of_layer / sizeof of_layer[0]; i++) {
        label_of(pair->a, of_layer[i], member, sizeof member);
        r |= add(rows, member, json_object_get(layer_a, of_layer[i]),
                 json_object_get(layer_b, of_layer[i]));
    }
    for (size_t i = 0; i < sizeof of_entry / sizeof of_entry[0]; i++) {
        label_of(pair->a, of_entry[i], member, sizeof member);
        r |= add(rows, member, json_object_get(pair->a, of_entry[i]),
                 json_object_get(pair->b, of_entry[i]));
    }
    for (size_t i = 0; i < N_OPERATIONS; i++) {
        const json_t *a = dwb_alike_operation(pair->a, operations[i]);
        const json_t *b = dwb_alike_operation(pair->b, operations[i]);

        if (!a || !b)
            continue;
        snprintf(what, sizeof what, "%s.isa", operations[i]);
        label_of(pair->a, what, member, sizeof member);
        r |= add(rows, member, json_object_get(a, "isa"), json_object_get(b, "isa"));
    }
    return r;
}

/* Entries that the other document lacks; `first`: the document is a. */
static int add_missing(json_t *rows, const json_t *document, const json_t *other, bool first)
{
    const json_t *entry;
    char member[256];
    json_t *there;
    size_t i;
    int r = 0;

    json_array_foreach(json_object_get(document, "results"), i, entry)
    {
        if (counterpart(document, i, other))
            continue;
        label_of(entry, "", member, sizeof member);
        there = json_string("measured");
        r |= add(rows, member, first ? there : NULL, first ? NULL : there);
        json_decref(there);
    }
    return r;
}

json_t *dwb_alike_obstacles(const json_t *a, const json_t *b)
{
    dwb_cleanup_free struct dwb_alike_pair *pairs = NULL;
    json_t *rows = json_array();
    size_t n_pairs = 0;
    int r = rows ? dwb_alike_pairs(a, b, &pairs, &n_pairs) : -ENOMEM;

    if (r == 0)
        r = add_cpu(rows, a, b);
    for (size_t i = 0; r == 0 && i < n_pairs; i++)
        r = add_pair(rows, &pairs[i]);
    if (r == 0)
        r = add_missing(rows, a, b, true);
    if (r == 0)
        r = add_missing(rows, b, a, false);
    if (r == 0)
        return rows;
    json_decref(rows);
    return NULL;
}

/* ---- drift ---- */

static double positive(const json_t *object, const char *key)
{
    double value = json_number_value(json_object_get(object, key));

    return value > 0 ? value : NAN;
}

static double canary_of(const json_t *entry)
{
    return positive(json_object_get(json_object_get(entry, "machine"), "canary"), "floor_ns");
}

static double peak_of(const json_t *entry)
{
    return positive(json_object_get(entry, "machine"), "peak_gflops");
}

/* Median of what is finite among ratios[0..n), which it sorts; NAN of nothing. */
static double median_of(double *values, size_t n)
{
    size_t n_finite = 0;

    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i]))
            values[n_finite++] = values[i];
    if (n_finite == 0)
        return NAN;
    dwb_stats_sort(values, n_finite);
    return dwb_stats_median(values, n_finite);
}

static double percent(double log_ratio)
{
    return 100 * expm1(log_ratio);
}

static void judge(struct dwb_alike_drift *drift)
{
    double one = isfinite(drift->canary) ? drift->canary : drift->peak;
    const char *known = isfinite(drift->canary) ? "canary" : "multiply-add peak";
    const char *unknown = isfinite(drift->canary) ? "multiply-add peak" : "canary";

    drift->machine = NAN;
    if (isfinite(drift->canary) && isfinite(drift->peak)) {
        drift->agrees = fabs(drift->canary - drift->peak) <= DWB_ALIKE_MARGIN;
        if (drift->agrees)
            drift->machine = (drift->canary + drift->peak) / 2;
        else
            snprintf(drift->reason, sizeof drift->reason,
                     "what the machine changed itself is not known: its canary takes %+.1f %% of "
                     "time, its "
                     "multiply-add peak %+.1f %%",
                     percent(drift->canary), percent(drift->peak));
    } else if (isfinite(one)) {
        drift->agrees = fabs(one) <= DWB_ALIKE_MARGIN;
        if (drift->agrees)
            drift->machine = one;
        snprintf(drift->reason, sizeof drift->reason,
                 drift->agrees
                     ? "the %s alone says so (%+.1f %% of time): there is no %s of both"
                     : "what the machine changed itself is not known: its %s takes %+.1f %% of "
                       "time, and there is no %s of both to confirm it",
                 known, percent(one), unknown);
    } else {
        snprintf(drift->reason, sizeof drift->reason,
                 "what the machine changed itself is not known: there is neither a canary nor a "
                 "multiply-add peak of both");
    }
}

int dwb_alike_drift_of(const struct dwb_alike_pair *pairs, size_t n_pairs,
                       struct dwb_alike_drift *ret_drift)
{
    struct dwb_alike_drift drift = {.machine = NAN};
    dwb_cleanup_free double *canary = calloc(n_pairs + 1, sizeof *canary);
    dwb_cleanup_free double *peak = calloc(n_pairs + 1, sizeof *peak);

    if (!canary || !peak)
        return -ENOMEM;
    for (size_t i = 0; i < n_pairs; i++) {
        canary[i] = log(canary_of(pairs[i].b) / canary_of(pairs[i].a));
        peak[i] = log(peak_of(pairs[i].a) / peak_of(pairs[i].b));
    }
    drift.canary = median_of(canary, n_pairs);
    drift.peak = median_of(peak, n_pairs);
    judge(&drift);
    *ret_drift = drift;
    return 0;
}
