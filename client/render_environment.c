/*
 * The environment record for people: its members in groups, labels aligned, what could not be read
 * with the reason. The groups name top-level members; one that they do not know is shown as well,
 * at the end, so that nothing that was recorded is kept from the reader.
 */

#include "client/render.h"

#include "client/output.h"
#include "common/cleanup.h"
#include "common/diag.h"
#include "common/memstream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_KEYS_MAX 12
#define INDENT         2
#define GAP            2
#define PATH_SIZE      160

static const struct group {
    const char *title;
    const char *keys[GROUP_KEYS_MAX];
} groups[] = {
    {"Processor", {"cpu", "hypervisor", "caches", "memory_bytes", "memory_available_bytes"}},
    {"CPUs",
     {"cpus_online", "cpus_isolated", "smt_active", "smt_siblings", "numa_nodes", "governor",
      "frequency_driver", "frequency_khz_max", "boost"}},
    {"Operating system",
     {"kernel", "clocksource", "thp", "aslr", "aslr_of_process", "perf_event_paranoid",
      "nmi_watchdog", "mitigations"}},
    {"Program", {"build", "libraries"}},
    {"Measurement",
     {"seed", "mxcsr", "fpcr", "counter_window_ns", "load", "steal_ticks", "during"}},
};

#define N_GROUPS (sizeof(groups) / sizeof(groups[0]))

struct view {
    const json_t *environment;
    const struct dwb_terminal *terminal;
    FILE *out;
    bool csv;
    size_t label_width;
    size_t n_shown; /* in this group */
};

/* A member on which the processes differ: {min, max} or {first, last, distinct}. */
static bool is_spread(const json_t *value)
{
    return (json_object_size(value) == 2 && json_object_get(value, "min") &&
            json_object_get(value, "max")) ||
           (json_object_size(value) == 3 && json_object_get(value, "first") &&
            json_object_get(value, "distinct"));
}

static void print_text(FILE *text, const json_t *value);

static void print_array(FILE *text, const json_t *array)
{
    const json_t *value, *member;
    const char *name;
    size_t i;

    json_array_foreach(array, i, value)
    {
        bool first = true;

        if (i)
            fputs(json_is_object(value) ? "; " : json_is_string(value) ? " " : ", ", text);
        if (!json_is_object(value)) {
            print_text(text, value);
            continue;
        }
        json_object_foreach((json_t *)value, name, member)
        {
            fprintf(text, "%s%s ", first ? "" : ", ", name);
            print_text(text, member);
            first = false;
        }
    }
}

static void print_spread(FILE *text, const json_t *value)
{
    bool range = json_object_get(value, "min") != NULL;

    print_text(text, json_object_get(value, range ? "min" : "first"));
    fputs(range ? " to " : " ... ", text);
    print_text(text, json_object_get(value, range ? "max" : "last"));
    if (!range)
        fprintf(text, " (%" JSON_INTEGER_FORMAT " different)",
                json_integer_value(json_object_get(value, "distinct")));
}

static void print_text(FILE *text, const json_t *value)
{
    char clean[4096];

    if (json_is_string(value) && json_string_length(value) == 0) {
        fputs("none", text);
    } else if (json_is_string(value)) {
        dwb_escape(clean, sizeof(clean), json_string_value(value), json_string_length(value));
        fputs(clean, text);
    } else if (json_is_integer(value)) {
        fprintf(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_number(value)) {
        fprintf(text, "%g", json_number_value(value));
    } else if (json_is_boolean(value)) {
        fputs(json_is_true(value) ? "yes" : "no", text);
    } else if (json_is_array(value)) {
        print_array(text, value);
    } else if (is_spread(value)) {
        print_spread(text, value);
    } else {
        fputs("not readable", text);
    }
}

static const char *why_null(const struct view *view, const char *path)
{
    const json_t *why = json_object_get(json_object_get(view->environment, "unreadable"), path);

    return json_string_value(is_spread(why) ? json_object_get(why, "first") : why);
}

/* Words after a label, broken so that what follows stands under the first of them. */
static void print_wrapped(const struct view *view, char *text)
{
    size_t indent = INDENT + view->label_width + GAP, room, used = 0;
    char *rest = NULL;

    room = view->terminal->columns > indent + 20 ? view->terminal->columns - indent : 20;
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        size_t width = dwb_terminal_width(word);

        if (used && used + 1 + width > room) {
            fprintf(view->out, "\n%*s", (int)indent, "");
            used = 0;
        }
        used += (size_t)fprintf(view->out, "%s%s", used ? " " : "", word);
    }
    fputc('\n', view->out);
}

static int show_leaf(struct view *view, const char *path, const json_t *value)
{
    dwb_cleanup_free char *text = NULL;
    const char *why = json_is_null(value) ? why_null(view, path) : NULL;
    size_t n;
    FILE *stream = dwb_memstream_open(&text, &n);

    if (!stream)
        return -ENOMEM;
    if (!view->csv || !json_is_null(value))
        print_text(stream, value);
    if (why && !view->csv)
        fprintf(stream, " (%s)", why);
    if (dwb_memstream_close(stream, &text) < 0)
        return -ENOMEM;
    if (view->csv) {
        const char *fields[] = {path, text, why ? why : ""};

        for (size_t i = 0; i < 3; i++) {
            dwb_csv_field(view->out, fields[i]);
            fputs(i < 2 ? "," : "\r\n", view->out);
        }
        return 0;
    }
    fprintf(view->out, "%*s%-*s%*s", INDENT, "", (int)view->label_width, path, GAP, "");
    print_wrapped(view, text);
    return 0;
}

typedef int leaf_fn(struct view *view, const char *path, const json_t *value);

static int measure_leaf(struct view *view, const char *path, const json_t *value)
{
    (void)value;
    view->label_width = strlen(path) > view->label_width ? strlen(path) : view->label_width;
    return 0;
}

/* Calls fn for a member, or for each member of it when it is a group of its own. */
static int each_leaf(struct view *view, const char *key, leaf_fn *fn)
{
    json_t *value = json_object_get(view->environment, key), *member;
    const char *name;
    int r = 0;

    if (!value)
        return 0;
    if (!json_is_object(value) || is_spread(value))
        return fn(view, key, value);
    json_object_foreach(value, name, member)
    {
        char path[PATH_SIZE];

        snprintf(path, sizeof(path), "%s.%s", key, name);
        r = r == 0 ? fn(view, path, member) : r;
    }
    return r;
}

static int show_key(struct view *view, const char *title, const char *key)
{
    if (json_object_get(view->environment, key) && view->n_shown++ == 0 && !view->csv)
        fprintf(view->out, "%s\n", title);
    return each_leaf(view, key, show_leaf);
}

static bool is_grouped(const char *key)
{
    if (strcmp(key, "unreadable") == 0) /* shown with what it is about */
        return true;
    for (size_t i = 0; i < N_GROUPS; i++)
        for (size_t k = 0; k < GROUP_KEYS_MAX && groups[i].keys[k]; k++)
            if (strcmp(groups[i].keys[k], key) == 0)
                return true;
    return false;
}

static int show_groups(struct view *view)
{
    const char *key;
    json_t *value;
    int r = 0;

    for (size_t i = 0; i < N_GROUPS; i++) {
        view->n_shown = 0;
        for (size_t k = 0; r == 0 && k < GROUP_KEYS_MAX && groups[i].keys[k]; k++)
            r = show_key(view, groups[i].title, groups[i].keys[k]);
    }
    view->n_shown = 0;
    json_object_foreach((json_t *)view->environment, key, value) if (r == 0 && !is_grouped(key)) r =
        show_key(view, "Other", key);
    return r;
}

int dwb_render_environment(const json_t *environment, enum dwb_format format,
                           const struct dwb_terminal *terminal, FILE *out)
{
    struct view view = {.environment = environment,
                        .terminal = terminal,
                        .out = out,
                        .csv = format == DWB_FORMAT_CSV};
    const char *key;
    json_t *value;

    if (format == DWB_FORMAT_JSON)
        return dwb_render_json(environment, out);
    if (view.csv)
        fputs("member,value,reason\r\n", out);
    json_object_foreach((json_t *)environment, key, value) if (strcmp(key, "unreadable") != 0)
        each_leaf(&view, key, measure_leaf);
    return show_groups(&view);
}
