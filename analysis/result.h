#pragma once

/*
 * From raw records to the result document of a job (names: docs/result.schema.json). Pure: the same
 * spec and records give the same document to the byte; no I/O, no clock, no globals.
 */

#include "common/record.h"
#include "common/spec.h"

#include <jansson.h>

#define DWB_RESULT_SCHEMA "dwbench.result/1"

/* What precision a layer has reached: for the daemon's rule when to stop. */
struct dwb_progress {
    uint32_t n_replicates;
    double half_width; /* relative, of the ratio's 99 % interval; INFINITY until there is one */
    bool verified;     /* every output checked so far was right */
};

/*
 * records[i] belongs to spec->layers[layer_of[i]]. job is a JSON object {id, name, ...} copied into
 * the document; its measuring: {wall_ns, kernel_ns, replicates}, if there, gets a share. Of a job
 * that compares it is the gate's (analysis/gate.h). 0 and a new reference in *ret_document, -EINVAL
 * (a record does not belong to its layer), -ENOMEM. Layers without enough records get null figures
 * with a reason.
 */
int dwb_result_build(const struct dwb_spec *spec, const json_t *job,
                     struct dwb_record *const *records, const uint32_t *layer_of, size_t n_records,
                     json_t **ret_document);

/* The records of one layer only. */
int dwb_result_progress(const struct dwb_spec *spec, struct dwb_record *const *records,
                        size_t n_records, struct dwb_progress *ret_progress);

/* False when any output of a document's results was found wrong: the job has failed. */
bool dwb_result_verified(const json_t *document);
