#pragma once

/* What a worker is asked to do, as the line of JSON that goes down its pipe (docs/protocol.md,
 * "Worker pipe"). */

#include "common/spec.h"

#include <stdint.h>

/*
 * One replicate of a layer of the job. simulates: with a simulation after it. plugin_dir: where the
 * job's plugins are. To be freed; NULL without memory.
 */
char *dwb_worker_request(const struct dwb_spec *spec, uint32_t layer, uint32_t replicate,
                         bool simulates, uint32_t cpu, const char *plugin_dir);
