#pragma once

/*
 * What one worker process is asked to do: measure one replicate of one layer, or probe the machine.
 * It comes as a line of JSON from the supervisor (docs/protocol.md, "Worker pipe") or as flags from
 * a person; both end in the same struct with everything checked.
 */

#include "common/diag.h"
#include "common/layer.h"
#include "common/plugins.h"
#include "common/spec.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define DWB_REQUEST_BYTES_MAX        65536
#define DWB_REQUEST_SLICE_DEFAULT_NS UINT64_C(300000000)
#define DWB_REQUEST_CPU_ANY          UINT32_MAX

struct dwb_request {
    struct dwb_layer layer;
    enum dwb_isa isa;
    enum dwb_cache_mode cache;
    uint64_t slice_ns; /* of timed calls and their warm-up */
    uint64_t seed;
    uint32_t replicate;
    uint32_t backends; /* mask of DWB_BACKEND_* */
    struct dwb_plugin_names plugins;
    char plugin_dir[PATH_MAX]; /* where those are; never from a job */
    uint32_t cpu;              /* DWB_REQUEST_CPU_ANY = the last one this process may use */
    bool simulate; /* count one call of each operation under Valgrind, after measuring */
    char geometry[DWB_GEOMETRY_TEXT_MAX]; /* of that CPU; "" = this machine's caches */
    bool compares;     /* a and b are held against each other; the rest is not measured */
    bool has_a, has_b; /* that it is so; both, or dwb_request_check refuses */
    struct dwb_side a, b;
    uint32_t operations;  /* of that, bits 1 << enum dwb_operation; sides with forms need none */
    bool without_sandbox; /* no request can ask for it, only a person's flag */
    bool without_probes;  /* of memory: nothing is timed, and they take time to set up */
};

void dwb_request_init(struct dwb_request *request); /* the defaults */

/* Parses the JSON form. 0; -EINVAL with findings; -ENOMEM. *ret_request is written on success only.
 */
int dwb_request_parse(const char *text, size_t length, struct dwb_diags *diags,
                      struct dwb_request *ret_request);

/*
 * Sets one field from a flag: "layer", "isa", "cache", "slice", "seed", "cpu", "replicate",
 * "backend", "plugin", "plugin-dir", "simulate" (value NULL), "geometry", "a", "b", "operations".
 * 0; -EINVAL with a finding
 * whose field is the flag; -ENOMEM.
 */
int dwb_request_set(struct dwb_request *request, const char *flag, const char *value,
                    struct dwb_diags *diags);

/* Whether it is whole: a layer, what its plugins and its sides need. 0; -EINVAL with a finding. */
int dwb_request_check(const struct dwb_request *request, struct dwb_diags *diags);
