#pragma once

/*
 * The event catalogue: which hardware events of a PMU family make up each logical counter. It is
 * data (configs/counters/FAMILY.yaml), so a new CPU needs a new file and no new program:
 *
 *   pmu: [skl, skx, clx]              libpfm4's names of the PMUs that the file describes
 *   counters:
 *     instructions: {events: ["INST_RETIRED:ANY_P"]}
 *     flops:
 *       events:                       value = sum of weight * count, all in one pass
 *         - {event: "FP_ARITH_INST_RETIRED:256B_PACKED_SINGLE", weight: 8}
 *       note: "what a reader has to know: speculative, merged, demand only"
 *     llc_misses: {missing: "why this CPU cannot count it"}
 */

#include "common/diag.h"

#include <stddef.h>
#include <stdint.h>

#define DWB_CATALOGUE_EVENTS_MAX   6
#define DWB_CATALOGUE_PMUS_MAX     16
#define DWB_CATALOGUE_COUNTERS_MAX 11
#define DWB_CATALOGUE_WEIGHT_MAX   1024

struct dwb_catalogue_event {
    char name[176]; /* libpfm4 event string without its PMU */
    uint32_t weight;
};

struct dwb_catalogue_counter {
    char name[32];
    char note[200];
    char missing[200]; /* not "": no events, and this is why */
    struct dwb_catalogue_event events[DWB_CATALOGUE_EVENTS_MAX];
    size_t n_events;
};

struct dwb_catalogue {
    char pmus[DWB_CATALOGUE_PMUS_MAX][32];
    size_t n_pmus;
    struct dwb_catalogue_counter counters[DWB_CATALOGUE_COUNTERS_MAX];
    size_t n_counters;
};

/* Names of the logical counters, in the order of a report; NULL past the end. */
const char *dwb_catalogue_logical(size_t i);

/* Parses one file. 0; -EINVAL with findings; -ENOMEM. */
int dwb_catalogue_parse(const char *text, size_t length, struct dwb_diags *diags,
                        struct dwb_catalogue **ret_catalogue);

/*
 * The file of `directory` whose list has `pmu`. 0; -ENOENT (no file has it); -EINVAL: none has it
 * and a file is bad: its findings are in diags and its path in `path`; -errno of the directory.
 */
int dwb_catalogue_find(const char *directory, const char *pmu, struct dwb_diags *diags, char *path,
                       size_t path_size, struct dwb_catalogue **ret_catalogue);

/* The entry of a logical counter, or NULL. */
const struct dwb_catalogue_counter *dwb_catalogue_get(const struct dwb_catalogue *catalogue,
                                                      const char *name);

void dwb_catalogue_free(struct dwb_catalogue *catalogue);
static inline void dwb_catalogue_freep(struct dwb_catalogue **catalogue)
{
    dwb_catalogue_free(*catalogue);
}
