/* dwbenchctl list: jobs, newest first. */

#include "client/api.h"
#include "client/jobs.h"
#include "client/verbs.h"
#include "common/cleanup.h"

#define LIMIT_DEFAULT 20

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    json_t *answer = NULL;
    char path[128];
    int r = dwb_api_open(cli, &http);

    snprintf(path, sizeof(path), "/v1/jobs?limit=%u%s%s", cli->limit ? cli->limit : LIMIT_DEFAULT,
             cli->state ? "&state=" : "", cli->state ? cli->state : "");
    if (r == DWB_EXIT_OK)
        r = dwb_api_json(http, "GET", path, &answer);
    if (r == DWB_EXIT_OK)
        r = dwb_jobs_print(json_object_get(answer, "jobs"), answer, cli);
    if (r == DWB_EXIT_OK && !cli->quiet && json_is_string(json_object_get(answer, "next")))
        dwb_say("there are older jobs: --limit N shows more");
    json_decref(answer);
    return r;
}

const struct dwb_verb dwb_verb_list = {
    .name = "list",
    .arguments = "",
    .summary = "list jobs, newest first",
    .help = "Lists the daemon's jobs, newest first.",
    .options = DWB_OPTION_SOCKET | DWB_OPTION_FORMAT | DWB_OPTION_OUTPUT | DWB_OPTION_TIMEOUT |
               DWB_OPTION_QUIET | DWB_OPTION_STATE | DWB_OPTION_LIMIT,
    .run = run,
};
