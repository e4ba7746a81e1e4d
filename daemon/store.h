#pragma once

/*
 * The store: jobs, replicate records and results in SQLite (WAL, synchronous=FULL). Writes are
 * queued to one thread that commits what has gathered as a group; a write's callback runs on the
 * loop's thread, from dwb_store_dispatch, after its commit is durable, in the order of the calls.
 * Reads are synchronous, on a connection of their own, and see every committed write. The only file
 * that knows sqlite3 is store.c (and its schema and group-commit siblings store_*.c).
 *
 * A failed commit is never retried: every write of the group and all later ones get the error, and
 * dwb_store_failed() says so; the daemon stops acknowledging and exits, recovery is at start-up.
 * ENOSPC (SQLITE_FULL) is -ENOSPC for that group only: the store stays usable.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>

#define DWB_JOB_ID_MAX          40
#define DWB_IDEMPOTENCY_KEY_MAX 128
#define DWB_BASELINE_NAME_MAX   63
#define DWB_BASELINE_HISTORY    100 /* jobs kept beside the baseline's own */

enum dwb_job_state {
    DWB_JOB_QUEUED,
    DWB_JOB_RUNNING,
    DWB_JOB_DONE,
    DWB_JOB_FAILED,
    DWB_JOB_CANCELLED,
    DWB_N_JOB_STATES
};

struct dwb_job_row { /* strings borrowed until the callback returns, or owned by the caller on
                        writes */
    const char *id;  /* time-ordered, unique */
    enum dwb_job_state state;
    uid_t uid;                   /* who submitted it (SO_PEERCRED) */
    const char *idempotency_key; /* NULL = none; unique per uid */
    const char *name;            /* of the suite or layer */
    const char *spec;            /* canonical JSON */
    const char *reason;          /* of failed and cancelled, "" otherwise */
    uint64_t created_ns;         /* CLOCK_REALTIME; 0 = not yet */
    uint64_t started_ns;
    uint64_t finished_ns;
};

struct dwb_baseline_row { /* strings borrowed until the callback returns */
    const char *name;
    const char *job;    /* id */
    uid_t uid;          /* the baseline's owner */
    uint64_t set_at_ns; /* CLOCK_REALTIME */
    uint64_t n_history; /* jobs set before this one under the name; of a list only */
};

struct dwb_store;

/* status: 0, or a negative errno (-EEXIST: the idempotency key or replicate is there already). */
typedef void dwb_store_done_fn(int status, void *userdata);
typedef int dwb_store_job_fn(const struct dwb_job_row *job, void *userdata); /* <0 stops */
typedef int dwb_store_baseline_fn(const struct dwb_baseline_row *baseline, void *userdata);
typedef int dwb_store_replicate_fn(uint32_t layer, uint32_t replicate, const char *record,
                                   void *userdata);

const char *dwb_job_state_name(enum dwb_job_state state);
int dwb_job_state_from_name(const char *name, enum dwb_job_state *ret_state);

/* Creates or opens and migrates the database; takes an exclusive lock on `path`.lock, so that a
 * second daemon gets -EBUSY. error (size error_size) receives the library's text. */
int dwb_store_open(const char *path, char *error, size_t error_size, struct dwb_store **ret_store);
/* Commits what is queued, runs the callbacks that are due, lets go of the lock. Takes NULL. */
void dwb_store_close(struct dwb_store *store);

int dwb_store_fd(const struct dwb_store *store); /* readable while completions wait */
void dwb_store_dispatch(struct dwb_store *store);
int dwb_store_failed(const struct dwb_store *store); /* 0, or the errno of the fatal failure */
/* What failed, in words, for the log; "" while nothing has. Borrowed until close. */
const char *dwb_store_failed_text(const struct dwb_store *store);

/*
 * Writes: 0 when queued (fn, which may be NULL, will run exactly once, from dispatch or close),
 * else a negative errno and fn never runs: -EINVAL; -EAGAIN or -ENOBUFS (too many writes, too many
 * bytes under way: dispatch first); the errno of dwb_store_failed. Strings are copied. A callback
 * may write, read and dispatch, not close.
 *
 * Status: 0; -EEXIST; -ENOENT (no such job); -ESTALE (the job's state does not allow it); -EPERM;
 * of the whole group: -ENOSPC, -EBUSY (another program has the database locked), -ENOMEM, and then
 * the store goes on; anything else is the fatal failure.
 */
/* job->state is DWB_JOB_QUEUED, id shorter than DWB_JOB_ID_MAX; reason, started and finished are
 * not looked at. */
int dwb_store_add_job(struct dwb_store *store, const struct dwb_job_row *job, dwb_store_done_fn *fn,
                      void *userdata);
/*
 * Sets state, reason and the time of the new state, atomically with the result document, which DONE
 * must have, FAILED may have (outputs that were wrong) and nothing else has. Ways: queued ->
 * running
 * -> done | failed | cancelled, running -> queued, queued -> failed | cancelled; any other is
 * -ESTALE and changes nothing.
 */
int dwb_store_set_state(struct dwb_store *store, const char *id, enum dwb_job_state state,
                        const char *reason, uint64_t at_ns, const char *result,
                        dwb_store_done_fn *fn, void *userdata);
int dwb_store_add_replicate(struct dwb_store *store, const char *id, uint32_t layer,
                            uint32_t replicate, const char *record, dwb_store_done_fn *fn,
                            void *userdata);
/* Letters, digits and ._-, 1 to DWB_BASELINE_NAME_MAX. */
bool dwb_baseline_name_valid(const char *name);
/*
 * Makes a job that is done the baseline of that name; the one before goes to its history, of which
 * the oldest past DWB_BASELINE_HISTORY are forgotten. The first to set a name owns it: another uid
 * gets -EPERM, unless `any_owner`. -ENOENT no such job, -ESTALE it is not done.
 */
int dwb_store_set_baseline(struct dwb_store *store, const char *name, const char *id, uid_t uid,
                           bool any_owner, uint64_t at_ns, dwb_store_done_fn *fn, void *userdata);
/* With its history; the jobs stay. -ENOENT no such baseline, -EPERM as above. */
int dwb_store_delete_baseline(struct dwb_store *store, const char *name, uid_t uid, bool any_owner,
                              dwb_store_done_fn *fn, void *userdata);

/* Reads: 0, -ENOENT, the callback's negative return, -EBUSY (the same read inside of its own
 * callback), -EUCLEAN (the file is damaged), or another negative errno. */
int dwb_store_get_job(struct dwb_store *store, const char *id, dwb_store_job_fn *fn,
                      void *userdata);
/* Newest first, by the order in which jobs were added, not by the clock; state < 0 = all; after =
 * an id or NULL (jobs older than it; -ENOENT without such a job). */
int dwb_store_list_jobs(struct dwb_store *store, int state, const char *after, uint32_t limit,
                        dwb_store_job_fn *fn, void *userdata);
/* Jobs queued or running, oldest first: what start-up has to take up again. */
int dwb_store_pending_jobs(struct dwb_store *store, dwb_store_job_fn *fn, void *userdata);
int dwb_store_find_key(struct dwb_store *store, uid_t uid, const char *key, char *ret_id,
                       size_t size);
int dwb_store_list_replicates(struct dwb_store *store, const char *id, dwb_store_replicate_fn *fn,
                              void *userdata);
int dwb_store_get_result(struct dwb_store *store, const char *id, char **ret_result);
/* Every baseline, by name, with n_history. */
int dwb_store_list_baselines(struct dwb_store *store, dwb_store_baseline_fn *fn, void *userdata);
/* The jobs of one, newest first: the first is the baseline, the others its history. -ENOENT. */
int dwb_store_get_baseline(struct dwb_store *store, const char *name, dwb_store_baseline_fn *fn,
                           void *userdata);
int dwb_store_count_states(struct dwb_store *store, uint64_t counts[DWB_N_JOB_STATES]);
int dwb_store_count_queued(struct dwb_store *store, uid_t uid, uint64_t *ret_n);
