#include "daemon/api_jobs.h"

/*
 * POST /v1/jobs. In this order: is it a document, is it within the limits, is it a repeat of an
 * earlier call, is there room, is it durable. Only then 202.
 */

#include "common/cleanup.h"
#include "common/json_memory.h"
#include "daemon/estimate.h"
#include "daemon/problem.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct submit {
    struct dwb_api *api;
    struct dwb_http_exchange *exchange;
    struct dwb_spec *spec;
    char *canonical; /* text of the spec */
    char *key;       /* NULL = none */
};

static void free_submit(struct submit *submit)
{
    if (!submit)
        return;
    dwb_spec_free(submit->spec);
    free(submit->canonical);
    free(submit->key);
    free(submit);
}

static void free_submitp(struct submit **submit)
{
    free_submit(*submit);
}

static void reply_accepted(struct submit *submit, const char *id, bool replayed)
{
    char location[80];

    snprintf(location, sizeof(location), "/v1/jobs/%s", id);
    dwb_http_add_header(submit->exchange, "Location", location);
    if (replayed)
        dwb_http_add_header(submit->exchange, "Idempotency-Replayed", "true");
    dwb_api_jobs_reply_job(submit->api, submit->exchange, 202, id);
}

static int compare_spec(const struct dwb_job_row *row, void *userdata)
{
    return strcmp(row->spec, ((struct submit *)userdata)->canonical) == 0 ? 0 : -EEXIST;
}

/* Answers when the key is known. */
static bool reply_known_key(struct submit *submit)
{
    char id[DWB_JOB_ID_MAX];

    if (!submit->key || dwb_store_find_key(submit->api->store, dwb_http_uid(submit->exchange),
                                           submit->key, id, sizeof(id)) < 0)
        return false;
    if (dwb_store_get_job(submit->api->store, id, compare_spec, submit) == 0)
        reply_accepted(submit, id, true);
    else
        dwb_problem_reply(submit->exchange, 422, "key_reused",
                          "this Idempotency-Key came with another document before");
    return true;
}

static void reply_refused(struct submit *submit, int result)
{
    struct dwb_http_exchange *exchange = submit->exchange;

    switch (result) {
    case DWB_JOBS_E_DRAINING:
        dwb_problem_retry(exchange, 503, "draining", 5, "the daemon is going down");
        return;
    case DWB_JOBS_E_QUOTA:
        dwb_problem_retry(exchange, 429, "quota_jobs", 10, "too many queued jobs of this user");
        return;
    case DWB_JOBS_E_FULL:
        dwb_problem_retry(exchange, 429, "queue_full", 10, "the queue is full");
        return;
    case -ENOSPC:
        dwb_problem_reply(exchange, 507, "store_full", "no space left for the job");
        return;
    case -ENOMEM:
        dwb_problem_reply(exchange, 500, "internal", "no memory");
        return;
    default:
        dwb_problem_reply(exchange, 503, "store_failed", "the job cannot be stored: %s",
                          strerror(-result));
    }
}

static void on_submitted(int result, const char *id, void *userdata)
{
    struct submit *submit = userdata;

    if (result == 0)
        reply_accepted(submit, id, false);
    else if (result != -EEXIST || !reply_known_key(submit)) /* EEXIST: two calls raced */
        reply_refused(submit, result);
    free_submit(submit);
}

/* ---- checks; each returns false when it has answered ---- */

static bool check_document(struct submit *submit)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    size_t length;
    const char *body = dwb_http_body(submit->exchange, &length);

    int r = diags ? dwb_spec_parse(body, length, diags, &submit->spec) : -ENOMEM;
    if (r == 0)
        return true;
    if (r != -EINVAL) {
        reply_refused(submit, r);
        return false;
    }
    size_t n = diags->n + diags->n_dropped;
    dwb_problem_reply_with(submit->exchange, 400, "invalid_document",
                           json_pack("{s:o}", "errors", dwb_diags_to_json(diags)),
                           "%zu finding%s in the document", n, n == 1 ? "" : "s");
    return false;
}

static json_t *limit_members(const struct dwb_spec *spec, size_t layer, uint64_t needed,
                             uint64_t limit, const char *message)
{
    return json_pack("{s:I, s:I, s:[{s:i, s:i, s:s, s:s, s:s}]}", "needed", (json_int_t)needed,
                     "limit", (json_int_t)limit, "errors", "line", 0, "column", 0, "field",
                     spec->layers[layer].name, "value", "", "message", message);
}

static void refuse_option(struct submit *submit, const char *code, const char *field,
                          const char *value, const char *reason)
{
    dwb_problem_reply_with(submit->exchange, 422, code,
                           json_pack("{s:[{s:i, s:i, s:s, s:s, s:s}]}", "errors", "line", 0,
                                     "column", 0, "field", field, "value", value, "message",
                                     reason),
                           "%s", reason);
}

static bool check_isa(struct submit *submit, const json_t *machine, const char *field,
                      enum dwb_isa wanted_isa)
{
    const json_t *isas = json_object_get(machine, "isas");
    const char *wanted = dwb_isa_name(wanted_isa), *comma = "";
    char reason[256] = "this machine lacks it; there are: ";
    size_t n = strlen(reason);

    if (wanted_isa == DWB_ISA_AUTO || json_array_size(isas) == 0)
        return true;
    for (size_t i = 0; i < json_array_size(isas); i++) {
        const char *name = json_string_value(json_array_get(isas, i));

        if (name && strcmp(name, wanted) == 0)
            return true;
        if (name && n < sizeof(reason)) {
            n += (size_t)snprintf(reason + n, sizeof(reason) - n, "%s%s", comma, name);
            comma = ", ";
        }
    }
    refuse_option(submit, "isa_not_available", field, wanted, reason);
    return false;
}

static uint32_t backends_of(const struct dwb_side *side)
{
    return side->kind == DWB_SIDE_ONEDNN    ? DWB_BACKEND_ONEDNN
           : side->kind == DWB_SIDE_XNNPACK ? DWB_BACKEND_XNNPACK
                                            : DWB_BACKEND_NATIVE;
}

static bool check_backends(struct submit *submit, const json_t *machine, const char *field,
                           uint32_t wanted)
{
    const json_t *backends = json_object_get(machine, "backends");

    for (size_t i = 0; i < json_array_size(backends); i++) {
        const json_t *backend = json_array_get(backends, i);
        const char *name = json_string_value(json_object_get(backend, "name"));
        const char *reason = json_string_value(json_object_get(backend, "reason"));
        uint32_t bit;

        if (json_is_true(json_object_get(backend, "available")) || !name || !reason ||
            dwb_backends_from_text(name, &bit) < 0 || !(wanted & bit))
            continue;
        refuse_option(submit, "backend_not_available", field, name, reason);
        return false;
    }
    return true;
}

/* "; there are: a.so, b.so" */
static void append_plugins(const char *directory, char *text, size_t size)
{
    char reason[DWB_PLUGIN_REASON_MAX];
    json_t *list = NULL;
    size_t n = strlen(text);

    if (dwb_plugins_list(directory, reason, &list) < 0)
        return;
    n += (size_t)snprintf(text + n, size - n,
                          json_array_size(list) ? "; there are: "
                                                : "; it is "
                                                  "empty");
    for (size_t i = 0; i < json_array_size(list) && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%s", i ? ", " : "",
                              json_string_value(json_object_get(json_array_get(list, i), "name")));
    json_decref(list);
}

static bool check_plugins(struct submit *submit)
{
    const struct dwb_plugin_names *plugins = &submit->spec->options.plugins;
    const char *directory = submit->api->config->plugin_dir;
    char reason[DWB_PLUGIN_REASON_MAX], text[1024];

    for (uint32_t i = 0; i < plugins->n; i++) {
        if (!directory[0]) {
            refuse_option(submit, "plugins_off", "plugin", plugins->items[i],
                          "this daemon takes no plugins: plugin_dir of its configuration "
                          "(dwbenchd.yaml) is none");
            return false;
        }
        int r = dwb_plugin_check(directory, plugins->items[i], reason);
        if (r == 0)
            continue;
        snprintf(text, sizeof(text), "%s", reason);
        if (r == -ENOENT)
            append_plugins(directory, text, sizeof(text));
        refuse_option(submit, "plugin_not_available", "plugin", plugins->items[i], text);
        return false;
    }
    return true;
}

static bool check_simulation(struct submit *submit, const json_t *machine)
{
    const json_t *simulation = json_object_get(machine, "simulation");
    const char *reason = json_string_value(json_object_get(simulation, "reason"));

    if (!submit->spec->options.simulate || !json_is_false(json_object_get(simulation, "available")))
        return true;
    refuse_option(submit, "simulation_not_available", "simulate", "true",
                  reason ? reason : "this machine cannot simulate");
    return false;
}

static bool check_side(struct submit *submit, const json_t *machine, const char *field,
                       const struct dwb_side *side)
{
    const struct dwb_config *config = submit->api->config;
    const char *program = strcmp(side->name, "a") == 0   ? config->worker_a
                          : strcmp(side->name, "b") == 0 ? config->worker_b
                                                         : "";

    if (side->kind == DWB_SIDE_WORKER && !program[0]) {
        refuse_option(submit, "side_not_available", field, side->name,
                      "this daemon has no such worker: two programs are compared by dwbenchctl "
                      "gate, which starts a daemon of its own with them");
        return false;
    }
    return check_isa(submit, machine, field, side->isa) &&
           check_backends(submit, machine, field, backends_of(side));
}

static bool check_sides(struct submit *submit, const json_t *machine)
{
    const struct dwb_options *options = &submit->spec->options;

    return !options->has_a || (check_side(submit, machine, "a", &options->a) &&
                               check_side(submit, machine, "b", &options->b));
}

/* What the probe did not find is refused now, not by every worker later. Before the probe has
 * answered nothing is known, and the worker says it. */
static bool check_machine(struct submit *submit)
{
    const struct dwb_api *api = submit->api;
    const json_t *machine = api->probe ? dwb_probe_document(api->probe) : NULL;

    const struct dwb_options *options = &submit->spec->options;

    return check_isa(submit, machine, "isa", options->isa) &&
           check_backends(submit, machine, "backends", options->backends) &&
           check_plugins(submit) && check_sides(submit, machine) &&
           check_simulation(submit, machine);
}

static bool check_limits(struct submit *submit)
{
    const struct dwb_api *api = submit->api;
    const struct dwb_spec *spec = submit->spec;
    struct dwb_estimate estimate;

    dwb_estimate_of(spec, &estimate);
    if (estimate.memory_bytes > api->memory_bytes_max) {
        dwb_problem_reply_with(submit->exchange, 422, "too_much_memory",
                               limit_members(spec, estimate.memory_layer, estimate.memory_bytes,
                                             api->memory_bytes_max,
                                             "needs more memory than the limit"),
                               "layer %s needs %llu MiB, the limit is %llu MiB",
                               spec->layers[estimate.memory_layer].name,
                               (unsigned long long)(estimate.memory_bytes >> 20),
                               (unsigned long long)(api->memory_bytes_max >> 20));
        return false;
    }
    if (estimate.time_ns > api->config->job_time_ns) {
        dwb_problem_reply_with(submit->exchange, 422, "too_much_time",
                               limit_members(spec, estimate.time_layer, estimate.time_ns,
                                             api->config->job_time_ns, "takes most of the time"),
                               "the job may take %.0f s, the limit is %.0f s",
                               (double)estimate.time_ns / 1e9,
                               (double)api->config->job_time_ns / 1e9);
        return false;
    }
    return true;
}

static bool check_key(struct submit *submit)
{
    const char *key = dwb_http_header(submit->exchange, "Idempotency-Key");
    size_t length = key ? strlen(key) : 0;

    if (!key)
        return true;
    bool visible = length > 0 && length < DWB_IDEMPOTENCY_KEY_MAX;
    for (size_t i = 0; i < length; i++)
        visible &= isgraph((unsigned char)key[i]) != 0;
    if (!visible) {
        dwb_problem_reply(submit->exchange, 400, "invalid_header",
                          "Idempotency-Key must be 1 to %d visible ASCII characters",
                          DWB_IDEMPOTENCY_KEY_MAX - 1);
        return false;
    }
    submit->key = strdup(key);
    if (!submit->key)
        reply_refused(submit, -ENOMEM);
    return submit->key != NULL;
}

static bool make_canonical(struct submit *submit)
{
    dwb_json_memory_begin();
    json_t *document = dwb_spec_to_json(submit->spec);

    submit->canonical = dwb_json_memory_dump(document);
    json_decref(document);
    if (!submit->canonical)
        reply_refused(submit, -ENOMEM);
    return submit->canonical != NULL;
}

void dwb_api_jobs_submit(struct dwb_api *api, struct dwb_http_exchange *exchange)
{
    DWB_CLEANUP(free_submitp) struct submit *submit = calloc(1, sizeof(*submit));

    if (!submit) {
        dwb_problem_reply(exchange, 500, "internal", "no memory");
        return;
    }
    submit->api = api;
    submit->exchange = exchange;
    if (api->draining) {
        reply_refused(submit, DWB_JOBS_E_DRAINING);
        return;
    }
    if (!check_document(submit) || !check_machine(submit) || !check_limits(submit) ||
        !check_key(submit) || !make_canonical(submit) || reply_known_key(submit))
        return;
    struct dwb_jobs_submission submission = {
        .name = submit->spec->name,
        .spec = submit->canonical,
        .uid = dwb_http_uid(exchange),
        .idempotency_key = submit->key,
    };
    int r = dwb_jobs_submit(api->jobs, &submission, on_submitted, submit);
    if (r != 0) {
        reply_refused(submit, r);
        return;
    }
    (void)dwb_steal(submit); /* on_submitted frees it */
}
