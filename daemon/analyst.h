#pragma once

/*
 * dwb_result_build in a thread of its own: on a big suite it takes long enough that clients would
 * notice. Nothing else touches what it reads while it runs.
 */

#include "analysis/result.h"
#include "daemon/loop.h"

struct dwb_analyst;

/* r: what dwb_result_build returned; text is the document, compact, NULL on failure; both are
 * borrowed. Runs on the loop's thread. */
typedef void dwb_analyst_done_fn(int r, const json_t *document, const char *text, void *userdata);

/* spec, records and layer_of are borrowed until the callback, or dwb_analyst_free; job is taken. */
int dwb_analyst_start(struct dwb_loop *loop, const struct dwb_spec *spec, json_t *job,
                      struct dwb_record *const *records, const uint32_t *layer_of, size_t n_records,
                      dwb_analyst_done_fn *fn, void *userdata, struct dwb_analyst **ret_analyst);

/* Waits for the thread; the callback does not run. Takes NULL. Not from inside the callback, after
 * which the analyst is gone by itself. */
void dwb_analyst_free(struct dwb_analyst *analyst);
