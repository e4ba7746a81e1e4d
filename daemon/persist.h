#pragma once

/*
 * Writes to the store that have to get there: while the disk is full a write waits here and is
 * tried again every second, so a job survives the time until somebody makes space. Any other
 * failure is passed on: the store has failed for good then. One write of a job is under way at a
 * time, the next waits here, which keeps their order.
 */

#include "daemon/loop.h"
#include "daemon/store.h"

struct dwb_persist;

int dwb_persist_new(struct dwb_loop *loop, struct dwb_store *store,
                    struct dwb_persist **ret_persist);
/* After the store is closed: no callback comes any more. Takes NULL. */
void dwb_persist_free(struct dwb_persist *persist);

/* As dwb_store_set_state and dwb_store_add_replicate; a full disk is not reported but waited out.
 */
int dwb_persist_state(struct dwb_persist *persist, const char *id, enum dwb_job_state state,
                      const char *reason, const char *result, dwb_store_done_fn *fn,
                      void *userdata);
int dwb_persist_replicate(struct dwb_persist *persist, const char *id, uint32_t layer,
                          uint32_t replicate, const char *record, dwb_store_done_fn *fn,
                          void *userdata);
