#pragma once

/*
 * The workbench of one layer: buffers, kernels and subjects. It allocates and fills everything,
 * packs the weights, and offers each subject as a task for the sampler; it verifies outputs before
 * and after the measurement.
 */

#include "common/theory.h"
#include "kernels/backends/backend.h"
#include "kernels/kernels.h"
#include "kernels/separable.h"
#include "measure/memory.h"
#include "measure/probes.h"
#include "measure/request.h"
#include "measure/sampler.h"

#define DWB_BENCH_SUBJECTS_MAX  40
#define DWB_BENCH_ERROR_MAX     256
#define DWB_BENCH_OMISSIONS_MAX (4 * DWB_PLUGINS_MAX)

enum { /* buffers */
       DWB_BENCH_INPUT,
       DWB_BENCH_WEIGHTS_STANDARD,
       DWB_BENCH_WEIGHTS_DEPTHWISE,
       DWB_BENCH_WEIGHTS_POINTWISE,
       DWB_BENCH_PACKED_STANDARD,
       DWB_BENCH_PACKED_DEPTHWISE,
       DWB_BENCH_PACKED_POINTWISE,
       DWB_BENCH_PACKED_STANDARD_B,  /* of the second side of a comparison, where its kernel is */
       DWB_BENCH_PACKED_DEPTHWISE_B, /* another one than the first's */
       DWB_BENCH_PACKED_POINTWISE_B,
       DWB_BENCH_INTERMEDIATE, /* of the depthwise, input of the pointwise */
       DWB_BENCH_OUTPUT_STANDARD,
       DWB_BENCH_OUTPUT_SEPARABLE, /* of the pointwise and the fused form, too */
       DWB_BENCH_SCRATCH,
       DWB_BENCH_CANARY_INPUT,
       DWB_BENCH_CANARY_WEIGHTS,
       DWB_BENCH_CANARY_PACKED,
       DWB_BENCH_CANARY_OUTPUT,
       DWB_BENCH_CANARY_SCRATCH,
       DWB_BENCH_PROBE_AREA,
       DWB_BENCH_N_BUFFERS
};

struct dwb_bench_stage { /* one kernel with its operands */
    enum dwb_kernel_op op;
    struct dwb_conv conv;
    const struct dwb_kernel *kernel; /* ours; of a peer's stage the one that it is compared with */
    struct dwb_backend_ready *ready; /* NULL = ours runs */
    struct dwb_kernel_args args;
    const float *weights; /* unpacked: for the oracle */
    bool absent;          /* the backend has no such operation for this layer */
};

struct dwb_bench_fused { /* both stages of a separable layer in one loop nest; ours only */
    struct dwb_separable separable;
    struct dwb_separable_args args;
};

struct dwb_bench_chain { /* context of a convolution's task: one stage, or depthwise + pointwise */
    const struct dwb_bench_stage *stages[2];
    size_t n;
    const struct dwb_bench_fused *fused; /* runs in place of the two stages, or NULL */
    uint32_t extra_every; /* a call more after so many: a planted slowdown; 0 = none */
    uint32_t n_since;     /* calls since the last of those */
};

struct dwb_bench_forms { /* the forms of the layer on one backend, or of one side of a comparison */
    const char *backend; /* its name */
    char version[32];    /* of a peer's library; "" = not loaded */
    struct dwb_bench_stage standard, depthwise, pointwise;
    struct dwb_bench_fused fused; /* ours only */
};

struct dwb_bench {
    struct dwb_layer layer;
    enum dwb_isa isa; /* asked for */
    struct dwb_buffer buffers[DWB_BENCH_N_BUFFERS];
    struct dwb_bench_forms forms[DWB_N_BACKENDS]; /* by bit; ours is always there: the canary and
                                                   * the probes are of its ISA. In a comparison
                                                   * the first two are its sides */
    uint32_t stages; /* bits 1 << enum dwb_kernel_op: which are needed at all */
    bool compares;
    struct dwb_bench_forms plugins[DWB_PLUGINS_MAX];
    const struct dwb_backend *libraries[DWB_PLUGINS_MAX]; /* of those */
    uint32_t n_plugins;
    struct dwb_omission omissions[DWB_BENCH_OMISSIONS_MAX];
    size_t n_omissions;
    struct dwb_bench_stage canary;
    struct dwb_bench_chain chains[DWB_BENCH_SUBJECTS_MAX]; /* same indices as subjects */
    struct dwb_peak peaks[4];
    struct dwb_memory_probe probes[2 * DWB_PROBE_LEVELS];
    struct dwb_subject subjects[DWB_BENCH_SUBJECTS_MAX];
    struct dwb_task tasks[DWB_BENCH_SUBJECTS_MAX]; /* same indices */
    size_t n;
    struct dwb_random positions;
    uint64_t probe_sizes[DWB_PROBE_LEVELS];
    struct dwb_macs nominal, canary_nominal;
};

/*
 * The first half of a bench: buffers, and everything that is our own. No subject yet. 0; -ENOTSUP
 * (this CPU lacks the ISA, or no kernel takes the layer), -ENOMEM, -EOVERFLOW, with one sentence in
 * error.
 */
int dwb_bench_new(const struct dwb_request *request, uint32_t cpu, char error[DWB_BENCH_ERROR_MAX],
                  struct dwb_bench **ret_bench);

/*
 * The second half: loads the other backends' modules, which runs code that is not ours, and makes
 * the subjects. 0; -ENOENT, -ELIBBAD (no such module here), what the module says, with one sentence
 * in error.
 */
int dwb_bench_load(struct dwb_bench *bench, const struct dwb_request *request,
                   char error[DWB_BENCH_ERROR_MAX]);
void dwb_bench_free(struct dwb_bench *bench);
static inline void dwb_bench_freep(struct dwb_bench **bench)
{
    dwb_bench_free(*bench);
}

/* Of bench_peers.c: ends the calls that libraries have prepared for these forms. */
void dwb_bench_release(struct dwb_bench_forms *forms);

/* All backends and plugins of the request but ours. */
int dwb_bench_prepare_peers(struct dwb_bench *bench, const struct dwb_request *request,
                            char error[DWB_BENCH_ERROR_MAX]);

/*
 * Runs each operation once over poisoned outputs and compares what it left with the oracle; adds to
 * the subjects' figures. A separable layer is verified as a chain: the intermediate it wrote
 * against the depthwise oracle, its output against the pointwise oracle over that very
 * intermediate. So each tolerance is that of one convolution, and no error can hide between the
 * two. The fused form leaves no intermediate: its output is compared with both convolutions in
 * double precision from the layer's input on.
 */
void dwb_bench_verify(struct dwb_bench *bench);

/* The same comparison for what the last timed calls left behind; runs nothing, and compares nothing
 * when outputs were wrong before. With several backends the pointwise outputs are held to both
 * convolutions from the input on, for one's intermediate may lie beside another's output. */
void dwb_bench_verify_last(struct dwb_bench *bench);

/* The same of one operation. */
void dwb_bench_verify_subject(struct dwb_bench *bench, size_t i);

/* Its index; bench->n when there is none. */
size_t dwb_bench_find(const struct dwb_bench *bench, const char *backend,
                      enum dwb_operation operation);

uint64_t dwb_bench_mismatches(const struct dwb_bench *bench);

/* For the sampler's cold mode: every buffer of the bench but the probes' out of the caches. */
void dwb_bench_flush(void *bench);

/* "portable, avx2, avx512": what flags allow. */
void dwb_bench_isas_text(uint32_t flags, char *buffer, size_t size);
