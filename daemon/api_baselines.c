#include "daemon/api_baselines.h"

/*
 * See api_baselines.h. Whether the caller may, and whether the job is done, is decided by the store
 * in the transaction that writes: two calls that race have an order there.
 */

#include "common/cleanup.h"
#include "common/json_memory.h"
#include "daemon/api_jobs.h"
#include "daemon/clock.h"
#include "daemon/jobid.h"
#include "daemon/problem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static json_t *baseline_object(const struct dwb_baseline_row *row)
{
    return json_pack("{s:s, s:s, s:I, s:o}", "name", row->name, "job", row->job, "uid",
                     (json_int_t)row->uid, "set_at", dwb_clock_to_json(row->set_at_ns));
}

static int take_listed(const struct dwb_baseline_row *row, void *userdata)
{
    json_t *object = baseline_object(row);

    if (object)
        json_object_set_new(object, "history_jobs", json_integer((json_int_t)row->n_history));
    return json_array_append_new(userdata, object) < 0 ? -ENOMEM : 0;
}

void dwb_api_baselines_list(struct dwb_api *api, struct dwb_http_exchange *exchange)
{
    json_t *baselines = json_array();
    int r = baselines ? dwb_store_list_baselines(api->store, take_listed, baselines) : -ENOMEM;

    if (r < 0) {
        json_decref(baselines);
        dwb_api_jobs_reply_store_error(exchange, r);
        return;
    }
    dwb_problem_reply_json(exchange, 200, json_pack("{s:o}", "baselines", baselines));
}

static int take_member(const struct dwb_baseline_row *row, void *userdata)
{
    json_t **object = userdata;

    if (*object)
        return json_array_append_new(json_object_get(*object, "history"), json_string(row->job)) < 0
                   ? -ENOMEM
                   : 0;
    *object = baseline_object(row);
    return *object && json_object_set_new(*object, "history", json_array()) == 0 ? 0 : -ENOMEM;
}

static void reply_baseline(struct dwb_api *api, struct dwb_http_exchange *exchange,
                           const char *name)
{
    json_t *object = NULL;
    int r = dwb_store_get_baseline(api->store, name, take_member, &object);

    if (r == 0) {
        dwb_problem_reply_json(exchange, 200, object);
        return;
    }
    json_decref(object);
    if (r == -ENOENT)
        dwb_problem_reply(exchange, 404, "not_found", "there is no such baseline");
    else
        dwb_api_jobs_reply_store_error(exchange, r);
}

/* ---- writing ---- */

struct change {
    struct dwb_api *api;
    struct dwb_http_exchange *exchange;
    char name[DWB_BASELINE_NAME_MAX + 1];
    char job[DWB_JOB_ID_MAX]; /* "" = the baseline is deleted */
};

static void on_changed(int status, void *userdata)
{
    struct change *change = userdata;
    struct dwb_http_exchange *exchange = change->exchange;

    if (status == 0 && change->job[0])
        reply_baseline(change->api, exchange, change->name);
    else if (status == 0)
        dwb_problem_reply_json(exchange, 200,
                               json_pack("{s:s, s:b}", "name", change->name, "deleted", 1));
    else if (status == -EPERM)
        dwb_problem_reply(exchange, 403, "forbidden",
                          "only its owner or an admin changes a baseline");
    else if (status == -ESTALE)
        dwb_problem_reply(exchange, 409, "no_result",
                          "the job is not done: a baseline is a job with a result");
    else if (status == -ENOENT && !change->job[0])
        dwb_problem_reply(exchange, 404, "not_found", "there is no such baseline");
    else
        dwb_api_jobs_reply_store_error(exchange, status);
    free(change);
}

static void write_change(struct change *change)
{
    uid_t uid = dwb_http_uid(change->exchange);
    bool is_admin = dwb_api_is_admin(change->api, uid);
    struct dwb_store *store = change->api->store;
    int r = change->job[0]
                ? dwb_store_set_baseline(store, change->name, change->job, uid, is_admin,
                                         dwb_clock_real_ns(), on_changed, change)
                : dwb_store_delete_baseline(store, change->name, uid, is_admin, on_changed, change);

    if (r < 0)
        on_changed(r, change);
}

/* The id in {"job": id}; false when it has answered. */
static bool read_job(struct dwb_http_exchange *exchange, char job[DWB_JOB_ID_MAX])
{
    size_t length;
    const char *body = dwb_http_body(exchange, &length);
    json_t *document = dwb_json_memory_load(body ? body : "", length, JSON_REJECT_DUPLICATES, NULL);
    const char *id = json_string_value(json_object_get(document, "job"));
    bool is_one = id && json_object_size(document) == 1;
    bool is_id = is_one && dwb_jobid_valid(id);

    if (is_id)
        snprintf(job, DWB_JOB_ID_MAX, "%s", id);
    json_decref(document);
    if (!is_one)
        dwb_problem_reply(exchange, 400, "invalid_document",
                          "the body must be a JSON object {\"job\": ID} and nothing else");
    else if (!is_id)
        dwb_problem_reply(exchange, 404, "not_found", "there is no such job");
    return is_id;
}

void dwb_api_baselines_handle(struct dwb_api *api, struct dwb_http_exchange *exchange,
                              const char *name)
{
    const char *method = dwb_http_method(exchange);
    bool is_put = strcmp(method, "PUT") == 0, is_delete = strcmp(method, "DELETE") == 0;
    char job[DWB_JOB_ID_MAX] = "";
    struct change *change;

    if (!dwb_baseline_name_valid(name)) {
        if (is_put)
            dwb_problem_reply(exchange, 400, "invalid_name",
                              "a baseline's name has 1 to %d letters, digits, dots, hyphens and "
                              "underscores",
                              DWB_BASELINE_NAME_MAX);
        else
            dwb_problem_reply(exchange, 404, "not_found", "there is no such baseline");
        return;
    }
    if (!is_put && !is_delete) {
        reply_baseline(api, exchange, name);
        return;
    }
    if (api->draining) {
        dwb_problem_retry(exchange, 503, "draining", 5, "the daemon is going down");
        return;
    }
    if (is_put && !read_job(exchange, job))
        return;
    change = malloc(sizeof(*change));
    if (!change) {
        dwb_api_jobs_reply_store_error(exchange, -ENOMEM);
        return;
    }
    *change = (struct change){.api = api, .exchange = exchange};
    snprintf(change->name, sizeof(change->name), "%s", name);
    snprintf(change->job, sizeof(change->job), "%s", job);
    write_change(change);
}
