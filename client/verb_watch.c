/* dwbenchctl watch: a job's progress to its end, then its report. */

#include "client/api.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "client/verbs.h"
#include "common/cleanup.h"

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    const char *id = cli->arguments[0];
    struct dwb_output output;
    json_t *job = NULL;
    char path[256];
    int r = dwb_api_job_path(id, "", path, sizeof(path));

    if (r == DWB_EXIT_OK)
        r = dwb_output_open(cli->output, &output);
    if (r != DWB_EXIT_OK)
        return r;
    r = dwb_api_open(cli, &http);
    /* Asked for by itself first: a job that is not there, or no daemon, is an answer at once. */
    if (r == DWB_EXIT_OK)
        r = dwb_api_json(http, "GET", path, &job);
    json_decref(job);
    if (r == DWB_EXIT_OK) {
        dwb_interrupt_install();
        r = dwb_job_follow(http, id, cli, &output);
        if (r == DWB_EXIT_INTERRUPTED || r == DWB_EXIT_TIMEOUT)
            dwb_job_say_goes_on(id, cli);
    }
    dwb_output_close(&output);
    return r;
}

const struct dwb_verb dwb_verb_watch = {
    .name = "watch",
    .arguments = "JOB",
    .summary = "follow a job and print its report",
    .help =
        "Follows a job to its end and prints the report. Ctrl-C ends the watching, not the job.",
    .options = DWB_OPTION_SOCKET | DWB_OPTION_REPORT | DWB_OPTION_OUTPUT | DWB_OPTION_TIMEOUT |
               DWB_OPTION_QUIET,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
