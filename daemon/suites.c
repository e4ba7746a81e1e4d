#include "daemon/suites.h"

/* See suites.h. */

#include "common/cleanup.h"
#include "common/spec.h"
#include "common/yaml.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SUITES_MAX 32

struct dwb_suites {
    struct dwb_spec *specs[SUITES_MAX];
    size_t n;
};

static void read_suite(struct dwb_suites *suites, const char *path)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    dwb_cleanup_free char *text = malloc(DWB_YAML_BYTES_MAX);
    dwb_cleanup_file FILE *file = fopen(path, "re");
    struct dwb_spec *spec = NULL;

    if (!diags || !text || !file)
        return;
    size_t length = fread(text, 1, DWB_YAML_BYTES_MAX, file);
    if (dwb_spec_parse(text, length, diags, &spec) < 0)
        return;
    if (spec->is_suite)
        suites->specs[suites->n++] = spec;
    else
        dwb_spec_free(spec);
}

int dwb_suites_new(const char *directory, struct dwb_suites **ret_suites)
{
    struct dwb_suites *suites = calloc(1, sizeof(*suites));
    struct dirent **entries;

    if (!suites)
        return -ENOMEM;
    int n = scandir(directory, &entries, NULL, alphasort);
    if (n < 0) {
        n = -errno;
        free(suites);
        return n;
    }
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        size_t length = strlen(name);
        char path[4096];
        if (suites->n < SUITES_MAX && length > 5 && strcmp(name + length - 5, ".yaml") == 0 &&
            snprintf(path, sizeof(path), "%s/%s", directory, name) < (int)sizeof(path))
            read_suite(suites, path);
        free(entries[i]);
    }
    free(entries);
    *ret_suites = suites;
    return 0;
}

void dwb_suites_free(struct dwb_suites *suites)
{
    if (!suites)
        return;
    for (size_t i = 0; i < suites->n; i++)
        dwb_spec_free(suites->specs[i]);
    free(suites);
}

static bool has_layer(const struct dwb_spec *suite, const struct dwb_layer *layer)
{
    for (size_t i = 0; i < suite->n_layers; i++) {
        const struct dwb_layer *known = &suite->layers[i];
        if (strcmp(known->name, layer->name) == 0 && dwb_layer_same_shape(known, layer))
            return true;
    }
    return false;
}

static double number_at(const json_t *object, const char *a, const char *b, const char *c)
{
    const json_t *value = json_object_get(json_object_get(object, a), b);

    if (c)
        value = json_object_get(value, c);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* A series is a suite's layer as dwbench measures it, whoever raced a kernel of their own beside.
 */
static bool is_plugin(const json_t *result)
{
    const char *backend = json_string_value(json_object_get(result, "backend"));

    return backend && strncmp(backend, DWB_PLUGIN_PREFIX, strlen(DWB_PLUGIN_PREFIX)) == 0;
}

static void publish_layer(const struct dwb_spec *suite, const json_t *result,
                          struct dwb_metrics *metrics)
{
    struct dwb_layer layer;

    if (dwb_layer_from_json(json_object_get(result, "layer"), &layer) == 0 &&
        has_layer(suite, &layer))
        dwb_metrics_set_ratio(metrics, suite->name, layer.name,
                              number_at(result, "ratio", "time", "floor"),
                              number_at(result, "theory", "ratio", NULL));
}

void dwb_suites_publish(const struct dwb_suites *suites, const json_t *document,
                        struct dwb_metrics *metrics)
{
    const char *name = json_string_value(json_object_get(json_object_get(document, "job"), "name"));
    const json_t *result;
    size_t i;

    for (size_t j = 0; name && j < suites->n; j++) {
        if (strcmp(suites->specs[j]->name, name) != 0)
            continue;
        json_array_foreach(json_object_get(document, "results"), i, result) if (!is_plugin(result))
            publish_layer(suites->specs[j], result, metrics);
    }
}
