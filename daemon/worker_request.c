#include "daemon/worker_request.h"

/* See worker_request.h. */

#include "common/cleanup.h"
#include "common/json_memory.h"
#include "daemon/estimate.h"

#include <stdio.h>

/* A worker that is itself a side is asked for what any is. */
static void add_sides(const struct dwb_options *options, json_t *request)
{
    char a[DWB_SIDE_TEXT_MAX], b[DWB_SIDE_TEXT_MAX], operations[DWB_OPERATIONS_TEXT_MAX];

    dwb_side_to_text(&options->a, a);
    dwb_side_to_text(&options->b, b);
    dwb_operations_to_text(options->operations, operations);
    json_object_set_new(request, "a", json_string(a));
    json_object_set_new(request, "b", json_string(b));
    json_object_set_new(request, "operations", json_string(operations));
}

char *dwb_worker_request(const struct dwb_spec *spec, uint32_t layer, uint32_t replicate,
                         bool simulates, uint32_t cpu, const char *plugin_dir)
{
    const struct dwb_options *options = &spec->options;
    char backends[DWB_BACKENDS_TEXT_MAX], plugins[DWB_PLUGINS_TEXT_MAX];

    dwb_backends_to_text(options->backends, backends);
    dwb_plugins_to_text(&options->plugins, plugins);
    dwb_json_memory_begin();
    json_t *request =
        json_pack("{s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "layer",
                  dwb_layer_to_json(&spec->layers[layer]), "isa", dwb_isa_name(options->isa),
                  "cache", dwb_cache_mode_name(options->cache), "backends", backends, "slice_ns",
                  (json_int_t)dwb_estimate_slice_ns(options), "seed", (json_int_t)options->seed,
                  "replicate", (json_int_t)replicate, "cpu", (json_int_t)cpu);
    if (request && dwb_spec_compares(spec) && !dwb_spec_compares_workers(spec))
        add_sides(options, request);
    if (request && plugins[0]) {
        json_object_set_new(request, "plugin", json_string(plugins));
        json_object_set_new(request, "plugin_dir", json_string(plugin_dir));
    }
    if (request && simulates)
        json_object_set_new(request, "simulate", json_true());
    if (request && simulates && options->geometry[0])
        json_object_set_new(request, "geometry", json_string(options->geometry));
    dwb_cleanup_free char *text = dwb_json_memory_dump(request);
    char *line = NULL;

    json_decref(request);
    if (!text || asprintf(&line, "%s\n", text) < 0)
        return NULL;
    return line;
}
