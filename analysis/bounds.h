#pragma once

/*
 * What the machine allows, from its own probes (roofline: Williams, Waterman, Patterson, CACM
 * 52(4), 2009): the multiply-add peak of an ISA, and the bandwidth of the memory levels that hold
 * what an operation moves. A bound is a time that no kernel can beat, so whatever is not known is
 * taken in the kernel's favour.
 *
 * Traffic is the least there can be: every tensor crosses once, fp32; of the input only what a tap
 * falls on. A stage is bound by the longer of executed FLOP / peak and traffic / bandwidth.
 *
 *   separable        its two stages run one after the other, so the bound is the sum of theirs; the
 *                    intermediate crosses twice, out of the depthwise and into the pointwise
 *   separable_fused  one stage: the intermediate need not cross at all, the multiply-adds of both
 *                    may hide the traffic of both
 *
 * Which level holds a set of S bytes that call after call walks through in the same order: under
 * LRU all of it hits in a cache of C >= S bytes and nothing in a smaller one (stack distances:
 * Mattson et al., IBM Systems Journal 9(2), 1970).
 *
 *   L1    is indexed by the offset in a page and does just that.
 *   L2    does not: pages meet by chance in its sets and it shares them with code, stack and
 * tables. Full speed up to 3/4 of C, less and less up to 3/2, from there on nothing is kept: the
 *         share that hits falls in a straight line between the two.
 *   last  need not be LRU; policies that keep a part of a set too large for them are usual (Qureshi
 *         et al., ISCA 2007). It can have kept C bytes of it, so that much hits.
 *
 * docs/method.md has the measurement. In cold mode all comes from DRAM, but the intermediate of
 * `separable`, which its pointwise finds where its depthwise left it.
 *
 * Bandwidth is the better of read and triad. Every stream here is a mix of loads and stores. Loads
 * alone are the fastest mix where a store costs as a load or more (L2 and out); where stores have a
 * port of their own (L1), two loads a store keep all ports busy, and more stores wait for theirs.
 */

#include "analysis/figures.h"

struct dwb_bound {
    bool by_bandwidth;     /* false: by the multiply-add peak; of two stages, the longer time */
    const char *level;     /* "L2", ...: whence most of the traffic's time; NULL = not known */
    double bytes;          /* the least traffic of a call */
    double flops_per_byte; /* executed */
    double gbps;           /* at which the levels allow that traffic; NAN */
    double attained_gbps;  /* that traffic over the floor */
    double ns;             /* the bound itself, of a call */
    double gflops;         /* and as a rate, executed */
    double percent;        /* of it, reached at the floor */
};

/* Sets isa, peak_gflops, levels and every peak and percent_of_peak of figures. */
void dwb_bounds_machine(struct dwb_figures *figures);

/* Least traffic of one call of an operation of a layer, in bytes; 0 for what is none. */
double dwb_bounds_bytes(const struct dwb_layer *layer, enum dwb_operation operation);

/* "compute", or the level whose bandwidth it is. */
const char *dwb_bounds_holder(const struct dwb_bound *bound);

/* Bound of an operation of the layer. 0; -ENODATA without a probe or a measurement of it. */
int dwb_bounds_of(const struct dwb_figures *figures, enum dwb_operation operation,
                  struct dwb_bound *ret_bound);
