#include "client/comparison.h"

#include "analysis/alike.h"
#include "analysis/compare.h"
#include "client/api.h"
#include "client/job.h"
#include "client/render.h"
#include "client/render_comparison.h"
#include "common/cleanup.h"
#include "common/json_memory.h"

#include <errno.h>
#include <string.h>

#define NAME_MAX_LENGTH 63 /* of a baseline, by the protocol */

int dwb_comparison_path(const char *name, char *buffer, size_t size)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    if (n == 0 || n > NAME_MAX_LENGTH || name[n] != '\0' ||
        snprintf(buffer, size, "/v1/baselines/%s", name) >= (int)size) {
        dwb_say("`%s' is no name of a baseline: it has 1 to %d letters, digits, dots, hyphens and "
                "underscores",
                name, NAME_MAX_LENGTH);
        return DWB_EXIT_USAGE;
    }
    return DWB_EXIT_OK;
}

int dwb_comparison_documents(struct dwb_http *http, const json_t *baseline, json_t **ret_document,
                             json_t **ret_history)
{
    const json_t *ids = json_object_get(baseline, "history"), *id;
    const char *job = json_string_value(json_object_get(baseline, "job"));
    json_t *document = NULL, *history = json_array();
    int r = job ? dwb_job_fetch(http, job, &document) : DWB_EXIT_UNREACHABLE;
    size_t i;

    if (!job)
        dwb_say("the daemon's answer names no job of the baseline");
    json_array_foreach(ids, i, id)
    {
        json_t *earlier = NULL;

        if (r == DWB_EXIT_OK && json_is_string(id))
            r = dwb_job_fetch(http, json_string_value(id), &earlier);
        dwb_compare_trim(earlier);
        if (r == DWB_EXIT_OK && json_array_append_new(history, earlier) < 0) {
            dwb_say("no memory for the baseline's history");
            r = DWB_EXIT_FAILED;
        }
    }
    if (r != DWB_EXIT_OK) {
        json_decref(document);
        json_decref(history);
        return r;
    }
    *ret_document = document;
    *ret_history = history;
    return DWB_EXIT_OK;
}

static void say_obstacles(const json_t *a, const json_t *b)
{
    json_t *obstacles = dwb_alike_obstacles(a, b), *row;
    size_t i;

    dwb_say("the two are not comparable, this differs:");
    json_array_foreach(obstacles, i, row)
    {
        dwb_cleanup_free char *of_a = dwb_json_memory_dump(json_object_get(row, "a"));
        dwb_cleanup_free char *of_b = dwb_json_memory_dump(json_object_get(row, "b"));

        dwb_say("  %s: %.200s in a, %.200s in b", json_string_value(json_object_get(row, "member")),
                of_a ? of_a : "nothing", of_b ? of_b : "nothing");
    }
    dwb_say("--force compares them all the same, and the result says so");
    json_decref(obstacles);
}

int dwb_comparison_make(const json_t *a, const char *a_what, const json_t *b, const char *b_what,
                        const json_t *history, const struct dwb_cli *cli, json_t **ret_comparison)
{
    struct dwb_compare_input input = {.a = a,
                                      .b = b,
                                      .a_what = a_what,
                                      .b_what = b_what,
                                      .history = history,
                                      .force = cli->force};
    int r = dwb_compare(&input, ret_comparison);

    if (r == -EINVAL) {
        dwb_say("%s is not a result document (dwbenchctl result --format json -o FILE writes one)",
                dwb_compare_takes(a) ? (b_what ? b_what : "b") : (a_what ? a_what : "a"));
        return DWB_EXIT_USAGE;
    }
    if (r == -EXDEV) {
        say_obstacles(a, b);
        return DWB_EXIT_USAGE;
    }
    if (r < 0) {
        dwb_say("no memory for the comparison");
        return DWB_EXIT_FAILED;
    }
    return DWB_EXIT_OK;
}

int dwb_comparison_render(const json_t *comparison, const struct dwb_cli *cli, int fd, FILE *out)
{
    struct dwb_terminal terminal;
    int r;

    dwb_terminal_of(fd, &terminal);
    switch (cli->format) {
    case DWB_FORMAT_JSON:
        r = dwb_render_json(comparison, out);
        break;
    case DWB_FORMAT_JUNIT:
        r = dwb_render_comparison_junit(comparison, out);
        break;
    case DWB_FORMAT_MARKDOWN:
        r = dwb_render_comparison_markdown(comparison, out);
        break;
    case DWB_FORMAT_HTML:
        r = dwb_render_comparison_html(comparison, out);
        break;
    default:
        r = dwb_render_comparison(comparison, &terminal, out);
    }
    if (r < 0) {
        dwb_say("no memory for the comparison");
        return DWB_EXIT_FAILED;
    }
    return DWB_EXIT_OK;
}

int dwb_comparison_check_format(const struct dwb_cli *cli)
{
    if (cli->format != DWB_FORMAT_CSV)
        return DWB_EXIT_OK;
    dwb_say("--format: a comparison is printed as table, json, junit, markdown or html");
    return DWB_EXIT_USAGE;
}

int dwb_comparison_exit(const json_t *comparison)
{
    const json_t *overall = json_object_get(comparison, "overall");
    const char *verdict = json_string_value(json_object_get(overall, "verdict"));

    if (verdict && strcmp(verdict, "slower") == 0)
        return DWB_EXIT_REGRESSION;
    if (verdict && (strcmp(verdict, "same") == 0 || strcmp(verdict, "faster") == 0))
        return DWB_EXIT_OK;
    return DWB_EXIT_INCONCLUSIVE;
}
