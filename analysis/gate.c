/*
 * Comparison of two sides. See the header for the estimator; docs/method.md has what was found of
 * its errors.
 *
 * What is dropped is dropped by external signals only (common/record.h), and always as a pair: a
 * flag on one side takes the other side's sample of the same half with it.
 */

#include "analysis/gate.h"

#include "analysis/figures.h"
#include "analysis/json.h"
#include "analysis/series.h"
#include "analysis/stats.h"
#include "common/cleanup.h"

#include <errno.h>
#include <math.h>
#include <string.h>

struct side_figures {
    const struct dwb_subject *subject; /* as the first record has it */
    double *values;                    /* ns a call, kept samples of all processes */
    size_t n_values, n_dropped;
    double floor_ns, median_ns;
};

struct comparison {
    const struct dwb_spec *spec;
    const struct dwb_layer *layer;
    enum dwb_operation operation_a, operation_b; /* as asked for: a record need not have them */
    struct side_figures a, b;
    double *ratios; /* b over a, one a process (or pair of processes); sorted */
    size_t n_ratios;
    double alpha;
    double median, ci_low, ci_high; /* of the ratio */
    enum dwb_change change;
    char reason[200];
};

struct half { /* of a block, ns a call; 0 = not there */
    double a, b;
    bool flagged;
};

static const char *const change_names[DWB_N_CHANGES] = {
    [DWB_CHANGE_SAME] = "same",
    [DWB_CHANGE_FASTER] = "faster",
    [DWB_CHANGE_NOT_RESOLVED] = "not_resolved",
    [DWB_CHANGE_SLOWER] = "slower",
};

const char *dwb_change_name(enum dwb_change change)
{
    return change_names[change];
}

int dwb_change_from_name(const char *name, enum dwb_change *ret_change)
{
    for (unsigned i = 0; i < DWB_N_CHANGES; i++)
        if (strcmp(name, change_names[i]) == 0) {
            *ret_change = (enum dwb_change)i;
            return 0;
        }
    return -EINVAL;
}

static size_t count_pairs_of_spec(const struct dwb_spec *spec)
{
    return spec->options.a.has_form ? 1 : (size_t)__builtin_popcount(spec->options.operations);
}

static void comparison_deinit(struct comparison *comparison)
{
    free(comparison->a.values);
    free(comparison->b.values);
    free(comparison->ratios);
}

static int comparison_init(const struct dwb_spec *spec, const struct dwb_layer *layer,
                           struct dwb_record *const *records, size_t n_records,
                           struct comparison *ret_comparison)
{
    struct comparison comparison = {
        .spec = spec,
        .layer = layer,
        .alpha = DWB_FIGURES_ALPHA / (double)(spec->n_layers * count_pairs_of_spec(spec)),
        .median = NAN,
        .ci_low = NAN,
        .ci_high = NAN,
        .change = DWB_CHANGE_NOT_RESOLVED,
    };
    size_t n_samples = 1;

    for (size_t i = 0; i < n_records; i++)
        n_samples += records[i]->n_samples;
    comparison.a.values = malloc(n_samples * sizeof *comparison.a.values);
    comparison.b.values = malloc(n_samples * sizeof *comparison.b.values);
    comparison.ratios = malloc((n_records + 1) * sizeof *comparison.ratios);
    if (!comparison.a.values || !comparison.b.values || !comparison.ratios) {
        comparison_deinit(&comparison);
        return -ENOMEM;
    }
    *ret_comparison = comparison;
    return 0;
}

/* ---- two sides in one process ---- */

/* Index of the first of the k-th pair of a record, the other is the next; n_subjects = none. */
static size_t find_pair(const struct dwb_record *record, size_t k)
{
    for (size_t i = 0; i + 1 < record->n_subjects; i++) {
        char first = record->subjects[i].side, second = record->subjects[i + 1].side;

        if (!first || !second || first == second)
            continue;
        if (k-- == 0)
            return i;
        i++;
    }
    return record->n_subjects;
}

/* The halves of the pair that begins at subject `at`. */
static struct half *halves_of(const struct dwb_record *record, size_t at, size_t *ret_n)
{
    struct half *halves;
    size_t n = 0;

    for (size_t i = 0; i < record->n_samples; i++)
        if (record->samples[i].subject >= at && record->samples[i].subject <= at + 1 &&
            2 * ((size_t)record->samples[i].block + 1) > n &&
            record->samples[i].block < record->n_samples)
            n = 2 * ((size_t)record->samples[i].block + 1);
    halves = calloc(n + 1, sizeof *halves);
    for (size_t i = 0; halves && i < record->n_samples; i++) {
        const struct dwb_sample *sample = &record->samples[i];
        size_t half = 2 * (size_t)sample->block + sample->half;

        if (sample->subject < at || sample->subject > at + 1 || half >= n)
            continue;
        *(record->subjects[sample->subject].side == 'a' ? &halves[half].a : &halves[half].b) =
            (double)sample->wall_ns / sample->n_calls;
        halves[half].flagged = halves[half].flagged || sample->flags;
    }
    *ret_n = n;
    return halves;
}

static void keep(struct side_figures *side, double value)
{
    side->values[side->n_values++] = value;
}

/* One process: the median over blocks of the mean log-ratio of their halves. */
static int add_process(struct comparison *comparison, const struct dwb_record *record, size_t at)
{
    size_t n_halves = 0, n_blocks = 0;
    dwb_cleanup_free struct half *halves = halves_of(record, at, &n_halves);
    dwb_cleanup_free double *blocks = malloc((n_halves + 1) * sizeof *blocks);

    if (!halves || !blocks)
        return -ENOMEM;
    for (size_t i = 0; i < n_halves; i += 2) {
        double sum = 0;
        size_t n = 0;

        for (size_t k = i; k < i + 2; k++) {
            if (halves[k].a <= 0 || halves[k].b <= 0)
                continue;
            if (halves[k].flagged) {
                comparison->a.n_dropped++;
                comparison->b.n_dropped++;
                continue;
            }
            sum += log(halves[k].b / halves[k].a);
            keep(&comparison->a, halves[k].a);
            keep(&comparison->b, halves[k].b);
            n++;
        }
        if (n)
            blocks[n_blocks++] = sum / (double)n;
    }
    if (n_blocks) {
        dwb_stats_sort(blocks, n_blocks);
        comparison->ratios[comparison->n_ratios++] = exp(dwb_stats_median(blocks, n_blocks));
    }
    return 0;
}

static int compare_inside(struct comparison *comparison, struct dwb_record *const *records,
                          size_t n_records, size_t pair)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n_records; i++) {
        size_t at = find_pair(records[i], pair);

        if (at == records[i]->n_subjects)
            continue;
        if (!comparison->a.subject) {
            const struct dwb_subject *first = &records[i]->subjects[at];

            comparison->a.subject = first->side == 'a' ? first : first + 1;
            comparison->b.subject = first->side == 'a' ? first + 1 : first;
        }
        r = add_process(comparison, records[i], at);
    }
    return r;
}

/* ---- two programs, each with processes of its own ---- */

static int floor_of(struct comparison *comparison, struct dwb_record *record,
                    enum dwb_operation operation, double *ret_floor_ns)
{
    struct side_figures *side =
        dwb_gate_side_of(record->replicate) == 'a' ? &comparison->a : &comparison->b;
    bool undisturbed = false;
    const struct dwb_subject *subject = dwb_series_subject(record, dwb_backend_name(0), operation);
    struct dwb_series series;
    int r;

    *ret_floor_ns = NAN;
    if (!subject)
        return 0;
    r = dwb_series_init(&record, &undisturbed, 1, dwb_backend_name(0), operation, &series);
    if (r < 0)
        return r;
    if (!side->subject)
        side->subject = subject;
    *ret_floor_ns = series.floors[0];
    memcpy(side->values + side->n_values, series.values, series.n_values * sizeof *series.values);
    side->n_values += series.n_values;
    side->n_dropped += series.n_dropped;
    dwb_series_deinit(&series);
    return 0;
}

static int compare_programs(struct comparison *comparison, struct dwb_record *const *records,
                            size_t n_records, enum dwb_operation a, enum dwb_operation b)
{
    double first_ns = NAN, floor_ns;

    for (size_t i = 0; i < n_records; i++) {
        uint32_t replicate = records[i]->replicate;
        bool is_a = dwb_gate_side_of(replicate) == 'a';
        bool second = i > 0 && replicate % 2 && records[i - 1]->replicate == replicate - 1;
        int r = floor_of(comparison, records[i], is_a ? a : b, &floor_ns);

        if (r < 0)
            return r;
        if (second && isfinite(first_ns / floor_ns))
            comparison->ratios[comparison->n_ratios++] =
                is_a ? first_ns / floor_ns : floor_ns / first_ns;
        first_ns = floor_ns;
    }
    return 0;
}

/* ---- what both kinds share ---- */

static void summarize_side(struct side_figures *side)
{
    side->floor_ns = side->median_ns = NAN;
    if (side->n_values == 0)
        return;
    dwb_stats_sort(side->values, side->n_values);
    side->floor_ns = dwb_stats_floor(side->values, side->n_values);
    side->median_ns = dwb_stats_median(side->values, side->n_values);
}

static double dropped_of(const struct side_figures *side)
{
    size_t n = side->n_values + side->n_dropped;

    return n ? (double)side->n_dropped / (double)n : 0;
}

/* Of the side that lost more: two programs need not be disturbed alike. */
static double dropped_share(const struct comparison *comparison)
{
    return fmax(dropped_of(&comparison->a), dropped_of(&comparison->b));
}

static void judge(struct comparison *c)
{
    double delta = c->spec->options.delta;

    if (dropped_share(c) > DWB_FIGURES_CONTAMINATED)
        snprintf(c->reason, sizeof c->reason,
                 "%.0f%% of the samples were dropped: the machine was busy",
                 dropped_share(c) * 100);
    else if (c->n_ratios < DWB_STATS_PROCESSES_MIN)
        snprintf(c->reason, sizeof c->reason, "no interval: it takes %d processes%s, there are %zu",
                 DWB_STATS_PROCESSES_MIN, dwb_spec_compares_workers(c->spec) ? " a side" : "",
                 c->n_ratios);
    else if (c->ci_low > 1 + delta)
        c->change = DWB_CHANGE_SLOWER;
    else if (c->ci_high < 1 - delta)
        c->change = DWB_CHANGE_FASTER;
    else if (c->ci_low >= 1 - delta && c->ci_high <= 1 + delta)
        c->change = DWB_CHANGE_SAME;
    else
        snprintf(c->reason, sizeof c->reason,
                 "the change lies between %+.2f%% and %+.2f%%: neither surely within ±%.2f%% nor "
                 "surely beyond",
                 (c->ci_low - 1) * 100, (c->ci_high - 1) * 100, delta * 100);
}

static void estimate(struct comparison *comparison)
{
    struct dwb_interval interval;

    summarize_side(&comparison->a);
    summarize_side(&comparison->b);
    dwb_stats_sort(comparison->ratios, comparison->n_ratios);
    if (comparison->n_ratios)
        comparison->median = dwb_stats_median(comparison->ratios, comparison->n_ratios);
    if (dwb_stats_interval(comparison->ratios, comparison->n_ratios, comparison->alpha,
                           &interval) == 0) {
        comparison->ci_low = interval.low;
        comparison->ci_high = interval.high;
    }
    judge(comparison);
}

/* The pair-th comparison of a layer. 0; -ENOENT past the last; -ENOMEM. */
static int compare(const struct dwb_spec *spec, const struct dwb_layer *layer,
                   struct dwb_record *const *records, size_t n_records, size_t pair,
                   struct comparison *ret_comparison)
{
    const struct dwb_options *options = &spec->options;
    enum dwb_operation a = options->a.form, b = options->b.form;
    struct comparison comparison;
    int r;

    if (pair >= count_pairs_of_spec(spec))
        return -ENOENT;
    if (!options->a.has_form) {
        uint32_t left = options->operations;

        for (size_t i = 0; i < pair; i++)
            left &= left - 1;
        a = b = (enum dwb_operation)__builtin_ctz(left);
    }
    r = comparison_init(spec, layer, records, n_records, &comparison);
    if (r < 0)
        return r;
    comparison.operation_a = a;
    comparison.operation_b = b;
    r = dwb_spec_compares_workers(spec) ? compare_programs(&comparison, records, n_records, a, b)
                                        : compare_inside(&comparison, records, n_records, pair);
    if (r < 0) {
        comparison_deinit(&comparison);
        return r;
    }
    estimate(&comparison);
    *ret_comparison = comparison;
    return 0;
}

static json_t *side_to_json(const struct side_figures *side, const struct dwb_side *what)
{
    const struct dwb_subject *subject = side->subject;
    char text[DWB_SIDE_TEXT_MAX];

    dwb_side_to_text(what, text);
    return json_pack("{s:s, s:s?, s:s?, s:s?, s:s?, s:o, s:o}", "what", text, "operation",
                     subject ? dwb_operation_name(subject->operation) : NULL, "backend",
                     subject ? subject->backend : NULL, "isa", subject ? subject->isa : NULL,
                     "kernel", subject ? subject->kernel : NULL, "floor_ns",
                     dwb_json_number(side->floor_ns), "median_ns",
                     dwb_json_number(side->median_ns));
}

/* "depthwise", or "standard to separable" where the two sides have forms of their own. */
static void operation_text(const struct comparison *comparison, char *buffer, size_t size)
{
    const struct dwb_subject *subject_a = comparison->a.subject, *subject_b = comparison->b.subject;
    enum dwb_operation a = subject_a ? subject_a->operation : comparison->operation_a;
    enum dwb_operation b = subject_b ? subject_b->operation : comparison->operation_b;

    if (a == b)
        snprintf(buffer, size, "%s", dwb_operation_name(a));
    else
        snprintf(buffer, size, "%s to %s", dwb_operation_name(a), dwb_operation_name(b));
}

static json_t *comparison_to_json(const struct comparison *c)
{
    const struct dwb_options *options = &c->spec->options;
    bool shared = !dwb_spec_compares_workers(c->spec);
    char operation[64];

    operation_text(c, operation, sizeof operation);
    return json_pack(
        "{s:s, s:s, s:o, s:o, s:{s:o, s:o, s:o}, s:f, s:f, s:s, s:s, s:o, s:o, s:o, s:s, s:n}",
        "layer", c->layer->name, "operation", operation, "a", side_to_json(&c->a, &options->a), "b",
        side_to_json(&c->b, &options->b), "change", "median", dwb_json_number(c->median - 1),
        "ci_low", dwb_json_number(c->ci_low - 1), "ci_high", dwb_json_number(c->ci_high - 1),
        "delta", options->delta, "confidence", 1 - c->alpha, "verdict", dwb_change_name(c->change),
        "reason", c->reason, "processes", dwb_json_count(c->n_ratios), "pairs",
        dwb_json_count(shared ? c->a.n_values : c->n_ratios), "dropped_share",
        dwb_json_number(dropped_share(c)), "method",
        shared ? "paired log-ratios within a process" : "floors of neighbouring processes",
        "confirmed");
}

/* Not every side has every operation that was asked for: those are left out. */
static bool is_there(const struct comparison *comparison, size_t n_records)
{
    return n_records == 0 || (comparison->a.subject && comparison->b.subject);
}

int dwb_gate_add_layer(const struct dwb_spec *spec, const struct dwb_layer *layer,
                       struct dwb_record *const *records, size_t n_records, json_t *comparisons)
{
    struct comparison comparison;
    int r;

    for (size_t pair = 0; (r = compare(spec, layer, records, n_records, pair, &comparison)) == 0;
         pair++) {
        int added = is_there(&comparison, n_records)
                        ? json_array_append_new(comparisons, comparison_to_json(&comparison))
                        : 0;

        comparison_deinit(&comparison);
        if (added < 0)
            return -ENOMEM;
    }
    return r == -ENOENT ? 0 : r;
}

int dwb_gate_half_width(const struct dwb_spec *spec, struct dwb_record *const *records,
                        size_t n_records, double *ret_half_width)
{
    struct comparison comparison;
    double widest = 0;
    size_t n = 0;
    int r;

    for (size_t pair = 0;
         (r = compare(spec, &records[0]->layer, records, n_records, pair, &comparison)) == 0;
         pair++) {
        double half_width = (comparison.ci_high - comparison.ci_low) / 2;

        if (is_there(&comparison, n_records)) {
            widest = isnan(half_width) ? INFINITY : fmax(widest, half_width);
            n++;
        }
        comparison_deinit(&comparison);
    }
    if (r != -ENOENT)
        return r;
    *ret_half_width = n ? widest : INFINITY;
    return 0;
}

/* ---- the document ---- */

int dwb_gate_name_sides(const struct dwb_spec *spec, json_t *document)
{
    char a[DWB_SIDE_TEXT_MAX], b[DWB_SIDE_TEXT_MAX];

    dwb_side_to_text(&spec->options.a, a);
    dwb_side_to_text(&spec->options.b, b);
    return json_object_set_new(document, "a", json_pack("{s:s}", "what", a)) < 0 ||
                   json_object_set_new(document, "b", json_pack("{s:s}", "what", b)) < 0
               ? -ENOMEM
               : 0;
}

static enum dwb_change change_of(const json_t *comparison)
{
    const char *name = json_string_value(json_object_get(comparison, "verdict"));
    enum dwb_change change = DWB_CHANGE_NOT_RESOLVED;

    if (name)
        dwb_change_from_name(name, &change);
    return change;
}

int dwb_gate_summarize(json_t *document)
{
    const json_t *comparisons = json_object_get(document, "comparisons");
    size_t n[DWB_N_CHANGES] = {0};
    enum dwb_change verdict = DWB_CHANGE_SAME;
    json_t *overall;

    for (size_t i = 0; i < json_array_size(comparisons); i++)
        n[change_of(json_array_get(comparisons, i))]++;
    for (unsigned k = 0; k < DWB_N_CHANGES; k++) /* they ascend by what they weigh */
        if (n[k])
            verdict = (enum dwb_change)k;
    if (json_array_size(comparisons) == 0)
        verdict = DWB_CHANGE_NOT_RESOLVED;
    overall =
        json_pack("{s:s, s:o, s:o, s:o, s:o}", "verdict", dwb_change_name(verdict), "faster",
                  dwb_json_count(n[DWB_CHANGE_FASTER]), "slower",
                  dwb_json_count(n[DWB_CHANGE_SLOWER]), "same", dwb_json_count(n[DWB_CHANGE_SAME]),
                  "not_resolved", dwb_json_count(n[DWB_CHANGE_NOT_RESOLVED]));
    return json_object_set_new(document, "overall", overall) < 0 ? -ENOMEM : 0;
}

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
    return json_equal(json_object_get(a, key), json_object_get(b, key));
}

static const json_t *find_same(const json_t *comparisons, const json_t *wanted)
{
    for (size_t i = 0; i < json_array_size(comparisons); i++) {
        const json_t *item = json_array_get(comparisons, i);

        if (same_text(item, wanted, "layer") && same_text(item, wanted, "operation"))
            return item;
    }
    return NULL;
}

int dwb_gate_confirm(json_t *first, const json_t *second)
{
    size_t i;
    json_t *comparison;

    json_array_foreach(json_object_get(first, "comparisons"), i, comparison)
    {
        const json_t *again = find_same(json_object_get(second, "comparisons"), comparison);
        bool confirmed = again && change_of(again) == DWB_CHANGE_SLOWER;
        int r = 0;

        if (change_of(comparison) != DWB_CHANGE_SLOWER)
            continue;
        r |= json_object_set_new(comparison, "confirmed", json_boolean(confirmed));
        if (again)
            r |= json_object_set_new(comparison, "second_run",
                                     json_pack("{s:O, s:O}", "change",
                                               json_object_get(again, "change"), "verdict",
                                               json_object_get(again, "verdict")));
        if (!confirmed) {
            r |= json_object_set_new(comparison, "verdict",
                                     json_string(dwb_change_name(DWB_CHANGE_NOT_RESOLVED)));
            r |= json_object_set_new(
                comparison, "reason",
                json_string("slower in the first run, and a second one did not confirm it"));
        }
        if (r)
            return -ENOMEM;
    }
    return dwb_gate_summarize(first);
}
