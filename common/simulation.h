#pragma once

/*
 * What Valgrind's Callgrind counted of one call of each operation, on a CPU that it makes up:
 * instructions of the kernels and misses of three caches, exactly repeatable. It is a model, not
 * the machine: no prefetchers, no L2 between the first and the last level, LRU, one thread alone.
 * So it travels apart from the counters, and source `simulated` stands on each value.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dwb_cache_shape {
    uint64_t bytes; /* ways * line_bytes * sets, sets a power of two */
    uint32_t ways;
    uint32_t line_bytes; /* a power of two, 16 or more */
};

struct dwb_geometry { /* of the simulated CPU */
    struct dwb_cache_shape i1, d1, ll;
};

/* "32768,8,64/49152,12,64/33554432,16,64": instruction, data and last-level cache, each its bytes,
 * ways and bytes of a line, as Valgrind's --I1, --D1 and --LL have them. */
#define DWB_GEOMETRY_TEXT_MAX 120

/* 0; -EINVAL when it is not of that form, or a cache that Callgrind cannot simulate. */
int dwb_geometry_parse(const char *text, struct dwb_geometry *ret_geometry);
void dwb_geometry_text(const struct dwb_geometry *geometry, char buffer[DWB_GEOMETRY_TEXT_MAX]);
bool dwb_cache_shape_valid(const struct dwb_cache_shape *shape);

enum dwb_simulated_count {
    DWB_SIMULATED_INSTRUCTIONS,
    DWB_SIMULATED_DATA_REFERENCES, /* loads and stores, of whatever width */
    DWB_SIMULATED_L1I_MISSES,
    DWB_SIMULATED_L1D_MISSES,
    DWB_SIMULATED_LL_MISSES, /* of instructions and data */
    DWB_N_SIMULATED
};

const char *dwb_simulated_name(enum dwb_simulated_count count); /* "instructions", ... */

struct dwb_simulated { /* one operation of one backend */
    uint32_t subject;  /* index into the record's subjects */
    bool counted;
    char kernel[128]; /* that ran: the simulated CPU may take another than the measured one */
    char isa[16];
    char reason[256]; /* why it was not counted; "" = it was */
    uint64_t counts[DWB_N_SIMULATED];
};

struct dwb_simulation {
    char tool[64];   /* "valgrind-3.19.0, callgrind" */
    char note[256];  /* what a reader has to know, such as an ISA that the tool lacks; or "" */
    char origin[96]; /* of the geometry: "sysfs", "given" */
    struct dwb_geometry geometry;
    struct dwb_simulated *items;
    size_t n;
};

/* New reference; NULL without memory. */
json_t *dwb_simulation_to_json(const struct dwb_simulation *simulation);

/* Trusts nothing. n_subjects: of the record that it belongs to. 0, -EINVAL, -ENOMEM. */
int dwb_simulation_from_json(const json_t *object, size_t n_subjects,
                             struct dwb_simulation **ret_simulation);

void dwb_simulation_free(struct dwb_simulation *simulation);
static inline void dwb_simulation_freep(struct dwb_simulation **simulation)
{
    dwb_simulation_free(*simulation);
}
