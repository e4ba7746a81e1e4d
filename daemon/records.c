#include "daemon/records.h"

/* See records.h. */

#include "common/cleanup.h"
#include "common/json_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct layer_records {
    struct dwb_record **items;
    size_t n, size;
};

struct dwb_records {
    struct layer_records *layers;
    size_t n_layers;
    struct dwb_record **all;
    uint32_t *layer_of;
};

int dwb_records_new(size_t n_layers, struct dwb_records **ret_records)
{
    struct dwb_records *records = calloc(1, sizeof(*records));

    if (!records)
        return -ENOMEM;
    records->layers = calloc(n_layers, sizeof(*records->layers));
    if (!records->layers) {
        free(records);
        return -ENOMEM;
    }
    records->n_layers = n_layers;
    *ret_records = records;
    return 0;
}

void dwb_records_free(struct dwb_records *records)
{
    if (!records)
        return;
    for (size_t i = 0; i < records->n_layers; i++) {
        for (size_t j = 0; j < records->layers[i].n; j++)
            dwb_record_free(records->layers[i].items[j]);
        free(records->layers[i].items);
    }
    free(records->layers);
    free(records->all);
    free(records->layer_of);
    free(records);
}

int dwb_records_add(struct dwb_records *records, uint32_t layer, struct dwb_record *record)
{
    struct layer_records *list = &records->layers[layer];

    if (list->n == list->size) {
        size_t size = list->size ? 2 * list->size : 16;
        struct dwb_record **items = reallocarray(list->items, size, sizeof(struct dwb_record *));
        if (!items)
            return -ENOMEM;
        list->items = items;
        list->size = size;
    }
    size_t at = list->n++;
    while (at > 0 && list->items[at - 1]->replicate > record->replicate) {
        list->items[at] = list->items[at - 1];
        at--;
    }
    list->items[at] = record;
    return 0;
}

struct dwb_record *const *dwb_records_of_layer(const struct dwb_records *records, uint32_t layer,
                                               size_t *ret_n)
{
    *ret_n = records->layers[layer].n;
    return records->layers[layer].items;
}

bool dwb_records_have_simulation(const struct dwb_records *records, uint32_t layer)
{
    const struct layer_records *list = &records->layers[layer];

    for (size_t i = 0; i < list->n; i++)
        if (list->items[i]->simulation)
            return true;
    return false;
}

struct dwb_record *const *dwb_records_all(struct dwb_records *records,
                                          const uint32_t **ret_layer_of, size_t *ret_n)
{
    size_t n = 0;

    for (size_t i = 0; i < records->n_layers; i++)
        n += records->layers[i].n;
    free(records->all);
    free(records->layer_of);
    records->all = calloc(n + 1, sizeof(struct dwb_record *));
    records->layer_of = calloc(n + 1, sizeof(*records->layer_of));
    if (!records->all || !records->layer_of)
        return NULL;
    n = 0;
    for (size_t i = 0; i < records->n_layers; i++)
        for (size_t j = 0; j < records->layers[i].n; j++) {
            records->all[n] = records->layers[i].items[j];
            records->layer_of[n++] = (uint32_t)i;
        }
    *ret_layer_of = records->layer_of;
    *ret_n = n;
    return records->all;
}

static void refuse(struct dwb_worker_end *end, enum dwb_worker_outcome outcome, const char *reason)
{
    end->outcome = outcome;
    snprintf(end->reason, sizeof(end->reason), "%s", reason);
}

void dwb_records_check(struct dwb_worker_end *end, const struct dwb_layer *layer,
                       uint32_t replicate, struct dwb_record **ret_record)
{
    DWB_CLEANUP(dwb_record_freep) struct dwb_record *record = NULL;
    uint32_t mismatched = 0;

    dwb_json_memory_begin();
    int r = dwb_record_from_json(end->document, &record);
    /* jansson reports its own shortage as a document that does not fit. */
    if (r == -ENOMEM || (r < 0 && dwb_json_memory_was_short())) {
        refuse(end, DWB_WORKER_SPAWN, "no memory for the record");
        end->shortage = -ENOMEM;
        return;
    }
    if (r < 0) {
        refuse(end, DWB_WORKER_OUTPUT, "its record is not valid");
        return;
    }
    if (strcmp(record->layer.name, layer->name) != 0 ||
        !dwb_layer_same_shape(&record->layer, layer) || record->replicate != replicate) {
        refuse(end, DWB_WORKER_OUTPUT, "its record is of another replicate");
        return;
    }
    for (size_t i = 0; i < record->n_subjects; i++)
        mismatched += record->subjects[i].mismatched;
    if (mismatched > 0) {
        refuse(end, DWB_WORKER_WRONG_OUTPUTS, "outputs wrong, says its record");
        return;
    }
    *ret_record = dwb_steal(record);
}
