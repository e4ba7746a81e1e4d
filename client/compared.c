#include "client/compared.h"

#include "client/figures.h"
#include "common/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const dwb_compared_verdict_names[DWB_COMPARED_N_VERDICTS] = {
    [DWB_COMPARED_SLOWER] = "slower",
    [DWB_COMPARED_FASTER] = "faster",
    [DWB_COMPARED_SAME] = "same",
    [DWB_COMPARED_NOT_RESOLVED] = "not_resolved",
};

static void read_side(const json_t *object, struct dwb_compared_side *side)
{
    side->what = dwb_json_text_of(object, "what");
    side->isa = dwb_json_text_of(object, "isa");
    side->kernel = dwb_json_text_of(object, "kernel");
    side->floor_ns = dwb_json_number_of(object, "floor_ns");
    side->median_ns = dwb_json_number_of(object, "median_ns");
}

const char *dwb_compared_word(enum dwb_compared_verdict verdict)
{
    return verdict == DWB_COMPARED_NOT_RESOLVED ? "not resolved"
                                                : dwb_compared_verdict_names[verdict];
}

static bool is_verdict(const char *text, enum dwb_compared_verdict *ret_verdict)
{
    for (size_t i = 0; text && i < DWB_COMPARED_N_VERDICTS; i++)
        if (strcmp(text, dwb_compared_verdict_names[i]) == 0) {
            *ret_verdict = (enum dwb_compared_verdict)i;
            return true;
        }
    return false;
}

static void read_row(const json_t *entry, struct dwb_compared_row *row)
{
    const json_t *change = json_object_get(entry, "change");
    const json_t *history = json_object_get(entry, "history");
    const json_t *confirmed = json_object_get(entry, "confirmed");

    row->layer = dwb_json_text_of(entry, "layer");
    if (!row->layer)
        row->layer = "layer";
    row->operation = dwb_json_text_of(entry, "operation");
    if (!row->operation)
        row->operation = "operation";
    row->backend = dwb_json_text_of(entry, "backend");
    read_side(json_object_get(entry, "a"), &row->sides[DWB_COMPARED_A]);
    read_side(json_object_get(entry, "b"), &row->sides[DWB_COMPARED_B]);
    row->change = dwb_json_number_of(change, json_object_get(change, "code") ? "code" : "median");
    row->raw = dwb_json_number_of(change, "raw");
    row->limit_ns = dwb_json_number_of(history, row->change < 0 ? "low_limit_ns" : "limit_ns");
    row->change_low = dwb_json_number_of(change, "ci_low");
    row->change_high = dwb_json_number_of(change, "ci_high");
    row->delta = dwb_json_number_of(entry, "delta");
    row->confidence = dwb_json_number_of(entry, "confidence");
    row->verdict_text = dwb_json_text_of(entry, "verdict");
    if (!is_verdict(row->verdict_text, &row->verdict))
        row->verdict = DWB_COMPARED_NOT_RESOLVED;
    row->reason = dwb_json_text_of(entry, "reason");
    row->method = dwb_json_text_of(entry, "method");
    row->processes = dwb_json_number_of(entry, "processes");
    row->pairs = dwb_json_number_of(entry, "pairs");
    row->dropped_share = dwb_json_number_of(entry, "dropped_share");
    row->confirmed = json_is_boolean(confirmed) ? confirmed : NULL;
}

/* A side is a job, or an object that names one: the name, and the id that tells two apart. */
static void read_label(const json_t *side, const char *fallback, char *buffer, size_t size)
{
    const json_t *job = json_object_get(side, "job");
    const char *name = NULL, *id = dwb_json_text_of(side, "id");
    static const char *const keys[] = {"label", "name", "what"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && !name; i++)
        name = dwb_json_text_of(side, keys[i]);
    if (!name)
        name = dwb_json_text_of(job, "name");
    if (!id)
        id = json_is_string(job) ? json_string_value(job) : dwb_json_text_of(job, "id");
    if (json_is_string(side))
        name = json_string_value(side);
    if (name && id)
        snprintf(buffer, size, "%.100s (%.40s)", name, id);
    else
        snprintf(buffer, size, "%.140s", name ? name : id ? id : fallback);
}

int dwb_compared_new(const json_t *document, struct dwb_compared **ret_compared)
{
    const json_t *comparisons = json_object_get(document, "comparisons"), *entry;
    const char *schema = json_string_value(json_object_get(document, "schema"));
    bool is_gate = schema && strncmp(schema, "dwbench.gate/", 13) == 0;
    struct dwb_compared *compared;
    size_t i;

    if (!json_is_array(comparisons) || !schema ||
        (!is_gate && strncmp(schema, "dwbench.compare/", 16) != 0))
        return -EINVAL;
    compared = calloc(1, sizeof(*compared));
    if (!compared)
        return -ENOMEM;
    compared->rows = calloc(json_array_size(comparisons) + 1, sizeof(*compared->rows));
    if (!compared->rows) {
        free(compared);
        return -ENOMEM;
    }
    compared->document = json_incref((json_t *)document);
    compared->kind = is_gate ? "gate" : "compare";
    compared->overall = dwb_json_text_of(json_object_get(document, "overall"), "verdict");
    read_label(json_object_get(document, "a"), "a", compared->labels[DWB_COMPARED_A],
               sizeof(compared->labels[0]));
    read_label(json_object_get(document, "b"), "b", compared->labels[DWB_COMPARED_B],
               sizeof(compared->labels[0]));
    json_array_foreach(comparisons, i, entry)
    {
        struct dwb_compared_row *row = &compared->rows[compared->n_rows++];

        read_row(entry, row);
        compared->n_verdicts[row->verdict]++;
    }
    *ret_compared = compared;
    return 0;
}

void dwb_compared_free(struct dwb_compared *compared)
{
    if (!compared)
        return;
    json_decref(compared->document);
    free(compared->rows);
    free(compared);
}

const char *dwb_compared_sentence(const struct dwb_compared *compared, char *buffer, size_t size)
{
    const size_t *n = compared->n_verdicts;
    const char *overall = compared->overall;
    enum dwb_compared_verdict verdict;

    if (is_verdict(overall, &verdict))
        overall = dwb_compared_word(verdict);
    snprintf(buffer, size,
             "%s%s%s%s beside %s, %zu %s: %zu slower, %zu faster, %zu the same, %zu not resolved.",
             overall ? "Overall " : "", overall ? overall : "", overall ? ". " : "",
             compared->labels[DWB_COMPARED_B], compared->labels[DWB_COMPARED_A], compared->n_rows,
             compared->n_rows == 1 ? "comparison" : "comparisons", n[DWB_COMPARED_SLOWER],
             n[DWB_COMPARED_FASTER], n[DWB_COMPARED_SAME], n[DWB_COMPARED_NOT_RESOLVED]);
    return buffer;
}

const char *dwb_compared_change(const struct dwb_compared_row *row, char *buffer, size_t size)
{
    char low[32], high[32];
    size_t n;

    if (!isfinite(row->change)) {
        snprintf(buffer, size, "change not known");
        return buffer;
    }
    n = (size_t)snprintf(buffer, size, "%.2f%% %s", 100 * fabs(row->change),
                         row->change < 0 ? "faster" : "slower");
    if (n < size && isfinite(row->change_low) && isfinite(row->change_high))
        n += (size_t)snprintf(buffer + n, size - n, ", interval %s to %s",
                              dwb_figure_change(row->change_low, low, sizeof(low)),
                              dwb_figure_change(row->change_high, high, sizeof(high)));
    if (n < size && isfinite(row->confidence))
        n += (size_t)snprintf(buffer + n, size - n, " (confidence %.4g%%)", 100 * row->confidence);
    if (n < size && isfinite(row->delta))
        snprintf(buffer + n, size - n, ", up to ±%.4g%% counts as the same", 100 * row->delta);
    return buffer;
}

const char *dwb_compared_reason(const struct dwb_compared_row *row, char *buffer, size_t size)
{
    enum dwb_compared_verdict verdict;

    if (row->reason || row->verdict != DWB_COMPARED_NOT_RESOLVED)
        snprintf(buffer, size, "%s", row->reason ? row->reason : "");
    else if (row->verdict_text && !is_verdict(row->verdict_text, &verdict))
        snprintf(buffer, size, "verdict `%s' is not known here", row->verdict_text);
    else
        snprintf(buffer, size, "the document does not say why");
    return buffer;
}

const char *dwb_compared_machine(const struct dwb_compared *compared, char *buffer, size_t size)
{
    const json_t *machine = json_object_get(compared->document, "machine");
    const json_t *drift = json_object_get(machine, "drift");
    const char *reason = dwb_json_text_of(machine, "reason");
    char text[256] = "";

    if (json_is_number(drift))
        dwb_figure_change(json_number_value(drift), text, sizeof(text));
    else if (drift && !json_is_null(drift))
        dwb_figure_value(drift, text, sizeof(text));
    snprintf(buffer, size, "%s%s%s%s", text[0] ? "drift " : "", text, text[0] && reason ? "; " : "",
             reason ? reason : "");
    return buffer;
}
