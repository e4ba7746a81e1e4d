#pragma once

/* One replicate of one layer, from the request to the record, in the calling thread. */

#include "common/record.h"
#include "measure/request.h"

#define DWB_REPLICATE_ERROR_MAX 320

/*
 * Pins the thread to the CPU that is asked for (DWB_REQUEST_CPU_ANY: to the last one it may use;
 * the first ones take most interrupts). 0 and *ret_cpu; -EINVAL, -errno, with a sentence in error.
 */
int dwb_replicate_pin(uint32_t cpu, char error[DWB_REPLICATE_ERROR_MAX], uint32_t *ret_cpu);

/*
 * Measures. start_ns: CLOCK_MONOTONIC at the start of the program. progress gets the time measured
 * so far after every sample. 0 and the record (look at its subjects for mismatches); a negative
 * errno with a sentence in error.
 */
int dwb_replicate_run(const struct dwb_request *request, uint64_t start_ns,
                      void (*progress)(uint64_t done_ns, void *userdata), void *userdata,
                      char error[DWB_REPLICATE_ERROR_MAX], struct dwb_record **ret_record);
