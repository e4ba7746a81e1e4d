/*
 * Figures to the members of a result entry, one function an object. Every json_pack here takes new
 * references ("o") and gives NULL as a whole when one of them is NULL.
 */

#include "analysis/entry.h"

#include "analysis/counts.h"
#include "analysis/environment.h"
#include "analysis/explain.h"
#include "analysis/json.h"
#include "analysis/measuring.h"
#include "analysis/result.h"
#include "analysis/simulated.h"

#include <string.h>

static json_t *macs_to_json(const struct dwb_macs *macs)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "standard_macs", dwb_json_count(macs->standard),
                     "depthwise_macs", dwb_json_count(macs->depthwise), "pointwise_macs",
                     dwb_json_count(macs->pointwise), "separable_macs",
                     dwb_json_count(macs->separable), "ratio",
                     dwb_json_number((double)macs->separable / (double)macs->standard));
}

static json_t *theory_to_json(const struct dwb_theory *theory)
{
    json_t *object = macs_to_json(&theory->nominal);

    if (object && (json_object_set_new(object, "ratio", dwb_json_number(theory->ratio)) < 0 ||
                   json_object_set_new(object, "standard_parameters",
                                       dwb_json_count(theory->standard_parameters)) < 0 ||
                   json_object_set_new(object, "separable_parameters",
                                       dwb_json_count(theory->separable_parameters)) < 0 ||
                   json_object_set_new(object, "executed", macs_to_json(&theory->executed)) < 0)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *time_to_json(const struct dwb_operation_figures *op)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "floor", dwb_json_number(op->floor_ns),
                     "median", dwb_json_number(op->median_ns), "ci_low",
                     dwb_json_number(op->ci_low_ns), "ci_high", dwb_json_number(op->ci_high_ns),
                     "samples", dwb_json_count(op->series.n_values), "dropped",
                     dwb_json_count(op->series.n_dropped), "floor_reproduced_by",
                     dwb_json_count(op->n_reproduced));
}

static json_t *operation_to_json(const struct dwb_figures *figures, enum dwb_operation operation)
{
    const struct dwb_operation_figures *op = &figures->operations[operation];
    const struct dwb_subject *subject = op->subject;

    return json_pack("{s:s?, s:s?, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "algorithm",
                     subject ? subject->algorithm : NULL, "kernel",
                     subject ? subject->kernel : NULL, "isa", subject ? subject->isa : NULL,
                     "macs_nominal", subject ? dwb_json_count(subject->macs_nominal) : json_null(),
                     "macs_executed",
                     subject ? dwb_json_count(subject->macs_executed) : json_null(), "time_ns",
                     time_to_json(op), "gflops_executed", dwb_json_number(op->gflops_executed),
                     "gflops_nominal", dwb_json_number(op->gflops_nominal), "percent_of_peak",
                     dwb_json_number(op->percent_of_peak), "counters",
                     dwb_counts_to_json(figures, operation), "reason", op->reason);
}

static json_t *operations_to_json(const struct dwb_figures *figures)
{
    json_t *object = json_object();
    bool simulate = figures->input.spec->options.simulate;

    for (unsigned k = 0; object && k < DWB_FIGURES_N_OPERATIONS; k++) {
        enum dwb_operation operation = (enum dwb_operation)k;
        if (operation == DWB_OPERATION_SEPARABLE_FUSED && !figures->operations[k].subject)
            continue;
        json_t *item = operation_to_json(figures, operation);
        int r = json_object_set_new(object, dwb_operation_name(operation), item);
        if (r == 0 && simulate)
            r = json_object_set_new(item, "simulated", dwb_simulated_to_json(figures, operation));
        if (r < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *time_ratio_to_json(const struct dwb_figures *figures,
                                  const struct dwb_ratio_figures *ratio)
{
    bool has_interval = isfinite(ratio->half_width);
    const char *method = ratio->stretched ? "range, stretched" : "sign test";

    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s?, s:o}", "floor", dwb_json_number(ratio->floor),
        "ci_low", dwb_json_number(ratio->ci_low), "ci_high", dwb_json_number(ratio->ci_high),
        "median", dwb_json_number(ratio->median), "half_width", dwb_json_number(ratio->half_width),
        "confidence", dwb_json_number(1 - figures->alpha), "processes",
        dwb_json_count(ratio->n_processes), "method", has_interval ? method : NULL, "reason",
        dwb_json_text(ratio->reason));
}

static json_t *ratio_to_json(const struct dwb_figures *figures)
{
    json_t *object = dwb_counts_ratios_to_json(figures);

    if (object &&
        json_object_set_new(object, "time", time_ratio_to_json(figures, &figures->ratio)) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *levels_to_json(const struct dwb_figures *figures)
{
    json_t *object = json_object();

    for (size_t i = 0; object && i < figures->n_levels; i++) {
        const struct dwb_level_figures *level = &figures->levels[i];
        if (json_object_set_new(object, level->name,
                                json_pack("{s:o, s:o, s:o}", "read_gbps",
                                          dwb_json_number(level->read_gbps), "triad_gbps",
                                          dwb_json_number(level->triad_gbps), "bytes",
                                          dwb_json_number(level->capacity_bytes))) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *machine_to_json(const struct dwb_figures *figures)
{
    return json_pack("{s:o, s:s, s:o, s:{s:o, s:o, s:o}}", "peak_gflops",
                     dwb_json_number(figures->peak_gflops), "reason",
                     isnan(figures->peak_gflops) ? "no multiply-add probe of this ISA" : "",
                     "bandwidth", levels_to_json(figures), "canary", "floor_ns",
                     dwb_json_number(figures->canary_floor_ns), "median_ns",
                     dwb_json_number(figures->canary_median_ns), "processes_dropped",
                     dwb_json_count(figures->n_disturbed));
}

static json_t *verification_to_json(const struct dwb_figures *figures)
{
    json_t *ok = figures->n_verified ? json_boolean(figures->n_mismatched == 0) : json_null();

    return json_pack("{s:o, s:o, s:o, s:o}", "ok", ok, "positions",
                     dwb_json_count(figures->n_verified), "mismatched",
                     dwb_json_count(figures->n_mismatched), "worst_error_ratio",
                     figures->n_verified ? dwb_json_number(figures->worst_error) : json_null());
}

static json_t *reasons_to_json(const struct dwb_figures *figures)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < figures->n_reasons; i++)
        if (json_array_append_new(array, dwb_json_text(figures->reasons[i])) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *why_to_json(const struct dwb_figures *figures)
{
    char why[900];

    dwb_explain_text(figures, why, sizeof why);
    return dwb_json_text(why);
}

/* Members that need no more than a number; the rest is in dwb_entry_to_json. */
static json_t *numbers_to_json(const struct dwb_figures *figures)
{
    return json_pack(
        "{s:s, s:s?, s:s?, s:i, s:s, s:o, s:o, s:s?, s:o, s:s, s:o, s:o, s:o}", "schema",
        DWB_RESULT_SCHEMA, "backend", figures->input.backend, "isa",
        figures->isa[0] ? figures->isa : NULL, "threads", 1, "cache",
        dwb_cache_mode_name(figures->input.spec->options.cache), "saving_delivered",
        dwb_json_number(figures->saving_delivered), "speedup",
        dwb_json_number(1 / figures->ratio.floor), "best_separable",
        isnan(figures->saving_delivered_best) ? NULL : dwb_operation_name(figures->best_separable),
        "saving_delivered_best", dwb_json_number(figures->saving_delivered_best), "verdict",
        dwb_verdict_name(figures->verdict), "replicates", dwb_json_count(figures->input.n_records),
        "dropped_share", dwb_json_number(figures->dropped_share), "precision_reached",
        json_boolean(figures->precision_reached));
}

/* Ours against this backend, an operation a member; NULL without memory. */
static json_t *against_to_json(const struct dwb_figures *ours, const struct dwb_figures *peer)
{
    json_t *object = json_object();
    struct dwb_ratio_figures best;

    for (unsigned k = DWB_OPERATION_STANDARD; object && k <= DWB_OPERATION_SEPARABLE; k++) {
        struct dwb_ratio_figures ratio;

        if (dwb_figures_against(ours, peer, (enum dwb_operation)k, &ratio) < 0 ||
            json_object_set_new(object, dwb_operation_name((enum dwb_operation)k),
                                time_ratio_to_json(ours, &ratio)) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    if (object &&
        (dwb_figures_against_best(ours, peer, &best) < 0 ||
         json_object_set_new(object, "separable_best", time_ratio_to_json(ours, &best)) < 0)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

json_t *dwb_entry_to_json(const struct dwb_figures *figures, const struct dwb_figures *ours)
{
    const struct dwb_figures_input *input = &figures->input;
    json_t *entry = numbers_to_json(figures);

    if (entry &&
        (json_object_set_new(entry, "layer", dwb_layer_to_json(input->layer)) < 0 ||
         json_object_set_new(entry, "theory", theory_to_json(&figures->theory)) < 0 ||
         json_object_set_new(entry, "operations", operations_to_json(figures)) < 0 ||
         json_object_set_new(entry, "ratio", ratio_to_json(figures)) < 0 ||
         json_object_set_new(entry, "verdict_reasons", reasons_to_json(figures)) < 0 ||
         json_object_set_new(entry, "machine", machine_to_json(figures)) < 0 ||
         json_object_set_new(entry, "verification", verification_to_json(figures)) < 0 ||
         json_object_set_new(entry, "measuring",
                             dwb_measuring_of_records(input->records, input->n_records)) < 0 ||
         json_object_set_new(entry, "environment",
                             dwb_environment_merge(input->records, input->n_records)) < 0 ||
         json_object_set_new(entry, "why", why_to_json(figures)) < 0 ||
         json_object_set_new(entry, "explain", dwb_explain_to_json(figures)) < 0)) {
        json_decref(entry);
        return NULL;
    }
    if (entry && input->spec->options.simulate &&
        json_object_set_new(entry, "simulation", dwb_simulation_figures_to_json(figures)) < 0) {
        json_decref(entry);
        return NULL;
    }
    if (entry && ours &&
        json_object_set_new(entry, "native_speedup", against_to_json(ours, figures)) < 0) {
        json_decref(entry);
        return NULL;
    }
    if (entry && figures->operations[DWB_OPERATION_SEPARABLE_FUSED].subject &&
        json_object_set_new(
            entry, "ratio_fused",
            json_pack("{s:o}", "time", time_ratio_to_json(figures, &figures->ratio_fused))) < 0) {
        json_decref(entry);
        return NULL;
    }
    return entry;
}
