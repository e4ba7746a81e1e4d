#pragma once

/*
 * What the machine allows, from its own probes: the multiply-add peak of an ISA and the bandwidth
 * of the memory level that holds an operation's tensors (roofline: Williams, Waterman, Patterson
 * 2009). The traffic is the least there can be: every tensor crosses once, fp32.
 */

#include "analysis/figures.h"

struct dwb_bound {
    bool by_bandwidth;     /* false: by the multiply-add peak */
    const char *level;     /* "L2", ...: where the tensors fit; NULL = no probe of it */
    double bytes;          /* input + weights + output */
    double flops_per_byte; /* executed */
    double gbps;           /* of that level, best of the probes; NAN */
    double gflops;         /* the bound itself, executed */
    double percent;        /* of it, reached at the floor; NAN when not measured */
};

/* Sets isa, peak_gflops, levels and every percent_of_peak of figures. */
void dwb_bounds_machine(struct dwb_figures *figures);

/* Least traffic of one call of standard, depthwise or pointwise, in bytes; 0 for others. */
double dwb_bounds_bytes(const struct dwb_layer *layer, enum dwb_operation operation);

/* Bound of standard, depthwise or pointwise. 0; -ENODATA without a probe or a measurement of it. */
int dwb_bounds_of(const struct dwb_figures *figures, enum dwb_operation operation,
                  struct dwb_bound *ret_bound);
