/*
 * What holds for the whole report is said once, under the table: the words of the columns, counters
 * that were not counted and why, samples that were dropped, the machine and the kernels.
 */

#include "client/render.h"

#include "client/figures.h"

#include <string.h>

#define GROUPS_MAX   12
#define LABEL_INDENT 2

/* Counters with the same reason, in the order in which they are met. */
struct group {
    const char *reason;
    char names[256];
};

static bool lists(const char *names, const char *name)
{
    size_t n = strlen(name);

    for (const char *at = names; (at = strstr(at, name)); at += n)
        if ((at == names || at[-1] == ' ') && (at[n] == ',' || at[n] == '\0'))
            return true;
    return false;
}

static void add_to_group(struct group *groups, size_t *n_groups, const char *name,
                         const char *reason)
{
    size_t i = 0, n;

    while (i < *n_groups && strcmp(groups[i].reason, reason) != 0)
        i++;
    if (i == *n_groups) {
        if (*n_groups == GROUPS_MAX)
            return;
        groups[(*n_groups)++].reason = reason;
    }
    if (lists(groups[i].names, name))
        return;
    n = strlen(groups[i].names);
    snprintf(groups[i].names + n, sizeof(groups[i].names) - n, "%s%s", n ? ", " : "", name);
}

/* A derived value ("ipc") repeats the reason of what it is derived from, with its name before. */
static bool is_derived_reason(const json_t *counters, const char *reason)
{
    const char *colon = strchr(reason, ':');
    char name[64];

    if (!colon || colon == reason || (size_t)(colon - reason) >= sizeof(name))
        return false;
    snprintf(name, sizeof(name), "%.*s", (int)(colon - reason), reason);
    return json_object_get(counters, name) != NULL;
}

static void footer_counters(const struct dwb_report *report, const struct dwb_terminal *terminal,
                            FILE *out)
{
    struct group groups[GROUPS_MAX] = {0};
    size_t n_groups = 0;

    for (size_t i = 0; i < report->n_rows; i++) {
        json_t *operations = json_object_get(report->rows[i].entry, "operations"), *operation,
               *counter;
        const char *operation_name, *name, *reason;

        json_object_foreach(operations, operation_name, operation)
        {
            /* What never ran had nothing to be counted. */
            json_t *counters = json_string_value(json_object_get(operation, "kernel"))
                                   ? json_object_get(operation, "counters")
                                   : NULL;

            json_object_foreach(counters, name, counter)
            {
                reason = json_string_value(json_object_get(counter, "reason"));
                if (json_is_null(json_object_get(counter, "value")) && reason && reason[0] &&
                    !is_derived_reason(counters, reason))
                    add_to_group(groups, &n_groups, name, reason);
            }
        }
    }
    for (size_t i = 0; i < n_groups; i++) {
        char line[1024];

        snprintf(line, sizeof(line), "not counted: %s: %s", groups[i].names, groups[i].reason);
        dwb_terminal_wrap(out, line, LABEL_INDENT, terminal->columns);
    }
}

static void footer_dropped(const struct dwb_report *report, const struct dwb_terminal *terminal,
                           FILE *out)
{
    double most = 0;
    const char *name = "";
    char line[256];

    for (size_t i = 0; i < report->n_rows; i++)
        if (report->rows[i].dropped_share > most) {
            most = report->rows[i].dropped_share;
            name = report->rows[i].name;
        }
    if (most < 0.0005)
        return;
    snprintf(line, sizeof(line),
             "dropped: %.1f%% of the samples%s%s, for signals from outside (a switch, a migration, "
             "stolen time), never for their value",
             100 * most, report->n_rows > 1 ? " at most, of " : "", report->n_rows > 1 ? name : "");
    dwb_terminal_wrap(out, line, LABEL_INDENT, terminal->columns);
}

/* Of the whole job, or nothing where an older daemon did not tell. */
static void footer_measuring(const struct dwb_report *report, const struct dwb_terminal *terminal,
                             FILE *out)
{
    const json_t *measuring =
        json_object_get(json_object_get(report->document, "job"), "measuring");
    const json_t *share = json_object_get(measuring, "share");
    char line[128];

    if (!json_is_number(share))
        return;
    snprintf(line, sizeof(line), "measuring: %.0f%% of %.1f s in timed calls and their warm-up",
             100 * json_number_value(share),
             json_number_value(json_object_get(measuring, "wall_ns")) / 1e9);
    dwb_terminal_wrap(out, line, LABEL_INDENT, terminal->columns);
}

static void footer_line(const char *label, const char *text, const struct dwb_terminal *terminal,
                        FILE *out)
{
    char line[1088];

    snprintf(line, sizeof(line), "%s: %s", label, text);
    dwb_terminal_wrap(out, line, LABEL_INDENT, terminal->columns);
}

void dwb_render_footer(const struct dwb_report *report, const struct dwb_terminal *terminal,
                       FILE *out)
{
    char text[1024];

    fputc('\n', out);
    dwb_terminal_wrap(
        out,
        "times: the floor of all processes; ratio = separable / standard with its "
        "interval; theory = 1/N + 1/Dk^2; saving share = theory / measured, 100% is "
        "all of it; GFLOP/s and % of peak of executed multiply-adds (std, dw, pw); held by: "
        "what bounds it, compute or a level's bandwidth, and % of that bound",
        LABEL_INDENT, terminal->columns);
    footer_counters(report, terminal, out);
    footer_dropped(report, terminal, out);
    footer_measuring(report, terminal, out);
    footer_line("machine", dwb_figure_machine(report, text, sizeof(text)), terminal, out);
    footer_line("kernels", dwb_figure_kernels(report, text, sizeof(text)), terminal, out);
}
