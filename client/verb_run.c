/*
 * dwbenchctl run: one job with nothing installed or started. The path is the service's own (a
 * daemon, its store, its supervisor), so what is measured is the same.
 */

#include "client/api.h"
#include "client/input.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "client/plugins.h"
#include "client/private_daemon.h"
#include "client/verbs.h"
#include "client/watch.h"
#include "common/cleanup.h"

#include <signal.h>
#include <unistd.h>

static int measure(const struct dwb_cli *cli, const struct dwb_spec *spec,
                   struct dwb_private_daemon *daemon, json_t **ret_document)
{
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    struct dwb_cli private_cli = *cli;
    struct dwb_progress_bar bar;
    json_t *job = NULL;
    const char *id;
    int r;

    private_cli.socket = daemon->socket_path;
    dwb_progress_init(&bar, stderr, STDERR_FILENO, cli->quiet);
    r = dwb_api_open(&private_cli, &http);
    if (r == DWB_EXIT_OK)
        r = dwb_api_submit(http, spec, NULL, &job);
    if (r == DWB_EXIT_OK) {
        id = json_string_value(json_object_get(job, "id"));
        r = dwb_watch(http, id, false, &bar);
        if (r == DWB_EXIT_OK)
            r = dwb_job_fetch(http, id, ret_document);
    }
    json_decref(job);
    if (r == DWB_EXIT_UNREACHABLE)
        dwb_private_daemon_explain(daemon);
    return r;
}

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = NULL;
    struct dwb_private_daemon_options options = {0};
    struct dwb_private_daemon daemon = {0};
    struct dwb_plugin_files plugins = {0};
    json_t *document = NULL;
    struct dwb_output output;
    int r = dwb_input_spec(cli, &spec);

    for (size_t i = 0; r == DWB_EXIT_OK && i < cli->n_plugins; i++)
        r = dwb_plugin_files_add(&plugins, cli->plugins[i], NULL);
    if (r == DWB_EXIT_OK)
        r = dwb_plugin_files_name(&plugins, spec);
    if (r == DWB_EXIT_OK)
        r = dwb_output_open(cli->output, &output);
    if (r != DWB_EXIT_OK)
        return r;
    /* From here on nothing may end this process before the directory is gone. */
    dwb_interrupt_install();
    signal(SIGPIPE, SIG_IGN);
    options.plugins = plugins.names.n ? &plugins : NULL;
    r = dwb_private_daemon_start(&options, &daemon);
    if (r == DWB_EXIT_OK)
        r = measure(cli, spec, &daemon, &document);
    dwb_private_daemon_stop(&daemon);
    if (r == DWB_EXIT_OK)
        r = dwb_job_report(document, cli, &output);
    json_decref(document);
    dwb_output_close(&output);
    return r;
}

const struct dwb_verb dwb_verb_run = {
    .name = "run",
    .arguments = "FILE|SUITE|-",
    .summary = "measure here and now, with a daemon of its own",
    .help =
        "Measures a layer or a suite without a service: starts a private daemon in a temporary\n"
        "directory, submits the one job, shows its progress, prints the report, and leaves\n"
        "nothing behind, on Ctrl-C neither. FILE is a layer or suite document (YAML or JSON),\n"
        "- standard input, SUITE the name of a shipped suite.\n\n"
        "    dwbenchctl run example\n"
        "    dwbenchctl run mobilenet_v1 --budget 1s --format csv -o v1.csv\n"
        "    dwbenchctl run --layer Dk=3,Dx=56,M=128,N=128 --isa avx2\n"
        "    dwbenchctl run --layer Dk=3,Dx=56,M=128,N=128 --plugin ./mine.so",
    .options = DWB_OPTION_PLUGIN | DWB_OPTION_LAYER | DWB_OPTION_JOB | DWB_OPTION_ENVIRONMENT |
               DWB_OPTION_REPORT | DWB_OPTION_OUTPUT | DWB_OPTION_TIMEOUT | DWB_OPTION_QUIET,
    .max_arguments = 1,
    .run = run,
};
