#include "daemon/jobs.h"

/*
 * See jobs.h. `jobs` is a list in order of acceptance. A job is ADDING until its commit (nobody can
 * name it yet), then QUEUED, then RUNNING or CANCELLING, and leaves the list with its last event.
 */

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/clock.h"
#include "daemon/jobid.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_PERIOD_NS UINT64_C(100000000)

enum phase { ADDING, QUEUED, RUNNING, CANCELLING };

struct waiter { /* for the end of a cancel */
    struct waiter *next;
    dwb_jobs_done_fn *fn;
    void *userdata;
};

struct job {
    struct job *next, *previous;
    struct dwb_jobs *jobs;
    char id[DWB_JOB_ID_MAX];
    char name[DWB_NAME_MAX];
    uid_t uid;
    enum phase phase;
    struct dwb_event_log log;
    uint64_t progress_ns; /* when the last progress was told */
    dwb_jobs_done_fn *added;
    void *added_userdata;
    struct waiter *waiters;
    char cancel_reason[128];
};

struct turn { /* when a user's job was taken up last */
    uid_t uid;
    uint64_t turn;
};

struct dwb_jobs {
    struct dwb_jobs_options options;
    struct dwb_supervisor *supervisor;
    dwb_jobs_result_fn *on_result;
    void *userdata;
    struct job *first, *last;
    struct job *running;
    struct turn *turns;
    size_t n_turns;
    uint64_t turn;
    bool started, draining;
    void (*drained)(void *);
    void *drained_userdata;
};

/* ---- the list ---- */

static struct job *find(const struct dwb_jobs *jobs, const char *id)
{
    for (struct job *job = jobs->first; job; job = job->next)
        if (job->phase != ADDING && strcmp(job->id, id) == 0)
            return job;
    return NULL;
}

static struct job *append(struct dwb_jobs *jobs, const char *id, const char *name, uid_t uid)
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job)
        return NULL;
    snprintf(job->id, sizeof(job->id), "%s", id);
    snprintf(job->name, sizeof(job->name), "%s", name);
    job->jobs = jobs;
    job->uid = uid;
    job->previous = jobs->last;
    if (jobs->last)
        jobs->last->next = job;
    else
        jobs->first = job;
    jobs->last = job;
    return job;
}

static void tell_waiters(struct job *job, int result)
{
    while (job->waiters) {
        struct waiter *waiter = job->waiters;
        job->waiters = waiter->next;
        waiter->fn(result, job->id, waiter->userdata);
        free(waiter);
    }
}

static void leave(struct job *job)
{
    struct dwb_jobs *jobs = job->jobs;

    if (job->previous)
        job->previous->next = job->next;
    else
        jobs->first = job->next;
    if (job->next)
        job->next->previous = job->previous;
    else
        jobs->last = job->previous;
    if (jobs->running == job)
        jobs->running = NULL;
    dwb_event_log_deinit(&job->log);
    free(job);
}

static size_t count(const struct dwb_jobs *jobs, const uid_t *uid)
{
    size_t n = 0;

    for (const struct job *job = jobs->first; job; job = job->next)
        n += (job->phase == QUEUED || job->phase == ADDING) && (!uid || job->uid == *uid);
    return n;
}

/* ---- whose turn it is ---- */

static struct turn *turn_of(struct dwb_jobs *jobs, uid_t uid)
{
    for (size_t i = 0; i < jobs->n_turns; i++)
        if (jobs->turns[i].uid == uid)
            return &jobs->turns[i];
    struct turn *turns = reallocarray(jobs->turns, jobs->n_turns + 1, sizeof(*turns));
    if (!turns)
        return NULL;
    jobs->turns = turns;
    turns[jobs->n_turns] = (struct turn){uid, 0};
    return &turns[jobs->n_turns++];
}

static uint64_t last_turn(const struct dwb_jobs *jobs, uid_t uid)
{
    for (size_t i = 0; i < jobs->n_turns; i++)
        if (jobs->turns[i].uid == uid)
            return jobs->turns[i].turn;
    return 0;
}

/* The oldest job of the user who has waited longest since a job of theirs was taken up. */
static struct job *pick(const struct dwb_jobs *jobs)
{
    struct job *picked = NULL;

    for (struct job *job = jobs->first; job; job = job->next)
        if (job->phase == QUEUED &&
            (!picked || last_turn(jobs, job->uid) < last_turn(jobs, picked->uid)))
            picked = job;
    return picked;
}

/* Queued jobs of a user that are older than `job`, or all of them when it is NULL. */
static size_t count_older(const struct dwb_jobs *jobs, uid_t uid, const struct job *job)
{
    size_t n = 0;

    for (const struct job *other = jobs->first; other && other != job; other = other->next)
        n += other->phase == QUEUED && other->uid == uid;
    return n;
}

/* Its place in the order of `pick` if nobody comes or goes, from 1: behind the older ones of the
 * same user, and behind as many of every other user (one more when that user's turn is earlier). */
static size_t position(const struct dwb_jobs *jobs, const struct job *job)
{
    size_t n_mine = count_older(jobs, job->uid, job);
    uint64_t my_turn = last_turn(jobs, job->uid);
    size_t n = n_mine + 1;

    for (size_t i = 0; i < jobs->n_turns; i++) {
        const struct turn *other = &jobs->turns[i];
        if (other->uid == job->uid)
            continue;
        size_t n_theirs = count_older(jobs, other->uid, NULL);
        size_t n_before = n_mine + (other->turn < my_turn);
        if (other->turn == my_turn && count_older(jobs, other->uid, job) > n_mine)
            n_before++; /* neither had a turn yet: the older job goes first */
        n += n_theirs < n_before ? n_theirs : n_before;
    }
    return n;
}

/* ---- taking up ---- */

struct copied_row {
    struct dwb_job_row row;
    char *spec;
};

static int copy_row(const struct dwb_job_row *row, void *userdata)
{
    struct copied_row *copied = userdata;

    copied->row = *row;
    copied->spec = strdup(row->spec);
    return copied->spec ? 0 : -ENOMEM;
}

static void take_next(struct dwb_jobs *jobs);

static void on_refused_stored(int status, void *userdata)
{
    struct job *job = userdata;
    struct dwb_jobs *jobs = job->jobs;

    if (status < 0) {
        dwb_loop_stop(jobs->options.supervisor.loop);
        return;
    }
    dwb_event_log_add(
        &job->log, dwb_event_done(job->id, dwb_clock_real_ns(), DWB_JOB_FAILED, job->cancel_reason),
        true);
    tell_waiters(job, DWB_JOBS_E_FINISHED);
    leave(job);
    take_next(jobs);
}

/* A job that cannot be taken up, such as one whose document this version does not know. */
static void refuse(struct job *job, int r)
{
    snprintf(job->cancel_reason, sizeof(job->cancel_reason), "cannot be taken up: %s",
             strerror(-r));
    job->phase = CANCELLING;
    r = dwb_persist_state(job->jobs->options.supervisor.persist, job->id, DWB_JOB_FAILED,
                          job->cancel_reason, NULL, on_refused_stored, job);
    if (r < 0)
        dwb_loop_stop(job->jobs->options.supervisor.loop);
}

static void take_next(struct dwb_jobs *jobs)
{
    struct copied_row copied = {0};
    struct turn *turn;

    if (!jobs->started || jobs->draining || dwb_supervisor_busy(jobs->supervisor))
        return;
    struct job *job = pick(jobs);
    if (!job)
        return;
    turn = turn_of(jobs, job->uid);
    if (turn)
        turn->turn = ++jobs->turn;
    int r = dwb_store_get_job(jobs->options.supervisor.store, job->id, copy_row, &copied);
    if (r == 0) {
        copied.row.id = job->id; /* the row's own strings are gone */
        copied.row.name = job->name;
        copied.row.spec = copied.spec;
        r = dwb_supervisor_start(jobs->supervisor, &copied.row);
    }
    free(copied.spec);
    if (r < 0) {
        refuse(job, r);
        return;
    }
    job->phase = RUNNING;
    jobs->running = job;
}

/* ---- what the supervisor says ---- */

static void on_started(void *userdata)
{
    struct dwb_jobs *jobs = userdata;
    struct job *job = jobs->running;
    struct dwb_schedule_totals totals;
    json_t *event = dwb_event_new("started", job->id, dwb_clock_real_ns());

    dwb_supervisor_totals(jobs->supervisor, &totals);
    json_object_set_new(event, "name", json_string(job->name));
    json_object_set_new(event, "layers", json_integer(totals.layers));
    json_object_set_new(event, "replicates_min", json_integer((json_int_t)totals.replicates_min));
    json_object_set_new(event, "replicates_max", json_integer((json_int_t)totals.replicates_max));
    dwb_event_log_add(&job->log, event, true);
    dwb_log(DWB_LOG_INFO, "job %s: started", job->id);
}

static void add_replicate(struct dwb_jobs *jobs, const struct dwb_supervisor_replicate *replicate,
                          uint64_t at_ns)
{
    struct job *job = jobs->running;
    struct dwb_schedule_totals totals;

    dwb_supervisor_totals(jobs->supervisor, &totals);
    struct dwb_event_replicate event = {
        .layer = replicate->layer->name,
        .layer_index = replicate->layer_index,
        .replicate = replicate->replicate,
        .ok = replicate->ok,
        .reason = replicate->reason,
        .replicates_done = totals.replicates_done,
        .fraction = totals.fraction,
        .half_width = replicate->half_width,
    };
    dwb_event_log_add(&job->log, dwb_event_replicate(job->id, at_ns, &event), replicate->ok);
}

static void on_known(const struct dwb_supervisor_replicate *replicate, void *userdata)
{
    add_replicate(userdata, replicate, 0);
}

static void on_replicate(const struct dwb_supervisor_replicate *replicate, void *userdata)
{
    add_replicate(userdata, replicate, dwb_clock_real_ns());
}

static void on_progress(const struct dwb_supervisor_progress *progress, void *userdata)
{
    struct dwb_jobs *jobs = userdata;
    struct job *job = jobs->running;
    struct dwb_schedule_totals totals;
    uint64_t now_ns = dwb_clock_monotonic_ns();

    /* The steps of a simulation are few, and each is told, even right after a measured sample. */
    if (!job->log.sinks ||
        (!progress->simulating && now_ns - job->progress_ns < PROGRESS_PERIOD_NS))
        return;
    job->progress_ns = now_ns;
    dwb_supervisor_totals(jobs->supervisor, &totals);
    json_t *event = dwb_event_progress(job->id, dwb_clock_real_ns(), progress, totals.fraction);
    dwb_event_log_add(&job->log, event, false);
}

static void back_to_queue(struct dwb_jobs *jobs, struct job *job)
{
    job->phase = QUEUED;
    jobs->running = NULL;
    dwb_event_log_add(&job->log,
                      dwb_event_queued(job->id, dwb_clock_real_ns(), position(jobs, job)), true);
    tell_waiters(job, DWB_JOBS_E_DRAINING);
    dwb_event_log_end(&job->log);
}

static void on_ended(enum dwb_job_state state, const char *reason, const json_t *document,
                     void *userdata)
{
    struct dwb_jobs *jobs = userdata;
    struct job *job = jobs->running;
    uint64_t now_ns = dwb_clock_real_ns();

    dwb_log(DWB_LOG_INFO, "job %s: %s%s%s", job->id, dwb_job_state_name(state),
            reason[0] ? ": " : "", reason);
    if (state == DWB_JOB_QUEUED) {
        back_to_queue(jobs, job);
    } else {
        job->phase = CANCELLING; /* the supervisor has let go of it: no totals for the waiters */
        if (state == DWB_JOB_DONE)
            dwb_event_log_add(&job->log, dwb_event_result(job->id, now_ns), true);
        dwb_event_log_add(&job->log, dwb_event_done(job->id, now_ns, state, reason), true);
        tell_waiters(job, state == DWB_JOB_CANCELLED ? 0 : DWB_JOBS_E_FINISHED);
        leave(job);
    }
    if (state == DWB_JOB_DONE && jobs->on_result)
        jobs->on_result(document, jobs->userdata);
    if (jobs->drained)
        jobs->drained(jobs->drained_userdata);
    take_next(jobs);
}

/* ---- submitting ---- */

static void enqueue(struct job *job, uint64_t at_ns)
{
    job->phase = QUEUED;
    turn_of(job->jobs, job->uid); /* without memory for it, positions of others are off */
    dwb_event_log_add(&job->log, dwb_event_queued(job->id, at_ns, position(job->jobs, job)), true);
}

static void on_added(int status, void *userdata)
{
    struct job *job = userdata;
    struct dwb_jobs *jobs = job->jobs;
    dwb_jobs_done_fn *fn = job->added;
    void *fn_userdata = job->added_userdata;

    if (status < 0) {
        leave(job);
        fn(status, NULL, fn_userdata);
        return;
    }
    enqueue(job, dwb_clock_real_ns());
    dwb_log(DWB_LOG_INFO, "job %s: queued by uid %u", job->id, (unsigned)job->uid);
    fn(0, job->id, fn_userdata);
    take_next(jobs);
}

int dwb_jobs_submit(struct dwb_jobs *jobs, const struct dwb_jobs_submission *submission,
                    dwb_jobs_done_fn *fn, void *userdata)
{
    char id[DWB_JOBID_LENGTH + 1];

    if (jobs->draining)
        return DWB_JOBS_E_DRAINING;
    if (count(jobs, &submission->uid) >= jobs->options.queued_jobs_per_uid)
        return DWB_JOBS_E_QUOTA;
    if (count(jobs, NULL) >= jobs->options.queued_jobs_total)
        return DWB_JOBS_E_FULL;
    int r = dwb_jobid_new(id);
    if (r < 0)
        return r;
    struct job *job = append(jobs, id, submission->name, submission->uid);
    if (!job)
        return -ENOMEM;
    job->added = fn;
    job->added_userdata = userdata;
    struct dwb_job_row row = {
        .id = job->id,
        .state = DWB_JOB_QUEUED,
        .uid = submission->uid,
        .idempotency_key = submission->idempotency_key,
        .name = submission->name,
        .spec = submission->spec,
        .reason = "",
        .created_ns = dwb_clock_real_ns(),
    };
    r = dwb_store_add_job(jobs->options.supervisor.store, &row, on_added, job);
    if (r < 0)
        leave(job);
    return r;
}

/* ---- cancelling ---- */

static void on_cancel_stored(int status, void *userdata)
{
    struct job *job = userdata;

    if (status < 0) {
        dwb_loop_stop(job->jobs->options.supervisor.loop);
        return;
    }
    dwb_log(DWB_LOG_INFO, "job %s: cancelled", job->id);
    dwb_event_log_add(
        &job->log,
        dwb_event_done(job->id, dwb_clock_real_ns(), DWB_JOB_CANCELLED, job->cancel_reason), true);
    tell_waiters(job, 0);
    leave(job);
}

int dwb_jobs_cancel(struct dwb_jobs *jobs, const char *id, const char *reason, dwb_jobs_done_fn *fn,
                    void *userdata)
{
    struct job *job = find(jobs, id);
    dwb_cleanup_free struct waiter *waiter = calloc(1, sizeof(*waiter));

    if (!job)
        return -ENOENT;
    if (!waiter)
        return -ENOMEM;
    if (job->phase == QUEUED) {
        snprintf(job->cancel_reason, sizeof(job->cancel_reason), "%s", reason);
        int r = dwb_persist_state(jobs->options.supervisor.persist, job->id, DWB_JOB_CANCELLED,
                                  reason, NULL, on_cancel_stored, job);
        if (r < 0)
            return r;
        job->phase = CANCELLING;
    } else if (job->phase == RUNNING) {
        dwb_supervisor_cancel(jobs->supervisor, reason);
    }
    *waiter = (struct waiter){job->waiters, fn, userdata};
    job->waiters = dwb_steal(waiter);
    return 0;
}

/* ---- the rest ---- */

int dwb_jobs_listen(struct dwb_jobs *jobs, const char *id, struct dwb_event_sink *sink)
{
    struct job *job = find(jobs, id);

    if (!job)
        return -ENOENT;
    return dwb_event_log_attach(&job->log, sink);
}

int dwb_jobs_status(const struct dwb_jobs *jobs, const char *id, struct dwb_jobs_status *ret_status)
{
    const struct job *job = find(jobs, id);
    struct dwb_jobs_status status = {0};

    if (!job)
        return -ENOENT;
    status.running = job->phase == RUNNING;
    if (job->phase == QUEUED)
        status.position = position(jobs, job);
    if (status.running)
        dwb_supervisor_totals(jobs->supervisor, &status.totals);
    *ret_status = status;
    return 0;
}

size_t dwb_jobs_depth(const struct dwb_jobs *jobs)
{
    return count(jobs, NULL);
}

const char *dwb_jobs_running(const struct dwb_jobs *jobs)
{
    return jobs->running ? jobs->running->id : NULL;
}

static void on_requeued(int status, void *userdata)
{
    struct dwb_jobs *jobs = userdata;

    if (status < 0)
        dwb_loop_stop(jobs->options.supervisor.loop);
}

static int recover(const struct dwb_job_row *row, void *userdata)
{
    struct dwb_jobs *jobs = userdata;
    struct job *job = append(jobs, row->id, row->name, row->uid);

    if (!job)
        return -ENOMEM;
    enqueue(job, row->created_ns);
    if (row->state != DWB_JOB_RUNNING)
        return 0;
    dwb_log(DWB_LOG_INFO, "job %s: was running, is queued again", row->id);
    return dwb_persist_state(jobs->options.supervisor.persist, job->id, DWB_JOB_QUEUED, "", NULL,
                             on_requeued, jobs);
}

int dwb_jobs_start(struct dwb_jobs *jobs)
{
    jobs->started = true;
    take_next(jobs);
    return 0;
}

void dwb_jobs_drain(struct dwb_jobs *jobs, uint64_t patience_ns, void (*fn)(void *), void *userdata)
{
    jobs->draining = true;
    jobs->drained = fn;
    jobs->drained_userdata = userdata;
    dwb_supervisor_drain(jobs->supervisor, patience_ns);
    if (!dwb_supervisor_busy(jobs->supervisor))
        fn(userdata);
}

int dwb_jobs_new(const struct dwb_jobs_options *options, dwb_jobs_result_fn *on_result,
                 void *userdata, struct dwb_jobs **ret_jobs)
{
    struct dwb_jobs *jobs = calloc(1, sizeof(*jobs));
    struct dwb_supervisor_hooks hooks = {
        .started = on_started,
        .known = on_known,
        .progress = on_progress,
        .replicate = on_replicate,
        .ended = on_ended,
        .userdata = jobs,
    };

    if (!jobs)
        return -ENOMEM;
    jobs->options = *options;
    jobs->on_result = on_result;
    jobs->userdata = userdata;
    int r = dwb_supervisor_new(&options->supervisor, &hooks, &jobs->supervisor);
    if (r == 0)
        r = dwb_store_pending_jobs(options->supervisor.store, recover, jobs);
    if (r < 0) {
        dwb_jobs_free(jobs);
        return r;
    }
    *ret_jobs = jobs;
    return 0;
}

void dwb_jobs_free(struct dwb_jobs *jobs)
{
    if (!jobs)
        return;
    dwb_supervisor_free(jobs->supervisor);
    while (jobs->first) {
        tell_waiters(jobs->first, DWB_JOBS_E_DRAINING);
        leave(jobs->first);
    }
    free(jobs->turns);
    free(jobs);
}
