/* dwbenchctl version: this program's, and the daemon's when one answers. */

#include "client/api.h"
#include "client/verbs.h"
#include "common/cleanup.h"
#include "common/json_memory.h"

#include <stdio.h>

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    struct dwb_http_response response;
    const char *version;
    json_t *info;

    printf("dwbenchctl %s\n", DWB_VERSION);
    if (dwb_api_open(cli, &http) != DWB_EXIT_OK)
        return DWB_EXIT_USAGE;
    /* That there is no daemon is no error here. */
    if (dwb_http_request(http, "GET", "/v1/info", NULL, NULL, &response) < 0) {
        printf("dwbenchd   not running at %s\n", dwb_http_socket(http));
        return DWB_EXIT_OK;
    }
    info = dwb_json_memory_load(response.body, response.n_body, 0, NULL);
    version = json_string_value(json_object_get(info, "version"));
    printf("dwbenchd   %s at %s\n", version ? version : "of an unknown version",
           dwb_http_socket(http));
    json_decref(info);
    dwb_http_response_deinit(&response);
    return DWB_EXIT_OK;
}

const struct dwb_verb dwb_verb_version = {
    .name = "version",
    .arguments = "",
    .summary = "print versions",
    .help = "Prints the version of this program and of the daemon that answers.",
    .options = DWB_OPTION_SOCKET,
    .run = run,
};
