#pragma once

/*
 * The jobs that are not finished: accepted, queued, one of them measured. Here are the queue (first
 * come first served within a user, users in turn), the quotas, the events of each job and who hears
 * them, recovery and cancelling. Finished jobs live in the store only.
 */

#include "daemon/events.h"
#include "daemon/supervisor.h"

struct dwb_jobs;

struct dwb_jobs_options {
    struct dwb_supervisor_options supervisor;
    size_t queued_jobs_per_uid;
    size_t queued_jobs_total;
};

enum {                       /* positive: why a call was refused */
       DWB_JOBS_E_QUOTA = 1, /* the user's queue is full */
       DWB_JOBS_E_FULL,      /* the whole queue is full */
       DWB_JOBS_E_DRAINING,
       DWB_JOBS_E_FINISHED, /* the job was done or failed before it could be cancelled */
};

struct dwb_jobs_submission { /* all borrowed for the call */
    const char *name;
    const char *spec; /* canonical JSON */
    uid_t uid;
    const char *idempotency_key; /* NULL = none */
};

/* result: 0 and id; -EEXIST (the key is taken), -ENOSPC, another negative errno, or DWB_JOBS_E_*.
 */
typedef void dwb_jobs_done_fn(int result, const char *id, void *userdata);
/* A job was done; document is its result. */
typedef void dwb_jobs_result_fn(const json_t *document, void *userdata);

int dwb_jobs_new(const struct dwb_jobs_options *options, dwb_jobs_result_fn *on_result,
                 void *userdata, struct dwb_jobs **ret_jobs);
/* After the store is closed. Listeners are ended. Takes NULL. */
void dwb_jobs_free(struct dwb_jobs *jobs);

/* Takes up what an earlier daemon left, then measures. */
int dwb_jobs_start(struct dwb_jobs *jobs);

/* 0: fn comes once, when the job is durable or is not to be. Else DWB_JOBS_E_* or a negative errno
 * and fn never comes. */
int dwb_jobs_submit(struct dwb_jobs *jobs, const struct dwb_jobs_submission *submission,
                    dwb_jobs_done_fn *fn, void *userdata);
/* The same; -ENOENT: not among the unfinished. */
int dwb_jobs_cancel(struct dwb_jobs *jobs, const char *id, const char *reason, dwb_jobs_done_fn *fn,
                    void *userdata);
/* Listens; -ENOENT as above. */
int dwb_jobs_listen(struct dwb_jobs *jobs, const char *id, struct dwb_event_sink *sink);

struct dwb_jobs_status {
    size_t position; /* 1 = next; 0 = not in the queue */
    bool running;
    struct dwb_schedule_totals totals; /* of the running one */
};

int dwb_jobs_status(const struct dwb_jobs *jobs, const char *id,
                    struct dwb_jobs_status *ret_status);
size_t dwb_jobs_depth(const struct dwb_jobs *jobs); /* queued */
/* Its id, or NULL. */
const char *dwb_jobs_running(const struct dwb_jobs *jobs);

/* No more submissions, nothing new is measured; fn comes when the running job is back in the queue
 * (at once when there is none). */
void dwb_jobs_drain(struct dwb_jobs *jobs, uint64_t patience_ns, void (*fn)(void *),
                    void *userdata);
