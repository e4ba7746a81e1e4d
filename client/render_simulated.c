/*
 * What was counted under Valgrind, as a table of its own below the report: nothing in it was
 * measured, so none of its figures stands in a row with one that was.
 */

#include "client/render.h"
#include "client/table.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define N_COLUMNS     9
#define RIGHT_ALIGNED 0x1fc
#define LABEL_INDENT  2

/* "130.0M"; what was not counted is "-". */
static int add_count(struct dwb_table *table, double value)
{
    static const struct {
        double from;
        const char *suffix;
    } units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, "k"}};

    if (!isfinite(value))
        return dwb_table_add(table, DWB_STYLE_PLAIN, "-");
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (value >= units[i].from) {
            double scale = units[i].suffix[0] == 'k' ? 1e3 : units[i].from;
            return dwb_table_add(table, DWB_STYLE_PLAIN, "%.1f%s", value / scale, units[i].suffix);
        }
    return dwb_table_add(table, DWB_STYLE_PLAIN, "%.0f", value);
}

static int add_ratio(struct dwb_table *table, enum dwb_style style, double value)
{
    return isfinite(value) ? dwb_table_add(table, style, "%.4f", value)
                           : dwb_table_add(table, style, "-");
}

static int add_header(struct dwb_table *table)
{
    static const char *const names[N_COLUMNS] = {"layer",     "simulated", "standard",
                                                 "depthwise", "pointwise", "separable",
                                                 "fused",     "ratio",     "theory"};
    int r = 0;

    for (size_t i = 0; r == 0 && i < N_COLUMNS; i++)
        r = dwb_table_add(table, DWB_STYLE_BOLD, "%s", names[i]);
    return r;
}

static int add_row(struct dwb_table *table, const struct dwb_report_row *row)
{
    bool is_peer = row->backend && strcmp(row->backend, "native") != 0;
    int r = 0;

    for (size_t k = 0; r == 0 && k < DWB_REPORT_N_SIMULATED; k++) {
        r = k ? dwb_table_add(table, DWB_STYLE_BOLD, "%s", "")
              : dwb_table_add(table, DWB_STYLE_BOLD, "%.60s%s%s", row->name, is_peer ? " " : "",
                              is_peer ? row->backend : "");
        if (r == 0)
            r = dwb_table_add(table, DWB_STYLE_PLAIN, "%s", dwb_report_simulated_names[k]);
        for (size_t i = 0; r == 0 && i < DWB_REPORT_N_BOUNDS; i++)
            r = add_count(table, row->simulated[i][k]);
        if (r == 0)
            r = add_ratio(table, DWB_STYLE_BOLD, row->simulated_ratio[k]);
        if (r == 0)
            r = add_ratio(table, DWB_STYLE_PLAIN, row->theory);
    }
    return r;
}

static int cache_text(char *buffer, size_t size, const char *name, const json_t *shape)
{
    json_int_t bytes = json_integer_value(json_object_get(shape, "bytes"));
    bool is_mib = bytes >= 1 << 20;

    return snprintf(buffer, size, "%s %g %s %" JSON_INTEGER_FORMAT " ways, ", name,
                    (double)bytes / (is_mib ? 1 << 20 : 1 << 10), is_mib ? "MiB" : "KiB",
                    json_integer_value(json_object_get(shape, "ways")));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* Tool, caches and what else holds for all of the table. */
static void print_caption(const json_t *simulation, const struct dwb_terminal *terminal, FILE *out)
{
    static const char *const names[] = {"I1", "D1", "LL"};
    const json_t *geometry = json_object_get(simulation, "geometry");
    char caches[192] = "", line[1024];
    size_t n = 0;

    for (size_t i = 0; i < 3 && n < sizeof(caches); i++)
        n += (size_t)cache_text(caches + n, sizeof(caches) - n, names[i],
                                json_object_get(geometry, names[i]));
    snprintf(line, sizeof(line),
             "simulated, not measured: one %s call by %s, on a CPU with %slines of %" PRIu64
             " bytes (%s), no L2 and no prefetcher%s%s",
             text_of(simulation, "cache"), text_of(simulation, "tool"), caches,
             (uint64_t)json_integer_value(
                 json_object_get(json_object_get(geometry, "D1"), "line_bytes")),
             text_of(geometry, "origin"), text_of(simulation, "note")[0] ? "; " : "",
             text_of(simulation, "note"));
    dwb_terminal_wrap(out, line, LABEL_INDENT, terminal->columns);
}

/* A reason a line, of operations that could not be counted. */
static void print_reasons(const struct dwb_report_row *row, const struct dwb_terminal *terminal,
                          FILE *out)
{
    json_t *operations = json_object_get(row->entry, "operations"), *operation;
    const char *name;
    char line[512];

    json_object_foreach(operations, name, operation)
    {
        const char *reason = text_of(json_object_get(operation, "simulated"), "reason");

        if (!reason[0])
            continue;
        snprintf(line, sizeof(line), "not simulated: %s, %s: %s", row->name, name, reason);
        dwb_terminal_wrap(out, line, LABEL_INDENT, terminal->columns);
    }
}

int dwb_render_simulated(const struct dwb_report *report, const struct dwb_terminal *terminal,
                         FILE *out)
{
    struct dwb_table *table = dwb_table_new(N_COLUMNS, RIGHT_ALIGNED);
    const json_t *shown = NULL;
    int r = table ? add_header(table) : -ENOMEM;

    for (size_t i = 0; r == 0 && i < report->n_rows; i++) {
        const json_t *simulation = json_object_get(report->rows[i].entry, "simulation");

        if (simulation)
            r = add_row(table, &report->rows[i]);
        if (json_is_object(json_object_get(simulation, "geometry")) && !shown)
            shown = simulation;
    }
    if (r == 0 && shown) {
        fputc('\n', out);
        dwb_table_print(table, terminal, dwb_table_width(table, 2) > terminal->columns ? 1 : 2,
                        out);
        print_caption(shown, terminal, out);
    }
    for (size_t i = 0; r == 0 && i < report->n_rows; i++)
        print_reasons(&report->rows[i], terminal, out);
    dwb_table_free(table);
    return r;
}
