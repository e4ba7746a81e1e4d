/*
 * GitHub-flavoured Markdown, to be pasted into a pull request or appended to $GITHUB_STEP_SUMMARY:
 * what a reviewer needs as one table, all else collapsed below it. Nothing that comes from outside
 * can be markup here: every text goes through dwb_markup_markdown.
 */

#include "client/render.h"

#include "client/compared.h"
#include "client/figures.h"
#include "client/markup.h"
#include "common/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

static void cell(FILE *out, const char *text)
{
    fputs("| ", out);
    dwb_markup_markdown(out, text ? text : "-");
    fputc(' ', out);
}

static void end_row(FILE *out)
{
    fputs("|\n", out);
}

static void layer_row(FILE *out, const struct dwb_report_row *row)
{
    char text[1024];

    cell(out, dwb_figure_layer(row, text, sizeof(text)));
    cell(out, dwb_figure_ratio(row->ratio, row->half_width, true, text, sizeof(text)));
    cell(out, dwb_figure_ratio(row->theory, NAN, true, text, sizeof(text)));
    cell(out, dwb_figure_share(row->saving_delivered, text, sizeof(text)));
    cell(out, dwb_figure_verdict(row));
    cell(out, dwb_figure_why(row, text, sizeof(text)));
    end_row(out);
}

/* Over the network: each layer as often as it stands there. */
static void total_row(FILE *out, const struct dwb_report *report)
{
    struct dwb_report_totals totals;
    char text[64];

    if (!dwb_report_totals_of(report, &totals) || totals.n_distinct < 2)
        return;
    snprintf(text, sizeof(text), "total, %" PRIu64 " layers", totals.n_layers);
    cell(out, text);
    cell(out, dwb_figure_ratio(totals.ratio, NAN, true, text, sizeof(text)));
    cell(out, dwb_figure_ratio(totals.theory, NAN, true, text, sizeof(text)));
    cell(out, dwb_figure_share(totals.saving_delivered, text, sizeof(text)));
    fputs("| | ", out);
    end_row(out);
}

static void rates_row(FILE *out, const struct dwb_report_row *row, struct dwb_time_unit unit)
{
    const struct dwb_report_figures *operations = row->operations;
    char text[96];

    cell(out, dwb_figure_layer(row, text, sizeof(text)));
    cell(out, dwb_figure_shape(row, text, sizeof(text)));
    cell(out, dwb_figure_time(operations[DWB_REPORT_STANDARD].floor_ns, unit, text, sizeof(text)));
    cell(out, dwb_figure_time(operations[DWB_REPORT_SEPARABLE].floor_ns, unit, text, sizeof(text)));
    cell(out, dwb_figure_ratio(row->ratio_fused, row->fused_half_width, true, text, sizeof(text)));
    for (size_t k = 0; k < 3; k++)
        cell(out, dwb_figure_rate(operations[k].gflops, 0, text, sizeof(text)));
    for (size_t k = 0; k < 3; k++)
        cell(out, dwb_figure_percent(operations[k].percent_of_peak, 0, text, sizeof(text)));
    end_row(out);
}

/* "- dws5, unstable: the floor ..." */
static void item(FILE *out, const char *name, const char *verdict, const char *text)
{
    if (!text[0])
        return;
    fputs("- ", out);
    dwb_markup_markdown(out, name);
    fputs(verdict ? ", " : ": ", out);
    if (verdict) {
        dwb_markup_markdown(out, verdict);
        fputs(": ", out);
    }
    dwb_markup_markdown(out, text);
    fputc('\n', out);
}

static void layer_items(FILE *out, const struct dwb_report_row *row)
{
    char text[2048], name[160];

    dwb_figure_layer(row, name, sizeof(name));
    item(out, name, NULL, dwb_figure_bounds(row, text, sizeof(text)));
    item(out, name, NULL, dwb_figure_speedup(row, true, text, sizeof(text)));
    item(out, name, row->verdict ? row->verdict : "no verdict",
         dwb_figure_reasons(row->verdict_reasons, text, sizeof(text)));
}

static void report_details(FILE *out, const struct dwb_report *report)
{
    struct dwb_time_unit unit = dwb_figure_time_unit(report, true);
    char text[1024];

    /* Between HTML and Markdown there must be an empty line. */
    fprintf(out,
            "<details>\n<summary>GFLOP/s, %% of peak, reasons</summary>\n\n"
            "| layer | shape | standard %s | separable %s | ratio fused | GFLOP/s std | dw | pw "
            "| %% of peak std | dw | pw |\n"
            "| :-- | :-- | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
            unit.name, unit.name);
    for (size_t i = 0; i < report->n_rows; i++)
        rates_row(out, &report->rows[i], unit);
    fputc('\n', out);
    for (size_t i = 0; i < report->n_rows; i++)
        layer_items(out, &report->rows[i]);
    fputs("- Kernels: ", out);
    dwb_markup_markdown(out, dwb_figure_kernels(report, text, sizeof(text)));
    fputs("\n- Times are the floor of all processes. Measured is separable / standard with the "
          "half-width of its interval, theory is 1/N + 1/Dk², the saving delivered is theory over "
          "measured. GFLOP/s and % of the measured peak are of multiply-adds that were executed "
          "(std, dw, pw: standard, depthwise, pointwise).\n\n</details>\n",
          out);
}

int dwb_render_markdown(const struct dwb_report *report, FILE *out)
{
    const json_t *job = json_object_get(report->document, "job");
    const char *name = json_string_value(json_object_get(job, "name"));
    char text[1024];

    fputs("### dwbench", out);
    if (name && name[0]) {
        fputs(": ", out);
        dwb_markup_markdown(out, name);
    }
    fputs("\n\n| layer | measured | theory | saving delivered | verdict | why |\n"
          "| :-- | --: | --: | --: | :-- | :-- |\n",
          out);
    for (size_t i = 0; i < report->n_rows; i++)
        layer_row(out, &report->rows[i]);
    total_row(out, report);
    fputs("\nMachine: ", out);
    dwb_markup_markdown(out, dwb_figure_machine(report, text, sizeof(text)));
    fputs("\n\n", out);
    report_details(out, report);
    return ferror(out) ? -ENOMEM : 0;
}

static void compared_row(FILE *out, const struct dwb_compared_row *row)
{
    char low[32], high[32], text[1024];

    cell(out, row->layer);
    cell(out, row->operation);
    cell(out, row->backend);
    cell(out, dwb_figure_change(row->change, text, sizeof(text)));
    if (isfinite(row->change_low) && isfinite(row->change_high))
        snprintf(text, sizeof(text), "%s to %s",
                 dwb_figure_change(row->change_low, low, sizeof(low)),
                 dwb_figure_change(row->change_high, high, sizeof(high)));
    else
        snprintf(text, sizeof(text), "-");
    cell(out, text);
    if (isfinite(row->delta))
        snprintf(text, sizeof(text), "±%.4g%%", 100 * row->delta);
    else
        snprintf(text, sizeof(text), "-");
    cell(out, text);
    cell(out, dwb_compared_word(row->verdict));
    cell(out, dwb_compared_reason(row, text, sizeof(text)));
    end_row(out);
}

static void number_cell(FILE *out, double value, int decimals, const char *unit)
{
    char text[64] = "-";

    if (isfinite(value))
        snprintf(text, sizeof(text), "%.*f%s", decimals, value, unit);
    cell(out, text);
}

static void sides_row(FILE *out, const struct dwb_compared_row *row)
{
    cell(out, row->layer);
    cell(out, row->operation);
    for (size_t i = 0; i < DWB_COMPARED_N_SIDES; i++) {
        cell(out, row->sides[i].what);
        cell(out, row->sides[i].kernel);
        number_cell(out, row->sides[i].floor_ns, 1, "");
    }
    number_cell(out, 100 * row->confidence, 2, "%");
    number_cell(out, row->processes, 0, "");
    number_cell(out, row->pairs, 0, "");
    number_cell(out, 100 * row->dropped_share, 1, "%");
    cell(out, !row->confirmed ? "-" : json_is_true(row->confirmed) ? "yes" : "no");
    end_row(out);
}

static void differences_table(FILE *out, const json_t *differences)
{
    static const char *const keys[] = {"member", "a", "b"};
    const json_t *difference;
    char text[512];
    size_t i;

    if (json_array_size(differences) == 0)
        return;
    fputs("\n| differs | a | b |\n| :-- | :-- | :-- |\n", out);
    json_array_foreach(differences, i, difference)
    {
        for (size_t k = 0; k < 3; k++)
            cell(out, dwb_figure_value(json_object_get(difference, keys[k]), text, sizeof(text)));
        end_row(out);
    }
}

int dwb_render_comparison_markdown(const json_t *document, FILE *out)
{
    DWB_CLEANUP(dwb_compared_freep) struct dwb_compared *compared = NULL;
    int r = dwb_compared_new(document, &compared);
    char text[1024];

    if (r < 0)
        return r;
    fprintf(out, "### dwbench %s\n\n", compared->kind);
    dwb_markup_markdown(out, dwb_compared_sentence(compared, text, sizeof(text)));
    fputs("\n\n| layer | operation | backend | time of b | interval | counts as same | verdict | "
          "reason |\n| :-- | :-- | :-- | --: | --: | --: | :-- | :-- |\n",
          out);
    for (size_t i = 0; i < compared->n_rows; i++)
        compared_row(out, &compared->rows[i]);
    if (dwb_compared_machine(compared, text, sizeof(text))[0]) {
        fputs("\nMachine: ", out);
        dwb_markup_markdown(out, text);
        fputc('\n', out);
    }
    fputs(
        "\n<details>\n<summary>Both sides, samples, differences</summary>\n\n"
        "| layer | operation | a | kernel | ns | b | kernel | ns | confidence | processes | pairs "
        "| dropped | confirmed |\n"
        "| :-- | :-- | :-- | :-- | --: | :-- | :-- | --: | --: | --: | --: | --: | :-- |\n",
        out);
    for (size_t i = 0; i < compared->n_rows; i++)
        sides_row(out, &compared->rows[i]);
    differences_table(out, json_object_get(document, "differences"));
    fputs("\n</details>\n", out);
    return ferror(out) ? -ENOMEM : 0;
}
