#include "daemon/api_jobs.h"

/* See api_jobs.h. The store is read for whatever is asked; the queue adds what only it knows. */

#include "common/cleanup.h"
#include "common/json_memory.h"
#include "daemon/clock.h"
#include "daemon/jobid.h"
#include "daemon/problem.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LIST_LIMIT_DEFAULT 100
#define LIST_LIMIT_MAX     1000

/* ---- job objects ---- */

static json_t *progress_object(const struct dwb_schedule_totals *totals)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:I}", "layers", (json_int_t)totals->layers,
                     "layers_done", (json_int_t)totals->layers_done, "replicates_done",
                     (json_int_t)totals->replicates_done, "replicates_min",
                     (json_int_t)totals->replicates_min, "replicates_max",
                     (json_int_t)totals->replicates_max, "fraction", totals->fraction, "failures",
                     (json_int_t)totals->failures);
}

json_t *dwb_api_jobs_object(const struct dwb_api *api, const struct dwb_job_row *row,
                            bool with_spec)
{
    struct dwb_jobs_status status = {0};

    dwb_jobs_status(api->jobs, row->id, &status);
    json_t *job = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "id", row->id, "name", row->name,
        "state", dwb_job_state_name(row->state), "reason", row->reason, "uid", (json_int_t)row->uid,
        "created_at", dwb_clock_to_json(row->created_ns), "started_at",
        dwb_clock_to_json(row->started_ns), "finished_at", dwb_clock_to_json(row->finished_ns),
        "queue_position", status.position ? json_integer((json_int_t)status.position) : json_null(),
        "progress", status.running ? progress_object(&status.totals) : json_null());
    if (job && with_spec)
        json_object_set_new(job, "spec",
                            dwb_json_memory_load(row->spec, strlen(row->spec), 0, NULL));
    return job;
}

struct object_request {
    const struct dwb_api *api;
    json_t *object;
};

static int take_object(const struct dwb_job_row *row, void *userdata)
{
    struct object_request *request = userdata;

    request->object = dwb_api_jobs_object(request->api, row, true);
    return request->object ? 0 : -ENOMEM;
}

void dwb_api_jobs_reply_store_error(struct dwb_http_exchange *exchange, int r)
{
    if (r == -ENOENT)
        dwb_problem_reply(exchange, 404, "not_found", "there is no such job");
    else if (r == -ENOSPC)
        dwb_problem_reply(exchange, 507, "store_full", "no space left for the store");
    else if (r == -ENOMEM)
        dwb_problem_reply(exchange, 500, "internal", "no memory");
    else
        dwb_problem_reply(exchange, 503, "store_failed", "the store has failed: %s", strerror(-r));
}

void dwb_api_jobs_reply_job(struct dwb_api *api, struct dwb_http_exchange *exchange,
                            unsigned status, const char *id)
{
    struct object_request request = {api, NULL};

    dwb_json_memory_begin();
    int r = dwb_store_get_job(api->store, id, take_object, &request);
    if (r < 0) {
        json_decref(request.object);
        dwb_api_jobs_reply_store_error(exchange, r);
        return;
    }
    dwb_problem_reply_json(exchange, status, request.object);
}

void dwb_api_jobs_get(struct dwb_api *api, struct dwb_http_exchange *exchange, const char *id)
{
    dwb_api_jobs_reply_job(api, exchange, 200, id);
}

/* ---- list ---- */

struct list_request {
    const struct dwb_api *api;
    json_t *jobs;
    uint32_t limit;
    bool more;
};

static int take_item(const struct dwb_job_row *row, void *userdata)
{
    struct list_request *request = userdata;

    if (json_array_size(request->jobs) == request->limit) {
        request->more = true;
        return 0;
    }
    return json_array_append_new(request->jobs, dwb_api_jobs_object(request->api, row, false)) < 0
               ? -ENOMEM
               : 0;
}

/* Reads the parameters; false when it has answered. */
static bool parse_list_query(struct dwb_http_exchange *exchange, int *ret_state,
                             uint32_t *ret_limit, const char **ret_after)
{
    const char *state = dwb_http_query(exchange, "state");
    const char *limit = dwb_http_query(exchange, "limit");
    enum dwb_job_state parsed;
    char *rest = NULL;

    *ret_after = dwb_http_query(exchange, "after");
    *ret_state = -1;
    *ret_limit = LIST_LIMIT_DEFAULT;
    if (state && dwb_job_state_from_name(state, &parsed) < 0) {
        dwb_problem_reply(exchange, 400, "invalid_query",
                          "state must be queued, running, done, failed or cancelled");
        return false;
    }
    if (state)
        *ret_state = (int)parsed;
    if (limit) {
        unsigned long n = *limit >= '0' && *limit <= '9' ? strtoul(limit, &rest, 10) : 0;
        if (n < 1 || n > LIST_LIMIT_MAX || *rest) {
            dwb_problem_reply(exchange, 400, "invalid_query", "limit must be from 1 to %d",
                              LIST_LIMIT_MAX);
            return false;
        }
        *ret_limit = (uint32_t)n;
    }
    if (*ret_after && !dwb_jobid_valid(*ret_after)) {
        dwb_problem_reply(exchange, 400, "invalid_query", "after must be the id of a job");
        return false;
    }
    return true;
}

void dwb_api_jobs_list(struct dwb_api *api, struct dwb_http_exchange *exchange)
{
    struct list_request request = {api, NULL, 0, false};
    const char *after;
    int state;

    if (!parse_list_query(exchange, &state, &request.limit, &after))
        return;
    request.jobs = json_array();
    int r = dwb_store_list_jobs(api->store, state, after, request.limit + 1, take_item, &request);
    if (r < 0) {
        json_decref(request.jobs);
        dwb_api_jobs_reply_store_error(exchange, r);
        return;
    }
    const json_t *last = json_array_get(request.jobs, json_array_size(request.jobs) - 1);
    json_t *next = request.more ? json_incref(json_object_get(last, "id")) : json_null();
    dwb_problem_reply_json(exchange, 200,
                           json_pack("{s:o, s:o}", "jobs", request.jobs, "next", next));
}

/* ---- cancel ---- */

struct cancel_request {
    struct dwb_api *api;
    struct dwb_http_exchange *exchange;
    char id[DWB_JOB_ID_MAX];
};

struct owner {
    uid_t uid;
    enum dwb_job_state state;
};

static int take_owner(const struct dwb_job_row *row, void *userdata)
{
    *(struct owner *)userdata = (struct owner){row->uid, row->state};
    return 0;
}

bool dwb_api_is_admin(const struct dwb_api *api, uid_t uid)
{
    if (uid == 0)
        return true;
    for (size_t i = 0; i < api->config->n_admins; i++)
        if (api->config->admins[i] == uid)
            return true;
    return false;
}

static void on_cancelled(int result, const char *id, void *userdata)
{
    struct cancel_request *request = userdata;

    (void)id;
    if (result == 0)
        dwb_api_jobs_reply_job(request->api, request->exchange, 200, request->id);
    else if (result == DWB_JOBS_E_FINISHED)
        dwb_problem_reply(request->exchange, 409, "finished", "the job has finished already");
    else if (result == DWB_JOBS_E_DRAINING)
        dwb_problem_retry(request->exchange, 503, "draining", 5, "the daemon is going down");
    else
        dwb_api_jobs_reply_store_error(request->exchange, result);
    free(request);
}

void dwb_api_jobs_cancel(struct dwb_api *api, struct dwb_http_exchange *exchange, const char *id)
{
    char reason[64];
    struct owner owner;
    uid_t uid = dwb_http_uid(exchange);

    int r = dwb_store_get_job(api->store, id, take_owner, &owner);
    if (r < 0) {
        dwb_api_jobs_reply_store_error(exchange, r);
        return;
    }
    if (uid != owner.uid && !dwb_api_is_admin(api, uid)) {
        dwb_problem_reply(exchange, 403, "forbidden", "only its owner or an admin cancels a job");
        return;
    }
    struct cancel_request *request = malloc(sizeof(*request));
    if (!request) {
        dwb_api_jobs_reply_store_error(exchange, -ENOMEM);
        return;
    }
    *request = (struct cancel_request){.api = api, .exchange = exchange};
    snprintf(request->id, sizeof(request->id), "%s", id);
    snprintf(reason, sizeof(reason), "cancelled by uid %u", (unsigned)uid);
    r = dwb_jobs_cancel(api->jobs, id, reason, on_cancelled, request);
    if (r == -ENOENT) /* finished: cancelling what is cancelled is fine */
        r = owner.state == DWB_JOB_CANCELLED ? 0 : DWB_JOBS_E_FINISHED;
    else if (r == 0)
        return;
    on_cancelled(r, id, request);
}

/* ---- result ---- */

void dwb_api_jobs_result(struct dwb_api *api, struct dwb_http_exchange *exchange, const char *id)
{
    struct owner owner;
    char *text = NULL;

    int r = dwb_store_get_job(api->store, id, take_owner, &owner);
    if (r == 0) {
        r = dwb_store_get_result(api->store, id, &text);
        if (r == -ENOENT) {
            dwb_problem_reply(exchange, 409, "no_result", "the job is %s: it has no result%s",
                              dwb_job_state_name(owner.state),
                              owner.state <= DWB_JOB_RUNNING ? " yet" : "");
            return;
        }
    }
    if (r < 0) {
        dwb_api_jobs_reply_store_error(exchange, r);
        return;
    }
    size_t length = strlen(text);
    text[length++] = '\n'; /* in place of the NUL: only the bytes are sent */
    dwb_http_reply(exchange, 200, "application/json", text, length);
}

/* ---- events ---- */

struct stream {
    struct dwb_event_sink sink;
    struct dwb_http_exchange *exchange;
};

static void on_stream_wake(struct dwb_event_sink *sink)
{
    dwb_http_stream_wake(((struct stream *)sink)->exchange);
}

static void on_stream_end(struct dwb_event_sink *sink)
{
    dwb_http_stream_end(((struct stream *)sink)->exchange);
}

static void on_stream_closed(void *userdata)
{
    struct stream *stream = userdata;

    dwb_event_sink_deinit(&stream->sink);
    free(stream);
}

static size_t read_stream(char *out, size_t max, void *userdata)
{
    return dwb_event_sink_read(&((struct stream *)userdata)->sink, out, max);
}

struct replay {
    struct dwb_event_log log;
    struct dwb_spec *spec;
    char id[DWB_JOB_ID_MAX];
    uint64_t n_done, n_all;
    int r;
};

static int count_replicate(uint32_t layer, uint32_t replicate, const char *record, void *userdata)
{
    struct replay *replay = userdata;

    (void)layer;
    (void)replicate;
    (void)record;
    replay->n_all++;
    return 0;
}

static int replay_replicate(uint32_t layer, uint32_t replicate, const char *record, void *userdata)
{
    struct replay *replay = userdata;
    struct dwb_event_replicate event = {
        .layer = layer < replay->spec->n_layers ? replay->spec->layers[layer].name : "",
        .layer_index = layer,
        .replicate = replicate,
        .ok = true,
        .reason = "",
        .replicates_done = ++replay->n_done,
        .fraction = (double)replay->n_done / (double)replay->n_all,
        .half_width = NAN,
    };

    (void)record;
    dwb_event_log_add(&replay->log, dwb_event_replicate(replay->id, 0, &event), true);
    return 0;
}

static void add_started(struct replay *replay, const struct dwb_job_row *row)
{
    json_t *event = dwb_event_new("started", row->id, row->started_ns);
    uint64_t n_min = replay->spec->n_layers * (uint64_t)replay->spec->options.replicates;

    json_object_set_new(event, "name", json_string(row->name));
    json_object_set_new(event, "layers", json_integer((json_int_t)replay->spec->n_layers));
    json_object_set_new(event, "replicates_min", json_integer((json_int_t)n_min));
    json_object_set_new(event, "replicates_max", json_integer((json_int_t)(2 * n_min)));
    dwb_event_log_add(&replay->log, event, true);
}

struct finished {
    struct dwb_api *api;
    struct replay *replay;
};

static int replay_row(const struct dwb_job_row *row, void *userdata)
{
    struct finished *finished = userdata;
    struct replay *replay = finished->replay;
    struct dwb_store *store = finished->api->store;
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();

    snprintf(replay->id, sizeof(replay->id), "%s", row->id);
    int r = diags ? dwb_spec_parse(row->spec, strlen(row->spec), diags, &replay->spec) : -ENOMEM;
    if (r < 0)
        return r;
    dwb_event_log_add(&replay->log, dwb_event_queued(row->id, row->created_ns, 1), true);
    if (row->started_ns) {
        add_started(replay, row);
        r = dwb_store_list_replicates(store, replay->id, count_replicate, replay);
        if (r == 0)
            r = dwb_store_list_replicates(store, replay->id, replay_replicate, replay);
        if (r < 0)
            return r;
    }
    if (row->state == DWB_JOB_DONE)
        dwb_event_log_add(&replay->log, dwb_event_result(row->id, row->finished_ns), true);
    dwb_event_log_add(&replay->log,
                      dwb_event_done(row->id, row->finished_ns, row->state, row->reason), true);
    return 0;
}

static void replay_finished(struct dwb_api *api, struct dwb_http_exchange *exchange, const char *id)
{
    struct replay replay = {0};
    struct finished finished = {api, &replay};

    int r = dwb_store_get_job(api->store, id, replay_row, &finished);
    dwb_spec_free(replay.spec);
    if (r < 0) {
        dwb_event_log_deinit(&replay.log);
        dwb_api_jobs_reply_store_error(exchange, r);
        return;
    }
    size_t length;
    char *text = dwb_event_log_steal(&replay.log, &length);
    dwb_event_log_deinit(&replay.log);
    dwb_http_reply(exchange, 200, "application/x-ndjson", text, length);
}

void dwb_api_jobs_events(struct dwb_api *api, struct dwb_http_exchange *exchange, const char *id)
{
    struct dwb_jobs_status status;

    if (dwb_jobs_status(api->jobs, id, &status) < 0) {
        replay_finished(api, exchange, id);
        return;
    }
    if (strcmp(dwb_http_method(exchange), "HEAD") == 0) {
        dwb_http_reply(exchange, 200, "application/x-ndjson", NULL, 0);
        return;
    }
    struct stream *stream = calloc(1, sizeof(*stream));
    if (!stream || dwb_http_stream_begin(exchange, "application/x-ndjson", read_stream,
                                         on_stream_closed, stream) < 0) {
        free(stream);
        dwb_api_jobs_reply_store_error(exchange, -ENOMEM);
        return;
    }
    stream->sink.wake = on_stream_wake;
    stream->sink.end = on_stream_end;
    stream->exchange = exchange;
    if (dwb_jobs_listen(api->jobs, id, &stream->sink) < 0)
        dwb_http_stream_end(exchange);
}
