#include "client/watch.h"

#include "client/api.h"
#include "client/interrupt.h"
#include "common/json_memory.h"

#include <errno.h>
#include <jansson.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#define RECONNECT_NS UINT64_C(30000000000) /* a restarting daemon is back within this */

struct watch {
    struct dwb_progress_bar *bar;
    char state[16]; /* the final one, once `done` came */
    char reason[512];
    bool heard;         /* anything on this connection */
    bool alone;         /* no other job can be before this one */
    long long position; /* in the queue, as last shown */
    bool started;
    long long step; /* of a simulation, as last shown */
};

static void on_queued(struct watch *watch, json_t *event)
{
    long long position = json_integer_value(json_object_get(event, "position"));

    if (position > 0 && position != watch->position && !watch->started && !watch->alone)
        dwb_progress_say(watch->bar, "queued, place %lld", position);
    watch->position = position;
}

static void on_started(struct watch *watch, json_t *event)
{
    long long layers = json_integer_value(json_object_get(event, "layers"));
    long long least = json_integer_value(json_object_get(event, "replicates_min"));
    long long most = json_integer_value(json_object_get(event, "replicates_max"));
    const char *name = json_string_value(json_object_get(event, "name"));

    watch->bar->replicates_min = least > 0 ? (uint64_t)least : 0;
    watch->bar->replicates_max = most > 0 ? (uint64_t)most : 0;
    snprintf(watch->bar->state, sizeof(watch->bar->state), "measuring");
    if (!watch->started)
        dwb_progress_say(watch->bar, "measuring %s: %lld layer%s, %lld to %lld replicates",
                         name ? name : "", layers, layers == 1 ? "" : "s", least, most);
    watch->started = true;
}

/* A simulation takes long, and its operations are the only steps it has: each is told. */
static void on_simulating(struct watch *watch, json_t *event, const char *layer)
{
    const char *operation = json_string_value(json_object_get(event, "simulating"));
    const char *backend = json_string_value(json_object_get(event, "backend"));
    long long step = json_integer_value(json_object_get(event, "step"));
    long long n_steps = json_integer_value(json_object_get(event, "steps"));

    if (!operation || !layer || !backend) {
        watch->step = 0;
        return;
    }
    snprintf(watch->bar->layer, sizeof(watch->bar->layer), "%.24s: simulating %s %lld/%lld", layer,
             operation, step, n_steps);
    if (step != watch->step && !watch->bar->terminal.interactive)
        dwb_progress_say(watch->bar, "simulating %s: %s %s, %lld of %lld", layer, backend,
                         operation, step, n_steps);
    watch->step = step;
}

static void on_progress(struct watch *watch, json_t *event)
{
    const char *layer = json_string_value(json_object_get(event, "layer"));
    const char *reason = json_string_value(json_object_get(event, "reason"));
    const json_t *fraction = json_object_get(event, "fraction");
    const json_t *done = json_object_get(event, "replicates_done");
    struct dwb_progress_bar *bar = watch->bar;

    if (layer)
        snprintf(bar->layer, sizeof(bar->layer), "%s", layer);
    on_simulating(watch, event, layer);
    /* A second stream begins again from the start: what was reached stays. */
    if (json_is_number(fraction) && json_number_value(fraction) > bar->fraction)
        bar->fraction = json_number_value(fraction);
    if (json_integer_value(done) > (json_int_t)bar->replicates_done)
        bar->replicates_done = (uint64_t)json_integer_value(done);
    if (json_is_false(json_object_get(event, "ok")))
        dwb_progress_say(bar, "a replicate of %s failed and is measured again: %s",
                         layer ? layer : "a layer", reason ? reason : "no reason given");
    dwb_progress_update(bar, dwb_http_now_ns());
}

static void on_done(struct watch *watch, json_t *event)
{
    const char *state = json_string_value(json_object_get(event, "state"));
    const char *reason = json_string_value(json_object_get(event, "reason"));

    snprintf(watch->state, sizeof(watch->state), "%s", state ? state : "");
    snprintf(watch->reason, sizeof(watch->reason), "%s", reason ? reason : "");
}

static int on_line(const char *line, size_t length, void *userdata)
{
    struct watch *watch = userdata;
    json_t *event = dwb_json_memory_load(line, length, 0, NULL);
    const char *kind = json_string_value(json_object_get(event, "event"));

    watch->heard = true;
    if (!kind)
        ; /* a blank line that keeps the connection alive, or a newer daemon's */
    else if (strcmp(kind, "queued") == 0)
        on_queued(watch, event);
    else if (strcmp(kind, "started") == 0)
        on_started(watch, event);
    else if (strcmp(kind, "progress") == 0 || strcmp(kind, "replicate") == 0)
        on_progress(watch, event);
    else if (strcmp(kind, "done") == 0)
        on_done(watch, event);
    json_decref(event);
    return 0;
}

static void on_tick(void *userdata)
{
    struct watch *watch = userdata;

    if (watch->bar->terminal.interactive)
        dwb_progress_update(watch->bar, dwb_http_now_ns());
}

/*
 * Keeps this process, which wakes up to draw, off the CPU where workers are measured. The daemon
 * may be on another host behind a forwarded socket: then it costs nothing.
 */
static void leave_measuring_cpu(struct dwb_http *http)
{
    struct dwb_http_response response;
    const json_t *cpu;
    cpu_set_t set;
    json_t *info;

    if (dwb_http_request(http, "GET", "/v1/info", NULL, NULL, &response) < 0)
        return;
    info = dwb_json_memory_load(response.body, response.n_body, 0, NULL);
    cpu = json_object_get(info, "measure_cpu");
    if (json_is_integer(cpu) && json_integer_value(cpu) >= 0 &&
        json_integer_value(cpu) < CPU_SETSIZE && sched_getaffinity(0, sizeof(set), &set) == 0) {
        CPU_CLR((size_t)json_integer_value(cpu), &set);
        if (CPU_COUNT(&set) > 0)
            sched_setaffinity(0, sizeof(set), &set);
    }
    json_decref(info);
    dwb_http_response_deinit(&response);
}

static int finish(const struct watch *watch, const char *id)
{
    if (strcmp(watch->state, "done") == 0)
        return DWB_EXIT_OK;
    dwb_say("job %s is %s%s%s", id, watch->state, watch->reason[0] ? ": " : "", watch->reason);
    return DWB_EXIT_FAILED;
}

int dwb_watch(struct dwb_http *http, const char *id, bool patient, struct dwb_progress_bar *bar)
{
    struct watch watch = {.bar = bar, .alone = !patient};
    struct timespec pause = {.tv_nsec = 300000000};
    uint64_t silent_since_ns = dwb_http_now_ns();
    char path[256];
    int r = dwb_api_job_path(id, "/events", path, sizeof(path));

    if (r != DWB_EXIT_OK)
        return r;
    leave_measuring_cpu(http);
    while (!watch.state[0]) {
        struct dwb_http_response response = {0};

        watch.heard = false;
        r = dwb_http_stream(http, path, on_line, on_tick, &watch, &response);
        dwb_progress_end(bar);
        if (r == 0 && response.status >= 400) {
            r = dwb_api_explain_problem(&response);
            dwb_http_response_deinit(&response);
            return r;
        }
        dwb_http_response_deinit(&response);
        if (r == -EINTR || r == -ETIMEDOUT)
            return dwb_api_explain(http, r);
        if (watch.state[0])
            break;
        if (watch.heard)
            silent_since_ns = dwb_http_now_ns();
        if (!patient || dwb_http_now_ns() - silent_since_ns > RECONNECT_NS)
            return dwb_api_explain(http, r < 0 ? r : -EPIPE);
        nanosleep(&pause, NULL);
        if (dwb_interrupted())
            return dwb_api_explain(http, -EINTR);
    }
    return finish(&watch, id);
}
