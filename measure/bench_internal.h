#pragma once

/* Shared by bench.c (the ratio's subjects), bench_buffers.c (their memory), bench_probes.c,
 * bench_peers.c (libraries and plugins) and bench_sides.c (comparisons). */

#include "common/theory.h"
#include "measure/bench.h"

/* The kernel of a stage, by dwb_kernel_select. 0; -ENOTSUP with a sentence. */
int dwb_bench_choose(struct dwb_bench_stage *stage, const struct dwb_layer *layer, enum dwb_isa isa,
                     enum dwb_kernel_op op, const char *what, char *error);
/* Those of all stages that the bench needs; and the fused form of the two. Alike. */
int dwb_bench_choose_forms(struct dwb_bench *bench, struct dwb_bench_forms *forms, enum dwb_isa isa,
                           char *error);
int dwb_bench_choose_fused(const struct dwb_bench *bench, struct dwb_bench_forms *forms,
                           enum dwb_isa isa, char *error);

/* What a stage runs on; AUTO = the library does not say. */
enum dwb_isa dwb_bench_stage_isa(const struct dwb_bench_stage *stage);
/* Working sets of the memory probes, 0 = none; and the probes of them and of the peaks. */
void dwb_bench_probe_sizes(const struct dwb_request *request, uint32_t cpu,
                           uint64_t sizes[DWB_PROBE_LEVELS]);
void dwb_bench_add_probes(struct dwb_bench *bench, const uint64_t sizes[DWB_PROBE_LEVELS]);

struct dwb_bench_stage *dwb_bench_stage(struct dwb_bench_forms *forms, enum dwb_kernel_op op);

/* All buffers that the bench's stages need. 0; -ENOMEM, -EOVERFLOW with a sentence. */
int dwb_bench_allocate(struct dwb_bench *bench, const struct dwb_request *request,
                       const uint64_t probe_sizes[DWB_PROBE_LEVELS], char *error);
/* Inputs, weights and the probes' area, each from a stream of its own. */
void dwb_bench_fill(struct dwb_bench *bench, uint64_t seed);
uint64_t dwb_bench_scratch_bytes(const struct dwb_bench_stage *stage);

/* Operands of the stages that the bench needs, and their weights packed. */
void dwb_bench_connect_forms(struct dwb_bench *bench, struct dwb_bench_forms *forms);

/* The library of a peer, loaded once. 0; -ENOENT, -ELIBBAD with a sentence. */
int dwb_bench_load_library(const char *name, char *error, const struct dwb_backend **ret_backend);
/*
 * A user's plugin, loaded once; it becomes one of bench->libraries. 0, or what dwb_plugin_load
 * returns.
 */
int dwb_bench_load_plugin(struct dwb_bench *bench, const struct dwb_request *request,
                          const char *name, char *error, const struct dwb_backend **ret_backend);
/*
 * The backend's calls in place of our kernels, for the same operands in the same buffers, for the
 * stages that the bench needs. One that it makes no claim to (-ENOSYS) becomes absent, with an
 * omission. 0, or what its `prepare` returns otherwise.
 */
int dwb_bench_prepare_calls(struct dwb_bench *bench, const struct dwb_backend *backend,
                            enum dwb_isa isa, struct dwb_bench_forms *forms, char *error);

bool dwb_bench_has(const struct dwb_bench_forms *forms, enum dwb_operation operation);
struct dwb_subject *dwb_bench_add_subject(struct dwb_bench *bench, enum dwb_operation operation,
                                          enum dwb_isa isa, dwb_call_fn *call, void *context);
struct dwb_subject *dwb_bench_add_operation(struct dwb_bench *bench,
                                            const struct dwb_bench_forms *forms,
                                            enum dwb_operation operation,
                                            const struct dwb_macs *nominal);

/* A chain's call with what is planted in it; for both sides, where one has something planted. */
void dwb_bench_call_planted(void *context);

/* Kernels of the two sides; sets bench->stages. 0; -ENOTSUP, -EINVAL with a sentence. */
int dwb_bench_choose_sides(struct dwb_bench *bench, const struct dwb_request *request, char *error);
/* Connects the second side, prepares libraries, adds a pair of subjects for each operation. */
int dwb_bench_add_sides(struct dwb_bench *bench, const struct dwb_request *request,
                        const struct dwb_macs *nominal, char *error);
