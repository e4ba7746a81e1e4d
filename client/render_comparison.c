/*
 * Both sides, the table, what the machine did, what differs around it, and the answer in a
 * sentence, last: that is where the eye is when a terminal has scrolled. The verdict is a word;
 * colour only repeats it.
 */

#include "client/render_comparison.h"

#include "client/table.h"
#include "common/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define INDENT       2
#define VALUE_LENGTH 60 /* of a member of the environment; the document has the whole */

struct view {
    const json_t *document;
    const struct dwb_terminal *terminal;
    double time_unit_ns;
    const char *time_unit;
    struct dwb_table *table;
    int r; /* the first -ENOMEM */
};

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_number(value) ? json_number_value(value) : NAN;
}

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
    const json_t *row;
    double longest = 0;
    size_t i;

    json_array_foreach(json_object_get(view->document, "comparisons"), i, row) longest =
        fmax(longest, number(json_object_get(row, "b"), "floor_ns"));
    view->time_unit_ns = longest >= 1e8 ? 1e6 : 1e3;
    view->time_unit = longest >= 1e8 ? "ms" : view->terminal->utf8 ? "µs" : "us";
}

static const char *format_time(const struct view *view, double ns, char *buffer, size_t size)
{
    if (isfinite(ns))
        snprintf(buffer, size, "%.*f",
                 ns / view->time_unit_ns < 10    ? 3
                 : ns / view->time_unit_ns < 100 ? 2
                                                 : 1,
                 ns / view->time_unit_ns);
    else
        snprintf(buffer, size, "-");
    return buffer;
}

/* ---- rows ---- */

static void add_change(struct view *view, const json_t *change)
{
    double code = number(change, "code"), raw = number(change, "raw");
    char cell[48] = "-";

    if (!json_object_get(change, "code"))
        code = number(change, "median"); /* a gate pairs its samples: no drift is left in them */
    if (isfinite(code))
        snprintf(cell, sizeof(cell), "%+.2f%%", 100 * code);
    else if (isfinite(raw))
        snprintf(cell, sizeof(cell), "%+.2f%% raw", 100 * raw);
    add(view, DWB_STYLE_BOLD, cell);
}

/* What the change was held against. */
static void add_limit(struct view *view, const json_t *row)
{
    const json_t *change = json_object_get(row, "change");
    const json_t *history = json_object_get(row, "history");
    const char *limit_name = number(change, "code") < 0 ? "low_limit_ns" : "limit_ns";
    double low = number(change, "ci_low"), high = number(change, "ci_high");
    double limit_ns = number(history, limit_name);
    char cell[64] = "-", time[32];

    if (isfinite(limit_ns))
        snprintf(cell, sizeof(cell), "limit %s", format_time(view, limit_ns, time, sizeof(time)));
    else if (isfinite(low) && isfinite(high))
        snprintf(cell, sizeof(cell), "%+.2f .. %+.2f%%", 100 * low, 100 * high);
    add(view, DWB_STYLE_PLAIN, cell);
}

static void add_verdict(struct view *view, const char *verdict)
{
    if (!verdict)
        add(view, DWB_STYLE_WARNING, "-");
    else if (strcmp(verdict, "slower") == 0)
        add(view, DWB_STYLE_BAD, "slower");
    else if (strcmp(verdict, "not_resolved") == 0)
        add(view, DWB_STYLE_WARNING, "not resolved");
    else
        add(view, DWB_STYLE_GOOD, verdict);
}

static void note_kernels(struct view *view, const json_t *row)
{
    const char *a = text(json_object_get(row, "a"), "kernel");
    const char *b = text(json_object_get(row, "b"), "kernel");
    char line[512];

    if (!a || !b || strcmp(a, b) == 0)
        return;
    snprintf(line, sizeof(line), "another kernel: %s, was %s", b, a);
    note(view, line);
}

/* What a gate says of its measurement. */
static void note_gate(struct view *view, const json_t *row)
{
    double dropped = number(row, "dropped_share");
    char line[256] = "";
    size_t n = 0;

    n += (size_t)snprintf(line, sizeof(line),
                          "%" JSON_INTEGER_FORMAT " processes, %" JSON_INTEGER_FORMAT " pairs",
                          json_integer_value(json_object_get(row, "processes")),
                          json_integer_value(json_object_get(row, "pairs")));
    if (isfinite(dropped))
        n += (size_t)snprintf(line + n, sizeof(line) - n, ", %.1f%% dropped", 100 * dropped);
    if (json_is_true(json_object_get(row, "confirmed")))
        snprintf(line + n, sizeof(line) - n, ", confirmed by a second measurement");
    note(view, line);
}

/*
 * Rows that follow each other with one reason (a layer that is not stable) have it once, under the
 * last of them; the machine's, which is every row's, stands below the table.
 */
static void note_reason(struct view *view, const json_t *row, const json_t *next)
{
    const char *reason = text(row, "reason"), *of_next = text(next, "reason");
    const char *of_all = text(json_object_get(view->document, "machine"), "reason");
    bool goes_on =
        next && json_equal(json_object_get(row, "layer"), json_object_get(next, "layer"));

    if (!reason || !reason[0] || (of_all && strcmp(reason, of_all) == 0))
        return;
    if (!goes_on || !of_next || strcmp(reason, of_next) != 0)
        note(view, reason);
}

static void add_row(struct view *view, const json_t *row, const json_t *next)
{
    const char *layer = text(row, "layer"), *backend = text(row, "backend");
    const char *operation = text(row, "operation");
    bool is_peer = backend && strcmp(backend, "native") != 0;
    char cell[DWB_TABLE_CELL_MAX];

    snprintf(cell, sizeof(cell), "%.50s%s%.20s", layer ? layer : "-", is_peer ? " " : "",
             is_peer ? backend : "");
    add(view, DWB_STYLE_BOLD, cell);
    add(view, DWB_STYLE_PLAIN, operation ? operation : "-");
    for (size_t i = 0; i < 2; i++)
        add(view, DWB_STYLE_PLAIN,
            format_time(view, number(json_object_get(row, i ? "b" : "a"), "floor_ns"), cell,
                        sizeof(cell)));
    add_change(view, json_object_get(row, "change"));
    add_limit(view, row);
    add_verdict(view, text(row, "verdict"));
    note_reason(view, row, next);
    if (json_object_get(row, "pairs"))
        note_gate(view, row); /* other kernels are what is compared there */
    else
        note_kernels(view, row);
}

static int fill(struct view *view)
{
    static const char *const names[][2] = {
        {"", "layer"},      {"", "operation"},        {"a", NULL},    {"b", NULL},
        {"change", "code"}, {"interval", "or limit"}, {"", "verdict"}};
    const json_t *rows = json_object_get(view->document, "comparisons"), *row;
    size_t i;

    view->table = dwb_table_new(7, 0x3c);
    view->r = view->table ? 0 : -ENOMEM;
    for (size_t line = 0; view->r == 0 && line < 2; line++)
        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            add(view, DWB_STYLE_BOLD, names[i][line] ? names[i][line] : view->time_unit);
    json_array_foreach(rows, i, row) if (view->r == 0)
        add_row(view, row, json_array_get(rows, i + 1));
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

static void say_side(const struct view *view, const char *side, FILE *out)
{
    const json_t *job = json_object_get(view->document, side);
    const json_t *first = json_array_get(json_object_get(view->document, "comparisons"), 0);
    const char *what = text(json_object_get(first, side), "what"), *id = text(job, "id");
    const char *name = text(job, "name"), *finished_at = text(job, "finished_at");

    if (!what)
        what = id ? id : "-";
    say(view, out, "%s: %s%s%s%s%s", side, what, name ? ", " : "", name ? name : "",
        finished_at ? ", " : "", finished_at ? finished_at : "");
}

static void say_machine(const struct view *view, FILE *out)
{
    const json_t *machine = json_object_get(view->document, "machine");
    const char *reason = text(machine, "reason");
    double canary = number(machine, "canary_change"), peak = number(machine, "peak_change");
    double drift = number(machine, "drift");

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
    dwb_cleanup_free char *dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
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
    const json_t *rows = json_object_get(view->document, key), *row;
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
        const char *verdict, *sentence;
    } sentences[] = {
        {"slower", "b is slower than a"},
        {"faster", "b is faster than a"},
        {"same", "b is as fast as a"},
        {"not_resolved", "Not resolved whether b is slower than a"},
    };
    static const char *const keys[] = {"slower", "faster", "same", "not_resolved"};
    static const char *const words[] = {"slower", "faster", "the same", "not resolved"};
    const json_t *overall = json_object_get(view->document, "overall");
    const char *verdict = text(overall, "verdict");
    char line[256] = "";
    size_t n = 0;

    for (size_t i = 0; verdict && i < sizeof(sentences) / sizeof(sentences[0]); i++)
        if (strcmp(verdict, sentences[i].verdict) == 0)
            n = (size_t)snprintf(line, sizeof(line), "%s", sentences[i].sentence);
    for (size_t i = 0, n_said = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        json_int_t count = json_integer_value(json_object_get(overall, keys[i]));

        if (count > 0 && n < sizeof(line))
            n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%" JSON_INTEGER_FORMAT " %s",
                                  n_said++ ? ", " : ": ", count, words[i]);
    }
    fprintf(out, "\n%s.\n", line);
}

int dwb_render_comparison(const json_t *document, const struct dwb_terminal *terminal, FILE *out)
{
    struct view view = {.document = document, .terminal = terminal};
    int r;

    choose_time_unit(&view);
    r = fill(&view);
    if (r == 0) {
        unsigned gap = dwb_table_width(view.table, 2) > terminal->columns ? 1 : 2;

        say_side(&view, "a", out);
        say_side(&view, "b", out);
        fputc('\n', out);
        dwb_table_print(view.table, terminal, gap, out);
        fputc('\n', out);
        say_machine(&view, out);
        say_differences(&view, "obstacles", "forced, although this differs", out);
        say_differences(&view, "differences", "environment", out);
        say_overall(&view, out);
    }
    dwb_table_free(view.table);
    return r;
}
