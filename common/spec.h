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
#include "common/simulation.h"

#include <jansson.h>

#define DWB_SPEC_LAYERS_MAX         256
#define DWB_SPEC_BUDGET_DEFAULT_NS  UINT64_C(6000000000) /* of measuring, a layer */
#define DWB_SPEC_BUDGET_MIN_NS      UINT64_C(100000000)
#define DWB_SPEC_BUDGET_MAX_NS      UINT64_C(3600000000000)
#define DWB_SPEC_PRECISION_DEFAULT  0.005
#define DWB_SPEC_REPLICATES_DEFAULT 10
#define DWB_SPEC_REPLICATES_MAX     1000
#define DWB_SPEC_NETWORK_RESOLUTION 224

enum dwb_isa { DWB_ISA_AUTO, DWB_ISA_PORTABLE, DWB_ISA_AVX2, DWB_ISA_AVX512, DWB_ISA_NEON };
enum dwb_cache_mode { DWB_CACHE_WARM, DWB_CACHE_COLD };

/* Whose kernels: ours, or a peer's library (kernels/backends); bits of a mask. */
enum { DWB_BACKEND_NATIVE = 1 << 0, DWB_BACKEND_ONEDNN = 1 << 1, DWB_BACKEND_XNNPACK = 1 << 2 };
#define DWB_N_BACKENDS        3
#define DWB_BACKENDS_TEXT_MAX 32 /* "native,onednn,xnnpack" */

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

const char *dwb_isa_name(enum dwb_isa isa);
int dwb_isa_from_name(const char *name, enum dwb_isa *ret_isa); /* -EINVAL */
const char *dwb_cache_mode_name(enum dwb_cache_mode mode);
int dwb_cache_mode_from_name(const char *name, enum dwb_cache_mode *ret_mode); /* -EINVAL */

const char *dwb_backend_name(unsigned bit); /* bit number 0..DWB_N_BACKENDS-1 */
/* "native,onednn" -> mask; -EINVAL: an unknown name, one twice, none. */
int dwb_backends_from_text(const char *text, uint32_t *ret_mask);
void dwb_backends_to_text(uint32_t mask, char buffer[DWB_BACKENDS_TEXT_MAX]);

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
