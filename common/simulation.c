/*
 * Geometry texts and the codec of simulations. The decoder stands behind the one of records
 * (common/record.c) and is as strict: exact members, every figure in range, or nothing.
 *
 * Invariant of a decoded simulation: an item has counts or a reason, never both.
 */

#include "common/simulation.h"

#include "common/cleanup.h"
#include "common/json.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MIN  16
#define LINE_BYTES_MAX  4096
#define WAYS_MAX        4096
#define CACHE_BYTES_MAX (UINT64_C(1) << 40)

static bool is_power_of_two(uint64_t n)
{
    return n && (n & (n - 1)) == 0;
}

bool dwb_cache_shape_valid(const struct dwb_cache_shape *shape)
{
    uint64_t way_bytes = (uint64_t)shape->ways * shape->line_bytes;

    return is_power_of_two(shape->line_bytes) && shape->line_bytes >= LINE_BYTES_MIN &&
           shape->line_bytes <= LINE_BYTES_MAX && shape->ways >= 1 && shape->ways <= WAYS_MAX &&
           shape->bytes <= CACHE_BYTES_MAX && shape->bytes > shape->line_bytes &&
           shape->bytes % way_bytes == 0 && is_power_of_two(shape->bytes / way_bytes);
}

/* Digits up to `end`, which must come next; NULL otherwise. */
static const char *take_number(const char *text, char end, uint64_t max, uint64_t *ret_number)
{
    char *after;

    if (!isdigit((unsigned char)text[0]))
        return NULL;
    errno = 0;
    *ret_number = strtoull(text, &after, 10);
    return errno || *after != end || *ret_number > max ? NULL : after + (end != '\0');
}

static const char *take_shape(const char *text, char end, struct dwb_cache_shape *shape)
{
    uint64_t ways = 0, line_bytes = 0;

    text = take_number(text, ',', CACHE_BYTES_MAX, &shape->bytes);
    if (text)
        text = take_number(text, ',', WAYS_MAX, &ways);
    if (text)
        text = take_number(text, end, LINE_BYTES_MAX, &line_bytes);
    shape->ways = (uint32_t)ways;
    shape->line_bytes = (uint32_t)line_bytes;
    return text && dwb_cache_shape_valid(shape) ? text : NULL;
}

int dwb_geometry_parse(const char *text, struct dwb_geometry *ret_geometry)
{
    struct dwb_geometry geometry = {0};

    text = take_shape(text, '/', &geometry.i1);
    if (text)
        text = take_shape(text, '/', &geometry.d1);
    if (text)
        text = take_shape(text, '\0', &geometry.ll);
    if (!text)
        return -EINVAL;
    *ret_geometry = geometry;
    return 0;
}

void dwb_geometry_text(const struct dwb_geometry *geometry, char buffer[DWB_GEOMETRY_TEXT_MAX])
{
    const struct dwb_cache_shape *shapes[] = {&geometry->i1, &geometry->d1, &geometry->ll};
    size_t n = 0;

    for (size_t i = 0; i < 3; i++)
        n += (size_t)snprintf(buffer + n, DWB_GEOMETRY_TEXT_MAX - n,
                              "%s%" PRIu64 ",%" PRIu32 ",%" PRIu32, i ? "/" : "", shapes[i]->bytes,
                              shapes[i]->ways, shapes[i]->line_bytes);
}

const char *dwb_simulated_name(enum dwb_simulated_count count)
{
    static const char *const names[DWB_N_SIMULATED] = {
        [DWB_SIMULATED_INSTRUCTIONS] = "instructions",
        [DWB_SIMULATED_DATA_REFERENCES] = "data_references",
        [DWB_SIMULATED_L1I_MISSES] = "l1i_misses",
        [DWB_SIMULATED_L1D_MISSES] = "l1d_misses",
        [DWB_SIMULATED_LL_MISSES] = "ll_misses",
    };

    return names[count];
}

static json_t *item_to_json(const struct dwb_simulated *item)
{
    json_t *counts = item->counted ? json_array() : json_null();

    for (size_t i = 0; item->counted && counts && i < DWB_N_SIMULATED; i++)
        if (json_array_append_new(counts, json_integer((json_int_t)item->counts[i])) < 0) {
            json_decref(counts);
            return NULL;
        }
    return json_pack("{s:I, s:s, s:s, s:s, s:o}", "subject", (json_int_t)item->subject, "kernel",
                     item->kernel, "isa", item->isa, "reason", item->reason, "counts", counts);
}

json_t *dwb_simulation_to_json(const struct dwb_simulation *simulation)
{
    char geometry[DWB_GEOMETRY_TEXT_MAX];
    json_t *items = json_array();

    for (size_t i = 0; items && i < simulation->n; i++)
        if (json_array_append_new(items, item_to_json(&simulation->items[i])) < 0) {
            json_decref(items);
            return NULL;
        }
    dwb_geometry_text(&simulation->geometry, geometry);
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "tool", simulation->tool, "note",
                     simulation->note, "origin", simulation->origin, "geometry", geometry, "items",
                     items);
}

static int take_item(json_t *object, size_t n_subjects, struct dwb_simulated *item)
{
    json_t *kernel, *isa, *reason, *counts;
    json_int_t subject;

    if (json_unpack_ex(object, NULL, JSON_STRICT, "{s:I, s:o, s:o, s:o, s:o}", "subject", &subject,
                       "kernel", &kernel, "isa", &isa, "reason", &reason, "counts", &counts) < 0 ||
        subject < 0 || (uint64_t)subject >= n_subjects ||
        dwb_json_take_text(kernel, item->kernel, sizeof item->kernel) < 0 ||
        dwb_json_take_text(isa, item->isa, sizeof item->isa) < 0 ||
        dwb_json_take_text(reason, item->reason, sizeof item->reason) < 0)
        return -EINVAL;
    item->subject = (uint32_t)subject;
    item->counted = json_typeof(counts) != JSON_NULL;
    if (item->counted != (item->reason[0] == '\0') ||
        (item->counted && json_array_size(counts) != DWB_N_SIMULATED))
        return -EINVAL;
    for (size_t i = 0; i < json_array_size(counts); i++) {
        const json_t *count = json_array_get(counts, i);

        if (json_typeof(count) != JSON_INTEGER || json_integer_value(count) < 0)
            return -EINVAL;
        item->counts[i] = (uint64_t)json_integer_value(count);
    }
    return 0;
}

int dwb_simulation_from_json(const json_t *object, size_t n_subjects,
                             struct dwb_simulation **ret_simulation)
{
    DWB_CLEANUP(dwb_simulation_freep) struct dwb_simulation *simulation = NULL;
    json_t *tool, *note, *origin, *items;
    const char *geometry;

    /* json_unpack does not write to what it reads, but its parameter is not const. */
    if (json_unpack_ex((json_t *)(uintptr_t)object, NULL, JSON_STRICT, "{s:o, s:o, s:o, s:s, s:o}",
                       "tool", &tool, "note", &note, "origin", &origin, "geometry", &geometry,
                       "items", &items) < 0 ||
        json_typeof(items) != JSON_ARRAY || json_array_size(items) > n_subjects)
        return -EINVAL;
    simulation = calloc(1, sizeof *simulation);
    if (!simulation)
        return -ENOMEM;
    if (dwb_json_take_text(tool, simulation->tool, sizeof simulation->tool) < 0 ||
        dwb_json_take_text(note, simulation->note, sizeof simulation->note) < 0 ||
        dwb_json_take_text(origin, simulation->origin, sizeof simulation->origin) < 0 ||
        dwb_geometry_parse(geometry, &simulation->geometry) < 0)
        return -EINVAL;
    simulation->items = calloc(json_array_size(items) + 1, sizeof *simulation->items);
    if (!simulation->items)
        return -ENOMEM;
    for (size_t i = 0; i < json_array_size(items); i++)
        if (take_item(json_array_get(items, i), n_subjects, &simulation->items[i]) < 0)
            return -EINVAL;
    simulation->n = json_array_size(items);
    *ret_simulation = dwb_steal(simulation);
    return 0;
}

void dwb_simulation_free(struct dwb_simulation *simulation)
{
    if (!simulation)
        return;
    free(simulation->items);
    free(simulation);
}
