#pragma once

/*
 * Two result documents, and whether the second is slower: one verdict for each operation of each
 * layer and backend, with the machine's own change taken out (docs/method.md, "Comparing jobs").
 * Pure: the same input gives the same document to the byte; no I/O, no clock.
 */

#include <jansson.h>
#include <stdbool.h>

#define DWB_COMPARE_SCHEMA "dwbench.compare/1"

/* The precision that a job asks for by default: less is not told from its noise. */
#define DWB_COMPARE_DELTA 0.005
/* About one access to main memory: less a call may be where a page came to lie, and is no code's.
 */
#define DWB_COMPARE_ABSOLUTE_FLOOR_NS 100
/* Quartiles of fewer say nothing about how jobs differ. */
#define DWB_COMPARE_HISTORY_MIN 5

struct dwb_compare_input {       /* all borrowed for the call */
    const json_t *a, *b;         /* result documents, a the earlier one */
    const char *a_what, *b_what; /* what people call them; NULL = the id of the job */
    const json_t *history;       /* array of result documents from before a, or NULL */
    bool force;                  /* compare what is not comparable */
};

/* A document that compare and obstacles take: dwbench.result/1 with results. */
bool dwb_compare_takes(const json_t *document);

/* Takes out of a result document what no comparison reads, which is most of it: a history of a
 * hundred suites is to fit into memory. */
void dwb_compare_trim(json_t *document);

/*
 * 0 and a new reference in *ret_document; -EINVAL: one of them is no result document; -EXDEV: they
 * are not comparable (dwb_alike_obstacles says why) and force is not set; -ENOMEM.
 */
int dwb_compare(const struct dwb_compare_input *input, json_t **ret_document);
