/*
 * One page that stands by itself: no script, no font, no image, nothing that is fetched, so it can
 * be kept as an artifact and opened from a file. Bars are SVG whose lengths are attributes: a
 * server that forbids styles (Jenkins does) still shows them right. Colour is never the only
 * carrier of a meaning; the figures stand beside the bars. Text from outside goes through
 * dwb_markup_xml.
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

#define BAR_WIDTH          240.0 /* units of the SVG */
#define N_LAYER_COLUMNS    9
#define N_COMPARED_COLUMNS 8
#define DEPTH_MAX          8 /* of the environment; deeper members are JSON */
#define MEMBER_MAX         256

/* Both themes hold 4.5:1 between text and ground, 3:1 between a bar and its ground. */
static const char page_head[] =
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" "
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    "<style>\n"
    ":root { color-scheme: light dark; --ground: #fff; --text: #1d2126; --quiet: #5a636e;\n"
    "  --line: #d5dae0; --measured: #2166ac; --theory: #8a6d00; --good: #1a7431; --warn: #8a5300;\n"
    "  --bad: #b3261e; --band: #d9dee5; }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  :root { --ground: #14171b; --text: #e4e7eb; --quiet: #a3acb7; --line: #363c44;\n"
    "    --measured: #74aee4; --theory: #d9b441; --good: #6fcf86; --warn: #e5a955; --bad: "
    "#ff8a80;\n"
    "    --band: #333b45; }\n"
    "}\n"
    "body { margin: 2rem auto; padding: 0 1rem; max-width: 78rem; background: var(--ground);\n"
    "  color: var(--text); font: 15px/1.45 system-ui, sans-serif; }\n"
    "h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }\n"
    ".scroll { overflow-x: auto; }\n"
    "table { border-collapse: collapse; width: 100%; }\n"
    "th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left;\n"
    "  vertical-align: top; }\n"
    "th { font-weight: 600; white-space: nowrap; }\n"
    "td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }\n"
    "tr.above td, tr.above th { border-bottom: 0; }\n"
    "td.why, p.quiet, caption { color: var(--quiet); font-size: .9em; }\n"
    "td.why { padding-top: 0; } td.value { overflow-wrap: anywhere; }\n"
    "svg { display: block; width: 15rem; height: 1.4rem; }\n"
    ".measured, svg .same { fill: var(--measured); } .theory { fill: var(--theory); }\n"
    ".band { fill: var(--band); } .axis { stroke: var(--quiet); } .range { stroke: var(--text); }\n"
    ".good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }\n"
    ".good, .warn, .bad { font-weight: 600; }\n"
    "svg .good { fill: var(--good); } svg .warn { fill: var(--warn); }\n"
    "svg .bad { fill: var(--bad); }\n"
    "</style>\n";

static void open_page(FILE *out, const char *title)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>", out);
    dwb_markup_xml(out, title);
    fprintf(out, "</title>\n%s</head>\n<body>\n<h1>", page_head);
    dwb_markup_xml(out, title);
    fputs("</h1>\n", out);
}

static void paragraph(FILE *out, const char *class, const char *text)
{
    fprintf(out, "<p%s%s%s>", class ? " class=\"" : "", class ? class : "", class ? "\"" : "");
    dwb_markup_xml(out, text);
    fputs("</p>\n", out);
}

static void cell(FILE *out, const char *class, const char *text)
{
    fprintf(out, "<td%s%s%s>", class ? " class=\"" : "", class ? class : "", class ? "\"" : "");
    dwb_markup_xml(out, text ? text : "-");
    fputs("</td>", out);
}

static void open_table(FILE *out, const char *const (*columns)[2], size_t n)
{
    fputs("<div class=\"scroll\">\n<table>\n<thead><tr>", out);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "<th scope=\"col\"%s%s%s>%s</th>", columns[i][1] ? " class=\"" : "",
                columns[i][1] ? columns[i][1] : "", columns[i][1] ? "\"" : "", columns[i][0]);
    fputs("</tr></thead>\n<tbody>\n", out);
}

static void close_table(FILE *out)
{
    fputs("</tbody>\n</table>\n</div>\n", out);
}

static void open_row(FILE *out, const char *class, const char *name)
{
    fprintf(out, "<tr%s%s%s><th scope=\"row\">", class ? " class=\"" : "", class ? class : "",
            class ? "\"" : "");
    dwb_markup_xml(out, name);
    fputs("</th>", out);
}

static void close_row(FILE *out)
{
    fputs("</tr>\n", out);
}

static const char *verdict_class(const struct dwb_report_row *row)
{
    const char *verdict = dwb_figure_verdict(row);

    if (row->outputs_wrong || strcmp(verdict, "contaminated") == 0)
        return "bad";
    return strcmp(verdict, "stable") == 0 ? "good" : "warn";
}

/* The longest bar of the page: all are drawn to one scale. */
static double longest_ratio(const struct dwb_report *report)
{
    double longest = 0;

    for (size_t i = 0; i < report->n_rows; i++) {
        const struct dwb_report_row *row = &report->rows[i];

        longest = fmax(longest, fmax(row->ratio, fmax(row->ratio_high, row->theory)));
    }
    return longest > 0 ? longest : 1;
}

/* Measured above, its interval as a line through its end, theory below. */
static void ratio_bars(FILE *out, const struct dwb_report_row *row, double longest)
{
    const double scale = (BAR_WIDTH - 2) / longest;
    char measured[48], theory[48];

    fputs("<td>", out);
    fprintf(out,
            "<svg viewBox=\"0 0 %.0f 20\" preserveAspectRatio=\"none\" role=\"img\" "
            "aria-label=\"measured %s, theory %s\">",
            BAR_WIDTH, dwb_figure_ratio(row->ratio, NAN, true, measured, sizeof(measured)),
            dwb_figure_ratio(row->theory, NAN, true, theory, sizeof(theory)));
    if (isfinite(row->ratio))
        fprintf(out,
                "<rect class=\"measured\" fill=\"#2166ac\" x=\"0\" y=\"2\" width=\"%.2f\" "
                "height=\"8\"/>",
                scale * row->ratio);
    if (isfinite(row->ratio_low) && isfinite(row->ratio_high))
        fprintf(out,
                "<line class=\"range\" stroke=\"#555\" x1=\"%.2f\" x2=\"%.2f\" y1=\"6\" y2=\"6\" "
                "stroke-width=\"2\"/>",
                scale * row->ratio_low, scale * row->ratio_high);
    if (isfinite(row->theory))
        fprintf(out,
                "<rect class=\"theory\" fill=\"#8a6d00\" x=\"0\" y=\"12\" width=\"%.2f\" "
                "height=\"5\"/>",
                scale * row->theory);
    fputs("</svg></td>", out);
}

/* A line of its own under the row, where there is something to say. */
static void line(FILE *out, const char *label, const char *text)
{
    if (!text || !text[0])
        return;
    fputs("<div>", out);
    if (label) {
        dwb_markup_xml(out, label);
        fputs(": ", out);
    }
    dwb_markup_xml(out, text);
    fputs("</div>", out);
}

/* What stands under a row goes over all of its columns but the first. */
static void open_lines(FILE *out, int n_columns)
{
    fprintf(out, "<tr><td></td><td class=\"why\" colspan=\"%d\">", n_columns - 1);
}

static void close_lines(FILE *out)
{
    fputs("</td></tr>\n", out);
}

static void layer_row(FILE *out, const struct dwb_report_row *row, struct dwb_time_unit unit,
                      double longest)
{
    const struct dwb_report_figures *operations = row->operations;
    char text[2048];

    open_row(out, "above", dwb_figure_layer(row, text, sizeof(text)));
    cell(out, "n", dwb_figure_shape(row, text, sizeof(text)));
    cell(out, "n",
         dwb_figure_time(operations[DWB_REPORT_STANDARD].floor_ns, unit, text, sizeof(text)));
    cell(out, "n",
         dwb_figure_time(operations[DWB_REPORT_SEPARABLE].floor_ns, unit, text, sizeof(text)));
    cell(out, "n", dwb_figure_ratio(row->ratio, row->half_width, true, text, sizeof(text)));
    cell(out, "n", dwb_figure_ratio(row->theory, NAN, true, text, sizeof(text)));
    ratio_bars(out, row, longest);
    cell(out, "n", dwb_figure_share(row->saving_delivered, text, sizeof(text)));
    cell(out, verdict_class(row), dwb_figure_verdict(row));
    close_row(out);
    open_lines(out, N_LAYER_COLUMNS);
    line(out, NULL, dwb_figure_why(row, text, sizeof(text)));
    line(out, NULL, dwb_figure_rates(operations, text, sizeof(text)));
    line(out, NULL, dwb_figure_bounds(row, text, sizeof(text)));
    line(out, NULL, dwb_figure_speedup(row, true, text, sizeof(text)));
    if (isfinite(row->ratio_fused))
        line(out, "ratio of the fused form",
             dwb_figure_ratio(row->ratio_fused, row->fused_half_width, true, text, sizeof(text)));
    line(out, row->verdict ? row->verdict : "no verdict",
         dwb_figure_reasons(row->verdict_reasons, text, sizeof(text)));
    close_lines(out);
}

/* Over the network: each layer as often as it stands there. */
static void total_row(FILE *out, const struct dwb_report *report, struct dwb_time_unit unit)
{
    struct dwb_report_totals totals;
    char text[64];

    if (!dwb_report_totals_of(report, &totals) || totals.n_distinct < 2)
        return;
    open_row(out, NULL, "total");
    snprintf(text, sizeof(text), "%" PRIu64 " layers", totals.n_layers);
    cell(out, "n", text);
    cell(out, "n", dwb_figure_time(totals.standard_ns, unit, text, sizeof(text)));
    cell(out, "n", dwb_figure_time(totals.separable_ns, unit, text, sizeof(text)));
    cell(out, "n", dwb_figure_ratio(totals.ratio, NAN, true, text, sizeof(text)));
    cell(out, "n", dwb_figure_ratio(totals.theory, NAN, true, text, sizeof(text)));
    cell(out, NULL, "");
    cell(out, "n", dwb_figure_share(totals.saving_delivered, text, sizeof(text)));
    cell(out, NULL, "");
    close_row(out);
}

static void member_row(FILE *out, const char *member, const json_t *value)
{
    char text[1024];

    open_row(out, NULL, member);
    cell(out, "value", dwb_figure_value(value, text, sizeof(text)));
    close_row(out);
}

/* Objects become a row a member, by its path. */
static void member_rows(FILE *out, const char *member, const json_t *value, unsigned depth)
{
    const json_t *inner;
    const char *key;
    char path[MEMBER_MAX];

    if (!json_is_object(value) || depth == DEPTH_MAX) {
        member_row(out, member, value);
        return;
    }
    json_object_foreach((json_t *)value, key, inner)
    {
        if (snprintf(path, sizeof(path), "%s%s%s", member, member[0] ? "." : "", key) <
            (int)sizeof(path))
            member_rows(out, path, inner, depth + 1);
    }
}

static void members_table(FILE *out, const char *title, const json_t *object)
{
    static const char *const columns[][2] = {{"member", NULL}, {"value", NULL}};

    if (!json_is_object(object))
        return;
    fprintf(out, "<h2>%s</h2>\n", title);
    open_table(out, columns, 2);
    member_rows(out, "", object, 0);
    close_table(out);
}

int dwb_render_html(const struct dwb_report *report, FILE *out)
{
    struct dwb_time_unit unit = dwb_figure_time_unit(report, true);
    static const char *const columns[N_LAYER_COLUMNS][2] = {
        {"layer", NULL}, {"shape", "n"}, {"standard", "n"}, {"separable", "n"}, {"ratio", "n"},
        {"theory", "n"}, {"bars", NULL}, {"saving", "n"},   {"verdict", NULL}};
    const json_t *job = json_object_get(report->document, "job");
    const char *name = json_string_value(json_object_get(job, "name"));
    double longest = longest_ratio(report);
    char text[1024];

    snprintf(text, sizeof(text), "dwbench%s%.200s", name && name[0] ? ": " : "", name ? name : "");
    open_page(out, text);
    fprintf(out,
            "<p>Times in %s, the floor of all processes. The ratio is separable / standard with "
            "the half-width of its interval; upper bar: measured, "
            "lower bar: theory, 1/N + 1/Dk². The saving is theory over measured, 100%% is all of "
            "it. GFLOP/s and %% of the measured peak are of multiply-adds that were executed (std, "
            "dw, pw: standard, depthwise, pointwise).</p>\n",
            unit.name);
    open_table(out, columns, N_LAYER_COLUMNS);
    for (size_t i = 0; i < report->n_rows; i++)
        layer_row(out, &report->rows[i], unit, longest);
    total_row(out, report, unit);
    close_table(out);
    fputs("<h2>Machine</h2>\n", out);
    paragraph(out, NULL, dwb_figure_machine(report, text, sizeof(text)));
    paragraph(out, NULL, dwb_figure_kernels(report, text, sizeof(text)));
    members_table(out, "Environment", json_object_get(report->document, "environment"));
    members_table(out, "Job", job);
    fputs("</body>\n</html>\n", out);
    return ferror(out) ? -ENOMEM : 0;
}

/* Half of the scale: what the widest interval, or the widest band, reaches from zero. */
static double widest_change(const struct dwb_compared *compared)
{
    double widest = 0;

    for (size_t i = 0; i < compared->n_rows; i++) {
        const struct dwb_compared_row *row = &compared->rows[i];

        widest = fmax(widest, fmax(fabs(row->change), row->delta));
        widest = fmax(widest, fmax(fabs(row->change_low), fabs(row->change_high)));
    }
    return widest > 0 ? 1.05 * widest : 0.01;
}

static const char *compared_class(const struct dwb_compared_row *row)
{
    static const char *const classes[DWB_COMPARED_N_VERDICTS] = {
        [DWB_COMPARED_SLOWER] = "bad",
        [DWB_COMPARED_FASTER] = "good",
        [DWB_COMPARED_SAME] = "same",
        [DWB_COMPARED_NOT_RESOLVED] = "warn",
    };

    return classes[row->verdict];
}

/* The interval around zero, with the band of what counts as the same behind it. */
static void interval_bar(FILE *out, const struct dwb_compared_row *row, double widest)
{
    const double zero = BAR_WIDTH / 2, scale = zero / widest;
    char text[512];

    fprintf(out,
            "<td><svg viewBox=\"0 0 %.0f 20\" preserveAspectRatio=\"none\" role=\"img\" "
            "aria-label=\"",
            BAR_WIDTH);
    dwb_markup_xml(out, dwb_compared_change(row, text, sizeof(text)));
    fputs("\">", out);
    if (row->delta > 0)
        fprintf(out,
                "<rect class=\"band\" fill=\"#ccc\" x=\"%.2f\" y=\"0\" width=\"%.2f\" "
                "height=\"20\"/>",
                zero - scale * row->delta, 2 * scale * row->delta);
    fprintf(out,
            "<line class=\"axis\" stroke=\"#888\" x1=\"%.2f\" x2=\"%.2f\" y1=\"0\" y2=\"20\"/>",
            zero, zero);
    if (isfinite(row->change_low) && isfinite(row->change_high))
        fprintf(out,
                "<rect class=\"%s\" fill=\"#2166ac\" x=\"%.2f\" y=\"6\" width=\"%.2f\" "
                "height=\"8\"/>",
                compared_class(row), zero + scale * row->change_low,
                fmax(1, scale * (row->change_high - row->change_low)));
    if (isfinite(row->change))
        fprintf(out,
                "<line class=\"range\" stroke=\"#555\" x1=\"%.2f\" x2=\"%.2f\" y1=\"3\" y2=\"17\" "
                "stroke-width=\"2\"/>",
                zero + scale * row->change, zero + scale * row->change);
    fputs("</svg></td>", out);
}

static void side_line(FILE *out, const char *label, const struct dwb_compared_side *side)
{
    char text[512];
    size_t n = 0;

    if (!side->what)
        return;
    n = (size_t)snprintf(text, sizeof(text), "%.160s%s%.160s", side->what, side->kernel ? ", " : "",
                         side->kernel ? side->kernel : "");
    if (isfinite(side->floor_ns))
        n += (size_t)snprintf(text + n, sizeof(text) - n, ", floor %.1f ns", side->floor_ns);
    if (isfinite(side->median_ns))
        snprintf(text + n, sizeof(text) - n, ", median %.1f ns", side->median_ns);
    line(out, label, text);
}

/* How the interval came to be. */
static void samples_line(FILE *out, const struct dwb_compared_row *row)
{
    const struct {
        const char *label;
        double value;
        int decimals;
        const char *unit;
    } figures[] = {{"confidence", 100 * row->confidence, 2, "%"},
                   {"processes", row->processes, 0, ""},
                   {"pairs", row->pairs, 0, ""},
                   {"dropped", 100 * row->dropped_share, 1, "%"}};
    char text[512] = "";
    size_t n = 0;

    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]) && n < sizeof(text); i++)
        if (isfinite(figures[i].value))
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %.*f%s", n ? ", " : "",
                                  figures[i].label, figures[i].decimals, figures[i].value,
                                  figures[i].unit);
    if (n < sizeof(text) && row->confirmed)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? ", " : "",
                              json_is_true(row->confirmed) ? "confirmed" : "not confirmed");
    if (n < sizeof(text) && row->method)
        snprintf(text + n, sizeof(text) - n, "%s%s", n ? ", " : "", row->method);
    line(out, NULL, text);
}

static void compared_row(FILE *out, const struct dwb_compared_row *row, double widest)
{
    char text[1024], low[32], high[32];

    open_row(out, "above", row->layer);
    cell(out, NULL, row->operation);
    cell(out, NULL, row->backend);
    cell(out, "n", dwb_figure_change(row->change, text, sizeof(text)));
    interval_bar(out, row, widest);
    snprintf(text, sizeof(text), "%s to %s", dwb_figure_change(row->change_low, low, sizeof(low)),
             dwb_figure_change(row->change_high, high, sizeof(high)));
    cell(out, "n", isfinite(row->change_low) && isfinite(row->change_high) ? text : "-");
    snprintf(text, sizeof(text), "±%.4g%%", 100 * row->delta);
    cell(out, "n", isfinite(row->delta) ? text : "-");
    cell(out, compared_class(row), dwb_compared_word(row->verdict));
    close_row(out);
    open_lines(out, N_COMPARED_COLUMNS);
    line(out, NULL, dwb_compared_reason(row, text, sizeof(text)));
    side_line(out, "a", &row->sides[DWB_COMPARED_A]);
    side_line(out, "b", &row->sides[DWB_COMPARED_B]);
    samples_line(out, row);
    close_lines(out);
}

static void differences_table(FILE *out, const json_t *differences)
{
    static const char *const columns[][2] = {{"member", NULL}, {"a", NULL}, {"b", NULL}};
    const json_t *difference;
    char text[1024];
    size_t i;

    if (json_array_size(differences) == 0)
        return;
    fputs("<h2>Differences between the two machines</h2>\n", out);
    open_table(out, columns, 3);
    json_array_foreach(differences, i, difference)
    {
        open_row(out, NULL,
                 dwb_figure_value(json_object_get(difference, "member"), text, sizeof(text)));
        cell(out, "value", dwb_figure_value(json_object_get(difference, "a"), text, sizeof(text)));
        cell(out, "value", dwb_figure_value(json_object_get(difference, "b"), text, sizeof(text)));
        close_row(out);
    }
    close_table(out);
}

int dwb_render_comparison_html(const json_t *document, FILE *out)
{
    static const char *const columns[N_COMPARED_COLUMNS][2] = {
        {"layer", NULL},    {"operation", NULL}, {"backend", NULL},    {"time of b", "n"},
        {"interval", NULL}, {"from, to", "n"},   {"same within", "n"}, {"verdict", NULL}};
    DWB_CLEANUP(dwb_compared_freep) struct dwb_compared *compared = NULL;
    int r = dwb_compared_new(document, &compared);
    char text[1024];
    double widest;

    if (r < 0)
        return r;
    widest = widest_change(compared);
    snprintf(text, sizeof(text), "dwbench %s", compared->kind);
    open_page(out, text);
    paragraph(out, NULL, dwb_compared_sentence(compared, text, sizeof(text)));
    fprintf(out,
            "<p class=\"quiet\">The time of b over that of a, minus 1: right of the middle b is "
            "slower. The bar is the interval, the line in it the median, the shaded band what "
            "counts as the same; the scale ends at ±%.3g%%.</p>\n",
            100 * widest);
    open_table(out, columns, N_COMPARED_COLUMNS);
    for (size_t i = 0; i < compared->n_rows; i++)
        compared_row(out, &compared->rows[i], widest);
    close_table(out);
    differences_table(out, json_object_get(document, "differences"));
    if (dwb_compared_machine(compared, text, sizeof(text))[0]) {
        fputs("<h2>Machine</h2>\n", out);
        paragraph(out, NULL, text);
    }
    members_table(out, "Side a", json_object_get(document, "a"));
    members_table(out, "Side b", json_object_get(document, "b"));
    fputs("</body>\n</html>\n", out);
    return ferror(out) ? -ENOMEM : 0;
}
