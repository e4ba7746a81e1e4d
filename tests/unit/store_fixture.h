#pragma once

/* What the store's test programs share: a database in a directory of its own, writes that wait for
 * their completion, and short forms of the calls. A write's status is what its callback got. */

#include "daemon/store.h"
#include "tests/unmarked.h"

extern char fixture_path[128]; /* of the database, in a fresh directory for each test */

void fixture_setup(void); /* checked fixtures */
void fixture_teardown(void);

struct dwb_store *fixture_open(void);
/* Dispatches until *n_done has reached n; at most 10 s. */
void fixture_wait(struct dwb_store *store, const int *n_done, int n);

/* Queue one write and wait: its status, or what the call returned. */
int fixture_add(struct dwb_store *store, const char *id, uid_t uid, const char *key);
int fixture_set(struct dwb_store *store, const char *id, enum dwb_job_state state,
                const char *result);
int fixture_replicate(struct dwb_store *store, const char *id, uint32_t layer, uint32_t replicate,
                      const char *record);

/* Counts a completion and keeps its status; userdata is a struct waiting. */
struct waiting {
    int *n_done;
    int status;
};
void fixture_count(int status, void *waiting);

int fixture_state(struct dwb_store *store, const char *id); /* -ENOENT ... */
struct dwb_job_row fixture_job(const char *id, uid_t uid, const char *key);
int fixture_ids(const struct dwb_job_row *job, void *text); /* appends "id " to char[4096] */
int fixture_main(Suite *suite);
