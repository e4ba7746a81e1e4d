#pragma once

/*
 * A comparison of two sides (common/side.h): is b slower than a, faster, or the same within delta?
 *
 * The estimator is the median of paired log-ratios. Within one worker a pair is the a and the b of
 * one block's half, taken one after the other, and a block (a b b a) is the mean of its two pairs,
 * so a drift within it cancels. A process gives one value, the median of its blocks, and the
 * interval is that of the median over processes: what differs between processes (the places of
 * pages, say) is seen by it. Two programs cannot share a process: there a pair is the floors of two
 * neighbouring processes, in the order a b b a.
 *
 * Pure, as all of analysis/: a gate can be replayed from its records.
 */

#include "analysis/result.h"

#define DWB_GATE_SCHEMA "dwbench.gate/1"

enum dwb_change { /* of b against a; "same" = within delta, for sure */
                  DWB_CHANGE_SAME,
                  DWB_CHANGE_FASTER,
                  DWB_CHANGE_NOT_RESOLVED,
                  DWB_CHANGE_SLOWER,
                  DWB_N_CHANGES
};

const char *dwb_change_name(enum dwb_change change); /* "same", "not_resolved", ... */
int dwb_change_from_name(const char *name, enum dwb_change *ret_change); /* -EINVAL */

/* Which side a process of a comparison of two programs is: 'a' or 'b', in the order a b b a. */
static inline char dwb_gate_side_of(uint32_t replicate)
{
    return (replicate ^ replicate >> 1) & 1 ? 'b' : 'a';
}

/* Appends the comparisons of one layer, whose records are sorted by replicate. 0 or -ENOMEM. */
int dwb_gate_add_layer(const struct dwb_spec *spec, const struct dwb_layer *layer,
                       struct dwb_record *const *records, size_t n_records, json_t *comparisons);

/* The widest interval's half-width over the comparisons of a layer; INFINITY until each has one. */
int dwb_gate_half_width(const struct dwb_spec *spec, struct dwb_record *const *records,
                        size_t n_records, double *ret_half_width);

/* The two sides as they were asked for: document's `a` and `b`. 0 or -ENOMEM. */
int dwb_gate_name_sides(const struct dwb_spec *spec, json_t *document);

/* Counts and verdict of document's `comparisons` into its `overall`. 0 or -ENOMEM. */
int dwb_gate_summarize(json_t *document);

/*
 * An alarm is raised only when it comes twice: each comparison that is slower in `first` and not in
 * `second`, a later job of the same sides, becomes not_resolved. Changes `first`. 0 or -ENOMEM.
 */
int dwb_gate_confirm(json_t *first, const json_t *second);
