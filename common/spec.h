#pragma once

/*
 * The job specification: what a layer file, a suite file, `--layer` or the body of POST /v1/jobs
 * says, checked and resolved. A document is a layer (keys Dk, Dx, M, N, ...), or a suite (key
 * `layers`); both take the options below as further top-level keys.
 *
 * Width multiplier (paper section 3.3): M' = max(1, round(alpha M)), N' alike. Resolution
 * multiplier (3.4): Dx' = ceil(Dx * resolution / network_resolution).
 */

#include "common/diag.h"
#include "common/layer.h"
#include "common/plugins.h"
#include "common/side.h"
#include "common/simulation.h"
#include "common/terms.h"

#include <jansson.h>

#define DWB_SPEC_LAYERS_MAX         256
#define DWB_SPEC_BUDGET_DEFAULT_NS  UINT64_C(6000000000) /* of measuring, a layer */
#define DWB_SPEC_BUDGET_MIN_NS      UINT64_C(100000000)
#define DWB_SPEC_BUDGET_MAX_NS      UINT64_C(3600000000000)
#define DWB_SPEC_PRECISION_DEFAULT  0.005
#define DWB_SPEC_REPLICATES_DEFAULT 10
#define DWB_SPEC_REPLICATES_MAX     1000
#define DWB_SPEC_DELTA_DEFAULT      0.005
#define DWB_SPEC_GATE_REPLICATES    20 /* of a job that compares; its precision is delta / 2 */
#define DWB_SPEC_NETWORK_RESOLUTION 224

/* Job options, each a YAML key of the same name (and a client flag). */
struct dwb_options {
    enum dwb_isa isa;          /* isa: auto | portable | avx2 | avx512 | neon */
    enum dwb_cache_mode cache; /* cache: warm | cold */
    uint64_t budget_ns;        /* budget: 6s   of measuring, a layer; ns, us, ms, s, m, h */
    double precision;          /* precision: 0.5%   half-width of the ratio's 99 % interval */
    uint32_t replicates;       /* replicates: 10   fresh processes a layer, at least */
    uint64_t seed;             /* seed: 1   inputs, order of blocks and replicates */
    uint32_t backends;         /* backends: native,onednn,xnnpack   or a list; in the same blocks */
    struct dwb_plugin_names plugins; /* plugin: mine.so   kernels of the user's own, or a list */
    bool simulate;                   /* simulate: true   count one call under Valgrind as well */
    char geometry[DWB_GEOMETRY_TEXT_MAX]; /* geometry: I1/D1/LL   of that; "" = this machine's */

    /* A job that compares two sides in place of measuring the ratio has a and b. */
    bool has_a, has_b;
    struct dwb_side a, b; /* a: native   b: onednn,avx2 */
    uint32_t operations;  /* operations: standard,depthwise,pointwise   bits 1 << operation */
    double delta;         /* delta: 0.5%   a change that small does not matter */

    bool precision_given, replicates_given; /* else dwb_spec_check puts the default */
};

struct dwb_spec {
    char name[DWB_NAME_MAX]; /* suite or layer name */
    bool is_suite;
    double alpha;        /* [0.001, 4]; 1 = as written */
    uint32_t resolution; /* 0 = as written */
    uint32_t network_resolution;
    struct dwb_layer *declared; /* as written, before alpha and resolution */
    struct dwb_layer *layers;   /* resolved: what is measured */
    size_t n_layers;
    struct dwb_options options;
};

/* "6s", "500ms", "1.5m" -> ns; -EINVAL, -ERANGE (does not fit 63 bits). */
int dwb_duration_parse(const char *text, uint64_t *ret_ns);
/* "0.5%" or "0.005" -> fraction; -EINVAL. */
int dwb_fraction_parse(const char *text, double *ret_fraction);

/* Parses a layer or suite document. 0 and *ret_spec; -EINVAL with findings; -ENOMEM. */
int dwb_spec_parse(const char *text, size_t length, struct dwb_diags *diags,
                   struct dwb_spec **ret_spec);

/* Parses "Dk=3,Dx=56,M=128,N=128[,stride=1][,padding=same][,name=x]". Same returns. */
int dwb_spec_parse_flag(const char *text, struct dwb_diags *diags, struct dwb_spec **ret_spec);

/*
 * Sets one top-level key (an option, alpha, resolution) as if the document had said it, and
 * resolves the layers again; findings carry line 0. Returns 0, -EINVAL, -ENOMEM.
 */
int dwb_spec_set(struct dwb_spec *spec, const char *key, const char *value,
                 struct dwb_diags *diags);

/*
 * What only the whole of the options shows, and the defaults that depend on it: both sides of a
 * comparison or none, sides that can be held against each other. dwb_spec_parse has done it; call
 * it after the last dwb_spec_set. 0; -EINVAL with findings.
 */
int dwb_spec_check(struct dwb_spec *spec, struct dwb_diags *diags);

/* The job compares two sides; the two are programs, each measured in processes of its own. */
static inline bool dwb_spec_compares(const struct dwb_spec *spec)
{
    return spec->options.has_a;
}

static inline bool dwb_spec_compares_workers(const struct dwb_spec *spec)
{
    return spec->options.has_a && spec->options.a.kind == DWB_SIDE_WORKER;
}

/* Fresh processes a layer, at least: of two programs each side has as many as a job has otherwise.
 */
static inline uint32_t dwb_spec_processes(const struct dwb_spec *spec)
{
    return (dwb_spec_compares_workers(spec) ? 2 : 1) * spec->options.replicates;
}

/* Canonical document: parsing its dump gives an equal spec. New reference; NULL without memory. */
json_t *dwb_spec_to_json(const struct dwb_spec *spec);

/* {name, Dk, Dx, M, N, stride, padding, repeat, Dy} of a resolved layer, and back. */
json_t *dwb_layer_to_json(const struct dwb_layer *layer);
int dwb_layer_from_json(const json_t *object, struct dwb_layer *ret_layer); /* -EINVAL */

void dwb_spec_free(struct dwb_spec *spec);
static inline void dwb_spec_freep(struct dwb_spec **spec)
{
    dwb_spec_free(*spec);
}
