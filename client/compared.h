#pragma once

/*
 * A comparison document, dwbench.compare/1 or dwbench.gate/1, as rows of numbers for the renderers:
 * how long side b takes beside side a, an operation of a layer each. What the document leaves null
 * is NAN or NULL here. Strings are borrowed from the document, of which a reference is kept.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum dwb_compared_verdict {
    DWB_COMPARED_SLOWER,
    DWB_COMPARED_FASTER,
    DWB_COMPARED_SAME,
    DWB_COMPARED_NOT_RESOLVED, /* also what this client does not understand */
    DWB_COMPARED_N_VERDICTS
};

enum { DWB_COMPARED_A, DWB_COMPARED_B, DWB_COMPARED_N_SIDES };

struct dwb_compared_side {
    const char *what; /* such as "native:avx2" */
    const char *isa, *kernel;
    double floor_ns, median_ns;
};

struct dwb_compared_row {
    const char *layer, *operation, *backend;
    struct dwb_compared_side sides[DWB_COMPARED_N_SIDES];
    /* Time of b over a, minus 1; positive = b is slower. Of two jobs without what the machine
     * changed itself, which is in `raw`; a gate pairs its samples, so nothing of that is left. */
    double change, change_low, change_high, raw;
    double limit_ns;   /* what the baseline's history allows side b, the way the change went */
    double delta;      /* a change up to this one counts as none */
    double confidence; /* of the interval; 0..1 */
    enum dwb_compared_verdict verdict;
    const char *verdict_text; /* as the document has it, or NULL */
    const char *reason, *method;
    double processes, pairs, dropped_share;
    const json_t *confirmed; /* true or false; NULL = the document does not say */
};

struct dwb_compared {
    json_t *document;
    const char *kind; /* "compare" or "gate" */
    char labels[DWB_COMPARED_N_SIDES][160];
    struct dwb_compared_row *rows;
    size_t n_rows;
    size_t n_verdicts[DWB_COMPARED_N_VERDICTS]; /* of the rows */
    const char *overall;                        /* the document's word for all of it, or NULL */
};

/* "slower", "faster", "same", "not_resolved": the document's words. */
extern const char *const dwb_compared_verdict_names[DWB_COMPARED_N_VERDICTS];

/* The same for people: "not resolved". */
const char *dwb_compared_word(enum dwb_compared_verdict verdict);

/* 0, -EINVAL when it is not a comparison document, -ENOMEM. */
int dwb_compared_new(const json_t *document, struct dwb_compared **ret_compared);
void dwb_compared_free(struct dwb_compared *compared);
static inline void dwb_compared_freep(struct dwb_compared **compared)
{
    dwb_compared_free(*compared);
}

/* All of these write to the caller's buffer, cut what does not fit, and return it. */

/* One sentence: the overall verdict, and how many of the comparisons had which. */
const char *dwb_compared_sentence(const struct dwb_compared *compared, char *buffer, size_t size);
/* One row in words: by how much, with the interval and its confidence. */
const char *dwb_compared_change(const struct dwb_compared_row *row, char *buffer, size_t size);
/* Why a row is not resolved; "" where nothing needs a reason. */
const char *dwb_compared_reason(const struct dwb_compared_row *row, char *buffer, size_t size);
/* What the document says of the machine over the time of the comparison; "" = nothing. */
const char *dwb_compared_machine(const struct dwb_compared *compared, char *buffer, size_t size);
