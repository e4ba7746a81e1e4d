#pragma once

/*
 * How much of the time went into timed kernels. Of an entry: of its workers, from main() to the
 * record. Of a job: of the whole time in which its replicates were measured, as whoever ran it
 * saw it on the clock; analysis has none.
 */

#include "common/record.h"

#include <jansson.h>

/* {wall_ns, kernel_ns, share, reason}. New reference, NULL without memory. */
json_t *dwb_measuring_of_records(struct dwb_record *const *records, size_t n_records);

/*
 * The same and `replicates`: those that were measured in that time. clock: {wall_ns, kernel_ns,
 * replicates} as the job object of dwb_result_build has it under "measuring", or NULL: then all is
 * null and the reason says so.
 */
json_t *dwb_measuring_of_job(const json_t *clock);
