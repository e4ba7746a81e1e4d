#pragma once

/* What can be measured on this machine: the answer to `dwbench-worker --probe`. */

#include "common/spec.h"

#include <jansson.h>
#include <stdint.h>

/*
 * The probe record (docs/protocol.md), for the CPU this thread is pinned to. isa: whose FMA loop
 * calibrates the FLOP counter; AUTO = the best. New reference; NULL without memory.
 */
json_t *dwb_probe_new(uint32_t cpu, enum dwb_isa isa, uint64_t seed);
