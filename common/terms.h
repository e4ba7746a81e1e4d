#pragma once

/*
 * The words that every room uses for the same things (instruction sets, cache modes, backends,
 * operations), and their names in documents, flags and records.
 */

#include <stdint.h>

enum dwb_isa { DWB_ISA_AUTO, DWB_ISA_PORTABLE, DWB_ISA_AVX2, DWB_ISA_AVX512, DWB_ISA_NEON };
enum dwb_cache_mode { DWB_CACHE_WARM, DWB_CACHE_COLD };

/* Whose kernels: ours, or a peer's library (kernels/backends); bits of a mask. */
enum { DWB_BACKEND_NATIVE = 1 << 0, DWB_BACKEND_ONEDNN = 1 << 1, DWB_BACKEND_XNNPACK = 1 << 2 };
#define DWB_N_BACKENDS        3
#define DWB_BACKENDS_TEXT_MAX 32 /* "native,onednn,xnnpack" */

enum dwb_operation {
    DWB_OPERATION_STANDARD,
    DWB_OPERATION_DEPTHWISE,
    DWB_OPERATION_POINTWISE,
    DWB_OPERATION_SEPARABLE,       /* depthwise, then pointwise, through memory */
    DWB_OPERATION_SEPARABLE_FUSED, /* depthwise rows straight into the pointwise */
    DWB_OPERATION_CANARY,          /* fixed work that no layer changes: the machine's own drift */
    DWB_OPERATION_FMA_PEAK,        /* register-only multiply-adds of the ISA */
    DWB_OPERATION_READ,            /* read bandwidth of a memory level */
    DWB_OPERATION_TRIAD,           /* a[i] = b[i] + s c[i] over a memory level */
    DWB_N_OPERATIONS
};

const char *dwb_isa_name(enum dwb_isa isa);
int dwb_isa_from_name(const char *name, enum dwb_isa *ret_isa); /* -EINVAL */
const char *dwb_cache_mode_name(enum dwb_cache_mode mode);
int dwb_cache_mode_from_name(const char *name, enum dwb_cache_mode *ret_mode); /* -EINVAL */

const char *dwb_backend_name(unsigned bit); /* bit number 0..DWB_N_BACKENDS-1 */
/* "native,onednn" -> mask; -EINVAL: an unknown name, one twice, none. */
int dwb_backends_from_text(const char *text, uint32_t *ret_mask);
void dwb_backends_to_text(uint32_t mask, char buffer[DWB_BACKENDS_TEXT_MAX]);

const char *dwb_operation_name(enum dwb_operation operation);
int dwb_operation_from_name(const char *name, enum dwb_operation *ret_operation); /* -EINVAL */
