/* dwbenchctl result: the report of a job that is done. */

#include "client/api.h"
#include "client/job.h"
#include "client/verbs.h"
#include "common/cleanup.h"

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    json_t *document = NULL;
    struct dwb_output output;
    int r = dwb_output_open(cli->output, &output);

    if (r != DWB_EXIT_OK)
        return r;
    r = dwb_api_open(cli, &http);
    if (r == DWB_EXIT_OK)
        r = dwb_job_fetch(http, cli->arguments[0], &document);
    if (r == DWB_EXIT_OK)
        r = dwb_job_report(document, cli, &output);
    json_decref(document);
    dwb_output_close(&output);
    return r;
}

const struct dwb_verb dwb_verb_result = {
    .name = "result",
    .arguments = "JOB",
    .summary = "print the report of a finished job",
    .help = "Prints the report of a job that is done; --format json gives the whole document.\n"
            "--environment prints what its processes recorded of the machine, and why a member\n"
            "could not be read; with --format json that object alone.",
    .options = DWB_OPTION_SOCKET | DWB_OPTION_ENVIRONMENT | DWB_OPTION_REPORT | DWB_OPTION_OUTPUT |
               DWB_OPTION_TIMEOUT,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
