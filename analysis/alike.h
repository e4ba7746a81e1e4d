#pragma once

/*
 * Which entries of two result documents are of the same thing, what forbids to compare them at all,
 * and what the machine itself did between the two. Pure, and documents are only read.
 */

#include <jansson.h>
#include <stdbool.h>

/* Two entries: the layer of that name on that backend in each document. */
struct dwb_alike_pair {
    const json_t *a, *b; /* borrowed */
};

/*
 * How the machine changed from a to b, as logarithms of ratios: above 0 = b's machine is slower.
 * NAN = not known.
 */
struct dwb_alike_drift {
    double canary;    /* of the canary's floor */
    double peak;      /* of the multiply-add peak, turned round */
    double machine;   /* what both say; NAN unless they agree */
    bool agrees;      /* both probes tell the same story */
    char reason[256]; /* why not, or why one alone is believed; "" otherwise */
};

/* Two floors that reproduce each other are within 1 % (docs/method.md, floor_reproduced_by): that
 * much apart, two probes still say the same. */
#define DWB_ALIKE_MARGIN 0.01

/*
 * Pairs in a's order: for each entry of a the one of b, with a layer that is there more than once
 * taken in its order. To be freed. 0 or -ENOMEM.
 */
int dwb_alike_pairs(const json_t *a, const json_t *b, struct dwb_alike_pair **ret_pairs,
                    size_t *ret_n_pairs);

/*
 * What makes the two incomparable: another CPU, other layers or shapes, backends, ISA of a kernel,
 * cache mode, number of threads: [{"member", "a", "b"}], empty when nothing does. New reference;
 * NULL without memory.
 */
json_t *dwb_alike_obstacles(const json_t *a, const json_t *b);

/* 0 or -ENOMEM. */
int dwb_alike_drift_of(const struct dwb_alike_pair *pairs, size_t n_pairs,
                       struct dwb_alike_drift *ret_drift);

/* What an entry of a result document has under operations.NAME, or NULL. */
const json_t *dwb_alike_operation(const json_t *entry, const char *name);
