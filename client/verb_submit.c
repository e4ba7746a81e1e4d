/* dwbenchctl submit: a job for the daemon that is there. */

#include "client/api.h"
#include "client/comparison.h"
#include "client/input.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "client/output.h"
#include "client/verbs.h"
#include "common/cleanup.h"
#include "common/memstream.h"

#include <stdio.h>
#include <string.h>

/* Without --wait standard output gets the id alone (or the job object), for scripts. */
static int report_accepted(const json_t *job, const char *id, const struct dwb_cli *cli,
                           struct dwb_output *output)
{
    char *text = cli->format == DWB_FORMAT_JSON && cli->format_given
                     ? json_dumps(job, JSON_INDENT(2))
                     : NULL;
    char line[64];
    int r, n = snprintf(line, sizeof(line), "%s\n", id);

    if (!text) {
        r = dwb_output_write(output, line, (size_t)n);
    } else {
        r = dwb_output_write(output, text, strlen(text));
        free(text);
    }
    if (r == DWB_EXIT_OK && !cli->quiet)
        dwb_say("accepted; follow it: dwbenchctl watch%s%s %s", cli->socket ? " --socket " : "",
                cli->socket ? cli->socket : "", id);
    return r;
}

/* The report, then the comparison, written as one: a file is replaced by both or by neither. */
static int report_compared(const json_t *document, const json_t *baseline, const json_t *history,
                           const struct dwb_cli *cli, struct dwb_output *output)
{
    dwb_cleanup_free char *report = NULL, *text = NULL;
    int report_exit = DWB_EXIT_OK, compared, r;
    json_t *comparison = NULL;
    size_t n_report = 0, n = 0;
    FILE *stream;

    r = dwb_job_render(document, cli, output->fd, &report, &n_report, &report_exit);
    if (r != DWB_EXIT_OK)
        return r;
    stream = dwb_memstream_open(&text, &n);
    if (!stream) {
        dwb_say("no memory for the report");
        return DWB_EXIT_FAILED;
    }
    /* One document a file: text is followed by text, but XML, HTML and JSON hold no second one. */
    if (cli->format == DWB_FORMAT_TABLE || cli->format == DWB_FORMAT_MARKDOWN)
        fwrite(report, 1, n_report, stream);
    compared = dwb_comparison_make(baseline, NULL, document, NULL, history, cli, &comparison);
    if (compared == DWB_EXIT_OK) {
        if (cli->format == DWB_FORMAT_TABLE || cli->format == DWB_FORMAT_MARKDOWN)
            fputc('\n', stream);
        compared = dwb_comparison_render(comparison, cli, output->fd, stream);
    }
    if (compared == DWB_EXIT_OK)
        compared = dwb_comparison_exit(comparison);
    json_decref(comparison);
    if (dwb_memstream_close(stream, &text) < 0) {
        dwb_say("no memory for the report");
        return DWB_EXIT_FAILED;
    }
    r = dwb_output_write(output, text, n);
    if (r == DWB_EXIT_OK)
        r = report_exit == DWB_EXIT_FAILED ? report_exit : compared;
    return r;
}

/* Asked for before the job is submitted: what cannot be compared need not be measured. */
static int fetch_baseline(struct dwb_http *http, const char *name, json_t **ret_document,
                          json_t **ret_history)
{
    json_t *baseline = NULL;
    char path[128];
    int r = dwb_comparison_path(name, path, sizeof(path));

    if (r == DWB_EXIT_OK)
        r = dwb_api_json(http, "GET", path, &baseline);
    if (r == DWB_EXIT_OK)
        r = dwb_comparison_documents(http, baseline, ret_document, ret_history);
    json_decref(baseline);
    return r;
}

static int wait_for(struct dwb_http *http, const char *id, const json_t *baseline,
                    const json_t *history, const struct dwb_cli *cli, struct dwb_output *output)
{
    json_t *document = NULL;
    int r;

    if (!cli->quiet)
        dwb_say("job %s", id);
    r = dwb_job_await(http, id, cli, &document);
    if (r == DWB_EXIT_INTERRUPTED || r == DWB_EXIT_TIMEOUT)
        dwb_job_say_goes_on(id, cli);
    if (r == DWB_EXIT_OK)
        r = baseline ? report_compared(document, baseline, history, cli, output)
                     : dwb_job_report(document, cli, output);
    json_decref(document);
    return r;
}

static int check(const struct dwb_cli *cli)
{
    if (cli->baseline && !cli->wait) {
        dwb_say("--baseline needs --wait: there is nothing to compare before the job is done");
        return DWB_EXIT_USAGE;
    }
    if (cli->force && !cli->baseline) {
        dwb_say("--force is for --baseline: nothing is compared without it");
        return DWB_EXIT_USAGE;
    }
    if (cli->format >= DWB_FORMAT_CSV && !cli->wait) {
        dwb_say("--format: a report in that format needs --wait: there is none yet");
        return DWB_EXIT_USAGE;
    }
    return cli->baseline ? dwb_comparison_check_format(cli) : DWB_EXIT_OK;
}

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = NULL;
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    json_t *job = NULL, *baseline = NULL, *history = NULL;
    struct dwb_output output;
    const char *id;
    int r = dwb_input_spec(cli, &spec);

    if (r == DWB_EXIT_OK)
        r = dwb_input_plugins(cli, spec);
    if (r == DWB_EXIT_OK)
        r = check(cli);
    if (r == DWB_EXIT_OK)
        r = dwb_output_open(cli->output, &output);
    if (r != DWB_EXIT_OK)
        return r;
    r = dwb_api_open(cli, &http);
    if (cli->wait)
        dwb_interrupt_install();
    if (r == DWB_EXIT_OK && cli->baseline)
        r = fetch_baseline(http, cli->baseline, &baseline, &history);
    if (r == DWB_EXIT_OK)
        r = dwb_api_submit(http, spec, cli->idempotency_key, &job);
    if (r == DWB_EXIT_OK) {
        id = json_string_value(json_object_get(job, "id"));
        r = cli->wait ? wait_for(http, id, baseline, history, cli, &output)
                      : report_accepted(job, id, cli, &output);
    }
    json_decref(job);
    json_decref(baseline);
    json_decref(history);
    dwb_output_close(&output);
    return r;
}

const struct dwb_verb dwb_verb_submit = {
    .name = "submit",
    .arguments = "FILE|SUITE|-",
    .summary = "hand a layer or a suite to the daemon",
    .help =
        "Hands a layer or suite to the daemon and prints the job's id once the job is durable.\n"
        "With --wait it follows the job and prints the report instead. FILE is a layer or suite\n"
        "document (YAML or JSON), - standard input, SUITE the name of a shipped suite.\n\n"
        "With --baseline NAME the report is followed by the comparison with that baseline (json, "
        "junit "
        "and html: the comparison alone), and "
        "the\n"
        "exit status is the comparison's: 0 the same or faster, 1 slower, 5 not resolved.",
    .options = DWB_OPTION_PLUGIN | DWB_OPTION_SOCKET | DWB_OPTION_LAYER | DWB_OPTION_JOB |
               DWB_OPTION_REPORT | DWB_OPTION_OUTPUT | DWB_OPTION_TIMEOUT | DWB_OPTION_QUIET |
               DWB_OPTION_WAIT | DWB_OPTION_KEY | DWB_OPTION_BASELINE | DWB_OPTION_FORCE,
    .max_arguments = 1,
    .run = run,
};
