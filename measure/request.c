/*
 * The request of a worker. Strict on purpose: a member or flag it does not know is an error, for a
 * misspelt `slice_ns` that silently meant the default would be a wrong measurement, not a warning.
 *
 * Invariant: a request that was accepted has a layer with an output (whoever reads a layer, as JSON
 * or as a flag, refuses any other) and every figure in range.
 */

#include "measure/request.h"

#include "common/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CPU_MAX 65535

void dwb_request_init(struct dwb_request *request)
{
    *request = (struct dwb_request){
        .isa = DWB_ISA_AUTO,
        .cache = DWB_CACHE_WARM,
        .slice_ns = DWB_REQUEST_SLICE_DEFAULT_NS,
        .seed = 1,
        .backends = DWB_BACKEND_NATIVE,
        .operations = 1u << DWB_OPERATION_STANDARD | 1u << DWB_OPERATION_DEPTHWISE |
                      1u << DWB_OPERATION_POINTWISE,
        .cpu = DWB_REQUEST_CPU_ANY,
    };
}

/* The values of an object's members are there, so their types are asked for without a test. */
static int refuse(struct dwb_diags *diags, const char *field, const json_t *value,
                  const char *allowed)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

    dwb_diags_add(diags, 0, 0, field, text, "%s", allowed);
    free(text);
    return -EINVAL;
}

static int take_count(const char *field, const json_t *value, uint64_t min, uint64_t max,
                      struct dwb_diags *diags, uint64_t *ret_count)
{
    json_int_t n = json_integer_value(value);
    char allowed[96];

    if (json_typeof(value) == JSON_INTEGER && n >= 0 && (uint64_t)n >= min && (uint64_t)n <= max) {
        *ret_count = (uint64_t)n;
        return 0;
    }
    snprintf(allowed, sizeof allowed, "an integer from %" PRIu64 " to %" PRIu64 " is needed", min,
             max);
    return refuse(diags, field, value, allowed);
}

static const char geometry_form[] = "I1/D1/LL is needed, each bytes,ways,bytes of a line, such as "
                                    "32768,8,64/49152,12,64/33554432,16,64";

static int set_geometry(struct dwb_request *request, const char *text)
{
    struct dwb_geometry geometry;
    int r = dwb_geometry_parse(text, &geometry);

    if (r == 0)
        dwb_geometry_text(&geometry, request->geometry);
    return r;
}

/* "a", "b" and "operations". 1 = it was one of them; else 0, -EINVAL with a finding. */
static int set_comparison(struct dwb_request *request, const char *field, const char *value,
                          struct dwb_diags *diags)
{
    char message[DWB_SIDE_MESSAGE_MAX] = "some of standard, depthwise, pointwise, separable, "
                                         "separable_fused are needed";
    int r;

    if (strcmp(field, "operations") == 0)
        r = dwb_operations_from_text(value, &request->operations);
    else if (strcmp(field, "a") == 0 || strcmp(field, "b") == 0)
        r = dwb_side_parse(value, message, field[0] == 'a' ? &request->a : &request->b);
    else
        return 0;
    if (r < 0) {
        dwb_diags_add(diags, 0, 0, field, value, "%s", message);
        return -EINVAL;
    }
    request->has_a = request->has_a || strcmp(field, "a") == 0;
    request->has_b = request->has_b || strcmp(field, "b") == 0;
    request->compares = request->has_a || request->has_b;
    return 1;
}

static const char directory_form[] = "a directory that is there is needed";
static const char plugin_form[] =
    "one or two names such as mine.so, separated by a comma, are needed";

/* Absolute, for a simulated call runs in another directory. */
static int set_plugin_dir(struct dwb_request *request, const char *text)
{
    struct stat found = {0};

    if (!realpath(text, request->plugin_dir))
        return -EINVAL;
    (void)stat(request->plugin_dir, &found); /* gone by now: no directory either */
    return S_ISDIR(found.st_mode) ? 0 : -EINVAL;
}

static const char members[] =
    "unknown; a request has layer, isa, cache, slice_ns, seed, replicate, "
    "cpu, backends, plugin, plugin_dir, simulate, geometry, a, b, operations";

static int take_plugin(struct dwb_request *request, const char *key, json_t *value,
                       struct dwb_diags *diags)
{
    const char *text = json_string_value(value);
    int r;

    if (strcmp(key, "plugin") == 0) {
        r = text ? dwb_plugins_from_text(text, &request->plugins) : -EINVAL;
        return r < 0 ? refuse(diags, key, value, plugin_form) : 0;
    }
    if (strcmp(key, "plugin_dir") == 0) {
        r = text ? set_plugin_dir(request, text) : -EINVAL;
        return r < 0 ? refuse(diags, key, value, directory_form) : 0;
    }
    return refuse(diags, key, value, members);
}

static int take_member(struct dwb_request *request, const char *key, json_t *value,
                       struct dwb_diags *diags)
{
    const char *text = json_string_value(value);
    uint64_t count = 0;
    int r;

    if (strcmp(key, "layer") == 0) {
        if (dwb_layer_from_json(value, &request->layer) == 0)
            return 0;
        return refuse(diags, key, value, "an object with Dk, Dx, M, N in range is needed");
    }
    if (strcmp(key, "isa") == 0) {
        if (text && dwb_isa_from_name(text, &request->isa) == 0)
            return 0;
        return refuse(diags, key, value, "auto, portable, avx2, avx512 or neon is needed");
    }
    if (strcmp(key, "cache") == 0) {
        if (text && dwb_cache_mode_from_name(text, &request->cache) == 0)
            return 0;
        return refuse(diags, key, value, "warm or cold is needed");
    }
    if (strcmp(key, "backends") == 0) {
        if (text && dwb_backends_from_text(text, &request->backends) == 0)
            return 0;
        return refuse(diags, key, value, "some of native, onednn, xnnpack are needed");
    }
    if (strncmp(key, "plugin", strlen("plugin")) == 0)
        return take_plugin(request, key, value, diags);
    if (strcmp(key, "simulate") == 0) {
        request->simulate = json_typeof(value) == JSON_TRUE;
        return request->simulate || json_typeof(value) == JSON_FALSE
                   ? 0
                   : refuse(diags, key, value, "true or false is needed");
    }
    if (strcmp(key, "geometry") == 0)
        return text && set_geometry(request, text) == 0 ? 0
                                                        : refuse(diags, key, value, geometry_form);
    if (strcmp(key, "slice_ns") == 0)
        return take_count(key, value, 1, DWB_SPEC_BUDGET_MAX_NS, diags, &request->slice_ns);
    if (strcmp(key, "seed") == 0) /* a seed past 63 bits is a decimal string, as in a record */
        return text ? dwb_request_set(request, key, text, diags)
                    : take_count(key, value, 0, INT64_MAX, diags, &request->seed);
    if (strcmp(key, "replicate") == 0) {
        r = take_count(key, value, 0, UINT32_MAX, diags, &count);
        if (r == 0)
            request->replicate = (uint32_t)count;
        return r;
    }
    if (strcmp(key, "cpu") == 0) {
        if (json_typeof(value) == JSON_NULL)
            return 0;
        r = take_count(key, value, 0, CPU_MAX, diags, &count);
        if (r == 0)
            request->cpu = (uint32_t)count;
        return r;
    }
    r = set_comparison(request, key, text ? text : "", diags);
    if (r != 0)
        return r < 0 ? r : 0;
    return refuse(diags, key, value, members);
}

static int refuse_side(struct dwb_diags *diags, const char *field, const char *message)
{
    dwb_diags_add(diags, 0, 0, field, NULL, "%s", message);
    return -EINVAL;
}

/* The sandbox opens the directory for the request's plugins. */
static int check_plugin(const struct dwb_request *request, const struct dwb_side *side,
                        const char *field, struct dwb_diags *diags)
{
    if (side->kind != DWB_SIDE_PLUGIN)
        return 0;
    for (uint32_t i = 0; i < request->plugins.n; i++)
        if (strcmp(request->plugins.items[i], side->name) == 0)
            return 0;
    return refuse_side(diags, field, "one of the request's plugins is needed");
}

static int check_sides(const struct dwb_request *request, struct dwb_diags *diags)
{
    const char *refused;
    char side;

    if (!request->compares)
        return 0;
    if (!request->has_a || !request->has_b)
        return refuse_side(diags, request->has_a ? "b" : "a",
                           "missing: a comparison has two sides, a and b");
    refused = dwb_sides_refuse(&request->a, &request->b, &side);
    if (refused)
        return refuse_side(diags, side == 'a' ? "a" : "b", refused);
    if (request->a.kind == DWB_SIDE_WORKER)
        return refuse_side(diags, "a", "two workers are compared by dwbenchctl gate, not by one");
    if (request->cache == DWB_CACHE_COLD && (request->a.extra_every || request->b.extra_every))
        return refuse_side(diags, "cache", "warm is needed where a slowdown is planted");
    if (request->simulate)
        return refuse_side(diags, "simulate", "not of a comparison: there is no ratio to explain");
    if (check_plugin(request, &request->a, "a", diags) < 0)
        return -EINVAL;
    return check_plugin(request, &request->b, "b", diags);
}

int dwb_request_check(const struct dwb_request *request, struct dwb_diags *diags)
{
    if (request->layer.kernel_size == 0) {
        dwb_diags_add(diags, 0, 0, "layer", NULL, "missing: which layer should be measured?");
        return -EINVAL;
    }
    if (request->plugins.n && !request->plugin_dir[0]) {
        dwb_diags_add(diags, 0, 0, "plugin", request->plugins.items[0],
                      "needs to know its directory (plugin_dir)");
        return -EINVAL;
    }
    return check_sides(request, diags);
}

int dwb_request_parse(const char *text, size_t length, struct dwb_diags *diags,
                      struct dwb_request *ret_request)
{
    struct dwb_request request;
    json_error_t error;
    json_t *object;
    int r = 0;

    object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!object) {
        bool at_place = error.line > 0 && error.column > 0;
        dwb_diags_add(diags, at_place ? (unsigned)error.line : 0,
                      at_place ? (unsigned)error.column : 0, NULL, NULL, "not JSON: %s",
                      error.text);
        return -EINVAL;
    }
    if (json_typeof(object) != JSON_OBJECT) {
        json_decref(object);
        dwb_diags_add(diags, 1, 1, NULL, NULL, "a request is a JSON object");
        return -EINVAL;
    }
    dwb_request_init(&request);
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        int r_member =
            take_member(&request, json_object_iter_key(at), json_object_iter_value(at), diags);
        r = r ? r : r_member;
    }
    if (r == 0)
        r = dwb_request_check(&request, diags);
    json_decref(object);
    if (r == 0)
        *ret_request = request;
    return r;
}

static int set_count(const char *flag, const char *value, uint64_t max, struct dwb_diags *diags,
                     uint64_t *ret_count)
{
    unsigned long long n;
    char *end;

    errno = 0;
    n = strtoull(value, &end, 10);
    if (errno || *end || value[0] < '0' || n > max) { /* strtoull takes blanks and signs */
        dwb_diags_add(diags, 0, 0, flag, value, "an integer from 0 to %" PRIu64 " is needed", max);
        return -EINVAL;
    }
    *ret_count = n;
    return 0;
}

static int set_layer(struct dwb_request *request, const char *value, struct dwb_diags *diags)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = NULL;
    int r = dwb_spec_parse_flag(value, diags, &spec);

    if (r == 0)
        request->layer = spec->layers[0];
    return r;
}

int dwb_request_set(struct dwb_request *request, const char *flag, const char *value,
                    struct dwb_diags *diags)
{
    uint64_t count = 0;
    int r = 0;

    if (strcmp(flag, "layer") == 0)
        return set_layer(request, value, diags);
    if (strcmp(flag, "seed") == 0)
        return set_count(flag, value, UINT64_MAX, diags, &request->seed);
    if (strcmp(flag, "isa") == 0) {
        r = dwb_isa_from_name(value, &request->isa);
        if (r < 0)
            dwb_diags_add(diags, 0, 0, flag, value,
                          "auto, portable, avx2, avx512 or neon is needed");
    } else if (strcmp(flag, "cache") == 0) {
        r = dwb_cache_mode_from_name(value, &request->cache);
        if (r < 0)
            dwb_diags_add(diags, 0, 0, flag, value, "warm or cold is needed");
    } else if (strcmp(flag, "backend") == 0) {
        r = dwb_backends_from_text(value, &request->backends);
        if (r < 0)
            dwb_diags_add(diags, 0, 0, flag, value,
                          "some of native, onednn, xnnpack, separated by commas, are needed");
    } else if (strcmp(flag, "plugin") == 0) {
        r = dwb_plugins_from_text(value, &request->plugins);
        if (r < 0)
            dwb_diags_add(diags, 0, 0, flag, value, "%s", plugin_form);
    } else if (strcmp(flag, "plugin-dir") == 0) {
        r = set_plugin_dir(request, value);
        if (r < 0)
            dwb_diags_add(diags, 0, 0, flag, value, "%s", directory_form);
    } else if (strcmp(flag, "simulate") == 0) {
        request->simulate = true;
    } else if (strcmp(flag, "geometry") == 0) {
        r = set_geometry(request, value);
        if (r < 0)
            dwb_diags_add(diags, 0, 0, flag, value, "%s", geometry_form);
    } else if (strcmp(flag, "slice") == 0) {
        r = dwb_duration_parse(value, &count);
        if (r == 0 && (count == 0 || count > DWB_SPEC_BUDGET_MAX_NS))
            r = -ERANGE;
        if (r < 0)
            dwb_diags_add(diags, 0, 0, flag, value,
                          "a duration such as 300ms, up to 1h, is needed");
        else
            request->slice_ns = count;
    } else if ((r = set_comparison(request, flag, value, diags)) != 0) {
        r = r < 0 ? r : 0;
    } else if (strcmp(flag, "cpu") == 0) {
        r = set_count(flag, value, CPU_MAX, diags, &count);
        if (r == 0)
            request->cpu = (uint32_t)count;
    } else {
        r = set_count(flag, value, UINT32_MAX, diags, &count);
        if (r == 0)
            request->replicate = (uint32_t)count;
    }
    return r < 0 ? -EINVAL : 0;
}
