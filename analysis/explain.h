#pragma once

/*
 * Why a layer does not deliver the saving that theory promises, or delivers more: one line for the
 * person who tunes kernels, and the figures it is made of. Only what was measured is said.
 *
 * With the standard convolution at its nominal rate R, theory's separable time is T = macs / R.
 * What the separable form takes beyond T (or below) is the exact sum of four parts, each in ns
 * here:
 *
 *   depthwise    its time - its executed MACs / standard's executed rate
 *   pointwise    the same
 *   padding      separable's executed MACs / standard's executed rate - T: the standard skips taps
 * on padding, and the pointwise has none to skip composition  separable's time - depthwise alone -
 * pointwise alone: the intermediate's way
 */

#include "analysis/figures.h"

#include <jansson.h>

enum dwb_cause {
    DWB_CAUSE_DEPTHWISE,
    DWB_CAUSE_POINTWISE,
    DWB_CAUSE_PADDING,
    DWB_CAUSE_COMPOSITION,
    DWB_N_CAUSES
};

struct dwb_explain {
    double saving;              /* delivered, 1 = theory */
    double theory_ns;           /* T */
    double parts[DWB_N_CAUSES]; /* ns beyond T, by enum dwb_cause */
    double depthwise_mac_share; /* executed, of depthwise + pointwise */
    double depthwise_time_share;
};

/* 0; -ENODATA when standard, separable, depthwise or pointwise was not measured. */
int dwb_explain_of(const struct dwb_figures *figures, struct dwb_explain *ret_explain);

/* The line; always something. */
void dwb_explain_text(const struct dwb_figures *figures, char *buffer, size_t size);

/* The figures as an object, null where there are none; NULL without memory. */
json_t *dwb_explain_to_json(const struct dwb_figures *figures);
