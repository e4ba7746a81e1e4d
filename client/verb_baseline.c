/* dwbenchctl baseline: jobs under a name, to be compared with. */

#include "client/api.h"
#include "client/comparison.h"
#include "client/output.h"
#include "client/render.h"
#include "client/table.h"
#include "client/verbs.h"
#include "common/cleanup.h"
#include "common/memstream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- printing ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "-";
}

static int list_table(const json_t *baselines, const struct dwb_terminal *terminal, FILE *out)
{
    static const char *const names[] = {"name", "job", "history", "uid", "set at"};
    DWB_CLEANUP(dwb_table_freep) struct dwb_table *table = dwb_table_new(5, 0xc);
    const json_t *item;
    size_t i;
    int r = table ? 0 : -ENOMEM;

    for (i = 0; r == 0 && i < sizeof(names) / sizeof(names[0]); i++)
        r = dwb_table_add(table, DWB_STYLE_BOLD, "%s", names[i]);
    json_array_foreach(baselines, i, item)
    {
        if (r == 0)
            r = dwb_table_add(table, DWB_STYLE_BOLD, "%s", text_of(item, "name"));
        if (r == 0)
            r = dwb_table_add(table, DWB_STYLE_PLAIN, "%s", text_of(item, "job"));
        if (r == 0)
            r = dwb_table_add(table, DWB_STYLE_PLAIN, "%" JSON_INTEGER_FORMAT,
                              json_integer_value(json_object_get(item, "history_jobs")));
        if (r == 0)
            r = dwb_table_add(table, DWB_STYLE_PLAIN, "%" JSON_INTEGER_FORMAT,
                              json_integer_value(json_object_get(item, "uid")));
        if (r == 0)
            r = dwb_table_add(table, DWB_STYLE_PLAIN, "%s", text_of(item, "set_at"));
    }
    if (r == 0)
        dwb_table_print(table, terminal, 2, out);
    return r;
}

static int show_text(const json_t *baseline, FILE *out)
{
    const json_t *history = json_object_get(baseline, "history"), *job;
    size_t i;

    fprintf(out, "%s  %s  set at %s\n", text_of(baseline, "name"), text_of(baseline, "job"),
            text_of(baseline, "set_at"));
    json_array_foreach(history, i, job)
        fprintf(out, "%s  %s\n", i ? "       " : "before:", json_string_value(job));
    return 0;
}

static int print(const json_t *answer, const struct dwb_cli *cli, struct dwb_output *output)
{
    const json_t *baselines = json_object_get(answer, "baselines");
    dwb_cleanup_free char *text = NULL;
    struct dwb_terminal terminal;
    size_t n = 0;
    FILE *stream = dwb_memstream_open(&text, &n);
    int r = 0;

    dwb_terminal_of(output->fd, &terminal);
    if (stream && cli->format == DWB_FORMAT_JSON)
        r = dwb_render_json(answer, stream);
    else if (stream)
        r = baselines ? list_table(baselines, &terminal, stream) : show_text(answer, stream);
    return dwb_output_write_stream(output, stream, r, &text, &n);
}

/* ---- what is asked for ---- */

static int set(struct dwb_http *http, const char *name, const char *path, const char *job)
{
    struct dwb_http_response response;
    char body[128], checked[256];
    int r = dwb_api_job_path(job, "", checked, sizeof(checked));

    if (r != DWB_EXIT_OK)
        return r;
    if (snprintf(body, sizeof(body), "{\"job\": \"%s\"}", job) >= (int)sizeof(body)) {
        dwb_say("`%s' is not a job id (dwbenchctl list shows them)", job);
        return DWB_EXIT_USAGE;
    }
    r = dwb_http_request(http, "PUT", path, body, NULL, &response);
    if (r < 0)
        return dwb_api_explain(http, r);
    if (response.status >= 400)
        r = dwb_api_explain_problem(&response);
    else
        printf("baseline %s is job %s\n", name, job);
    dwb_http_response_deinit(&response);
    return r;
}

static int read_and_print(struct dwb_http *http, const char *path, const struct dwb_cli *cli)
{
    struct dwb_output output;
    json_t *answer = NULL;
    int r = dwb_output_open(cli->output, &output);

    if (r != DWB_EXIT_OK)
        return r;
    r = dwb_api_json(http, "GET", path, &answer);
    if (r == DWB_EXIT_OK)
        r = print(answer, cli, &output);
    json_decref(answer);
    dwb_output_close(&output);
    return r;
}

static int delete (struct dwb_http *http, const char *name, const char *path)
{
    json_t *answer = NULL;
    int r = dwb_api_json(http, "DELETE", path, &answer);

    if (r == DWB_EXIT_OK)
        printf("baseline %s is deleted; its jobs stay\n", name);
    json_decref(answer);
    return r;
}

static const struct {
    const char *name;
    int n_arguments; /* with the name itself */
} actions[] = {{"set", 3}, {"list", 1}, {"show", 2}, {"delete", 2}};

enum { SET, LIST, SHOW, DELETE, N_ACTIONS };

static int find_action(const struct dwb_cli *cli, size_t *ret_action)
{
    const char *names[N_ACTIONS], *given = cli->arguments[0], *nearest;

    for (size_t i = 0; i < N_ACTIONS; i++) {
        names[i] = actions[i].name;
        if (strcmp(given, names[i]) != 0)
            continue;
        *ret_action = i;
        if (cli->n_arguments == actions[i].n_arguments)
            return DWB_EXIT_OK;
        dwb_say("usage: dwbenchctl baseline %s%s%s", names[i], i == LIST ? "" : " NAME",
                i == SET ? " JOB" : "");
        return DWB_EXIT_USAGE;
    }
    nearest = dwb_cli_nearest(given, names, N_ACTIONS);
    if (nearest)
        dwb_say("baseline: unknown action `%s': did you mean %s?", given, nearest);
    else
        dwb_say("baseline: unknown action `%s': set, list, show or delete", given);
    return DWB_EXIT_USAGE;
}

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    char path[128] = "/v1/baselines";
    size_t action = 0;
    int r = find_action(cli, &action);

    if (r == DWB_EXIT_OK && cli->format == DWB_FORMAT_CSV) {
        dwb_say("--format: baselines are printed as table or json");
        r = DWB_EXIT_USAGE;
    }
    if (r == DWB_EXIT_OK && action != LIST)
        r = dwb_comparison_path(cli->arguments[1], path, sizeof(path));
    if (r == DWB_EXIT_OK)
        r = dwb_api_open(cli, &http);
    if (r != DWB_EXIT_OK)
        return r;
    if (action == SET)
        return set(http, cli->arguments[1], path, cli->arguments[2]);
    if (action == DELETE)
        return delete (http, cli->arguments[1], path);
    return read_and_print(http, path, cli);
}

const struct dwb_verb dwb_verb_baseline = {
    .name = "baseline",
    .arguments = "ACTION ...",
    .summary = "keep a job under a name, to compare with",
    .help =
        "    dwbenchctl baseline set NAME JOB\n"
        "    dwbenchctl baseline list\n"
        "    dwbenchctl baseline show NAME\n"
        "    dwbenchctl baseline delete NAME\n\n"
        "set makes a job that is done the baseline of that name; the one before goes to the\n"
        "name's history, of which the last 100 are kept: compare --baseline NAME judges by it\n"
        "once there are five. delete forgets the name and its history, not the jobs. Who sets a\n"
        "name first owns it; only the owner and the daemon's administrators change it.",
    .options = DWB_OPTION_SOCKET | DWB_OPTION_FORMAT | DWB_OPTION_OUTPUT | DWB_OPTION_TIMEOUT,
    .min_arguments = 1,
    .max_arguments = 3,
    .run = run,
};
