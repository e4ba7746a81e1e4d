/*
 * Records to the document of a job. Records are put in the order (layer, replicate) first, so the
 * order in which they were measured or read back does not show in the result.
 */

#include "analysis/result.h"

#include "analysis/entry.h"
#include "analysis/environment.h"
#include "analysis/figures.h"
#include "analysis/gate.h"
#include "analysis/json.h"
#include "analysis/measuring.h"
#include "common/cleanup.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define BACKENDS_MAX 16

struct item {
    uint32_t layer;
    struct dwb_record *record;
};

struct totals { /* of a suite on one backend */
    char backend[sizeof((struct dwb_subject *)0)->backend];
    size_t n_layers; /* entries that have both floors */
    double standard_ns, separable_ns;
    double standard_macs, separable_macs;
};

struct build {
    const struct dwb_spec *spec;
    json_t *results;
    struct totals totals[BACKENDS_MAX];
    size_t n_totals;
};

static int compare_items(const void *left, const void *right)
{
    const struct item *a = left, *b = right;

    if (a->layer != b->layer)
        return a->layer < b->layer ? -1 : 1;
    return (a->record->replicate > b->record->replicate) -
           (a->record->replicate < b->record->replicate);
}

static bool record_fits(const struct dwb_spec *spec, const struct dwb_layer *layer,
                        const struct dwb_record *record)
{
    return dwb_layer_same_shape(&record->layer, layer) && record->cache == spec->options.cache;
}

/* Sorted copies of the pointers; -EINVAL when a record is no one's, or there twice. */
static int sort_records(const struct dwb_spec *spec, struct dwb_record *const *records,
                        const uint32_t *layer_of, size_t n_records, struct dwb_record ***ret_sorted,
                        size_t **ret_first)
{
    dwb_cleanup_free struct item *items = malloc((n_records + 1) * sizeof *items);
    dwb_cleanup_free struct dwb_record **sorted = malloc((n_records + 1) * sizeof *sorted);
    dwb_cleanup_free size_t *first = calloc(spec->n_layers + 1, sizeof *first);

    if (!items || !sorted || !first)
        return -ENOMEM;
    for (size_t i = 0; i < n_records; i++) {
        if (layer_of[i] >= spec->n_layers ||
            !record_fits(spec, &spec->layers[layer_of[i]], records[i]))
            return -EINVAL;
        items[i] = (struct item){layer_of[i], records[i]};
        first[layer_of[i] + 1]++;
    }
    if (n_records > 1)
        qsort(items, n_records, sizeof *items, compare_items);
    for (size_t i = 0; i < n_records; i++) {
        if (i > 0 && compare_items(&items[i - 1], &items[i]) == 0)
            return -EINVAL;
        sorted[i] = items[i].record;
    }
    for (size_t i = 0; i < spec->n_layers; i++)
        first[i + 1] += first[i];
    *ret_sorted = dwb_steal(sorted);
    *ret_first = dwb_steal(first);
    return 0;
}

static void add_backend(const char *backend, const char *backends[BACKENDS_MAX], size_t *n)
{
    size_t known = 0;

    while (known < *n && strcmp(backends[known], backend) != 0)
        known++;
    if (known == *n && *n < BACKENDS_MAX)
        backends[(*n)++] = backend;
}

/* Backends that timed a form of the layer, or say why they have none, in order of appearance. */
static size_t list_backends(struct dwb_record *const *records, size_t n_records,
                            const char *backends[BACKENDS_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < n_records; i++) {
        for (size_t k = 0; k < records[i]->n_subjects; k++)
            if (records[i]->subjects[k].operation <= DWB_OPERATION_SEPARABLE_FUSED)
                add_backend(records[i]->subjects[k].backend, backends, &n);
        for (size_t k = 0; k < records[i]->n_omissions; k++)
            add_backend(records[i]->omissions[k].backend, backends, &n);
    }
    return n;
}

static void add_to_totals(struct build *build, const struct dwb_figures *figures)
{
    const char *backend = figures->input.backend;
    double repeat = figures->input.layer->repeat;
    size_t i = 0;

    if (isnan(figures->ratio.floor))
        return;
    while (i < build->n_totals && strcmp(build->totals[i].backend, backend) != 0)
        i++;
    if (i == BACKENDS_MAX)
        return;
    struct totals *totals = &build->totals[i];
    if (i == build->n_totals) {
        build->n_totals++;
        snprintf(totals->backend, sizeof totals->backend, "%s", backend);
    }
    totals->n_layers++;
    totals->standard_ns += repeat * figures->operations[DWB_OPERATION_STANDARD].floor_ns;
    totals->separable_ns += repeat * figures->operations[DWB_OPERATION_SEPARABLE].floor_ns;
    totals->standard_macs += repeat * (double)figures->theory.nominal.standard;
    totals->separable_macs += repeat * (double)figures->theory.nominal.separable;
}

/* ours: the native entry's figures of the same layer, which a peer is compared with; or NULL. */
static int add_entry(struct build *build, const struct dwb_figures *figures,
                     const struct dwb_figures *ours)
{
    add_to_totals(build, figures);
    return json_array_append_new(build->results, dwb_entry_to_json(figures, ours)) < 0 ? -ENOMEM
                                                                                       : 0;
}

static int add_layer(struct build *build, size_t layer, struct dwb_record *const *records,
                     size_t n_records)
{
    const char *backends[BACKENDS_MAX];
    size_t n_backends = list_backends(records, n_records, backends), n = 0;
    struct dwb_figures_input input = {
        .spec = build->spec, .layer = &build->spec->layers[layer], .records = records};
    struct dwb_figures figures[BACKENDS_MAX];
    const struct dwb_figures *ours = NULL;
    int r;

    if (n_backends == 0) { /* nothing was measured: an entry without figures */
        r = dwb_figures_init(&input, &figures[0]);
        if (r == 0) {
            r = add_entry(build, &figures[0], NULL);
            dwb_figures_deinit(&figures[0]);
        }
        return r;
    }
    input.n_records = n_records;
    for (r = 0; n < n_backends; n++) {
        input.backend = backends[n];
        r = dwb_figures_init(&input, &figures[n]);
        if (r < 0)
            break;
        if (strcmp(backends[n], dwb_backend_name(0)) == 0)
            ours = &figures[n];
    }
    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_entry(build, &figures[i], &figures[i] == ours ? NULL : ours);
    for (size_t i = 0; i < n; i++)
        dwb_figures_deinit(&figures[i]);
    return r;
}

/* Sums over the layers of a suite, each times its repeats; only of backends that have all of them.
 */
static json_t *totals_to_json(const struct build *build)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < build->n_totals; i++) {
        const struct totals *t = &build->totals[i];
        if (t->n_layers < build->spec->n_layers)
            continue;
        double theory = t->separable_macs / t->standard_macs;
        double ratio = t->separable_ns / t->standard_ns;
        json_t *item = json_pack(
            "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "backend", t->backend, "standard_ns",
            dwb_json_number(t->standard_ns), "separable_ns", dwb_json_number(t->separable_ns),
            "standard_macs", dwb_json_number(t->standard_macs), "separable_macs",
            dwb_json_number(t->separable_macs), "ratio", dwb_json_number(ratio), "theory_ratio",
            dwb_json_number(theory), "saving_delivered", dwb_json_number(theory / ratio));
        if (json_array_append_new(array, item) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *job_to_json(const struct dwb_spec *spec, const json_t *job)
{
    const struct dwb_options *options = &spec->options;
    char backends[DWB_BACKENDS_TEXT_MAX], plugins[DWB_PLUGINS_TEXT_MAX];

    dwb_backends_to_text(options->backends, backends);
    json_t *object = job ? json_deep_copy(job) : json_object();
    json_t *resolved = json_pack(
        "{s:s, s:s, s:s, s:I, s:f, s:i, s:I, s:f, s:o, s:b}", "backends", backends, "isa",
        dwb_isa_name(options->isa), "cache", dwb_cache_mode_name(options->cache), "budget_ns",
        (json_int_t)options->budget_ns, "precision", options->precision, "replicates",
        (int)options->replicates, "seed", (json_int_t)options->seed, "alpha", spec->alpha,
        "resolution", spec->resolution ? json_integer(spec->resolution) : json_null(), "simulate",
        options->simulate);

    dwb_plugins_to_text(&options->plugins, plugins);
    if (plugins[0] && json_object_set_new(resolved, "plugin", json_string(plugins)) < 0) {
        json_decref(resolved);
        resolved = NULL;
    }
    /* takes it also without object */
    if (json_object_set_new(object, "options", resolved) == 0 &&
        json_object_set_new(object, "measuring",
                            dwb_measuring_of_job(json_object_get(job, "measuring"))) == 0)
        return object;
    json_decref(object);
    return NULL;
}

static int add_to(struct build *build, size_t layer, struct dwb_record *const *records,
                  size_t n_records)
{
    return dwb_spec_compares(build->spec)
               ? dwb_gate_add_layer(build->spec, &build->spec->layers[layer], records, n_records,
                                    build->results)
               : add_layer(build, layer, records, n_records);
}

/* With one result its ratio is also the document's, so that `jq .ratio` answers a one-layer job. */
static int finish(const struct build *build, json_t *document)
{
    json_t *only = json_array_get(build->results, 0);
    bool compares = dwb_spec_compares(build->spec);
    int r = json_object_set(document, compares ? "comparisons" : "results", build->results);

    if (compares)
        return r || dwb_gate_name_sides(build->spec, document) < 0 ? -ENOMEM
                                                                   : dwb_gate_summarize(document);

    if (json_array_size(build->results) == 1) {
        r |= json_object_set(document, "ratio", json_object_get(only, "ratio"));
        r |= json_object_set(document, "theory_ratio",
                             json_object_get(json_object_get(only, "theory"), "ratio"));
    }
    if (build->spec->is_suite)
        r |= json_object_set_new(document, "totals", totals_to_json(build));
    return r ? -ENOMEM : 0;
}

int dwb_result_build(const struct dwb_spec *spec, const json_t *job,
                     struct dwb_record *const *records, const uint32_t *layer_of, size_t n_records,
                     json_t **ret_document)
{
    dwb_cleanup_free struct dwb_record **sorted = NULL;
    dwb_cleanup_free size_t *first = NULL;
    struct build build = {.spec = spec};
    json_t *document = NULL;
    int r = sort_records(spec, records, layer_of, n_records, &sorted, &first);

    if (r < 0)
        return r;
    build.results = json_array();
    if (!build.results)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < spec->n_layers; i++)
        r = add_to(&build, i, sorted + first[i], first[i + 1] - first[i]);
    if (r == 0) {
        document = json_pack("{s:s, s:o, s:o}", "schema",
                             dwb_spec_compares(spec) ? DWB_GATE_SCHEMA : DWB_RESULT_SCHEMA, "job",
                             job_to_json(spec, job), "environment",
                             dwb_environment_merge(sorted, n_records));
        r = document ? finish(&build, document) : -ENOMEM;
    }
    json_decref(build.results);
    if (r < 0) {
        json_decref(document);
        return r;
    }
    *ret_document = document;
    return 0;
}

int dwb_result_progress(const struct dwb_spec *spec, struct dwb_record *const *records,
                        size_t n_records, struct dwb_progress *ret_progress)
{
    struct dwb_progress progress = {
        .n_replicates = (uint32_t)n_records, .half_width = INFINITY, .verified = true};
    const char *backends[BACKENDS_MAX];
    size_t n_backends = list_backends(records, n_records, backends);
    size_t n_ratios = 0;
    double widest = 0;

    for (size_t i = 0; i < n_records; i++)
        if (!record_fits(spec, &records[0]->layer, records[i]))
            return -EINVAL;
    if (dwb_spec_compares(spec)) {
        *ret_progress = progress;
        return n_records ? dwb_gate_half_width(spec, records, n_records, &ret_progress->half_width)
                         : 0;
    }
    for (size_t i = 0; i < n_backends; i++) {
        struct dwb_figures_input input = {spec, &records[0]->layer, records, n_records,
                                          backends[i]};
        struct dwb_figures figures;
        int r = dwb_figures_init(&input, &figures);
        if (r < 0)
            return r;
        if (!dwb_figures_is_partial(&figures)) {
            widest = fmax(widest, figures.ratio.half_width);
            n_ratios++;
        }
        progress.verified &= figures.n_mismatched == 0;
        dwb_figures_deinit(&figures);
    }
    if (n_ratios > 0)
        progress.half_width = widest;
    *ret_progress = progress;
    return 0;
}

bool dwb_result_verified(const json_t *document)
{
    const json_t *results = json_object_get(document, "results");

    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *of_entry = json_object_get(json_array_get(results, i), "verification");

        if (json_is_false(json_object_get(of_entry, "ok")))
            return false;
    }
    return true;
}
