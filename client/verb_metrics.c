/* dwbenchctl metrics: what a Prometheus server would scrape. */

#include "client/api.h"
#include "client/output.h"
#include "client/verbs.h"
#include "common/cleanup.h"

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    struct dwb_http_response response;
    struct dwb_output output;
    int r = dwb_output_open(cli->output, &output);

    if (r != DWB_EXIT_OK)
        return r;
    r = dwb_api_open(cli, &http);
    if (r == DWB_EXIT_OK)
        r = dwb_api_call(http, "GET", "/metrics", &response);
    if (r == DWB_EXIT_OK) {
        r = dwb_output_write(&output, response.body, response.n_body);
        dwb_http_response_deinit(&response);
    }
    dwb_output_close(&output);
    return r;
}

const struct dwb_verb dwb_verb_metrics = {
    .name = "metrics",
    .arguments = "",
    .summary = "print the daemon's Prometheus metrics",
    .help = "Prints the daemon's metrics in the Prometheus text format. With -o FILE it feeds the\n"
            "textfile collector of node_exporter.",
    .options = DWB_OPTION_SOCKET | DWB_OPTION_OUTPUT | DWB_OPTION_TIMEOUT,
    .run = run,
};
