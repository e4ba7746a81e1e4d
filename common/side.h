#pragma once

/*
 * A side of a comparison (dwbenchctl gate --a SIDE --b SIDE): whose kernel runs, on which ISA, in
 * which form. Its text is a list of words in any order, separated by commas, each at most once:
 *
 *     native | onednn | xnnpack | plugin:FILE.so | worker:NAME | kernel:NAME    whose (native)
 *     auto | portable | avx2 | avx512 | neon                                    ISA (auto)
 *     standard | depthwise | pointwise | separable | separable_fused            form
 *     +1/K                                                                      planted slowdown
 *
 * A form says that this operation of one side is held against the form of the other, whatever that
 * is; without forms the two sides are compared operation by operation. +1/K makes one call more
 * after every K: a slowdown of 100/K percent, to see what a comparison sees on this machine.
 *
 * A name is of letters, digits, dots, underscores and hyphens: a file of the daemon's plugin
 * directory, a kernel of the registry, or `a` and `b`, the programs that the daemon was started
 * with for this purpose. It is never a path.
 */

#include "common/terms.h"

#include <stdbool.h>

#define DWB_SIDE_NAME_MAX    64
#define DWB_SIDE_TEXT_MAX    128
#define DWB_SIDE_MESSAGE_MAX 256
#define DWB_SIDE_EXTRA_MAX   1000

enum dwb_side_kind {
    DWB_SIDE_NATIVE,
    DWB_SIDE_ONEDNN,
    DWB_SIDE_XNNPACK,
    DWB_SIDE_PLUGIN,
    DWB_SIDE_WORKER,
    DWB_SIDE_KERNEL, /* ours, by its name in the registry */
};

struct dwb_side {
    enum dwb_side_kind kind;
    char name[DWB_SIDE_NAME_MAX]; /* of a plugin, worker or kernel; else "" */
    enum dwb_isa isa;
    bool has_form;
    enum dwb_operation form; /* an operation of the layer */
    uint32_t extra_every;    /* K of +1/K; 0 = nothing is planted */
};

/* 0; -EINVAL with a sentence in message. */
int dwb_side_parse(const char *text, char message[DWB_SIDE_MESSAGE_MAX], struct dwb_side *ret_side);

/* The shortest text that parses to this side. */
void dwb_side_to_text(const struct dwb_side *side, char buffer[DWB_SIDE_TEXT_MAX]);

/*
 * Whether the two can be held against each other: NULL, or a sentence that says why not, about the
 * side *ret_side, 'a' or 'b'.
 */
const char *dwb_sides_refuse(const struct dwb_side *a, const struct dwb_side *b, char *ret_side);

/* "standard,depthwise" -> mask of 1 << operation; -EINVAL: an unknown name, one twice, none. */
int dwb_operations_from_text(const char *text, uint32_t *ret_mask);
#define DWB_OPERATIONS_TEXT_MAX 64
void dwb_operations_to_text(uint32_t mask, char buffer[DWB_OPERATIONS_TEXT_MAX]);
