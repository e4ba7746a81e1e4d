/*
 * Documents into specifications: layer files, suite files and `--layer` text, all through one tree
 * and one table of fields, so that every way in knows the same keys, ranges and messages. Reading
 * goes on after a finding; the document is accepted only when there was none.
 */

#include "common/spec_internal.h"

#include "common/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct field {
    const char *key;
    const char *long_key; /* NULL = none */
    size_t offset;
    uint32_t max; /* from 1 */
    bool required;
} fields[] = {
    {"Dk", "kernel_size", offsetof(struct dwb_layer, kernel_size), DWB_KERNEL_SIZE_MAX, true},
    {"Dx", "input_size", offsetof(struct dwb_layer, input_size), DWB_INPUT_SIZE_MAX, true},
    {"M", "in_channels", offsetof(struct dwb_layer, in_channels), DWB_CHANNELS_MAX, true},
    {"N", "out_channels", offsetof(struct dwb_layer, out_channels), DWB_CHANNELS_MAX, true},
    {"stride", NULL, offsetof(struct dwb_layer, stride), DWB_STRIDE_MAX, false},
    {"repeat", NULL, offsetof(struct dwb_layer, repeat), DWB_REPEAT_MAX, false},
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static const char layer_keys[] = "name, Dk, Dx, M, N, stride, padding, repeat";
static const char option_keys[] = "isa, cache, budget, precision, replicates, seed, backends, "
                                  "plugin, simulate, geometry, a, b, operations, delta";
static const char suite_keys[] = "name, defaults, layers, alpha, resolution, network_resolution";

enum mapping_kind { A_LAYER_FILE, A_LAYER_OF_A_SUITE, THE_DEFAULTS };

struct reader {
    struct dwb_diags *diags;
    size_t n_before;
    enum mapping_kind kind;
    const char *path; /* "" or "layers[2]." */
    const struct dwb_yaml_node *seen[N_FIELDS];
};

static bool clean(const struct reader *reader)
{
    return reader->diags->n + reader->diags->n_dropped == reader->n_before;
}

static void find_at(const struct reader *reader, const struct dwb_yaml_node *place, const char *key,
                    const char *value, const char *message)
{
    char path[160];

    snprintf(path, sizeof(path), "%s%s", reader->path, key);
    dwb_diags_add(reader->diags, place->line, place->column, path, value, "%s", message);
}

static const char *scalar_text(const struct reader *reader, const char *key,
                               const struct dwb_yaml_node *item)
{
    if (item->type == DWB_YAML_SCALAR)
        return item->text;
    find_at(reader, item, key, NULL, "must be a single value, not a list or a mapping");
    return NULL;
}

static void read_name(const struct reader *reader, const struct dwb_yaml_node *item, char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *text = scalar_text(reader, "name", item);

    if (!text)
        return;
    if (text[0] == '\0' || strlen(text) >= DWB_NAME_MAX || text[strspn(text, allowed)] != '\0')
        find_at(reader, item, "name", text,
                "must be 1 to 63 letters, digits, dots, underscores or hyphens");
    else
        memcpy(name, text, strlen(text) + 1);
}

static void read_padding(const struct reader *reader, const struct dwb_yaml_node *item,
                         enum dwb_padding *padding)
{
    const char *text = scalar_text(reader, "padding", item);

    if (!text)
        return;
    if (strcmp(text, "same") == 0)
        *padding = DWB_PADDING_SAME;
    else if (strcmp(text, "valid") == 0)
        *padding = DWB_PADDING_VALID;
    else
        find_at(reader, item, "padding", text, "must be same or valid");
}

static void read_field(struct reader *reader, size_t i, const char *key,
                       const struct dwb_yaml_node *place, const struct dwb_yaml_node *item,
                       struct dwb_layer *layer)
{
    const char *text = scalar_text(reader, key, item);
    char message[DWB_SPEC_MESSAGE_MAX];
    uint64_t value;

    if (reader->seen[i]) {
        snprintf(message, sizeof(message), "says the same as '%s' at line %u; keep one",
                 reader->seen[i]->text, reader->seen[i]->line);
        find_at(reader, place, key, NULL, message);
        return;
    }
    reader->seen[i] = place;
    if (!text)
        return;
    if (item->quoted || dwb_spec_integer(text, 1, fields[i].max, &value) < 0) {
        snprintf(message, sizeof(message), "must be a whole number from 1 to %" PRIu32 "%s",
                 fields[i].max, item->quoted ? ", without quotes" : "");
        find_at(reader, item, key, text, message);
        return;
    }
    *(uint32_t *)((char *)layer + fields[i].offset) = (uint32_t)value;
}

static bool same_but_case(const char *a, const char *b)
{
    return b && strcasecmp(a, b) == 0;
}

/* A Cyrillic M is shown as an M is. */
static bool has_other_letters(const char *text)
{
    while (*text && (unsigned char)*text < 0x80)
        text++;
    return *text != '\0';
}

static void unknown_key(const struct reader *reader, const struct dwb_yaml_node *key,
                        const char *allowed)
{
    char message[DWB_SPEC_MESSAGE_MAX];
    const char *meant = NULL;

    for (size_t i = 0; i < N_FIELDS && !meant; i++) {
        if (same_but_case(key->text, fields[i].key))
            meant = fields[i].key;
        else if (same_but_case(key->text, fields[i].long_key))
            meant = fields[i].long_key;
    }
    if (meant)
        snprintf(message, sizeof(message), "is not a known key; did you mean %s?", meant);
    else
        snprintf(message, sizeof(message), "is not a known key%s; allowed here: %s",
                 has_other_letters(key->text) ? " (some of its letters are not ASCII)" : "",
                 allowed);
    find_at(reader, key, key->text, NULL, message);
}

/* Options whose value is text with commas, for which YAML has a list of its own. */
static bool takes_list(const char *key)
{
    return strcmp(key, "backends") == 0 || strcmp(key, "operations") == 0 ||
           strcmp(key, "plugin") == 0 || strcmp(key, "a") == 0 || strcmp(key, "b") == 0;
}

/* "a,b" of [a, b], for an option that may be a list; NULL where an item is no single value. */
static const char *joined(const struct dwb_yaml_node *list, char *buffer, size_t size)
{
    size_t n = 0;

    buffer[0] = '\0';
    for (size_t i = 0; i < list->n_items && n < size; i++) {
        if (list->items[i]->type != DWB_YAML_SCALAR)
            return NULL;
        n += (size_t)snprintf(buffer + n, size - n, "%s%s", i ? "," : "", list->items[i]->text);
    }
    return buffer;
}

/* 1 = the key was a job option or a multiplier and is dealt with. */
static int read_option(const struct reader *reader, const struct dwb_yaml_node *key,
                       const struct dwb_yaml_node *item, struct dwb_spec *spec)
{
    char message[DWB_SPEC_MESSAGE_MAX], list[DWB_SPEC_MESSAGE_MAX];
    const char *text = item->text;
    int r;

    if (item->type == DWB_YAML_SEQUENCE && takes_list(key->text))
        text = joined(item, list, sizeof(list));
    r = dwb_spec_option(spec, key->text, text ? text : "", message);
    if (r == -ENOENT)
        return 0;
    if (!text)
        (void)scalar_text(reader, key->text, item); /* says that it is no single value */
    else if (r < 0)
        find_at(reader, item, key->text, text, message);
    return 1;
}

static void read_layer_pair(struct reader *reader, const struct dwb_yaml_node *key,
                            const struct dwb_yaml_node *item, struct dwb_spec *spec,
                            struct dwb_layer *layer)
{
    char allowed[DWB_SPEC_MESSAGE_MAX];

    for (size_t i = 0; i < N_FIELDS; i++) {
        if (strcmp(key->text, fields[i].key) == 0 ||
            (fields[i].long_key && strcmp(key->text, fields[i].long_key) == 0)) {
            read_field(reader, i, key->text, key, item, layer);
            return;
        }
    }
    if (strcmp(key->text, "padding") == 0) {
        read_padding(reader, item, &layer->padding);
        return;
    }
    if (strcmp(key->text, "name") == 0 && reader->kind != THE_DEFAULTS) {
        read_name(reader, item, layer->name);
        return;
    }
    if (reader->kind == A_LAYER_FILE && read_option(reader, key, item, spec))
        return;
    snprintf(allowed, sizeof(allowed), "%s%s%s",
             reader->kind == THE_DEFAULTS ? layer_keys + strlen("name, ") : layer_keys,
             reader->kind == A_LAYER_FILE ? ", " : "",
             reader->kind == A_LAYER_FILE ? option_keys : "");
    unknown_key(reader, key, allowed);
}

static void name_by_shape(struct dwb_layer *layer)
{
    snprintf(layer->name, sizeof(layer->name),
             "k%" PRIu32 "s%" PRIu32 "_%" PRIu32 "x%" PRIu32 "to%" PRIu32 "%s", layer->kernel_size,
             layer->stride, layer->input_size, layer->in_channels, layer->out_channels,
             layer->padding == DWB_PADDING_VALID ? "_valid" : "");
}

/* Reads a mapping over what *layer holds already (the suite's defaults, or zeros). */
static void read_layer(struct reader *reader, const struct dwb_yaml_node *mapping,
                       struct dwb_spec *spec, struct dwb_layer *layer)
{
    if (mapping->type != DWB_YAML_MAPPING) {
        find_at(reader, mapping, "", mapping->text,
                "must be a mapping such as {Dk: 3, Dx: 56, M: 128, N: 128}");
        return;
    }
    for (size_t i = 0; i < mapping->n_items; i++)
        read_layer_pair(reader, mapping->keys[i], mapping->items[i], spec, layer);
    for (size_t i = 0; i < N_FIELDS && reader->kind != THE_DEFAULTS; i++) {
        const uint32_t *value = (const uint32_t *)((const char *)layer + fields[i].offset);

        if (fields[i].required && *value == 0 && !reader->seen[i])
            find_at(reader, mapping, fields[i].key, NULL, "is missing; a layer needs Dk, Dx, M, N");
    }
}

static int read_layer_file(struct reader *reader, const struct dwb_yaml_node *root,
                           struct dwb_spec *spec)
{
    struct dwb_layer *layer;

    layer = calloc(1, sizeof(*layer));
    if (!layer)
        return -ENOMEM;
    layer->stride = 1;
    layer->repeat = 1;
    spec->declared = layer;
    spec->n_layers = 1;
    reader->kind = A_LAYER_FILE;
    read_layer(reader, root, spec, layer);
    if (!clean(reader))
        return -EINVAL;
    if (layer->name[0] == '\0')
        name_by_shape(layer);
    memcpy(spec->name, layer->name, sizeof(spec->name));
    return dwb_spec_resolve(spec, &root, reader->diags);
}

static void check_unique_name(const struct reader *reader, const struct dwb_spec *spec, size_t i,
                              const struct dwb_yaml_node *place)
{
    for (size_t k = 0; k < i; k++) {
        if (strcmp(spec->declared[k].name, spec->declared[i].name) == 0) {
            find_at(reader, place, "name", spec->declared[i].name,
                    "is another layer's name already (use repeat for a layer that the network has "
                    "several times)");
            return;
        }
    }
}

static int read_layers(struct reader *reader, const struct dwb_yaml_node *list,
                       const struct dwb_layer *defaults, struct dwb_spec *spec)
{
    if (list->type != DWB_YAML_SEQUENCE || list->n_items == 0 ||
        list->n_items > DWB_SPEC_LAYERS_MAX) {
        find_at(reader, list, "layers", list->text, "must be a list of 1 to 256 layers");
        return -EINVAL;
    }
    spec->declared = calloc(list->n_items, sizeof(*spec->declared));
    if (!spec->declared)
        return -ENOMEM;
    spec->n_layers = list->n_items;
    for (size_t i = 0; i < list->n_items; i++) {
        size_t n_found = reader->diags->n + reader->diags->n_dropped;
        char path[32];

        snprintf(path, sizeof(path), "layers[%zu].", i);
        spec->declared[i] = *defaults;
        memset(reader->seen, 0, sizeof(reader->seen));
        reader->kind = A_LAYER_OF_A_SUITE;
        reader->path = path;
        read_layer(reader, list->items[i], spec, &spec->declared[i]);
        if (reader->diags->n + reader->diags->n_dropped == n_found) {
            if (spec->declared[i].name[0] == '\0')
                name_by_shape(&spec->declared[i]);
            check_unique_name(reader, spec, i, list->items[i]);
        }
        reader->path = "";
    }
    return 0;
}

static int read_suite_file(struct reader *reader, const struct dwb_yaml_node *root,
                           struct dwb_spec *spec)
{
    const struct dwb_yaml_node *defaults_node = dwb_yaml_get(root, "defaults");
    const struct dwb_yaml_node *list = dwb_yaml_get(root, "layers");
    struct dwb_layer defaults = {.stride = 1, .repeat = 1};
    char allowed[DWB_SPEC_MESSAGE_MAX];
    int r;

    spec->is_suite = true;
    memcpy(spec->name, "suite", sizeof("suite"));
    snprintf(allowed, sizeof(allowed), "%s, %s", suite_keys, option_keys);
    for (size_t i = 0; i < root->n_items; i++) {
        const struct dwb_yaml_node *key = root->keys[i], *item = root->items[i];

        if (item == list || item == defaults_node)
            continue;
        if (strcmp(key->text, "name") == 0)
            read_name(reader, item, spec->name);
        else if (!read_option(reader, key, item, spec))
            unknown_key(reader, key, allowed);
    }
    if (defaults_node) {
        reader->kind = THE_DEFAULTS;
        reader->path = "defaults.";
        read_layer(reader, defaults_node, spec, &defaults);
        reader->path = "";
    }
    r = read_layers(reader, list, &defaults, spec);
    if (r < 0)
        return r;
    if (clean(reader) && dwb_spec_canonical_events(spec) > DWB_YAML_EVENTS_MAX)
        find_at(reader, list, "layers", NULL,
                "is too large when its defaults are written out: split the suite, or have fewer "
                "layers whose stride, padding and repeat are not 1, same and 1");
    if (!clean(reader))
        return -EINVAL;
    return dwb_spec_resolve(spec, (const struct dwb_yaml_node *const *)list->items, reader->diags);
}

static int read_root(const struct dwb_yaml_node *root, struct dwb_diags *diags,
                     struct dwb_spec **ret_spec)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = dwb_spec_new();
    struct reader reader = {.diags = diags, .n_before = diags->n + diags->n_dropped, .path = ""};
    int r;

    if (!spec)
        return -ENOMEM;
    if (root->type != DWB_YAML_MAPPING) {
        dwb_diags_add(diags, root->line, root->column, NULL, root->text,
                      "a layer (keys Dk, Dx, M, N) or a suite (key layers) is expected");
        return -EINVAL;
    }
    r = dwb_yaml_get(root, "layers") ? read_suite_file(&reader, root, spec)
                                     : read_layer_file(&reader, root, spec);
    if (r == 0)
        r = dwb_spec_check(spec, diags);
    if (r < 0)
        return r;
    *ret_spec = dwb_steal(spec);
    return 0;
}

int dwb_spec_parse(const char *text, size_t length, struct dwb_diags *diags,
                   struct dwb_spec **ret_spec)
{
    DWB_CLEANUP(dwb_yaml_freep) struct dwb_yaml_node *root = NULL;
    int r = dwb_yaml_parse(text, length, diags, &root);

    return r < 0 ? r : read_root(root, diags, ret_spec);
}

static struct dwb_yaml_node *scalar_new(const char *text, size_t length)
{
    struct dwb_yaml_node *node = calloc(1, sizeof(*node));

    if (!node)
        return NULL;
    node->type = DWB_YAML_SCALAR;
    node->text = strndup(text, length);
    if (!node->text) {
        free(node);
        return NULL;
    }
    return node;
}

/* "a=b,c=d" as the tree that {a: b, c: d} would be, without places. */
static int tree_of_flag(const char *text, struct dwb_diags *diags, struct dwb_yaml_node *mapping)
{
    enum { PAIRS_MAX = 32 };

    mapping->type = DWB_YAML_MAPPING;
    mapping->keys = calloc(PAIRS_MAX, sizeof(*mapping->keys));
    mapping->items = calloc(PAIRS_MAX, sizeof(*mapping->items));
    if (!mapping->keys || !mapping->items)
        return -ENOMEM;
    for (const char *pair = text; pair;) {
        size_t length = strcspn(pair, ","), key_length = strcspn(pair, "=,");
        struct dwb_yaml_node *key, *item;

        if (key_length == length || mapping->n_items == PAIRS_MAX) {
            dwb_diags_add(diags, 0, 0, NULL, text,
                          "must be pairs such as Dk=3,Dx=56,M=128,N=128,stride=2");
            return -EINVAL;
        }
        key = scalar_new(pair, key_length);
        item = scalar_new(pair + key_length + 1, length - key_length - 1);
        if (!key || !item) {
            dwb_yaml_free(key);
            dwb_yaml_free(item);
            return -ENOMEM;
        }
        mapping->keys[mapping->n_items] = key;
        mapping->items[mapping->n_items++] = item;
        if (dwb_yaml_get(mapping, key->text) != item) {
            dwb_diags_add(diags, 0, 0, key->text, item->text, "is there twice");
            return -EINVAL;
        }
        pair = pair[length] == ',' ? pair + length + 1 : NULL;
    }
    return 0;
}

int dwb_spec_parse_flag(const char *text, struct dwb_diags *diags, struct dwb_spec **ret_spec)
{
    DWB_CLEANUP(dwb_yaml_freep) struct dwb_yaml_node *root = calloc(1, sizeof(*root));
    int r = root ? tree_of_flag(text, diags, root) : -ENOMEM;

    return r < 0 ? r : read_root(root, diags, ret_spec);
}
