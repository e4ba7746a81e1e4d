#include "client/job.h"

#include "client/api.h"
#include "client/comparison.h"
#include "client/render.h"
#include "client/report.h"
#include "client/watch.h"
#include "common/cleanup.h"
#include "common/memstream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int dwb_job_fetch(struct dwb_http *http, const char *id, json_t **ret_document)
{
    char path[256];
    int r = dwb_api_job_path(id, "/result", path, sizeof(path));

    return r == DWB_EXIT_OK ? dwb_api_json(http, "GET", path, ret_document) : r;
}

/* Of a job that compared two sides: its document has no rows of a report. */
static int render_comparison(const json_t *document, const struct dwb_cli *cli, int fd,
                             char **ret_text, size_t *ret_n, int *ret_exit)
{
    FILE *stream = dwb_memstream_open(ret_text, ret_n);
    int r = stream ? dwb_comparison_render(document, cli, fd, stream) : -ENOMEM;

    if (dwb_memstream_close(stream, ret_text) < 0 || r < 0) {
        dwb_say("no memory for the report");
        return DWB_EXIT_FAILED;
    }
    *ret_exit = dwb_comparison_exit(document);
    return r;
}

int dwb_job_render(const json_t *document, const struct dwb_cli *cli, int fd, char **ret_text,
                   size_t *ret_n, int *ret_exit)
{
    if (json_object_get(document, "comparisons"))
        return render_comparison(document, cli, fd, ret_text, ret_n, ret_exit);

    DWB_CLEANUP(dwb_report_freep) struct dwb_report *report = NULL;
    struct dwb_terminal terminal;
    dwb_cleanup_free char *text = NULL;
    size_t n = 0;
    FILE *stream;
    int r = dwb_report_new(document, &report);

    if (r == -EINVAL) {
        dwb_say("the result is not a document that this client understands");
        return DWB_EXIT_FAILED;
    }
    dwb_terminal_of(fd, &terminal);
    stream = r == 0 ? dwb_memstream_open(&text, &n) : NULL;
    if (stream)
        r = cli->environment ? dwb_render_environment(json_object_get(document, "environment"),
                                                      cli->format, &terminal, stream)
                             : dwb_render(report, cli->format, &terminal, stream);
    if (dwb_memstream_close(stream, &text) < 0 || r < 0) {
        dwb_say("no memory for the report");
        return DWB_EXIT_FAILED;
    }
    *ret_text = dwb_steal(text);
    *ret_n = n;
    *ret_exit = dwb_report_exit(report);
    return DWB_EXIT_OK;
}

int dwb_job_report(const json_t *document, const struct dwb_cli *cli, struct dwb_output *output)
{
    dwb_cleanup_free char *text = NULL;
    int report_exit = DWB_EXIT_OK;
    size_t n = 0;
    int r = dwb_job_render(document, cli, output->fd, &text, &n, &report_exit);

    if (r == DWB_EXIT_OK)
        r = dwb_output_write(output, text, n);
    return r == DWB_EXIT_OK ? report_exit : r;
}

void dwb_job_say_goes_on(const char *id, const struct dwb_cli *cli)
{
    const char *flag = cli->socket ? " --socket " : "", *path = cli->socket ? cli->socket : "";

    dwb_say("job %s goes on; follow it: dwbenchctl watch%s%s %s", id, flag, path, id);
    dwb_say("end it: dwbenchctl cancel%s%s %s", flag, path, id);
}

int dwb_job_await(struct dwb_http *http, const char *id, const struct dwb_cli *cli,
                  json_t **ret_document)
{
    struct dwb_progress_bar bar;
    int r;

    dwb_progress_init(&bar, stderr, STDERR_FILENO, cli->quiet);
    r = dwb_watch(http, id, true, &bar);
    return r == DWB_EXIT_OK ? dwb_job_fetch(http, id, ret_document) : r;
}

int dwb_job_follow(struct dwb_http *http, const char *id, const struct dwb_cli *cli,
                   struct dwb_output *output)
{
    json_t *document = NULL;
    int r = dwb_job_await(http, id, cli, &document);

    if (r == DWB_EXIT_OK)
        r = dwb_job_report(document, cli, output);
    json_decref(document);
    return r;
}
