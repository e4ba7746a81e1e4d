/*
 * Simulated counts of an entry. A layer is simulated once, by the first replicate that was
 * measured; were there two, they would be equal, and the first is taken.
 */

#include "analysis/simulated.h"

#include "analysis/json.h"
#include "common/cleanup.h"

#include <string.h>

static const char nothing[] = "no replicate was simulated";

static const struct dwb_record *find_record(const struct dwb_figures *figures)
{
    for (size_t i = 0; i < figures->input.n_records; i++)
        if (figures->input.records[i]->simulation)
            return figures->input.records[i];
    return NULL;
}

/* NULL = was not simulated. */
static const struct dwb_simulated *find_item(const struct dwb_figures *figures,
                                             enum dwb_operation operation)
{
    const struct dwb_record *record = find_record(figures);

    for (size_t i = 0; record && i < record->simulation->n; i++) {
        const struct dwb_simulated *item = &record->simulation->items[i];
        const struct dwb_subject *subject = &record->subjects[item->subject];

        if (subject->operation == operation &&
            strcmp(subject->backend, figures->input.backend) == 0)
            return item;
    }
    return NULL;
}

json_t *dwb_simulated_to_json(const struct dwb_figures *figures, enum dwb_operation operation)
{
    const struct dwb_operation_figures *op = &figures->operations[operation];
    const struct dwb_simulated *item = find_item(figures, operation);
    bool counted = item && item->counted;
    json_t *counters = json_object();

    for (unsigned k = 0; counters && k < DWB_N_SIMULATED; k++) {
        json_t *counter = json_pack(
            "{s:o, s:s?}", "value", counted ? dwb_json_count(item->counts[k]) : json_null(),
            "source", counted ? dwb_source_name(DWB_SOURCE_SIMULATED) : NULL);

        if (json_object_set_new(counters, dwb_simulated_name(k), counter) < 0) {
            json_decref(counters);
            return NULL;
        }
    }
    return json_pack("{s:s?, s:s?, s:o, s:s}", "kernel", counted ? item->kernel : NULL, "isa",
                     counted && item->isa[0] ? item->isa : NULL, "counters", counters, "reason",
                     counted       ? ""
                     : item        ? item->reason
                     : op->omitted ? op->reason
                                   : nothing);
}

static json_t *shape_to_json(const struct dwb_cache_shape *shape)
{
    return json_pack("{s:o, s:o, s:o}", "bytes", dwb_json_count(shape->bytes), "ways",
                     dwb_json_count(shape->ways), "line_bytes", dwb_json_count(shape->line_bytes));
}

static json_t *geometry_to_json(const struct dwb_simulation *simulation)
{
    const struct dwb_geometry *geometry = &simulation->geometry;

    return json_pack("{s:s, s:o, s:o, s:o}", "origin", simulation->origin, "I1",
                     shape_to_json(&geometry->i1), "D1", shape_to_json(&geometry->d1), "LL",
                     shape_to_json(&geometry->ll));
}

static json_t *ratio_to_json(const struct dwb_simulated *standard,
                             const struct dwb_simulated *separable, unsigned k)
{
    const char *reason = "";
    double value = NAN;

    if (!standard || !separable)
        reason = nothing;
    else if (!standard->counted || !separable->counted)
        reason = standard->counted ? separable->reason : standard->reason;
    else if (standard->counts[k] == 0)
        reason = "the standard form counted 0";
    else
        value = (double)separable->counts[k] / (double)standard->counts[k];
    return json_pack("{s:o, s:s?, s:s}", "value", dwb_json_number(value), "source",
                     isnan(value) ? NULL : dwb_source_name(DWB_SOURCE_SIMULATED), "reason", reason);
}

static json_t *ratios_to_json(const struct dwb_figures *figures, enum dwb_operation operation)
{
    const struct dwb_simulated *standard = find_item(figures, DWB_OPERATION_STANDARD);
    const struct dwb_simulated *separable = find_item(figures, operation);
    json_t *object = json_object();

    for (unsigned k = 0; object && k < DWB_N_SIMULATED; k++)
        if (json_object_set_new(object, dwb_simulated_name(k),
                                ratio_to_json(standard, separable, k)) < 0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

json_t *dwb_simulation_figures_to_json(const struct dwb_figures *figures)
{
    const struct dwb_record *record = find_record(figures);
    const struct dwb_simulation *simulation = record ? record->simulation : NULL;
    json_t *object = json_pack(
        "{s:s?, s:s, s:s, s:o, s:o, s:o, s:s}", "tool", simulation ? simulation->tool : NULL,
        "note", simulation ? simulation->note : "", "cache",
        dwb_cache_mode_name(figures->input.spec->options.cache), "geometry",
        simulation ? geometry_to_json(simulation) : json_null(), "theory",
        dwb_json_number(figures->theory.ratio), "ratio",
        ratios_to_json(figures, DWB_OPERATION_SEPARABLE), "reason", simulation ? "" : nothing);

    if (object && figures->operations[DWB_OPERATION_SEPARABLE_FUSED].subject &&
        json_object_set_new(object, "ratio_fused",
                            ratios_to_json(figures, DWB_OPERATION_SEPARABLE_FUSED)) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}
