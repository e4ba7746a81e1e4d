/*
 * The specification as an object: defaults, options, resolution of the multipliers, canonical form.
 * Reading documents is spec_parse.c's.
 */

#include "common/spec.h"

#include "common/cleanup.h"
#include "common/spec_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PRECISION_MIN 0.0001
#define PRECISION_MAX 0.5
#define ALPHA_MIN     0.001
#define ALPHA_MAX     4.0

int dwb_spec_integer(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (text[0] == '\0')
        return -EINVAL;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || __builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value))
            return -EINVAL;
    }
    if (value < min || value > max)
        return -EINVAL;
    *ret_value = value;
    return 0;
}

static int complain(char *message, const char *text)
{
    snprintf(message, DWB_SPEC_MESSAGE_MAX, "%s", text);
    return -EINVAL;
}

static int set_isa(struct dwb_spec *spec, const char *value, char *message)
{
    if (dwb_isa_from_name(value, &spec->options.isa) < 0)
        return complain(message, "must be one of auto, portable, avx2, avx512, neon");
    return 0;
}

static int set_cache(struct dwb_spec *spec, const char *value, char *message)
{
    if (dwb_cache_mode_from_name(value, &spec->options.cache) < 0)
        return complain(message, "must be warm or cold");
    return 0;
}

static int set_budget(struct dwb_spec *spec, const char *value, char *message)
{
    uint64_t ns;

    if (dwb_duration_parse(value, &ns) < 0 || ns < DWB_SPEC_BUDGET_MIN_NS ||
        ns > DWB_SPEC_BUDGET_MAX_NS)
        return complain(message, "must be a time from 100ms to 1h with its unit, such as 500ms, 6s "
                                 "or 2m: the measuring time of a layer");
    spec->options.budget_ns = ns;
    return 0;
}

static int set_share(const char *value, const char *what, char *message, double *ret_share)
{
    double share;

    if (dwb_fraction_parse(value, &share) < 0 || share < PRECISION_MIN || share > PRECISION_MAX) {
        snprintf(message, DWB_SPEC_MESSAGE_MAX,
                 "must be from 0.01%% to 50%%, such as 0.5%% or "
                 "0.005: %s",
                 what);
        return -EINVAL;
    }
    *ret_share = share;
    return 0;
}

static int set_precision(struct dwb_spec *spec, const char *value, char *message)
{
    int r = set_share(value, "the half-width of the ratio's interval", message,
                      &spec->options.precision);

    spec->options.precision_given = spec->options.precision_given || r == 0;
    return r;
}

static int set_replicates(struct dwb_spec *spec, const char *value, char *message)
{
    uint64_t n;

    if (dwb_spec_integer(value, 1, DWB_SPEC_REPLICATES_MAX, &n) < 0)
        return complain(message, "must be a whole number from 1 to 1000: fresh processes a layer");
    spec->options.replicates = (uint32_t)n;
    spec->options.replicates_given = true;
    return 0;
}

static int set_seed(struct dwb_spec *spec, const char *value, char *message)
{
    if (dwb_spec_integer(value, 0, INT64_MAX, &spec->options.seed) < 0)
        return complain(message, "must be a whole number from 0 to 9223372036854775807");
    return 0;
}

static int set_backends(struct dwb_spec *spec, const char *value, char *message)
{
    if (dwb_backends_from_text(value, &spec->options.backends) < 0)
        return complain(message, "must be some of native, onednn, xnnpack, each once, such as "
                                 "native,onednn");
    return 0;
}

static int set_plugin(struct dwb_spec *spec, const char *value, char *message)
{
    if (dwb_plugins_from_text(value, &spec->options.plugins) < 0)
        return complain(message, "must be the file name of a plugin, such as mine.so, or two of "
                                 "them: up to 48 letters, digits, dots, underscores or hyphens, "
                                 "then .so; no directory");
    return 0;
}

static int set_simulate(struct dwb_spec *spec, const char *value, char *message)
{
    spec->options.simulate = strcmp(value, "true") == 0;
    if (!spec->options.simulate && strcmp(value, "false") != 0)
        return complain(message, "must be true or false: one call of each operation under "
                                 "Valgrind's Callgrind, besides the measurement");
    return 0;
}

static int set_geometry(struct dwb_spec *spec, const char *value, char *message)
{
    struct dwb_geometry geometry;

    if (dwb_geometry_parse(value, &geometry) < 0)
        return complain(message,
                        "must be three caches to simulate, I1/D1/LL, each bytes,ways,bytes "
                        "of a line with a power of two of sets, such as "
                        "32768,8,64/49152,12,64/33554432,16,64");
    dwb_geometry_text(&geometry, spec->options.geometry);
    return 0;
}

static int set_side(const char *value, char *message, bool *ret_has, struct dwb_side *ret_side)
{
    int r = dwb_side_parse(value, message, ret_side);

    *ret_has = *ret_has || r == 0;
    return r;
}

static int set_a(struct dwb_spec *spec, const char *value, char *message)
{
    return set_side(value, message, &spec->options.has_a, &spec->options.a);
}

static int set_b(struct dwb_spec *spec, const char *value, char *message)
{
    return set_side(value, message, &spec->options.has_b, &spec->options.b);
}

static int set_operations(struct dwb_spec *spec, const char *value, char *message)
{
    if (dwb_operations_from_text(value, &spec->options.operations) < 0)
        return complain(message, "must be some of standard, depthwise, pointwise, separable, "
                                 "separable_fused, each once");
    return 0;
}

static int set_delta(struct dwb_spec *spec, const char *value, char *message)
{
    return set_share(value, "a change that small does not matter", message, &spec->options.delta);
}

static int set_alpha(struct dwb_spec *spec, const char *value, char *message)
{
    double alpha;

    if (!spec->is_suite)
        return complain(message, "is for suites: give a single layer its M and N as they are");
    if (dwb_fraction_parse(value, &alpha) < 0 || alpha < ALPHA_MIN || alpha > ALPHA_MAX)
        return complain(message, "must be from 0.001 to 4, such as 0.75: the width "
                                 "multiplier on M and N");
    spec->alpha = alpha;
    return 0;
}

static int set_resolution_field(struct dwb_spec *spec, const char *value, uint32_t *field,
                                char *message)
{
    uint64_t size;

    if (!spec->is_suite)
        return complain(message, "is for suites: give a single layer its Dx as it is");
    if (dwb_spec_integer(value, 1, DWB_INPUT_SIZE_MAX, &size) < 0)
        return complain(message, "must be a whole number from 1 to 4096: the side of the network's "
                                 "input image");
    *field = (uint32_t)size;
    return 0;
}

static int set_resolution(struct dwb_spec *spec, const char *value, char *message)
{
    return set_resolution_field(spec, value, &spec->resolution, message);
}

static int set_network_resolution(struct dwb_spec *spec, const char *value, char *message)
{
    return set_resolution_field(spec, value, &spec->network_resolution, message);
}

int dwb_spec_option(struct dwb_spec *spec, const char *key, const char *value,
                    char message[DWB_SPEC_MESSAGE_MAX])
{
    static const struct {
        const char *key;
        int (*set)(struct dwb_spec *spec, const char *value, char *message);
    } options[] = {
        {"isa", set_isa},
        {"cache", set_cache},
        {"budget", set_budget},
        {"precision", set_precision},
        {"replicates", set_replicates},
        {"seed", set_seed},
        {"backends", set_backends},
        {"plugin", set_plugin},
        {"simulate", set_simulate},
        {"geometry", set_geometry},
        {"a", set_a},
        {"b", set_b},
        {"operations", set_operations},
        {"delta", set_delta},
        {"alpha", set_alpha},
        {"resolution", set_resolution},
        {"network_resolution", set_network_resolution},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (strcmp(options[i].key, key) == 0)
            return options[i].set(spec, value, message);
    }
    return -ENOENT;
}

struct dwb_spec *dwb_spec_new(void)
{
    struct dwb_spec *spec = calloc(1, sizeof(*spec));

    if (!spec)
        return NULL;
    spec->alpha = 1;
    spec->network_resolution = DWB_SPEC_NETWORK_RESOLUTION;
    spec->options = (struct dwb_options){
        .isa = DWB_ISA_AUTO,
        .cache = DWB_CACHE_WARM,
        .budget_ns = DWB_SPEC_BUDGET_DEFAULT_NS,
        .precision = DWB_SPEC_PRECISION_DEFAULT,
        .replicates = DWB_SPEC_REPLICATES_DEFAULT,
        .seed = 1,
        .backends = DWB_BACKEND_NATIVE,
        .operations = 1u << DWB_OPERATION_STANDARD | 1u << DWB_OPERATION_DEPTHWISE |
                      1u << DWB_OPERATION_POINTWISE,
        .delta = DWB_SPEC_DELTA_DEFAULT,
    };
    return spec;
}

void dwb_spec_free(struct dwb_spec *spec)
{
    if (!spec)
        return;
    free(spec->declared);
    free(spec->layers);
    free(spec);
}

static uint32_t scaled_channels(uint32_t channels, double alpha)
{
    double value = round(channels * alpha);

    return value < 1 ? 1 : (uint32_t)value;
}

static void resolve_layer(const struct dwb_spec *spec, const struct dwb_layer *declared,
                          struct dwb_layer *layer)
{
    *layer = *declared;
    layer->in_channels = scaled_channels(declared->in_channels, spec->alpha);
    layer->out_channels = scaled_channels(declared->out_channels, spec->alpha);
    if (spec->resolution > 0)
        layer->input_size = (uint32_t)(((uint64_t)declared->input_size * spec->resolution +
                                        spec->network_resolution - 1) /
                                       spec->network_resolution);
}

/* What a layer must satisfy as a whole, once its fields are in range one by one. */
static bool check_resolved(const struct dwb_spec *spec, size_t i, const struct dwb_yaml_node *place,
                           struct dwb_diags *diags)
{
    const struct dwb_layer *layer = &spec->layers[i];
    unsigned line = place ? place->line : 0, column = place ? place->column : 0;
    size_t n_before = diags->n + diags->n_dropped;
    uint64_t bytes;

    if (layer->in_channels > DWB_CHANNELS_MAX || layer->out_channels > DWB_CHANNELS_MAX)
        dwb_diags_add(diags, line, column, layer->name, NULL,
                      "has %" PRIu32 " -> %" PRIu32 " channels after alpha %g; at most %d",
                      layer->in_channels, layer->out_channels, spec->alpha, DWB_CHANNELS_MAX);
    else if (layer->input_size > DWB_INPUT_SIZE_MAX)
        dwb_diags_add(diags, line, column, layer->name, NULL,
                      "has an input of %" PRIu32 " after the resolution; at most %d",
                      layer->input_size, DWB_INPUT_SIZE_MAX);
    else if (dwb_layer_output_size(layer) == 0)
        dwb_diags_add(diags, line, column, layer->name, NULL,
                      "leaves no output: with padding valid, Dk (%" PRIu32
                      ") must not be larger than Dx (%" PRIu32 ")",
                      layer->kernel_size, layer->input_size);
    else if (dwb_layer_memory(layer, &bytes) < 0)
        dwb_diags_add(diags, line, column, layer->name, NULL,
                      "is too large: a tensor has more than %" PRIu64 " elements",
                      DWB_LAYER_ELEMENTS_MAX);
    return diags->n + diags->n_dropped == n_before;
}

int dwb_spec_resolve(struct dwb_spec *spec, const struct dwb_yaml_node *const *places,
                     struct dwb_diags *diags)
{
    int r = 0;

    if (!spec->layers) {
        spec->layers = calloc(spec->n_layers, sizeof(*spec->layers));
        if (!spec->layers)
            return -ENOMEM;
    }
    for (size_t i = 0; i < spec->n_layers; i++) {
        resolve_layer(spec, &spec->declared[i], &spec->layers[i]);
        if (!check_resolved(spec, i, places ? places[i] : NULL, diags))
            r = -EINVAL;
    }
    return r;
}

static int refuse_sides(struct dwb_diags *diags, const char *field, const char *message)
{
    dwb_diags_add(diags, 0, 0, field, NULL, "%s", message);
    return -EINVAL;
}

static int check_sides(const struct dwb_options *options, struct dwb_diags *diags)
{
    const struct dwb_side *a = &options->a, *b = &options->b;
    const char *refused;
    char side;

    if (options->has_a != options->has_b)
        return refuse_sides(diags, options->has_a ? "b" : "a",
                            "is missing: a comparison has two sides, a and b");
    if (!options->has_a)
        return 0;
    refused = dwb_sides_refuse(a, b, &side);
    if (refused)
        return refuse_sides(diags, side == 'a' ? "a" : "b", refused);
    /* n_calls is 1 there, which is no multiple of K. */
    if (options->cache == DWB_CACHE_COLD && (a->extra_every || b->extra_every))
        return refuse_sides(diags, "cache", "must be warm where a slowdown is planted");
    if (options->backends != DWB_BACKEND_NATIVE)
        return refuse_sides(diags, "backends",
                            "is for measuring a ratio; a comparison names its backends in a and b");
    if (options->simulate)
        return refuse_sides(diags, "simulate", "is for measuring a ratio, not for comparing sides");
    return 0;
}

static void name_plugin(struct dwb_options *options, const struct dwb_side *side)
{
    struct dwb_plugin_names *plugins = &options->plugins;

    for (uint32_t i = 0; i < plugins->n; i++)
        if (strcmp(plugins->items[i], side->name) == 0)
            return;
    snprintf(plugins->items[plugins->n++], sizeof plugins->items[0], "%.*s",
             DWB_PLUGIN_FILE_MAX - 1, side->name);
}

static int name_plugins(struct dwb_options *options, struct dwb_diags *diags)
{
    const struct dwb_side *sides[] = {&options->a, &options->b};

    if (options->has_a)
        options->plugins.n = 0;
    for (size_t i = 0; options->has_a && i < 2; i++) {
        if (sides[i]->kind != DWB_SIDE_PLUGIN)
            continue;
        if (!dwb_plugin_name_valid(sides[i]->name))
            return refuse_sides(diags, i ? "b" : "a",
                                "must be the file name of a plugin, such as plugin:mine.so");
        name_plugin(options, sides[i]);
    }
    return 0;
}

int dwb_spec_check(struct dwb_spec *spec, struct dwb_diags *diags)
{
    struct dwb_options *options = &spec->options;

    if (!options->replicates_given)
        options->replicates =
            options->has_a ? DWB_SPEC_GATE_REPLICATES : DWB_SPEC_REPLICATES_DEFAULT;
    if (!options->precision_given)
        options->precision =
            options->has_a ? fmax(options->delta / 2, PRECISION_MIN) : DWB_SPEC_PRECISION_DEFAULT;
    int r = check_sides(options, diags);
    return r < 0 ? r : name_plugins(options, diags);
}

int dwb_spec_set(struct dwb_spec *spec, const char *key, const char *value, struct dwb_diags *diags)
{
    char message[DWB_SPEC_MESSAGE_MAX];
    int r = dwb_spec_option(spec, key, value, message);

    if (r == -ENOENT) {
        dwb_diags_add(diags, 0, 0, key, value, "is not a job option");
        return -EINVAL;
    }
    if (r < 0) {
        dwb_diags_add(diags, 0, 0, key, value, "%s", message);
        return r;
    }
    return dwb_spec_resolve(spec, NULL, diags);
}

static json_t *layer_fields(const struct dwb_layer *layer)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:I}", "name", layer->name, "Dk",
                     (json_int_t)layer->kernel_size, "Dx", (json_int_t)layer->input_size, "M",
                     (json_int_t)layer->in_channels, "N", (json_int_t)layer->out_channels, "stride",
                     (json_int_t)layer->stride, "padding", dwb_padding_name(layer->padding),
                     "repeat", (json_int_t)layer->repeat);
}

json_t *dwb_layer_to_json(const struct dwb_layer *layer)
{
    json_t *object = layer_fields(layer);

    if (object &&
        json_object_set_new(object, "Dy", json_integer(dwb_layer_output_size(layer))) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/*
 * Of a suite's layer: what it has anyway is left out, so that a suite with all the layers that it
 * may have is no larger than a document may be.
 */
static json_t *fields_of_a_suite(const struct dwb_layer *layer)
{
    json_t *object = layer_fields(layer);

    if (layer->stride == 1)
        json_object_del(object, "stride");
    if (layer->padding == DWB_PADDING_SAME)
        json_object_del(object, "padding");
    if (layer->repeat == 1)
        json_object_del(object, "repeat");
    return object;
}

size_t dwb_spec_canonical_events(const struct dwb_spec *spec)
{
    enum { OF_OPTIONS = 48, OF_A_LAYER = 12 }; /* a pair is two events, a mapping's ends are two */
    size_t n = OF_OPTIONS;

    for (size_t i = 0; i < spec->n_layers; i++) {
        const struct dwb_layer *layer = &spec->declared[i];

        n += OF_A_LAYER + 2 * ((layer->stride != 1) + (layer->padding != DWB_PADDING_SAME) +
                               (layer->repeat != 1));
    }
    return n;
}

static int append_layers(const struct dwb_spec *spec, json_t *array)
{
    for (size_t i = 0; i < spec->n_layers; i++) {
        if (json_array_append_new(array, fields_of_a_suite(&spec->declared[i])) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int sides_to_json(const struct dwb_options *options, json_t *object)
{
    char a[DWB_SIDE_TEXT_MAX], b[DWB_SIDE_TEXT_MAX], operations[DWB_OPERATIONS_TEXT_MAX];

    if (!options->has_a)
        return 0;
    dwb_side_to_text(&options->a, a);
    dwb_side_to_text(&options->b, b);
    dwb_operations_to_text(options->operations, operations);
    return json_object_set_new(object, "a", json_string(a)) |
           json_object_set_new(object, "b", json_string(b)) |
           json_object_set_new(object, "operations", json_string(operations)) |
           json_object_set_new(object, "delta", json_real(options->delta));
}

json_t *dwb_spec_to_json(const struct dwb_spec *spec)
{
    const struct dwb_options *options = &spec->options;
    json_t *object, *layers;
    char budget[32], backends[DWB_BACKENDS_TEXT_MAX], plugins[DWB_PLUGINS_TEXT_MAX];
    int r;

    object =
        spec->is_suite ? json_pack("{s:s}", "name", spec->name) : layer_fields(&spec->declared[0]);
    if (!object)
        return NULL;
    snprintf(budget, sizeof(budget), "%" PRIu64 "ns", options->budget_ns);
    r = json_object_set_new(object, "isa", json_string(dwb_isa_name(options->isa)));
    r |= json_object_set_new(object, "cache", json_string(dwb_cache_mode_name(options->cache)));
    r |= json_object_set_new(object, "budget", json_string(budget));
    r |= json_object_set_new(object, "precision", json_real(options->precision));
    r |= json_object_set_new(object, "replicates", json_integer(options->replicates));
    dwb_backends_to_text(options->backends, backends);
    r |= json_object_set_new(object, "backends", json_string(backends));
    r |= json_object_set_new(object, "seed", json_integer((json_int_t)options->seed));
    dwb_plugins_to_text(&options->plugins, plugins);
    if (plugins[0])
        r |= json_object_set_new(object, "plugin", json_string(plugins));
    if (options->simulate)
        r |= json_object_set_new(object, "simulate", json_true());
    if (options->geometry[0])
        r |= json_object_set_new(object, "geometry", json_string(options->geometry));
    r |= sides_to_json(options, object);
    if (spec->is_suite) {
        layers = json_array();
        r |= json_object_set_new(object, "alpha", json_real(spec->alpha));
        if (spec->resolution > 0)
            r |= json_object_set_new(object, "resolution", json_integer(spec->resolution));
        r |= json_object_set_new(object, "network_resolution",
                                 json_integer(spec->network_resolution));
        r |= json_object_set_new(object, "layers", layers);
        if (r == 0)
            r = append_layers(spec, layers);
    }
    if (r != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static int integer_member(const json_t *object, const char *key, uint64_t min, uint64_t max,
                          uint32_t *ret_value)
{
    const json_t *member = json_object_get(object, key);

    if (!json_is_integer(member) || json_integer_value(member) < (json_int_t)min ||
        json_integer_value(member) > (json_int_t)max)
        return -EINVAL;
    *ret_value = (uint32_t)json_integer_value(member);
    return 0;
}

int dwb_layer_from_json(const json_t *object, struct dwb_layer *ret_layer)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *padding = json_string_value(json_object_get(object, "padding"));
    struct dwb_layer layer = {.padding = DWB_PADDING_SAME};
    uint64_t bytes;

    if (!name || strlen(name) >= sizeof(layer.name) || !padding ||
        integer_member(object, "Dk", 1, DWB_KERNEL_SIZE_MAX, &layer.kernel_size) < 0 ||
        integer_member(object, "Dx", 1, DWB_INPUT_SIZE_MAX, &layer.input_size) < 0 ||
        integer_member(object, "M", 1, DWB_CHANNELS_MAX, &layer.in_channels) < 0 ||
        integer_member(object, "N", 1, DWB_CHANNELS_MAX, &layer.out_channels) < 0 ||
        integer_member(object, "stride", 1, DWB_STRIDE_MAX, &layer.stride) < 0 ||
        integer_member(object, "repeat", 1, DWB_REPEAT_MAX, &layer.repeat) < 0)
        return -EINVAL;
    if (strcmp(padding, "valid") == 0)
        layer.padding = DWB_PADDING_VALID;
    else if (strcmp(padding, "same") != 0)
        return -EINVAL;
    if (dwb_layer_output_size(&layer) == 0 || dwb_layer_memory(&layer, &bytes) < 0)
        return -EINVAL;
    memcpy(layer.name, name, strlen(name) + 1);
    *ret_layer = layer;
    return 0;
}
