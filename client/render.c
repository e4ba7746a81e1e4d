/* The choice of a format, and the two that are data: CSV and JSON. */

#include "client/render.h"

#include "client/figures.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

void dwb_csv_field(FILE *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void csv_text(FILE *out, const char *text)
{
    dwb_csv_field(out, text ? text : "");
    fputc(',', out);
}

/* What was not measured is an empty field. */
static void csv_number(FILE *out, double value)
{
    if (isfinite(value))
        fprintf(out, "%.9g", value);
    fputc(',', out);
}

static void csv_reasons(FILE *out, const json_t *reasons)
{
    char joined[2048];

    csv_text(out, dwb_figure_reasons(reasons, joined, sizeof(joined)));
}

static void csv_bound(FILE *out, const struct dwb_report_bound *bound, bool is_last)
{
    csv_number(out, bound->bytes);
    csv_number(out, bound->flops_per_byte);
    csv_number(out, bound->attained_gbps);
    csv_number(out, bound->percent);
    dwb_csv_field(out, bound->held_by ? bound->held_by : "");
    fputs(is_last ? "" : ",", out);
}

/* Simulated counts have columns of their own, whether they are empty or not. */
static void csv_simulated(FILE *out, const struct dwb_report_row *row)
{
    const json_t *geometry = json_object_get(json_object_get(row->entry, "simulation"), "geometry");
    static const char *const names[] = {"I1", "D1", "LL"};

    for (size_t i = 0; i < DWB_REPORT_N_BOUNDS; i++)
        for (size_t k = 0; k < DWB_REPORT_N_SIMULATED; k++) {
            fputc(',', out);
            if (isfinite(row->simulated[i][k]))
                fprintf(out, "%.0f", row->simulated[i][k]);
        }
    for (size_t k = 0; k < DWB_REPORT_N_SIMULATED; k++) {
        fputc(',', out);
        if (isfinite(row->simulated_ratio[k]))
            fprintf(out, "%.9g", row->simulated_ratio[k]);
    }
    for (size_t i = 0; i < 3; i++) {
        const json_t *bytes = json_object_get(json_object_get(geometry, names[i]), "bytes");

        fputc(',', out);
        if (bytes)
            fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(bytes));
    }
}

static void csv_counters(FILE *out, const struct dwb_report_row *row)
{
    for (size_t i = 0; i < DWB_REPORT_N_BOUNDS; i++)
        for (size_t k = 0; k < DWB_REPORT_N_COUNTERS; k++) {
            fputc(',', out);
            if (isfinite(row->counters[i][k]))
                fprintf(out, "%.9g", row->counters[i][k]);
        }
    for (size_t k = 0; k < DWB_REPORT_N_COUNTERS; k++) {
        fputc(',', out);
        if (isfinite(row->counter_ratio[k]))
            fprintf(out, "%.9g", row->counter_ratio[k]);
    }
}

static void csv_measuring(FILE *out, const struct dwb_report_row *row)
{
    const double values[] = {row->wall_ns, row->kernel_ns, row->kernel_share};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        fputc(',', out);
        if (isfinite(values[i]))
            fprintf(out, "%.12g", values[i]);
    }
}

static void csv_row(FILE *out, const char *job, const struct dwb_report_row *row)
{
    csv_text(out, job);
    csv_text(out, row->name);
    csv_text(out, row->backend);
    csv_text(out, row->isa);
    fprintf(out, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",", row->kernel_size,
            row->input_size, row->in_channels, row->out_channels, row->stride);
    csv_text(out, row->padding);
    fprintf(out, "%" PRIu64 ",", row->repeat);
    for (size_t k = 0; k < DWB_REPORT_N_OPERATIONS; k++)
        csv_number(out, row->operations[k].floor_ns);
    csv_number(out, row->ratio);
    csv_number(out, row->ratio_low);
    csv_number(out, row->ratio_high);
    csv_number(out, row->ratio_median);
    csv_number(out, row->theory);
    csv_number(out, row->saving_delivered);
    for (size_t k = 0; k < DWB_REPORT_N_OPERATIONS; k++)
        csv_number(out, row->operations[k].gflops);
    for (size_t k = 0; k < DWB_REPORT_N_OPERATIONS; k++)
        csv_number(out, row->operations[k].percent_of_peak);
    csv_text(out, row->verdict);
    csv_reasons(out, row->verdict_reasons);
    csv_text(out, row->why);
    csv_number(out, row->fused_ns);
    csv_number(out, row->ratio_fused);
    csv_number(out, row->ratio_fused_low);
    csv_number(out, row->ratio_fused_high);
    csv_number(out, row->saving_delivered_best);
    csv_text(out, row->best_separable);
    for (size_t k = 0; k < DWB_REPORT_N_BOUNDS; k++)
        csv_bound(out, &row->bounds[k], k + 1 == DWB_REPORT_N_BOUNDS);
    csv_simulated(out, row);
    csv_counters(out, row);
    csv_measuring(out, row);
    fputs("\r\n", out);
}

int dwb_render_csv(const struct dwb_report *report, FILE *out)
{
    static const char *const bounded[DWB_REPORT_N_BOUNDS] = {"standard", "depthwise", "pointwise",
                                                             "separable", "separable_fused"};
    const json_t *job = json_object_get(report->document, "job");
    const char *id = json_string_value(json_object_get(job, "id"));

    fputs("job,layer,backend,isa,kernel_size,input_size,in_channels,out_channels,stride,padding,"
          "repeat,standard_ns,depthwise_ns,pointwise_ns,separable_ns,ratio,ratio_ci_low,"
          "ratio_ci_high,ratio_median,ratio_theory,saving_delivered,standard_gflops,"
          "depthwise_gflops,pointwise_gflops,separable_gflops,standard_percent_of_peak,"
          "depthwise_percent_of_peak,pointwise_percent_of_peak,separable_percent_of_peak,verdict,"
          "verdict_reasons,why,separable_fused_ns,ratio_fused,ratio_fused_ci_low,"
          "ratio_fused_ci_high,saving_delivered_best,best_separable",
          out);
    for (size_t k = 0; k < DWB_REPORT_N_BOUNDS; k++)
        fprintf(out, ",%s_bytes,%s_flops_per_byte,%s_attained_gbps,%s_percent_of_bound,%s_held_by",
                bounded[k], bounded[k], bounded[k], bounded[k], bounded[k]);
    for (size_t k = 0; k < DWB_REPORT_N_BOUNDS; k++)
        for (size_t i = 0; i < DWB_REPORT_N_SIMULATED; i++)
            fprintf(out, ",%s_simulated_%s", bounded[k], dwb_report_simulated_names[i]);
    for (size_t i = 0; i < DWB_REPORT_N_SIMULATED; i++)
        fprintf(out, ",ratio_simulated_%s", dwb_report_simulated_names[i]);
    fputs(",simulated_I1_bytes,simulated_D1_bytes,simulated_LL_bytes", out);
    for (size_t k = 0; k < DWB_REPORT_N_BOUNDS; k++)
        for (size_t i = 0; i < DWB_REPORT_N_COUNTERS; i++)
            fprintf(out, ",%s_%s", bounded[k], dwb_report_counter_names[i]);
    for (size_t i = 0; i < DWB_REPORT_N_COUNTERS; i++)
        fprintf(out, ",ratio_%s", dwb_report_counter_names[i]);
    fputs(",measuring_wall_ns,measuring_kernel_ns,measuring_share\r\n", out);
    for (size_t i = 0; i < report->n_rows; i++)
        csv_row(out, id, &report->rows[i]);
    return 0;
}

static int write_stream(const char *text, size_t n, void *stream)
{
    return fwrite(text, 1, n, stream) == n ? 0 : -1;
}

int dwb_render_json(const json_t *document, FILE *out)
{
    if (json_dump_callback(document, write_stream, out, JSON_INDENT(2)) < 0)
        return -ENOMEM;
    fputc('\n', out);
    return 0;
}

int dwb_render(const struct dwb_report *report, enum dwb_format format,
               const struct dwb_terminal *terminal, FILE *out)
{
    switch (format) {
    case DWB_FORMAT_JSON:
        return dwb_render_json(report->document, out);
    case DWB_FORMAT_CSV:
        return dwb_render_csv(report, out);
    case DWB_FORMAT_JUNIT:
        return dwb_render_junit(report, out);
    case DWB_FORMAT_MARKDOWN:
        return dwb_render_markdown(report, out);
    case DWB_FORMAT_HTML:
        return dwb_render_html(report, out);
    case DWB_FORMAT_TABLE:
        break;
    }
    return dwb_render_table(report, terminal, out);
}
