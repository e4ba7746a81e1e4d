/*
 * The event catalogue's reader. Every error has its place: these files are edited by people who
 * port dwbench to a CPU that we do not have.
 *
 * Invariant: a counter that was accepted has events, or a reason why it has none, never both.
 */

#include "measure/catalogue.h"

#include "common/cleanup.h"
#include "common/yaml.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const char *const logical[DWB_CATALOGUE_COUNTERS_MAX] = {
    "cycles",      "instructions",   "flops",         "l1d_misses",
    "l2_misses",   "llc_references", "llc_misses",    "branch_misses",
    "dtlb_misses", "stalled_cycles", "memory_stalls",
};

struct reader {
    struct dwb_diags *diags;
    int r; /* 0, or -EINVAL once something was found */
};

const char *dwb_catalogue_logical(size_t i)
{
    return i < DWB_CATALOGUE_COUNTERS_MAX ? logical[i] : NULL;
}

static void find(struct reader *reader, const struct dwb_yaml_node *node, const char *field,
                 const char *message)
{
    dwb_diags_add(reader->diags, node->line, node->column, field, node->text, "%s", message);
    reader->r = -EINVAL;
}

/* Printable text that fits; a finding otherwise. */
static void take_text(struct reader *reader, const struct dwb_yaml_node *node, const char *field,
                      char *buffer, size_t size)
{
    if (node->type != DWB_YAML_SCALAR || node->text[0] == '\0') {
        find(reader, node, field, "text is needed");
        return;
    }
    for (const char *c = node->text; *c; c++)
        if (!isprint((unsigned char)*c)) {
            find(reader, node, field, "plain printable ASCII is needed");
            return;
        }
    if (strlen(node->text) >= size) {
        find(reader, node, field, "too long");
        return;
    }
    snprintf(buffer, size, "%s", node->text);
}

static void take_weight(struct reader *reader, const struct dwb_yaml_node *node, const char *field,
                        uint32_t *ret_weight)
{
    unsigned long weight = 0;
    char *end = NULL;

    if (node->type == DWB_YAML_SCALAR && isdigit((unsigned char)node->text[0]))
        weight = strtoul(node->text, &end, 10);
    if (!end || *end || weight < 1 || weight > DWB_CATALOGUE_WEIGHT_MAX)
        find(reader, node, field, "an integer from 1 to 1024 is needed");
    else
        *ret_weight = (uint32_t)weight;
}

static void take_event(struct reader *reader, const struct dwb_yaml_node *node, const char *field,
                       struct dwb_catalogue_event *event)
{
    event->weight = 1;
    if (node->type == DWB_YAML_SCALAR) {
        take_text(reader, node, field, event->name, sizeof event->name);
        return;
    }
    if (node->type != DWB_YAML_MAPPING || !dwb_yaml_get(node, "event")) {
        find(reader, node, field, "an event string or {event: ..., weight: ...} is needed");
        return;
    }
    for (size_t i = 0; i < node->n_items; i++) {
        if (strcmp(node->keys[i]->text, "event") == 0)
            take_text(reader, node->items[i], field, event->name, sizeof event->name);
        else if (strcmp(node->keys[i]->text, "weight") == 0)
            take_weight(reader, node->items[i], field, &event->weight);
        else
            find(reader, node->keys[i], field, "unknown; an event has event and weight");
    }
}

static void take_events(struct reader *reader, const struct dwb_yaml_node *node, const char *name,
                        struct dwb_catalogue_counter *counter)
{
    char field[96];

    snprintf(field, sizeof field, "counters.%s.events", name);
    if (node->type != DWB_YAML_SEQUENCE || node->n_items == 0) {
        find(reader, node, field, "a list of one or more events is needed");
        return;
    }
    if (node->n_items > DWB_CATALOGUE_EVENTS_MAX) {
        find(reader, node, field, "too many: a counter is the sum of at most 6 events");
        return;
    }
    for (size_t i = 0; i < node->n_items; i++) {
        snprintf(field, sizeof field, "counters.%s.events[%zu]", name, i);
        take_event(reader, node->items[i], field, &counter->events[i]);
    }
    counter->n_events = node->n_items;
}

static void take_counter(struct reader *reader, const struct dwb_yaml_node *key,
                         const struct dwb_yaml_node *node, struct dwb_catalogue_counter *counter)
{
    char field[96];
    bool known = false;

    snprintf(field, sizeof field, "counters.%.60s", key->text);
    for (size_t i = 0; i < DWB_CATALOGUE_COUNTERS_MAX; i++)
        known = known || strcmp(key->text, logical[i]) == 0;
    if (!known) {
        find(reader, key, "counters",
             "unknown counter; cycles, instructions, flops, l1d_misses, l2_misses, "
             "llc_references, llc_misses, branch_misses, dtlb_misses, stalled_cycles and "
             "memory_stalls exist");
        return;
    }
    snprintf(counter->name, sizeof counter->name, "%s", key->text);
    if (node->type != DWB_YAML_MAPPING) {
        find(reader, node, field, "a mapping with events, or with missing, is needed");
        return;
    }
    for (size_t i = 0; i < node->n_items; i++) {
        const char *name = node->keys[i]->text;

        if (strcmp(name, "events") == 0)
            take_events(reader, node->items[i], key->text, counter);
        else if (strcmp(name, "note") == 0)
            take_text(reader, node->items[i], field, counter->note, sizeof counter->note);
        else if (strcmp(name, "missing") == 0)
            take_text(reader, node->items[i], field, counter->missing, sizeof counter->missing);
        else
            find(reader, node->keys[i], field, "unknown; a counter has events, note, missing");
    }
    if (!dwb_yaml_get(node, "events") == !dwb_yaml_get(node, "missing"))
        find(reader, node, field, "exactly one of events and missing is needed");
}

static void take_pmus(struct reader *reader, const struct dwb_yaml_node *node,
                      struct dwb_catalogue *catalogue)
{
    if (node->type != DWB_YAML_SEQUENCE || node->n_items == 0 ||
        node->n_items > DWB_CATALOGUE_PMUS_MAX) {
        find(reader, node, "pmu", "a list of 1 to 16 libpfm4 PMU names is needed");
        return;
    }
    for (size_t i = 0; i < node->n_items; i++)
        take_text(reader, node->items[i], "pmu", catalogue->pmus[i], sizeof catalogue->pmus[i]);
    catalogue->n_pmus = node->n_items;
}

static void take_root(struct reader *reader, const struct dwb_yaml_node *root,
                      struct dwb_catalogue *catalogue)
{
    if (root->type != DWB_YAML_MAPPING) {
        find(reader, root, NULL, "a mapping with pmu and counters is needed");
        return;
    }
    for (size_t i = 0; i < root->n_items; i++) {
        const struct dwb_yaml_node *key = root->keys[i], *node = root->items[i];

        if (strcmp(key->text, "pmu") == 0) {
            take_pmus(reader, node, catalogue);
        } else if (strcmp(key->text, "counters") == 0) {
            if (node->type != DWB_YAML_MAPPING || node->n_items == 0) {
                find(reader, node, "counters", "a mapping of counters is needed");
                continue;
            }
            /* Keys are distinct and unknown ones take no place, so the array cannot overflow. */
            for (size_t k = 0; k < node->n_items; k++) {
                struct dwb_catalogue_counter *counter = &catalogue->counters[catalogue->n_counters];

                take_counter(reader, node->keys[k], node->items[k], counter);
                catalogue->n_counters += counter->name[0] != '\0';
            }
        } else {
            find(reader, key, key->text, "unknown; a catalogue file has pmu and counters");
        }
    }
    if (!dwb_yaml_get(root, "pmu"))
        find(reader, root, "pmu", "missing: the libpfm4 PMU names that this file describes");
    if (!dwb_yaml_get(root, "counters"))
        find(reader, root, "counters", "missing");
}

int dwb_catalogue_parse(const char *text, size_t length, struct dwb_diags *diags,
                        struct dwb_catalogue **ret_catalogue)
{
    DWB_CLEANUP(dwb_yaml_freep) struct dwb_yaml_node *root = NULL;
    DWB_CLEANUP(dwb_catalogue_freep) struct dwb_catalogue *catalogue = NULL;
    struct reader reader = {.diags = diags};
    int r = dwb_yaml_parse(text, length, diags, &root);

    if (r < 0)
        return r;
    catalogue = calloc(1, sizeof *catalogue);
    if (!catalogue)
        return -ENOMEM;
    take_root(&reader, root, catalogue);
    if (reader.r == 0)
        *ret_catalogue = dwb_steal(catalogue);
    return reader.r;
}

static int load(const char *path, struct dwb_diags *diags, struct dwb_catalogue **ret_catalogue)
{
    dwb_cleanup_file FILE *file = fopen(path, "re");
    dwb_cleanup_free char *text = NULL;
    size_t n;

    if (!file)
        return -errno;
    text = malloc(DWB_YAML_BYTES_MAX + 1);
    if (!text)
        return -ENOMEM;
    n = fread(text, 1, DWB_YAML_BYTES_MAX + 1, file); /* one past the cap: the parser says so */
    if (ferror(file))
        return -EIO;
    return dwb_catalogue_parse(text, n, diags, ret_catalogue);
}

static bool has_pmu(const struct dwb_catalogue *catalogue, const char *pmu)
{
    for (size_t i = 0; i < catalogue->n_pmus; i++)
        if (strcmp(catalogue->pmus[i], pmu) == 0)
            return true;
    return false;
}

static int is_yaml(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);

    return n > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 5, ".yaml") == 0;
}

int dwb_catalogue_find(const char *directory, const char *pmu, struct dwb_diags *diags, char *path,
                       size_t path_size, struct dwb_catalogue **ret_catalogue)
{
    struct dirent **entries = NULL;
    int n = scandir(directory, &entries, is_yaml, alphasort);
    int r = -ENOENT;
    bool found = false;

    if (n < 0)
        return -errno;
    for (int i = 0; i < n && !found; i++) {
        DWB_CLEANUP(dwb_catalogue_freep) struct dwb_catalogue *catalogue = NULL;
        DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *own = dwb_diags_new();
        char candidate[4096 + 256];
        int r_file;

        snprintf(candidate, sizeof candidate, "%s/%s", directory, entries[i]->d_name);
        r_file = own ? load(candidate, own, &catalogue) : -ENOMEM;
        if (r_file == 0 && has_pmu(catalogue, pmu)) {
            snprintf(path, path_size, "%s", candidate);
            *ret_catalogue = dwb_steal(catalogue);
            found = true;
        } else if (r_file < 0 && r == -ENOENT) { /* the first bad file; it may not matter */
            snprintf(path, path_size, "%s", candidate);
            r = r_file;
            if (own)
                *diags = *own;
        }
    }
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    return found ? 0 : r;
}

const struct dwb_catalogue_counter *dwb_catalogue_get(const struct dwb_catalogue *catalogue,
                                                      const char *name)
{
    for (size_t i = 0; i < catalogue->n_counters; i++)
        if (strcmp(catalogue->counters[i].name, name) == 0)
            return &catalogue->counters[i];
    return NULL;
}

void dwb_catalogue_free(struct dwb_catalogue *catalogue)
{
    free(catalogue);
}
