#pragma once

/* One replicate of one layer, from the request to the record, in the calling thread. */

#include "common/record.h"
#include "measure/request.h"
#include "measure/simulate.h"

#define DWB_REPLICATE_ERROR_MAX 320

/*
 * Pins the thread to the CPU that is asked for (DWB_REQUEST_CPU_ANY: to the last one it may use;
 * the first ones take most interrupts). 0 and *ret_cpu; -EINVAL, -errno, with a sentence in error.
 */
int dwb_replicate_pin(uint32_t cpu, char error[DWB_REPLICATE_ERROR_MAX], uint32_t *ret_cpu);

struct dwb_replicate_hooks {
    void (*measured)(uint64_t done_ns, void *userdata); /* so far, after every sample */
    dwb_simulate_progress_fn *simulating;
    void *userdata;
};

/*
 * Measures, and then simulates where the request asks for it. start_ns: CLOCK_MONOTONIC at the
 * start of the program. 0 and the record (look at its subjects for mismatches); a negative errno
 * with a sentence in error.
 */
int dwb_replicate_run(const struct dwb_request *request, uint64_t start_ns,
                      const struct dwb_replicate_hooks *hooks, char error[DWB_REPLICATE_ERROR_MAX],
                      struct dwb_record **ret_record);
