/* dwbenchctl submit: a job for the daemon that is there. */

#include "client/api.h"
#include "client/input.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "client/verbs.h"
#include "common/cleanup.h"

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

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = NULL;
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    struct dwb_output output;
    json_t *job = NULL;
    const char *id;
    int r = dwb_input_spec(cli, &spec);

    if (r == DWB_EXIT_OK)
        r = dwb_input_plugins(cli, spec);
    if (r == DWB_EXIT_OK && cli->format == DWB_FORMAT_CSV && !cli->wait) {
        dwb_say("--format csv needs --wait: there is no report yet");
        r = DWB_EXIT_USAGE;
    }
    if (r == DWB_EXIT_OK)
        r = dwb_output_open(cli->output, &output);
    if (r != DWB_EXIT_OK)
        return r;
    r = dwb_api_open(cli, &http);
    if (cli->wait)
        dwb_interrupt_install();
    if (r == DWB_EXIT_OK)
        r = dwb_api_submit(http, spec, cli->idempotency_key, &job);
    if (r == DWB_EXIT_OK) {
        id = json_string_value(json_object_get(job, "id"));
        if (!cli->wait) {
            r = report_accepted(job, id, cli, &output);
        } else {
            if (!cli->quiet)
                dwb_say("job %s", id);
            r = dwb_job_follow(http, id, cli, &output);
            if (r == DWB_EXIT_INTERRUPTED || r == DWB_EXIT_TIMEOUT)
                dwb_job_say_goes_on(id, cli);
        }
    }
    json_decref(job);
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
        "document (YAML or JSON), - standard input, SUITE the name of a shipped suite.",
    .options = DWB_OPTION_PLUGIN | DWB_OPTION_SOCKET | DWB_OPTION_LAYER | DWB_OPTION_JOB |
               DWB_OPTION_FORMAT | DWB_OPTION_OUTPUT | DWB_OPTION_TIMEOUT | DWB_OPTION_QUIET |
               DWB_OPTION_WAIT | DWB_OPTION_KEY,
    .max_arguments = 1,
    .run = run,
};
