#include "client/jobs.h"

#include "client/output.h"
#include "client/render.h"
#include "client/table.h"
#include "common/cleanup.h"
#include "common/memstream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *text_of(const json_t *job, const char *key)
{
    const char *text = json_string_value(json_object_get(job, key));

    return text ? text : "";
}

static enum dwb_style style_of(const char *state)
{
    if (strcmp(state, "done") == 0)
        return DWB_STYLE_GOOD;
    if (strcmp(state, "failed") == 0)
        return DWB_STYLE_BAD;
    return strcmp(state, "running") == 0 ? DWB_STYLE_BOLD : DWB_STYLE_PLAIN;
}

/* "28%, 37/130 replicates" of a running job, "place 2" of a queued one. */
static void describe(const json_t *job, char *buffer, size_t size)
{
    const json_t *progress = json_object_get(job, "progress");
    const json_t *position = json_object_get(job, "queue_position");

    buffer[0] = '\0';
    if (json_is_object(progress))
        snprintf(buffer, size, "%.0f%%, %lld of %lld-%lld replicates",
                 100 * json_number_value(json_object_get(progress, "fraction")),
                 (long long)json_integer_value(json_object_get(progress, "replicates_done")),
                 (long long)json_integer_value(json_object_get(progress, "replicates_min")),
                 (long long)json_integer_value(json_object_get(progress, "replicates_max")));
    else if (json_is_integer(position))
        snprintf(buffer, size, "place %lld", (long long)json_integer_value(position));
}

/* RFC 3339 without the fraction of a second. */
static int add_time(struct dwb_table *table, const char *time)
{
    size_t n = strcspn(time, ".Z");

    return dwb_table_add(table, DWB_STYLE_PLAIN, "%.*s%s", (int)(n > 30 ? 30 : n), time,
                         n ? "Z" : "-");
}

static int add_row(struct dwb_table *table, const json_t *job)
{
    const char *state = text_of(job, "state"), *reason = text_of(job, "reason");
    char progress[64];
    int r;

    describe(job, progress, sizeof(progress));
    if ((r = dwb_table_add(table, DWB_STYLE_PLAIN, "%s", text_of(job, "id"))) < 0 ||
        (r = dwb_table_add(table, DWB_STYLE_PLAIN, "%s", text_of(job, "name"))) < 0 ||
        (r = dwb_table_add(table, style_of(state), "%s", state)) < 0 ||
        (r = add_time(table, text_of(job, "created_at"))) < 0 ||
        (r = dwb_table_add(table, DWB_STYLE_PLAIN, "%s", progress)) < 0)
        return r;
    return reason[0] ? dwb_table_note(table, reason) : 0;
}

static int print_table(const json_t *jobs, const struct dwb_terminal *terminal, FILE *out)
{
    static const char *const headers[] = {"job", "name", "state", "created", "progress"};
    DWB_CLEANUP(dwb_table_freep) struct dwb_table *table = dwb_table_new(5, 0);
    const json_t *job;
    size_t i;
    int r = table ? 0 : -ENOMEM;

    if (json_array_size(jobs) == 0) {
        fputs("no jobs\n", out);
        return 0;
    }
    for (i = 0; r == 0 && i < 5; i++)
        r = dwb_table_add(table, DWB_STYLE_BOLD, "%s", headers[i]);
    json_array_foreach(jobs, i, job) if (r == 0) r = add_row(table, job);
    if (r == 0)
        dwb_table_print(table, terminal, 2, out);
    return r;
}

static void print_csv(const json_t *jobs, FILE *out)
{
    static const char *const keys[] = {"id",         "name",       "state",      "reason",
                                       "created_at", "started_at", "finished_at"};
    const json_t *job;
    size_t i;

    fputs("id,name,state,reason,created_at,started_at,finished_at\r\n", out);
    json_array_foreach(jobs, i, job) for (size_t k = 0; k < 7; k++)
    {
        dwb_csv_field(out, text_of(job, keys[k]));
        fputs(k == 6 ? "\r\n" : ",", out);
    }
}

int dwb_jobs_print(const json_t *jobs, const json_t *document, const struct dwb_cli *cli)
{
    struct dwb_terminal terminal;
    struct dwb_output output;
    dwb_cleanup_free char *text = NULL;
    size_t n = 0;
    FILE *stream;
    int r = dwb_output_open(cli->output, &output);

    if (r != DWB_EXIT_OK)
        return r;
    dwb_terminal_of(output.fd, &terminal);
    stream = dwb_memstream_open(&text, &n);
    if (stream && cli->format == DWB_FORMAT_JSON)
        r = dwb_render_json(document, stream);
    else if (stream && cli->format == DWB_FORMAT_CSV)
        print_csv(jobs, stream);
    else if (stream)
        r = print_table(jobs, &terminal, stream);
    r = dwb_output_write_stream(&output, stream, r, &text, &n);
    dwb_output_close(&output);
    return r;
}
