#pragma once

/*
 * The records of the job at hand, decoded, by layer and replicate; and the check that what a worker
 * handed in is the record that was asked for.
 */

#include "common/record.h"
#include "daemon/worker.h"

struct dwb_records;

int dwb_records_new(size_t n_layers, struct dwb_records **ret_records);
void dwb_records_free(struct dwb_records *records);

/* Takes the record on success. 0 or -ENOMEM. */
int dwb_records_add(struct dwb_records *records, uint32_t layer, struct dwb_record *record);

/* Of one layer, by replicate; borrowed until the next add. */
struct dwb_record *const *dwb_records_of_layer(const struct dwb_records *records, uint32_t layer,
                                               size_t *ret_n);

bool dwb_records_have_simulation(const struct dwb_records *records, uint32_t layer);

/* All of them by layer and replicate, so that the result does not depend on the order in which they
 * came; borrowed until the next call. NULL without memory. */
struct dwb_record *const *dwb_records_all(struct dwb_records *records,
                                          const uint32_t **ret_layer_of, size_t *ret_n);

/* Decodes end->document of an OK end. Its record goes to *ret_record, or the outcome becomes OUTPUT
 * or WRONG_OUTPUTS with a reason. */
void dwb_records_check(struct dwb_worker_end *end, const struct dwb_layer *layer,
                       uint32_t replicate, struct dwb_record **ret_record);
