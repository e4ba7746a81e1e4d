/*
 * See target.h. What must hold: a refusal says why, in printable text with a place inside of the
 * document; what was accepted has a canonical form that means the same; analysis takes every record
 * that the decoder takes, and gives the same document twice.
 */

#include "tests/fuzz/target.h"

#include "analysis/result.h"
#include "common/cleanup.h"
#include "common/json_memory.h"
#include "common/record.h"
#include "common/spec.h"
#include "daemon/config.h"
#include "measure/request.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool dwb_target_memory_may_fail;

void dwb_target_must(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "violated: %s\n", what);
    abort();
}

static void check_text(const char *text)
{
    for (const char *c = text; *c; c++)
        dwb_target_must((unsigned char)*c >= 0x20 && *c != 0x7f, "findings are printable");
}

static int check_findings(int r, const struct dwb_diags *diags, size_t length)
{
    if (r == -ENOMEM)
        return r;
    dwb_target_must(r == 0 || r == -EINVAL, "a parser returns 0, -EINVAL or -ENOMEM");
    dwb_target_must((r == 0) == (diags->n == 0), "findings if and only if refused");
    for (size_t i = 0; i < diags->n; i++) {
        const struct dwb_diag *diag = &diags->items[i];

        dwb_target_must(diag->message[0] != '\0', "a finding has a message");
        dwb_target_must(diag->line <= length + 1 && diag->column <= length + 1,
                        "a finding's place is in the document");
        check_text(diag->field);
        check_text(diag->value);
        check_text(diag->message);
    }
    return r;
}

/* ---- documents ---- */

static char *canonical(const struct dwb_spec *spec)
{
    dwb_json_memory_watch(); /* again and again, which changes nothing */
    dwb_json_memory_begin();
    json_t *document = dwb_spec_to_json(spec);
    char *text = dwb_json_memory_dump(document);

    json_decref(document);
    return text;
}

static void check_layers(const struct dwb_spec *spec)
{
    dwb_target_must(spec->n_layers >= 1 && spec->n_layers <= DWB_SPEC_LAYERS_MAX,
                    "1 to 256 layers");
    for (size_t i = 0; i < spec->n_layers; i++) {
        json_t *object = dwb_layer_to_json(&spec->layers[i]);
        struct dwb_layer back = {0};

        if (!object)
            return;
        dwb_target_must(dwb_layer_from_json(object, &back) == 0 &&
                            strcmp(back.name, spec->layers[i].name) == 0 &&
                            dwb_layer_output_size(&back) > 0,
                        "a worker takes every layer that a document may have");
        json_decref(object);
    }
}

static void check_round_trip(const struct dwb_spec *spec)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *back = NULL;
    dwb_cleanup_free char *text = canonical(spec);
    dwb_cleanup_free char *again = NULL;
    int r;

    if (!diags || !text)
        return;
    r = dwb_spec_parse(text, strlen(text), diags, &back);
    if (r == -ENOMEM)
        return;
    if (r < 0)
        dwb_diags_print(diags, "canonical form", stderr);
    dwb_target_must(r == 0, "the canonical form of what was accepted is accepted");
    again = canonical(back);
    dwb_target_must(!again || strcmp(text, again) == 0, "the canonical form is a fixed point");
    dwb_target_must(
        back->n_layers == spec->n_layers &&
            memcmp(back->layers, spec->layers, spec->n_layers * sizeof(*spec->layers)) == 0,
        "the canonical form means the same layers");
}

static int check_spec(int r, const struct dwb_diags *diags, size_t length, struct dwb_spec *spec)
{
    r = check_findings(r, diags, length);
    dwb_target_must((r == 0) == (spec != NULL), "a spec if and only if accepted");
    if (spec) {
        check_layers(spec);
        check_round_trip(spec);
    }
    dwb_spec_free(spec);
    return r;
}

int dwb_target_spec(const char *text, size_t length, struct dwb_diags *diags)
{
    struct dwb_spec *spec = NULL;
    int r;

    memset(diags, 0, sizeof(*diags));
    r = dwb_spec_parse(text, length, diags, &spec);
    return check_spec(r, diags, length, spec);
}

int dwb_target_flag(const char *text, size_t length, struct dwb_diags *diags)
{
    dwb_cleanup_free char *copy = malloc(length + 1);
    struct dwb_spec *spec = NULL;
    int r;

    memset(diags, 0, sizeof(*diags));
    if (!copy)
        return -ENOMEM;
    memcpy(copy, text, length); /* which may end without a NUL */
    copy[length] = '\0';
    r = dwb_spec_parse_flag(copy, diags, &spec);
    return check_spec(r, diags, length, spec);
}

int dwb_target_config(const char *text, size_t length, struct dwb_diags *diags)
{
    struct dwb_config config;
    int r;

    memset(diags, 0, sizeof(*diags));
    dwb_config_init(&config);
    r = check_findings(dwb_config_parse(&config, text, length, diags), diags, length);
    if (r < 0)
        return r;
    dwb_target_must(memchr(config.socket, '\0', sizeof(config.socket)) &&
                        memchr(config.worker, '\0', sizeof(config.worker)) &&
                        config.n_admins <= DWB_CONFIG_ADMINS_MAX && config.body_bytes_max >= 1024 &&
                        config.body_bytes_max <= 65536 && config.socket_mode <= 0777,
                    "an accepted configuration is in range");
    return r;
}

/* ---- records ---- */

static void check_analysis(struct dwb_record *record)
{
    struct dwb_spec spec = {
        .name = "x",
        .alpha = 1,
        .network_resolution = DWB_SPEC_NETWORK_RESOLUTION,
        .declared = &record->layer,
        .layers = &record->layer,
        .n_layers = 1,
        .options = {.cache = record->cache,
                    .budget_ns = DWB_SPEC_BUDGET_DEFAULT_NS,
                    .precision = DWB_SPEC_PRECISION_DEFAULT,
                    .replicates = DWB_SPEC_REPLICATES_DEFAULT,
                    .backends = DWB_BACKEND_NATIVE},
    };
    struct dwb_record twin = *record;
    struct dwb_record *records[] = {record, &twin};
    const uint32_t layer_of[] = {0, 0};
    struct dwb_progress progress;
    json_t *job = json_pack("{s:s}", "id", "x"), *documents[2] = {NULL, NULL};

    twin.replicate ^= 1;
    for (int i = 0; job && i < 2; i++) {
        int r = dwb_result_build(&spec, job, records, layer_of, 2, &documents[i]);

        dwb_target_must(r == 0 || (r == -ENOMEM && dwb_target_memory_may_fail),
                        "analysis takes what the decoder takes");
    }
    if (documents[0] && documents[1])
        dwb_target_must(json_equal(documents[0], documents[1]), "analysis is a pure function");
    json_decref(documents[0]);
    json_decref(documents[1]);
    json_decref(job);
    if (dwb_result_progress(&spec, records, 2, &progress) == 0)
        dwb_target_must(!isnan(progress.half_width), "a half-width is a number or infinite");
}

static void check_record(struct dwb_record *record)
{
    DWB_CLEANUP(dwb_record_freep) struct dwb_record *back = NULL;
    json_t *object = dwb_record_to_json(record), *again;

    if (!object)
        return;
    /* jansson says of a failed allocation only that it failed */
    dwb_target_must(dwb_record_from_json(object, &back) != -EINVAL || dwb_target_memory_may_fail,
                    "what was decoded, encoded, is decoded");
    again = back ? dwb_record_to_json(back) : NULL;
    if (again)
        dwb_target_must(json_equal(object, again), "encoding is a fixed point");
    json_decref(object);
    json_decref(again);
    check_analysis(record);
}

int dwb_target_record(const char *text, size_t length, struct dwb_diags *diags)
{
    struct dwb_record *record = NULL;
    json_error_t error;
    json_t *object;
    int r;

    memset(diags, 0, sizeof(*diags));
    object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error); /* as daemon/worker.c */
    if (!object) {
        dwb_diags_add(diags, 0, 0, "json", NULL, "%s", error.text);
        return -EINVAL;
    }
    r = dwb_record_from_json(object, &record);
    json_decref(object);
    dwb_target_must((r == 0) == (record != NULL), "a record if and only if accepted");
    if (r == -EINVAL)
        dwb_diags_add(diags, 0, 0, "record", NULL, "is not valid");
    if (record)
        check_record(record);
    dwb_record_free(record);
    return r;
}

/* ---- what a worker is asked ---- */

static bool takes_layer(const struct dwb_layer *layer)
{
    uint64_t bytes;

    return dwb_layer_output_size(layer) > 0 && dwb_layer_memory(layer, &bytes) == 0;
}

static void check_request(const struct dwb_request *request)
{
    static struct dwb_diags diags;
    struct dwb_geometry geometry;

    dwb_target_must(takes_layer(&request->layer), "a layer that can be measured");
    dwb_target_must(request->slice_ns >= 1 && request->slice_ns <= DWB_SPEC_BUDGET_MAX_NS,
                    "a slice in range");
    dwb_target_must(request->cpu == DWB_REQUEST_CPU_ANY || request->cpu <= UINT16_MAX,
                    "a CPU in range");
    dwb_target_must(request->backends && request->operations, "something to measure");
    dwb_target_must(request->compares == request->has_a && request->compares == request->has_b,
                    "two sides or none");
    dwb_target_must(!request->compares || !request->simulate, "a comparison is not simulated");
    dwb_target_must(!request->plugins.n || request->plugin_dir[0] == '/',
                    "plugins have a directory, and from the root");
    for (uint32_t i = 0; i < request->plugins.n; i++)
        dwb_target_must(dwb_plugin_name_valid(request->plugins.items[i]),
                        "a plugin's name leaves its directory alone");
    dwb_target_must(!request->geometry[0] || dwb_geometry_parse(request->geometry, &geometry) == 0,
                    "a geometry that a simulation takes");
    dwb_target_must(!request->without_sandbox && !request->without_probes,
                    "no request opens the sandbox");
    memset(&diags, 0, sizeof(diags));
    dwb_target_must(dwb_request_check(request, &diags) == 0 && diags.n == 0,
                    "what was accepted is accepted");
}

int dwb_target_request(const char *text, size_t length, struct dwb_diags *diags)
{
    static struct dwb_request request, untouched;
    int r;

    memset(diags, 0, sizeof(*diags));
    memset(&request, 0x5a, sizeof(request));
    memset(&untouched, 0x5a, sizeof(untouched));
    if (length > DWB_REQUEST_BYTES_MAX) { /* as measure/worker.c */
        dwb_diags_add(diags, 0, 0, NULL, NULL, "is longer than %d bytes", DWB_REQUEST_BYTES_MAX);
        return -EINVAL;
    }
    r = check_findings(dwb_request_parse(text, length, diags, &request), diags, length);
    if (r == 0)
        check_request(&request);
    else
        dwb_target_must(memcmp(&request, &untouched, sizeof(request)) == 0,
                        "a refused request is not there");
    return r;
}
