/* dwbenchctl cancel: ends a queued or running job. */

#include "client/api.h"
#include "client/verbs.h"
#include "common/cleanup.h"

#include <stdio.h>

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    json_t *job = NULL;
    char path[256];
    int r = dwb_api_job_path(cli->arguments[0], "", path, sizeof(path));

    if (r == DWB_EXIT_OK)
        r = dwb_api_open(cli, &http);
    if (r == DWB_EXIT_OK)
        r = dwb_api_json(http, "DELETE", path, &job);
    if (r == DWB_EXIT_OK && !cli->quiet)
        printf("job %s is cancelled\n", cli->arguments[0]);
    json_decref(job);
    return r;
}

const struct dwb_verb dwb_verb_cancel = {
    .name = "cancel",
    .arguments = "JOB",
    .summary = "end a queued or running job",
    .help =
        "Ends a job: a queued one at once, a running one within a second. Only who submitted it\n"
        "and the daemon's administrators may.",
    .options = DWB_OPTION_SOCKET | DWB_OPTION_TIMEOUT | DWB_OPTION_QUIET,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
