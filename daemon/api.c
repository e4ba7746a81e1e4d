#include "daemon/api.h"

/* See api.h. A path either has a row in `routes`, or is below /v1/jobs/ID or /v1/baselines/NAME. */

#include "common/json_memory.h"
#include "common/plugins.h"
#include "daemon/api_baselines.h"
#include "daemon/api_jobs.h"
#include "daemon/clock.h"
#include "daemon/jobid.h"
#include "daemon/problem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOBS_PATH      "/v1/jobs"
#define BASELINES_PATH "/v1/baselines"

/* ---- /v1/info ---- */

static json_t *limits_object(const struct dwb_api *api)
{
    const struct dwb_config *config = api->config;

    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "memory_bytes", (json_int_t)api->memory_bytes_max,
        "job_time_ns", (json_int_t)config->job_time_ns, "body_bytes",
        (json_int_t)config->body_bytes_max, "head_bytes", (json_int_t)config->head_bytes_max,
        "connections_per_uid", (json_int_t)config->connections_per_uid, "queued_jobs_per_uid",
        (json_int_t)config->queued_jobs_per_uid, "queued_jobs_total",
        (json_int_t)config->queued_jobs_total);
}

static json_t *loop_object(const struct dwb_api *api)
{
    int r = dwb_loop_fallback_errno(api->loop);
    json_t *reason =
        r < 0 ? json_sprintf("io_uring is not available: %s", strerror(-r)) : json_null();

    return json_pack("{s:s, s:o}", "backend", dwb_loop_backend_name(api->loop), "fallback_reason",
                     reason);
}

static json_t *states_object(const struct dwb_api *api)
{
    uint64_t counts[DWB_N_JOB_STATES] = {0};
    json_t *object = json_object();

    dwb_store_count_states(api->store, counts);
    for (int i = 0; i < DWB_N_JOB_STATES; i++)
        json_object_set_new(object, dwb_job_state_name((enum dwb_job_state)i),
                            json_integer((json_int_t)counts[i]));
    return object;
}

/* Read anew each time: whoever keeps the directory may add to it while the daemon runs. */
static json_t *plugins_object(const struct dwb_api *api)
{
    char reason[DWB_PLUGIN_REASON_MAX] = "plugin_dir of the configuration is none";
    bool enabled = api->config->plugin_dir[0];
    json_t *list = NULL;

    if (enabled && dwb_plugins_list(api->config->plugin_dir, reason, &list) == 0)
        reason[0] = '\0';
    return json_pack("{s:b, s:s, s:o}", "enabled", enabled, "reason", reason, "files",
                     list ? list : json_array());
}

static void add_machine(const struct dwb_api *api, json_t *info)
{
    const json_t *machine = api->probe ? dwb_probe_document(api->probe) : NULL;
    const char *error = api->probe ? dwb_probe_error(api->probe) : NULL;
    json_t *counters = json_object_get(machine, "counters");

    json_object_set_new(info, "plugins", plugins_object(api));
    json_object_set_new(info, "machine", machine ? json_incref((json_t *)machine) : json_null());
    json_object_set_new(info, "machine_error", error ? json_string(error) : json_null());
    json_object_set_new(info, "counters", counters ? json_incref(counters) : json_array());
}

static void reply_info(struct dwb_api *api, struct dwb_http_exchange *exchange)
{
    const char *running = dwb_jobs_running(api->jobs);
    json_t *info =
        json_pack("{s:s, s:s, s:i, s:o, s:o, s:I, s:o, s:{s:I, s:s?}, s:o, s:b}", "name",
                  "dwbenchd", "version", DWB_VERSION, "pid", (int)getpid(), "started_at",
                  dwb_clock_to_json(api->started_ns), "loop", loop_object(api), "measure_cpu",
                  (json_int_t)api->measure_cpu, "limits", limits_object(api), "queue", "queued",
                  (json_int_t)dwb_jobs_depth(api->jobs), "running", running, "jobs",
                  states_object(api), "draining", api->draining);

    if (info)
        add_machine(api, info);
    dwb_problem_reply_json(exchange, 200, info);
}

/* ---- /healthz, /metrics ---- */

static void reply_health(struct dwb_api *api, struct dwb_http_exchange *exchange)
{
    const char *text = "ok\n";

    if (dwb_store_failed(api->store) < 0)
        text = "the store has failed\n";
    else if (api->draining)
        text = "draining\n";
    dwb_http_reply(exchange, text[0] == 'o' ? 200 : 503, "text/plain; charset=utf-8", strdup(text),
                   strlen(text));
}

static void reply_metrics(struct dwb_api *api, struct dwb_http_exchange *exchange)
{
    const json_t *machine = api->probe ? dwb_probe_document(api->probe) : NULL;
    bool open = dwb_metrics_prefers_openmetrics(dwb_http_header(exchange, "Accept"));
    struct dwb_metrics_view view = {
        .queue_depth = dwb_jobs_depth(api->jobs),
        .connections = dwb_http_connections(api->http),
        .loop_backend = dwb_loop_backend_name(api->loop),
        .loop_fallback_errno = dwb_loop_fallback_errno(api->loop),
        .counters = json_object_get(machine, "counters"),
        .version = DWB_VERSION,
    };
    size_t length = 0;
    char *text = NULL;

    dwb_store_count_states(api->store, view.jobs);
    if (dwb_metrics_render(api->metrics, &view, open, &text, &length) < 0) {
        dwb_problem_reply(exchange, 500, "internal", "no memory");
        return;
    }
    dwb_http_reply(exchange, 200, open ? DWB_METRICS_TYPE_OPENMETRICS : DWB_METRICS_TYPE_TEXT, text,
                   length);
}

/* ---- routes ---- */

enum { GET = 1, POST = 2, DELETE = 4, PUT = 8 };

static unsigned method_bit(const char *method)
{
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        return GET;
    if (strcmp(method, "POST") == 0)
        return POST;
    if (strcmp(method, "PUT") == 0)
        return PUT;
    return strcmp(method, "DELETE") == 0 ? DELETE : 0;
}

static bool allow(struct dwb_http_exchange *exchange, unsigned methods)
{
    static const char *const texts[] = {[GET] = "GET, HEAD",
                                        [GET | POST] = "GET, HEAD, POST",
                                        [GET | DELETE] = "GET, HEAD, DELETE",
                                        [GET | PUT | DELETE] = "GET, HEAD, PUT, DELETE"};

    if (method_bit(dwb_http_method(exchange)) & methods)
        return true;
    dwb_http_add_header(exchange, "Allow", texts[methods]);
    dwb_problem_reply(exchange, 405, "method_not_allowed", "allowed here: %s", texts[methods]);
    return false;
}

static void route_jobs(struct dwb_api *api, struct dwb_http_exchange *exchange)
{
    if (method_bit(dwb_http_method(exchange)) == POST)
        dwb_api_jobs_submit(api, exchange);
    else
        dwb_api_jobs_list(api, exchange);
}

typedef void route_fn(struct dwb_api *api, struct dwb_http_exchange *exchange);

static const struct {
    const char *path;
    unsigned methods;
    route_fn *fn;
} routes[] = {
    {JOBS_PATH, GET | POST, route_jobs}, {BASELINES_PATH, GET, dwb_api_baselines_list},
    {"/v1/info", GET, reply_info},       {"/healthz", GET, reply_health},
    {"/metrics", GET, reply_metrics},
};

static void reply_not_found(struct dwb_http_exchange *exchange)
{
    dwb_problem_reply(exchange, 404, "not_found", "there is nothing at %s",
                      dwb_http_path(exchange));
}

/* rest: "ID", "ID/events" or "ID/result" */
static void route_job(struct dwb_api *api, struct dwb_http_exchange *exchange, const char *rest)
{
    char id[DWB_JOBID_LENGTH + 1];
    size_t length = strcspn(rest, "/");
    const char *tail = rest + length;
    bool is_events = strcmp(tail, "/events") == 0, is_result = strcmp(tail, "/result") == 0;

    if (*tail && !is_events && !is_result) {
        reply_not_found(exchange);
        return;
    }
    dwb_http_set_route(exchange, is_events   ? JOBS_PATH "/{id}/events"
                                 : is_result ? JOBS_PATH "/{id}/result"
                                             : JOBS_PATH "/{id}");
    if (!allow(exchange, *tail ? GET : GET | DELETE))
        return;
    snprintf(id, sizeof(id), "%.*s", (int)length, rest);
    if (length != DWB_JOBID_LENGTH || !dwb_jobid_valid(id))
        dwb_problem_reply(exchange, 404, "not_found", "there is no such job");
    else if (is_events)
        dwb_api_jobs_events(api, exchange, id);
    else if (is_result)
        dwb_api_jobs_result(api, exchange, id);
    else if (method_bit(dwb_http_method(exchange)) == DELETE)
        dwb_api_jobs_cancel(api, exchange, id);
    else
        dwb_api_jobs_get(api, exchange, id);
}

static void route_baseline(struct dwb_api *api, struct dwb_http_exchange *exchange,
                           const char *name)
{
    dwb_http_set_route(exchange, BASELINES_PATH "/{name}");
    if (allow(exchange, GET | PUT | DELETE))
        dwb_api_baselines_handle(api, exchange, name);
}

/* Answers what daemon/http.c wants refused before its body was read. */
static bool reply_refusal(const struct dwb_api *api, struct dwb_http_exchange *exchange)
{
    switch (dwb_http_refusal(exchange)) {
    case DWB_HTTP_NONE:
        return false;
    case DWB_HTTP_TOO_LARGE:
        dwb_problem_reply(exchange, 413, "too_large", "a body has at most %llu bytes",
                          (unsigned long long)api->config->body_bytes_max);
        break;
    case DWB_HTTP_TOO_MANY_CONNECTIONS:
        dwb_problem_retry(exchange, 429, "quota_connections", 1,
                          "too many connections of this user");
        break;
    case DWB_HTTP_HEAD_TOO_LARGE:
        dwb_problem_reply(exchange, 431, "head_too_large", "a head has at most %llu bytes",
                          (unsigned long long)api->config->head_bytes_max);
        break;
    default: /* DWB_HTTP_BAD_HEAD */
        dwb_problem_reply(exchange, 400, "invalid_header",
                          "a header field is malformed, there twice, or contradicts another");
    }
    return true;
}

void dwb_api_handle(struct dwb_http_exchange *exchange, void *userdata)
{
    struct dwb_api *api = userdata;
    const char *path = dwb_http_path(exchange);

    dwb_json_memory_begin();
    if (reply_refusal(api, exchange))
        return;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (strcmp(routes[i].path, path) != 0)
            continue;
        dwb_http_set_route(exchange, routes[i].path);
        if (allow(exchange, routes[i].methods))
            routes[i].fn(api, exchange);
        return;
    }
    if (strncmp(path, JOBS_PATH "/", sizeof(JOBS_PATH)) == 0)
        route_job(api, exchange, path + sizeof(JOBS_PATH));
    else if (strncmp(path, BASELINES_PATH "/", sizeof(BASELINES_PATH)) == 0)
        route_baseline(api, exchange, path + sizeof(BASELINES_PATH));
    else
        reply_not_found(exchange);
}

void dwb_api_observe(const char *route, const char *method, unsigned status, uint64_t duration_ns,
                     void *userdata)
{
    struct dwb_api *api = userdata;

    dwb_metrics_count_request(api->metrics, route, method, status, duration_ns);
}
