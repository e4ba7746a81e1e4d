/* dwbenchctl status: one job, or the daemon and what it has to do. */

#include "client/api.h"
#include "client/jobs.h"
#include "client/output.h"
#include "client/render.h"
#include "client/verbs.h"
#include "common/cleanup.h"
#include "common/memstream.h"

#include <string.h>

static int one_job(struct dwb_http *http, const struct dwb_cli *cli)
{
    json_t *job = NULL, *jobs = json_array();
    char path[256];
    int r = dwb_api_job_path(cli->arguments[0], "", path, sizeof(path));

    if (r == DWB_EXIT_OK)
        r = dwb_api_json(http, "GET", path, &job);
    if (r == DWB_EXIT_OK && json_array_append(jobs, job) < 0) {
        dwb_say("no memory for the answer");
        r = DWB_EXIT_FAILED;
    }
    if (r == DWB_EXIT_OK)
        r = dwb_jobs_print(jobs, job, cli);
    json_decref(jobs);
    json_decref(job);
    return r;
}

static void describe_daemon(const json_t *info, const char *socket_path, FILE *out)
{
    const json_t *jobs = json_object_get(info, "jobs"), *loop = json_object_get(info, "loop");
    const char *version = json_string_value(json_object_get(info, "version"));
    const char *backend = json_string_value(json_object_get(loop, "backend"));
    const char *fallback = json_string_value(json_object_get(loop, "fallback_reason"));
    const char *started = json_string_value(json_object_get(info, "started_at"));
    const char *running =
        json_string_value(json_object_get(json_object_get(info, "queue"), "running"));
    static const char *const states[] = {"queued", "running", "done", "failed", "cancelled"};

    fprintf(out, "dwbenchd %s at %s, since %s%s\n", version ? version : "?", socket_path,
            started ? started : "?",
            json_is_true(json_object_get(info, "draining")) ? ", going down" : "");
    fprintf(out, "loop     %s%s%s\n", backend ? backend : "?", fallback ? ": " : "",
            fallback ? fallback : "");
    fputs("jobs     ", out);
    for (size_t i = 0; i < 5; i++)
        fprintf(out, "%s%lld %s", i ? ", " : "",
                (long long)json_integer_value(json_object_get(jobs, states[i])), states[i]);
    fputc('\n', out);
    if (running)
        fprintf(out, "running  %s\n", running);
}

static int whole_daemon(struct dwb_http *http, const struct dwb_cli *cli)
{
    dwb_cleanup_free char *text = NULL;
    struct dwb_output output;
    json_t *info = NULL;
    size_t n = 0;
    FILE *stream;
    int r;

    if (cli->format == DWB_FORMAT_CSV) {
        dwb_say("status: --format csv is for a job: dwbenchctl status JOB --format csv");
        return DWB_EXIT_USAGE;
    }
    r = dwb_output_open(cli->output, &output);
    if (r != DWB_EXIT_OK)
        return r;
    r = dwb_api_json(http, "GET", "/v1/info", &info);
    if (r == DWB_EXIT_OK) {
        stream = dwb_memstream_open(&text, &n);
        if (stream && cli->format == DWB_FORMAT_JSON)
            r = dwb_render_json(info, stream);
        else if (stream)
            describe_daemon(info, dwb_http_socket(http), stream);
        r = dwb_output_write_stream(&output, stream, r, &text, &n);
    }
    json_decref(info);
    dwb_output_close(&output);
    return r;
}

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    int r = dwb_api_open(cli, &http);

    if (r != DWB_EXIT_OK)
        return r;
    return cli->n_arguments ? one_job(http, cli) : whole_daemon(http, cli);
}

const struct dwb_verb dwb_verb_status = {
    .name = "status",
    .arguments = "[JOB]",
    .summary = "show a job, or the daemon",
    .help = "Shows a job's state and progress; without JOB, the daemon: version, event loop, jobs.",
    .options = DWB_OPTION_SOCKET | DWB_OPTION_FORMAT | DWB_OPTION_OUTPUT | DWB_OPTION_TIMEOUT,
    .max_arguments = 1,
    .run = run,
};
