#pragma once

/* What can be measured on this machine: the answer to `dwbench-worker --probe`. */

#include "measure/request.h"

#include <jansson.h>
#include <stdint.h>

/*
 * The probe record (docs/protocol.md), for the CPU this thread is pinned to. Of the request: isa,
 * whose FMA loop calibrates the FLOP counter (AUTO = the best), seed, without_sandbox. The other
 * backends are looked at from inside of the sandbox, which is then closed for good: nothing but
 * writing the record is left to do. New reference; NULL without memory.
 */
json_t *dwb_probe_new(uint32_t cpu, const struct dwb_request *request);
