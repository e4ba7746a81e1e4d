/*
 * Both sides, the table, what the machine did, what differs around it, and the answer in a
 * sentence, last: that is where the eye is when a terminal has scrolled. The verdict is a word;
 * colour only repeats it.
 */

#include "client/render_comparison.h"

#include "client/compared.h"
#include "client/figures.h"
#include "client/table.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/json_memory.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define INDENT       2
#define VALUE_LENGTH 60 /* of a member of the environment; the document has the whole */

struct view {
    const struct dwb_compared *compared;
    const struct dwb_terminal *terminal;
    struct dwb_time_unit unit;
    struct dwb_table *table;
    int r; /* the first -ENOMEM */
};

static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void add(struct view *view, enum dwb_style style, const char *cell)
{
    if (view->r == 0)
        view->r = dwb_table_add(view->table, style, "%s", cell);
}

static void note(struct view *view, const char *line)
{
    if (view->r == 0)
        view->r = dwb_table_note(view->table, line);
}

static void choose_time_unit(struct view *view)
{
    double longest = 0;

    for (size_t i = 0; i < view->compared->n_rows; i++)
        longest = fmax(longest, view->compared->rows[i].sides[DWB_COMPARED_B].floor_ns);
    view->unit = longest >= 1e8 ? (struct dwb_time_unit){1e6, "ms"}
                                : (struct dwb_time_unit){1e3, view->terminal->utf8 ? "µs" : "us"};
}

/* ---- rows ---- */

static void add_change(struct view *view, const struct dwb_compared_row *row)
{
    char cell[48] = "-";

    if (isfinite(row->change))
        dwb_figure_change(row->change, cell, sizeof(cell));
    else if (isfinite(row->raw))
        snprintf(cell, sizeof(cell), "%+.2f%% raw", 100 * row->raw);
    add(view, DWB_STYLE_BOLD, cell);
}

/* What the change was held against. */
static void add_limit(struct view *view, const struct dwb_compared_row *row)
{
    char cell[64] = "-", time[32];

    if (isfinite(row->limit_ns))
        snprintf(cell, sizeof(cell), "limit %s",
                 dwb_figure_time(row->limit_ns, view->unit, time, sizeof(time)));
    else if (isfinite(row->change_low) && isfinite(row->change_high))
        snprintf(cell, sizeof(cell), "%+.2f .. %+.2f%%", 100 * row->change_low,
                 100 * row->change_high);
    add(view, DWB_STYLE_PLAIN, cell);
}

static void add_verdict(struct view *view, const struct dwb_compared_row *row)
{
    static const enum dwb_style styles[DWB_COMPARED_N_VERDICTS] = {
        [DWB_COMPARED_SLOWER] = DWB_STYLE_BAD,
        [DWB_COMPARED_FASTER] = DWB_STYLE_GOOD,
        [DWB_COMPARED_SAME] = DWB_STYLE_GOOD,
        [DWB_COMPARED_NOT_RESOLVED] = DWB_STYLE_WARNING,
    };

    add(view, styles[row->verdict], row->verdict_text ? dwb_compared_word(row->verdict) : "-");
}

static void note_kernels(struct view *view, const struct dwb_compared_row *row)
{
    const char *a = row->sides[DWB_COMPARED_A].kernel, *b = row->sides[DWB_COMPARED_B].kernel;
    char line[512];

    if (!a || !b || strcmp(a, b) == 0)
        return;
    snprintf(line, sizeof(line), "another kernel: %s, was %s", b, a);
    note(view, line);
}

/* What a gate says of its measurement. */
static void note_gate(struct view *view, const struct dwb_compared_row *row)
{
    char line[256];
    size_t n = 0;

    if (isfinite(row->processes))
        n = (size_t)snprintf(line, sizeof(line), "%.0f processes, ", row->processes);
    n += (size_t)snprintf(line + n, sizeof(line) - n, "%.0f pairs", row->pairs);
    if (isfinite(row->dropped_share))
        n += (size_t)snprintf(line + n, sizeof(line) - n, ", %.1f%% dropped",
                              100 * row->dropped_share);
    if (json_is_true(row->confirmed))
        snprintf(line + n, sizeof(line) - n, ", confirmed by a second measurement");
    note(view, line);
}

/*
 * Rows that follow each other with one reason (a layer that is not stable) have it once, under the
 * last of them; the machine's, which is every row's, stands below the table.
 */
static void note_reason(struct view *view, const struct dwb_compared_row *row,
                        const struct dwb_compared_row *next)
{
    const char *of_all = text(json_object_get(view->compared->document, "machine"), "reason");
    bool goes_on = next && strcmp(row->layer, next->layer) == 0;

    if (!row->reason || (of_all && strcmp(row->reason, of_all) == 0))
        return;
    if (!goes_on || !next->reason || strcmp(row->reason, next->reason) != 0)
        note(view, row->reason);
}

static void add_row(struct view *view, const struct dwb_compared_row *row,
                    const struct dwb_compared_row *next)
{
    bool is_peer = row->backend && strcmp(row->backend, "native") != 0;
    char cell[DWB_TABLE_CELL_MAX];

    snprintf(cell, sizeof(cell), "%.50s%s%.20s", row->layer, is_peer ? " " : "",
             is_peer ? row->backend : "");
    add(view, DWB_STYLE_BOLD, cell);
    add(view, DWB_STYLE_PLAIN, row->operation);
    for (size_t i = 0; i < DWB_COMPARED_N_SIDES; i++)
        add(view, DWB_STYLE_PLAIN,
            dwb_figure_time(row->sides[i].floor_ns, view->unit, cell, sizeof(cell)));
    add_change(view, row);
    add_limit(view, row);
    add_verdict(view, row);
    note_reason(view, row, next);
    if (isfinite(row->pairs))
        note_gate(view, row); /* other kernels are what is compared there */
    else
        note_kernels(view, row);
}

static int fill(struct view *view)
{
    static const char *const names[][2] = {
        {"", "layer"},      {"", "operation"},        {"a", NULL},    {"b", NULL},
        {"change", "code"}, {"interval", "or limit"}, {"", "verdict"}};
    const struct dwb_compared *compared = view->compared;

    view->table = dwb_table_new(7, 0x3c);
    view->r = view->table ? 0 : -ENOMEM;
    for (size_t line = 0; view->r == 0 && line < 2; line++)
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            add(view, DWB_STYLE_BOLD, names[i][line] ? names[i][line] : view->unit.name);
    for (size_t i = 0; view->r == 0 && i < compared->n_rows; i++)
        add_row(view, &compared->rows[i], i + 1 < compared->n_rows ? &compared->rows[i + 1] : NULL);
    return view->r;
}

/* ---- around the table ---- */

static void __attribute__((format(printf, 3, 4)))
say(const struct view *view, FILE *out, const char *format, ...)
{
    char line[2048];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    dwb_terminal_wrap(out, line, INDENT, view->terminal->columns);
}

static void say_side(const struct view *view, size_t i, FILE *out)
{
    const char *side = i == DWB_COMPARED_A ? "a" : "b";
    const struct dwb_compared *compared = view->compared;
    const json_t *job = json_object_get(compared->document, side);
    const char *what = compared->n_rows ? compared->rows[0].sides[i].what : NULL;
    const char *id = text(job, "id"), *name = text(job, "name");
    const char *finished_at = text(job, "finished_at");

    if (!what)
        what = id ? id : "-";
    say(view, out, "%s: %s%s%s%s%s", side, what, name ? ", " : "", name ? name : "",
        finished_at ? ", " : "", finished_at ? finished_at : "");
}

static void say_machine(const struct view *view, FILE *out)
{
    const json_t *machine = json_object_get(view->compared->document, "machine");
    const char *reason = text(machine, "reason");
    double canary = dwb_json_number_of(machine, "canary_change"),
           peak = dwb_json_number_of(machine, "peak_change");
    double drift = dwb_json_number_of(machine, "drift");

    if (!machine)
        return;
    if (!isfinite(drift))
        say(view, out, "%s", reason ? reason : "what the machine changed itself is not known");
    else if (isfinite(canary) && isfinite(peak))
        say(view, out,
            "machine: %+.2f%% of time is its own and taken off every change (canary %+.2f%% of "
            "time, multiply-add peak %+.2f%%)",
            100 * drift, 100 * canary, 100 * peak);
    else
        say(view, out, "machine: %+.2f%% of time is its own and taken off every change: %s",
            100 * drift, reason ? reason : "");
}

static const char *format_value(const json_t *value, char buffer[VALUE_LENGTH + 4])
{
    dwb_cleanup_free char *dumped = json_is_string(value) ? NULL : dwb_json_memory_dump(value);
    const char *whole = json_is_string(value) ? json_string_value(value) : dumped;

    if (!value || json_is_null(value))
        whole = "nothing";
    else if (!whole)
        whole = "no memory for it";
    snprintf(buffer, VALUE_LENGTH + 4, strlen(whole) > VALUE_LENGTH ? "%.60s..." : "%s", whole);
    return buffer;
}

static void say_differences(const struct view *view, const char *key, const char *title, FILE *out)
{
    const json_t *rows = json_object_get(view->compared->document, key), *row;
    char a[VALUE_LENGTH + 4], b[VALUE_LENGTH + 4];
    size_t i;

    json_array_foreach(rows, i, row)
    {
        const char *member = text(row, "member");

        say(view, out, "%s: %s: %s, was %s", title, member ? member : "-",
            format_value(json_object_get(row, "b"), b), format_value(json_object_get(row, "a"), a));
    }
}

static void say_overall(const struct view *view, FILE *out)
{
    static const struct {
        const char *sentence, *word;
    } texts[DWB_COMPARED_N_VERDICTS] = {
        [DWB_COMPARED_SLOWER] = {"b is slower than a", "slower"},
        [DWB_COMPARED_FASTER] = {"b is faster than a", "faster"},
        [DWB_COMPARED_SAME] = {"b is as fast as a", "the same"},
        [DWB_COMPARED_NOT_RESOLVED] = {"Not resolved whether b is slower than a", "not resolved"},
    };
    const struct dwb_compared *compared = view->compared;
    const char *between = ": ";

    fputc('\n', out);
    for (size_t i = 0; compared->overall && i < DWB_COMPARED_N_VERDICTS; i++)
        if (strcmp(compared->overall, dwb_compared_verdict_names[i]) == 0)
            fputs(texts[i].sentence, out);
    for (size_t i = 0; i < DWB_COMPARED_N_VERDICTS; i++)
        if (compared->n_verdicts[i] > 0) {
            fprintf(out, "%s%zu %s", between, compared->n_verdicts[i], texts[i].word);
            between = ", ";
        }
    fputs(".\n", out);
}

int dwb_render_comparison(const json_t *document, const struct dwb_terminal *terminal, FILE *out)
{
    DWB_CLEANUP(dwb_compared_freep) struct dwb_compared *compared = NULL;
    int r = dwb_compared_new(document, &compared);

    if (r < 0)
        return r;
    struct view view = {.compared = compared, .terminal = terminal};
    choose_time_unit(&view);
    r = fill(&view);
    if (r == 0) {
        unsigned gap = dwb_table_width(view.table, 2) > terminal->columns ? 1 : 2;

        say_side(&view, DWB_COMPARED_A, out);
        say_side(&view, DWB_COMPARED_B, out);
        fputc('\n', out);
        dwb_table_print(view.table, terminal, gap, out);
        if (json_object_get(document, "machine"))
            fputc('\n', out);
        say_machine(&view, out);
        say_differences(&view, "obstacles", "forced, although this differs", out);
        say_differences(&view, "differences", "environment", out);
        say_overall(&view, out);
    }
    dwb_table_free(view.table);
    return r;
}
