/* dwbenchctl compare: is the second job slower than the first, or than a baseline's history? */

#include "client/api.h"
#include "client/comparison.h"
#include "client/job.h"
#include "client/output.h"
#include "client/verbs.h"
#include "common/cleanup.h"
#include "common/memstream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct side {
    json_t *document;
    const char *what; /* the file; NULL = a job of the daemon */
};

/* A file of that name comes before a job, as it does before a suite. */
static bool is_file(const char *argument)
{
    struct stat status;

    return strpbrk(argument, "/.") || (stat(argument, &status) == 0 && !S_ISDIR(status.st_mode));
}

static int load_file(const char *path, struct side *side)
{
    json_error_t error;

    side->what = path;
    side->document = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (side->document)
        return DWB_EXIT_OK;
    if (error.line > 0)
        dwb_say("%s:%d:%d: %s", path, error.line, error.column, error.text);
    else
        dwb_say("%s", error.text);
    return DWB_EXIT_USAGE;
}

/* *http is opened with the first job: two files need no daemon. */
static int load(const struct dwb_cli *cli, const char *argument, struct dwb_http **http,
                struct side *side)
{
    int r = DWB_EXIT_OK;

    if (is_file(argument))
        return load_file(argument, side);
    if (!*http)
        r = dwb_api_open(cli, http);
    return r == DWB_EXIT_OK ? dwb_job_fetch(*http, argument, &side->document) : r;
}

static int load_baseline(const struct dwb_cli *cli, struct dwb_http **http, struct side *side,
                         json_t **ret_history)
{
    json_t *baseline = NULL;
    char path[128];
    int r = dwb_comparison_path(cli->baseline, path, sizeof(path));

    if (r == DWB_EXIT_OK)
        r = dwb_api_open(cli, http);
    if (r == DWB_EXIT_OK)
        r = dwb_api_json(*http, "GET", path, &baseline);
    if (r == DWB_EXIT_OK)
        r = dwb_comparison_documents(*http, baseline, &side->document, ret_history);
    json_decref(baseline);
    return r;
}

static int print(const json_t *comparison, const struct dwb_cli *cli, struct dwb_output *output)
{
    dwb_cleanup_free char *text = NULL;
    size_t n = 0;
    FILE *stream = dwb_memstream_open(&text, &n);
    int r = stream ? dwb_comparison_render(comparison, cli, output->fd, stream) : DWB_EXIT_FAILED;

    if (dwb_memstream_close(stream, &text) < 0) {
        dwb_say("no memory for the comparison");
        return DWB_EXIT_FAILED;
    }
    return r == DWB_EXIT_OK ? dwb_output_write(output, text, n) : r;
}

static int check(const struct dwb_cli *cli)
{
    if (cli->baseline && cli->n_arguments != 1) {
        dwb_say("compare: --baseline NAME is one side, so one JOB is the other");
        return DWB_EXIT_USAGE;
    }
    if (!cli->baseline && cli->n_arguments != 2) {
        dwb_say("compare: two jobs are needed, or --baseline NAME and one");
        return DWB_EXIT_USAGE;
    }
    return dwb_comparison_check_format(cli);
}

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    json_t *history = NULL, *comparison = NULL;
    struct side a = {0}, b = {0};
    struct dwb_output output;
    int r = check(cli);

    if (r == DWB_EXIT_OK)
        r = dwb_output_open(cli->output, &output);
    if (r != DWB_EXIT_OK)
        return r;
    r = cli->baseline ? load_baseline(cli, &http, &a, &history)
                      : load(cli, cli->arguments[0], &http, &a);
    if (r == DWB_EXIT_OK)
        r = load(cli, cli->arguments[cli->n_arguments - 1], &http, &b);
    if (r == DWB_EXIT_OK)
        r = dwb_comparison_make(a.document, a.what, b.document, b.what, history, cli, &comparison);
    if (r == DWB_EXIT_OK)
        r = print(comparison, cli, &output);
    if (r == DWB_EXIT_OK)
        r = dwb_comparison_exit(comparison);
    json_decref(comparison);
    json_decref(history);
    json_decref(a.document);
    json_decref(b.document);
    dwb_output_close(&output);
    return r;
}

const struct dwb_verb dwb_verb_compare = {
    .name = "compare",
    .arguments = "JOB JOB",
    .summary = "is the second job slower than the first",
    .help =
        "Compares two jobs that are done, or with --baseline NAME one job with that baseline and\n"
        "the history of it. In place of a JOB goes a FILE with a result document, as\n"
        "result --format json -o FILE writes it; two files need no daemon.\n"
        "What the machine itself changed between the two, by its canary and its multiply-add\n"
        "peak, is taken off. Jobs of different CPUs, ISAs, cache modes or layers are refused\n"
        "without --force.\n\n"
        "Exit status: 0 the same or faster, 1 slower, 5 not resolved, 2 refused.",
    .options = DWB_OPTION_SOCKET | DWB_OPTION_REPORT | DWB_OPTION_OUTPUT | DWB_OPTION_TIMEOUT |
               DWB_OPTION_BASELINE | DWB_OPTION_FORCE,
    .min_arguments = 1,
    .max_arguments = 2,
    .run = run,
};
