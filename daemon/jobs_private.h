#pragma once

/*
 * What the files of the queue share; nobody else includes it.
 *
 *   jobs.c        takes jobs in, takes them up, tells of them, ends them
 *   jobs_turns.c  which one is next
 *
 * `first` to `last` is a list in order of acceptance. A job is ADDING until its commit (nobody can
 * name it yet), then QUEUED, then RUNNING or CANCELLING, and leaves the list with its last event.
 */

#include "daemon/jobs.h"
#include "daemon/shortage.h"

enum dwb_job_phase {
    DWB_JOB_IS_ADDING,
    DWB_JOB_IS_QUEUED,
    DWB_JOB_IS_RUNNING,
    DWB_JOB_IS_CANCELLING
};

struct dwb_job_waiter { /* for the end of a cancel */
    struct dwb_job_waiter *next;
    dwb_jobs_done_fn *fn;
    void *userdata;
};

struct dwb_job {
    struct dwb_job *next, *previous;
    struct dwb_jobs *jobs;
    char id[DWB_JOB_ID_MAX];
    char name[DWB_NAME_MAX];
    uid_t uid;
    enum dwb_job_phase phase;
    struct dwb_event_log log;
    uint64_t progress_ns; /* when the last progress was told */
    dwb_jobs_done_fn *added;
    void *added_userdata;
    struct dwb_job_waiter *waiters;
    struct dwb_shortage shortage; /* that keeps it from being taken up */
    char cancel_reason[128];
};

struct dwb_job_turn { /* when a user's job was taken up last */
    uid_t uid;
    uint64_t turn;
};

struct dwb_jobs {
    struct dwb_jobs_options options;
    struct dwb_supervisor *supervisor;
    dwb_jobs_result_fn *on_result;
    void *userdata;
    struct dwb_job *first, *last;
    struct dwb_job *running;
    struct dwb_job_turn *turns;
    size_t n_turns;
    uint64_t turn;
    struct dwb_loop_source *retry_timer; /* of taking up */
    bool started, draining;
    void (*drained)(void *);
    void *drained_userdata;
};

/* The user's turn, made when there is none; NULL without memory for it. */
struct dwb_job_turn *dwb_jobs_turn_of(struct dwb_jobs *jobs, uid_t uid);
/* The next job, or NULL. */
struct dwb_job *dwb_jobs_pick(const struct dwb_jobs *jobs);
/* The place of a queued job in the order of dwb_jobs_pick if nobody comes or goes, from 1. */
size_t dwb_jobs_position(const struct dwb_jobs *jobs, const struct dwb_job *job);
