/*
 * The report for a person: a layer a row, under it what keeps it from the whole saving, then
 * totals, what was not counted and why (once), and the machine. Three layouts by width: with room
 * for everything, with the rates under the row, and with the shape under the row as well. Nothing
 * that matters is cut: what does not fit as a column moves to a line that wraps.
 */

#include "client/render.h"
#include "client/figures.h"
#include "client/table.h"
#include "common/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum layout { LAYOUT_FULL, LAYOUT_RATES_BELOW, LAYOUT_SHAPE_BELOW, N_LAYOUTS };

struct view {
    const struct dwb_report *report;
    const struct dwb_terminal *terminal;
    enum layout layout;
    struct dwb_time_unit time_unit;
    struct dwb_table *table;
    int r; /* the first -ENOMEM */
};

static void add(struct view *view, enum dwb_style style, const char *text)
{
    if (view->r == 0)
        view->r = dwb_table_add(view->table, style, "%s", text);
}

static void note(struct view *view, const char *text)
{
    if (view->r == 0)
        view->r = dwb_table_note(view->table, text);
}

static void add_time(struct view *view, double ns)
{
    char text[32];

    add(view, DWB_STYLE_PLAIN, dwb_figure_time(ns, view->time_unit, text, sizeof(text)));
}

static void add_ratio(struct view *view, double ratio, double half_width)
{
    char text[48];

    add(view, DWB_STYLE_BOLD,
        dwb_figure_ratio(ratio, half_width, view->terminal->utf8, text, sizeof(text)));
}

static void add_share(struct view *view, double share)
{
    char text[32];

    add(view, DWB_STYLE_BOLD, dwb_figure_share(share, text, sizeof(text)));
}

static void add_rates(struct view *view, const struct dwb_report_figures *operations)
{
    char cells[3][24], text[96];

    for (size_t k = 0; k < 3; k++)
        dwb_figure_rate(operations[k].gflops, 4, cells[k], sizeof(cells[k]));
    snprintf(text, sizeof(text), "%s %s %s", cells[0], cells[1], cells[2]);
    add(view, DWB_STYLE_PLAIN, text);
    for (size_t k = 0; k < 3; k++)
        dwb_figure_percent(operations[k].percent_of_peak, 3, cells[k], sizeof(cells[k]));
    snprintf(text, sizeof(text), "%s %s %s", cells[0], cells[1], cells[2]);
    add(view, DWB_STYLE_PLAIN, text);
}

/* What has no column of its own in this layout, in one line; NULL = no shape. */
static void note_below(struct view *view, const char *shape,
                       const struct dwb_report_figures *operations)
{
    char rates[160], text[288];
    bool with_shape = view->layout >= LAYOUT_SHAPE_BELOW && shape;

    if (view->layout < LAYOUT_RATES_BELOW)
        return;
    snprintf(text, sizeof(text), "%s%s%s", with_shape ? shape : "", with_shape ? "; " : "",
             dwb_figure_rates(operations, rates, sizeof(rates)));
    note(view, text);
}

static void add_header(struct view *view)
{
    static const char *const names[][2] = {
        {"", "layer"},
        {"shape", "Dx MxN kK sS"},
        {"standard", NULL},
        {"separable", NULL},
        {"ratio", "measured"},
        {"ratio", "theory"},
        {"saving", "share"},
        {"GFLOP/s executed", "std   dw   pw"},
        {"% of peak", "std  dw  pw"},
        {"", "verdict"},
    };

    for (size_t line = 0; line < 2; line++)
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if ((i == 1 && view->layout >= LAYOUT_SHAPE_BELOW) ||
                ((i == 7 || i == 8) && view->layout >= LAYOUT_RATES_BELOW))
                continue;
            add(view, DWB_STYLE_BOLD, names[i][line] ? names[i][line] : view->time_unit.name);
        }
}

static void note_reasons(struct view *view, const struct dwb_report_row *row)
{
    char text[2048], line[2112];

    if (row->outputs_wrong || !isfinite(row->ratio)) {
        dwb_figure_why(row, text, sizeof(text));
        if (!row->why || strcmp(text, row->why) != 0) /* that one was said */
            note(view, text);
    }
    if (dwb_figure_reasons(row->verdict_reasons, text, sizeof(text))[0]) {
        snprintf(line, sizeof(line), "%s: %s", row->verdict ? row->verdict : "verdict", text);
        note(view, line);
    }
}

/* Depthwise and pointwise in one loop nest, where that was measured. */
static void note_fused(struct view *view, const struct dwb_report_row *row)
{
    char text[128], ratio[48];

    if (!isfinite(row->ratio_fused) || !isfinite(row->theory))
        return;
    dwb_figure_ratio(row->ratio_fused, row->fused_half_width, view->terminal->utf8, ratio,
                     sizeof(ratio));
    snprintf(text, sizeof(text), "fused: %s, %.0f%% of the saving", ratio,
             100 * row->theory / row->ratio_fused);
    note(view, text);
}

/* What the hardware counted of one form over the other, beside what theory says. */
static void note_counted(struct view *view, const struct dwb_report_row *row)
{
    char text[320] = "";
    size_t n = 0;

    for (size_t k = 0; k < DWB_REPORT_N_COUNTERS && n < sizeof(text); k++)
        if (isfinite(row->counter_ratio[k]))
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %.4f",
                                  n ? ", " : "counted, separable / standard: ",
                                  dwb_report_counter_names[k], row->counter_ratio[k]);
    if (n == 0)
        return;
    if (n < sizeof(text) && isfinite(row->theory))
        n += (size_t)snprintf(text + n, sizeof(text) - n, " (theory %.4f)", row->theory);
    if (n < sizeof(text) && isfinite(row->ipc[DWB_REPORT_STANDARD]))
        n += (size_t)snprintf(text + n, sizeof(text) - n, "; IPC std %.2f, separable %.2f",
                              row->ipc[DWB_REPORT_STANDARD], row->ipc[DWB_REPORT_SEPARABLE]);
    if (n < sizeof(text) && isfinite(row->flops_over_analytic))
        snprintf(text + n, sizeof(text) - n, "; FLOPs counted / executed: %.4f",
                 row->flops_over_analytic);
    note(view, text);
}

static void note_if_any(struct view *view, const char *text)
{
    if (text[0])
        note(view, text);
}

static void add_row(struct view *view, const struct dwb_report_row *row)
{
    const char *verdict = dwb_figure_verdict(row);
    enum dwb_style style = row->outputs_wrong || strcmp(verdict, "contaminated") == 0
                               ? DWB_STYLE_BAD
                           : strcmp(verdict, "stable") == 0 ? DWB_STYLE_GOOD
                                                            : DWB_STYLE_WARNING;
    char shape[96], theory[32] = "-", name[DWB_TABLE_CELL_MAX], text[320];

    dwb_figure_shape(row, shape, sizeof(shape));
    dwb_figure_layer(row, name, sizeof(name));
    add(view, DWB_STYLE_BOLD, name);
    if (view->layout < LAYOUT_SHAPE_BELOW)
        add(view, DWB_STYLE_PLAIN, shape);
    add_time(view, row->operations[DWB_REPORT_STANDARD].floor_ns);
    add_time(view, row->operations[DWB_REPORT_SEPARABLE].floor_ns);
    add_ratio(view, row->ratio, row->half_width);
    if (isfinite(row->theory))
        snprintf(theory, sizeof(theory), "%.4f", row->theory);
    add(view, DWB_STYLE_PLAIN, theory);
    add_share(view, row->saving_delivered);
    if (view->layout < LAYOUT_RATES_BELOW)
        add_rates(view, row->operations);
    add(view, style, verdict);
    note_below(view, shape, row->operations);
    note_fused(view, row);
    note_if_any(view, dwb_figure_bounds(row, text, sizeof(text)));
    note_counted(view, row);
    note_if_any(view, dwb_figure_speedup(row, view->terminal->utf8, text, sizeof(text)));
    if (row->why)
        note(view, row->why);
    note_reasons(view, row);
}

/* Over the network: each layer as often as it stands there. */
static void add_totals(struct view *view)
{
    struct dwb_report_figures rates[DWB_REPORT_N_OPERATIONS];
    struct dwb_report_totals totals;
    char text[96];

    if (view->report->n_rows < 2)
        return;
    if (!dwb_report_totals_of(view->report, &totals)) {
        note(view, "no total: not every layer has a ratio");
        return;
    }
    if (totals.n_distinct < 2) /* one layer on several backends */
        return;
    for (size_t k = 0; k < DWB_REPORT_N_OPERATIONS; k++)
        rates[k] = (struct dwb_report_figures){.gflops = totals.gflops[k],
                                               .percent_of_peak = totals.percent_of_peak[k]};
    add(view, DWB_STYLE_BOLD, "total");
    snprintf(text, sizeof(text), "%" PRIu64 " layers", totals.n_layers);
    if (view->layout < LAYOUT_SHAPE_BELOW)
        add(view, DWB_STYLE_PLAIN, text);
    add_time(view, totals.standard_ns);
    add_time(view, totals.separable_ns);
    add_ratio(view, totals.ratio, NAN);
    snprintf(text, sizeof(text), "%.4f", totals.theory);
    add(view, DWB_STYLE_PLAIN, text);
    add_share(view, totals.saving_delivered);
    if (view->layout < LAYOUT_RATES_BELOW)
        add_rates(view, rates);
    add(view, DWB_STYLE_PLAIN, "");
    note_below(view, NULL, rates);
    if (totals.n_layers > totals.n_distinct) {
        snprintf(text, sizeof(text),
                 "%" PRIu64 " distinct layers, each times its repeat in the network",
                 totals.n_distinct);
        note(view, text);
    }
}

static int fill(struct view *view)
{
    static const size_t n_columns[N_LAYOUTS] = {10, 8, 7};
    static const unsigned right_aligned[N_LAYOUTS] = {0x1fc, 0x7c, 0x3e};

    view->table = dwb_table_new(n_columns[view->layout], right_aligned[view->layout]);
    view->r = view->table ? 0 : -ENOMEM;
    if (view->r < 0)
        return view->r;
    add_header(view);
    for (size_t i = 0; i < view->report->n_rows; i++)
        add_row(view, &view->report->rows[i]);
    add_totals(view);
    return view->r;
}

int dwb_render_table(const struct dwb_report *report, const struct dwb_terminal *terminal,
                     FILE *out)
{
    for (enum layout layout = LAYOUT_FULL;; layout++) {
        struct view view = {.report = report, .terminal = terminal, .layout = layout};
        unsigned gap = 2;
        int r;

        view.time_unit = dwb_figure_time_unit(report, terminal->utf8);
        r = fill(&view);
        if (r == 0 && dwb_table_width(view.table, 2) > terminal->columns)
            gap = 1;
        if (r < 0 || layout + 1 == N_LAYOUTS ||
            dwb_table_width(view.table, gap) <= terminal->columns) {
            if (r == 0) {
                dwb_table_print(view.table, terminal, gap, out);
                r = dwb_render_simulated(report, terminal, out);
                dwb_render_footer(report, terminal, out);
            }
            dwb_table_free(view.table);
            return r;
        }
        dwb_table_free(view.table);
    }
}
