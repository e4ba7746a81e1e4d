#include "client/report.h"

#include "client/cli.h"
#include "common/cleanup.h"
#include "common/json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const operation_names[DWB_REPORT_N_OPERATIONS] = {"standard", "depthwise",
                                                                     "pointwise", "separable"};

const char *const dwb_report_counter_names[DWB_REPORT_N_COUNTERS] = {
    [DWB_REPORT_CYCLES] = "cycles",         [DWB_REPORT_INSTRUCTIONS] = "instructions",
    [DWB_REPORT_FLOPS] = "flops",           [DWB_REPORT_L1D_MISSES] = "l1d_misses",
    [DWB_REPORT_LLC_MISSES] = "llc_misses",
};

const char *const dwb_report_simulated_names[DWB_REPORT_N_SIMULATED] = {
    [DWB_REPORT_SIMULATED_INSTRUCTIONS] = "instructions",
    [DWB_REPORT_SIMULATED_L1D_MISSES] = "l1d_misses",
    [DWB_REPORT_SIMULATED_LL_MISSES] = "ll_misses",
};

static uint64_t count(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (uint64_t)value : 0;
}

static void read_operation(const json_t *object, struct dwb_report_figures *figures)
{
    const json_t *time = json_object_get(object, "time_ns");

    figures->floor_ns = dwb_json_number_of(time, "floor");
    figures->median_ns = dwb_json_number_of(time, "median");
    figures->ci_low_ns = dwb_json_number_of(time, "ci_low");
    figures->ci_high_ns = dwb_json_number_of(time, "ci_high");
    figures->macs_nominal = dwb_json_number_of(object, "macs_nominal");
    figures->macs_executed = dwb_json_number_of(object, "macs_executed");
    figures->gflops = dwb_json_number_of(object, "gflops_executed");
    figures->percent_of_peak = dwb_json_number_of(object, "percent_of_peak");
    figures->kernel = dwb_json_text_of(object, "kernel");
}

static void read_bound(const json_t *object, struct dwb_report_bound *bound)
{
    bound->held_by = dwb_json_text_of(object, "held_by");
    bound->bytes = dwb_json_number_of(object, "bytes");
    bound->flops_per_byte = dwb_json_number_of(object, "flops_per_byte");
    bound->attained_gbps = dwb_json_number_of(object, "attained_gbps");
    bound->percent = dwb_json_number_of(object, "percent");
}

static const char *name_of(size_t operation)
{
    return operation == DWB_REPORT_FUSED ? "separable_fused" : operation_names[operation];
}

static void read_counters(const json_t *entry, struct dwb_report_row *row)
{
    const json_t *operations = json_object_get(entry, "operations");
    const json_t *ratio = json_object_get(entry, "ratio");

    for (size_t i = 0; i < DWB_REPORT_N_BOUNDS; i++) {
        const json_t *counters =
            json_object_get(json_object_get(operations, name_of(i)), "counters");

        for (size_t k = 0; k < DWB_REPORT_N_COUNTERS; k++)
            row->counters[i][k] =
                dwb_json_number_of(json_object_get(counters, dwb_report_counter_names[k]), "value");
        row->ipc[i] = dwb_json_number_of(json_object_get(counters, "ipc"), "value");
        if (i == DWB_REPORT_STANDARD)
            row->flops_over_analytic =
                dwb_json_number_of(json_object_get(counters, "flops_over_analytic"), "value");
    }
    for (size_t k = 0; k < DWB_REPORT_N_COUNTERS; k++)
        row->counter_ratio[k] =
            dwb_json_number_of(json_object_get(ratio, dwb_report_counter_names[k]), "value");
}

static void read_simulated(const json_t *entry, struct dwb_report_row *row)
{
    const json_t *operations = json_object_get(entry, "operations");
    const json_t *ratio = json_object_get(json_object_get(entry, "simulation"), "ratio");

    for (size_t k = 0; k < DWB_REPORT_N_SIMULATED; k++) {
        const char *name = dwb_report_simulated_names[k];

        for (size_t i = 0; i < DWB_REPORT_N_BOUNDS; i++) {
            const json_t *simulated =
                json_object_get(json_object_get(operations, name_of(i)), "simulated");

            row->simulated[i][k] = dwb_json_number_of(
                json_object_get(json_object_get(simulated, "counters"), name), "value");
        }
        row->simulated_ratio[k] = dwb_json_number_of(json_object_get(ratio, name), "value");
    }
}

static void read_layer(const json_t *layer, struct dwb_report_row *row)
{
    row->name = dwb_json_text_of(layer, "name");
    row->padding = dwb_json_text_of(layer, "padding");
    row->kernel_size = count(layer, "Dk");
    row->input_size = count(layer, "Dx");
    row->output_size = count(layer, "Dy");
    row->in_channels = count(layer, "M");
    row->out_channels = count(layer, "N");
    row->stride = count(layer, "stride");
    row->repeat = count(layer, "repeat");
    if (row->repeat == 0)
        row->repeat = 1;
}

static void read_row(const json_t *entry, struct dwb_report_row *row)
{
    const json_t *time = json_object_get(json_object_get(entry, "ratio"), "time");
    const json_t *fused = json_object_get(json_object_get(entry, "ratio_fused"), "time");
    const json_t *operations = json_object_get(entry, "operations");
    const json_t *verification = json_object_get(entry, "verification");
    const json_t *bounds = json_object_get(json_object_get(entry, "explain"), "bounds");
    const json_t *measuring = json_object_get(entry, "measuring");

    row->entry = entry;
    read_layer(json_object_get(entry, "layer"), row);
    if (!row->name)
        row->name = "layer";
    row->backend = dwb_json_text_of(entry, "backend");
    row->isa = dwb_json_text_of(entry, "isa");
    for (size_t i = 0; i < DWB_REPORT_N_OPERATIONS; i++)
        read_operation(json_object_get(operations, operation_names[i]), &row->operations[i]);
    for (size_t i = 0; i < DWB_REPORT_N_OPERATIONS; i++)
        read_bound(json_object_get(bounds, operation_names[i]), &row->bounds[i]);
    read_bound(json_object_get(bounds, "separable_fused"), &row->bounds[DWB_REPORT_FUSED]);
    row->fused_ns = dwb_json_number_of(
        json_object_get(json_object_get(operations, "separable_fused"), "time_ns"), "floor");
    row->ratio_fused = dwb_json_number_of(fused, "floor");
    row->ratio_fused_low = dwb_json_number_of(fused, "ci_low");
    row->ratio_fused_high = dwb_json_number_of(fused, "ci_high");
    row->fused_half_width = dwb_json_number_of(fused, "half_width");
    row->theory = dwb_json_number_of(json_object_get(entry, "theory"), "ratio");
    row->ratio = dwb_json_number_of(time, "floor");
    row->ratio_low = dwb_json_number_of(time, "ci_low");
    row->ratio_high = dwb_json_number_of(time, "ci_high");
    row->ratio_median = dwb_json_number_of(time, "median");
    row->half_width = dwb_json_number_of(time, "half_width");
    row->ratio_reason = dwb_json_text_of(time, "reason");
    row->saving_delivered = dwb_json_number_of(entry, "saving_delivered");
    row->saving_delivered_best = dwb_json_number_of(entry, "saving_delivered_best");
    row->best_separable = dwb_json_text_of(entry, "best_separable");
    row->verdict = dwb_json_text_of(entry, "verdict");
    row->verdict_reasons = json_object_get(entry, "verdict_reasons");
    row->why = dwb_json_text_of(entry, "why");
    row->dropped_share = dwb_json_number_of(entry, "dropped_share");
    row->peak_gflops = dwb_json_number_of(json_object_get(entry, "machine"), "peak_gflops");
    row->n_replicates = dwb_json_number_of(entry, "replicates");
    row->wall_ns = dwb_json_number_of(measuring, "wall_ns");
    row->kernel_ns = dwb_json_number_of(measuring, "kernel_ns");
    row->kernel_share = dwb_json_number_of(measuring, "share");
    read_counters(entry, row);
    read_simulated(entry, row);
    row->outputs_wrong = count(verification, "mismatched") > 0;
}

int dwb_report_new(const json_t *document, struct dwb_report **ret_report)
{
    const json_t *results = json_object_get(document, "results"), *entry;
    const char *schema = json_string_value(json_object_get(document, "schema"));
    struct dwb_report *report;
    size_t i;

    if (!json_is_array(results) || !schema || strncmp(schema, "dwbench.result/", 15) != 0)
        return -EINVAL;
    report = calloc(1, sizeof(*report));
    if (!report)
        return -ENOMEM;
    report->rows = calloc(json_array_size(results) + 1, sizeof(*report->rows));
    if (!report->rows) {
        free(report);
        return -ENOMEM;
    }
    report->document = json_incref((json_t *)document);
    json_array_foreach(results, i, entry) read_row(entry, &report->rows[report->n_rows++]);
    *ret_report = report;
    return 0;
}

void dwb_report_free(struct dwb_report *report)
{
    if (!report)
        return;
    json_decref(report->document);
    free(report->rows);
    free(report);
}

static bool same_backend(const struct dwb_report_row *a, const struct dwb_report_row *b)
{
    return a->backend && b->backend ? strcmp(a->backend, b->backend) == 0
                                    : a->backend == b->backend;
}

bool dwb_report_totals_of(const struct dwb_report *report, struct dwb_report_totals *ret_totals)
{
    struct dwb_report_totals totals = {0};
    double ns[DWB_REPORT_N_OPERATIONS] = {0}, macs[DWB_REPORT_N_OPERATIONS] = {0};
    double nominal[DWB_REPORT_N_OPERATIONS] = {0}, peak_ns[DWB_REPORT_N_OPERATIONS] = {0};

    for (size_t i = 0; i < report->n_rows; i++) {
        const struct dwb_report_row *row = &report->rows[i];
        double repeat = (double)row->repeat;

        if (!same_backend(row, &report->rows[0]))
            continue;
        totals.n_layers += row->repeat;
        totals.n_distinct++;
        for (size_t k = 0; k < DWB_REPORT_N_OPERATIONS; k++) {
            ns[k] += repeat * row->operations[k].floor_ns; /* a NAN makes the sum one */
            macs[k] += repeat * row->operations[k].macs_executed;
            nominal[k] += repeat * row->operations[k].macs_nominal;
            /* The time that the same work would take at the peak, in per cents. */
            peak_ns[k] += repeat * row->operations[k].percent_of_peak * row->operations[k].floor_ns;
        }
    }
    totals.standard_ns = ns[DWB_REPORT_STANDARD];
    totals.separable_ns = ns[DWB_REPORT_SEPARABLE];
    totals.ratio = totals.separable_ns / totals.standard_ns;
    totals.theory = nominal[DWB_REPORT_SEPARABLE] / nominal[DWB_REPORT_STANDARD];
    totals.saving_delivered = totals.theory / totals.ratio;
    for (size_t k = 0; k < DWB_REPORT_N_OPERATIONS; k++) {
        totals.gflops[k] = 2 * macs[k] / ns[k];
        totals.percent_of_peak[k] = peak_ns[k] / ns[k];
    }
    if (!isfinite(totals.ratio) || !isfinite(totals.theory))
        return false;
    *ret_totals = totals;
    return true;
}

/* A plugin without a form of the layer has no ratio by nature: its own figures are the answer. */
static bool is_partial(const struct dwb_report_row *row)
{
    bool lacks = false, has = false;

    for (size_t k = 0; k < DWB_REPORT_N_OPERATIONS; k++) {
        has = has || isfinite(row->operations[k].floor_ns);
        lacks = lacks || !row->operations[k].kernel;
    }
    return lacks && has && row->backend &&
           strncmp(row->backend, DWB_PLUGIN_PREFIX, strlen(DWB_PLUGIN_PREFIX)) == 0;
}

int dwb_report_exit(const struct dwb_report *report)
{
    int r = DWB_EXIT_OK;

    for (size_t i = 0; i < report->n_rows; i++) {
        if (report->rows[i].outputs_wrong)
            return DWB_EXIT_FAILED;
        if (!isfinite(report->rows[i].ratio) && !is_partial(&report->rows[i]))
            r = DWB_EXIT_INCONCLUSIVE;
    }
    return report->n_rows ? r : DWB_EXIT_INCONCLUSIVE;
}
