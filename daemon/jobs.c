#include "daemon/jobs_private.h"

/* See jobs.h and jobs_private.h. */

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/clock.h"
#include "daemon/jobid.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_PERIOD_NS UINT64_C(100000000)

/* ---- the list ---- */

static struct dwb_job *find(const struct dwb_jobs *jobs, const char *id)
{
    for (struct dwb_job *job = jobs->first; job; job = job->next)
        if (job->phase != DWB_JOB_IS_ADDING && strcmp(job->id, id) == 0)
            return job;
    return NULL;
}

static struct dwb_job *append(struct dwb_jobs *jobs, const char *id, const char *name, uid_t uid)
{
    struct dwb_job *job = calloc(1, sizeof(*job));

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

static void tell_waiters(struct dwb_job *job, int result)
{
    while (job->waiters) {
        struct dwb_job_waiter *waiter = job->waiters;
        job->waiters = waiter->next;
        waiter->fn(result, job->id, waiter->userdata);
        free(waiter);
    }
}

static void leave(struct dwb_job *job)
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

    for (const struct dwb_job *job = jobs->first; job; job = job->next)
        n += (job->phase == DWB_JOB_IS_QUEUED || job->phase == DWB_JOB_IS_ADDING) &&
             (!uid || job->uid == *uid);
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
    struct dwb_job *job = userdata;
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

/* A job that cannot be taken up: its document is not known to this version, or a shortage lasts. */
static void refuse(struct dwb_job *job, int r)
{
    snprintf(job->cancel_reason, sizeof(job->cancel_reason), "cannot be taken up: %s",
             strerror(-r));
    job->phase = DWB_JOB_IS_CANCELLING;
    r = dwb_persist_state(job->jobs->options.supervisor.persist, job->id, DWB_JOB_FAILED,
                          job->cancel_reason, NULL, on_refused_stored, job);
    if (r < 0)
        dwb_loop_stop(job->jobs->options.supervisor.loop);
}

/* It stays where it is for a while, and what is behind it too: they would meet the same shortage.
 */
static void put_off(struct dwb_job *job, int r)
{
    bool is_new = job->shortage.since_ns == 0;
    uint64_t wait_ns;

    if (!dwb_shortage_wait(&job->shortage, r, dwb_clock_monotonic_ns(), &wait_ns)) {
        refuse(job, r);
        return;
    }
    if (is_new)
        dwb_log(DWB_LOG_WARNING, "job %s: cannot be taken up now: %s; trying again", job->id,
                strerror(-r));
    dwb_loop_set_timer(job->jobs->retry_timer, wait_ns, 0);
}

static int take_up(struct dwb_job *job)
{
    struct dwb_jobs *jobs = job->jobs;
    struct copied_row copied = {0};

    int r = dwb_store_get_job(jobs->options.supervisor.store, job->id, copy_row, &copied);
    if (r == 0) {
        copied.row.id = job->id; /* the row's own strings are gone */
        copied.row.name = job->name;
        copied.row.spec = copied.spec;
        r = dwb_supervisor_start(jobs->supervisor, &copied.row);
    }
    free(copied.spec);
    return r;
}

static void take_next(struct dwb_jobs *jobs)
{
    struct dwb_job_turn *turn;

    if (!jobs->started || jobs->draining || dwb_supervisor_busy(jobs->supervisor))
        return;
    struct dwb_job *job = dwb_jobs_pick(jobs);
    if (!job)
        return;
    int r = take_up(job);
    if (r < 0) {
        put_off(job, r);
        return;
    }
    turn = dwb_jobs_turn_of(jobs, job->uid);
    if (turn)
        turn->turn = ++jobs->turn;
    job->phase = DWB_JOB_IS_RUNNING;
    jobs->running = job;
}

static int on_retry(struct dwb_loop_source *source, uint64_t n_expired, void *userdata)
{
    (void)source;
    (void)n_expired;
    take_next(userdata);
    return 0;
}

/* ---- what the supervisor says ---- */

static void on_started(void *userdata)
{
    struct dwb_jobs *jobs = userdata;
    struct dwb_job *job = jobs->running;
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
    struct dwb_job *job = jobs->running;
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
    struct dwb_job *job = jobs->running;
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

static void back_to_queue(struct dwb_jobs *jobs, struct dwb_job *job)
{
    job->phase = DWB_JOB_IS_QUEUED;
    jobs->running = NULL;
    dwb_event_log_add(&job->log,
                      dwb_event_queued(job->id, dwb_clock_real_ns(), dwb_jobs_position(jobs, job)),
                      true);
    tell_waiters(job, DWB_JOBS_E_DRAINING);
    dwb_event_log_end(&job->log);
}

static void on_ended(enum dwb_job_state state, const char *reason, const json_t *document,
                     void *userdata)
{
    struct dwb_jobs *jobs = userdata;
    struct dwb_job *job = jobs->running;
    uint64_t now_ns = dwb_clock_real_ns();

    dwb_log(DWB_LOG_INFO, "job %s: %s%s%s", job->id, dwb_job_state_name(state),
            reason[0] ? ": " : "", reason);
    if (state == DWB_JOB_QUEUED) {
        back_to_queue(jobs, job);
    } else {
        job->phase =
            DWB_JOB_IS_CANCELLING; /* the supervisor has let go of it: no totals for the waiters */
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

static void enqueue(struct dwb_job *job, uint64_t at_ns)
{
    job->phase = DWB_JOB_IS_QUEUED;
    dwb_jobs_turn_of(job->jobs, job->uid); /* without memory for it, positions of others are off */
    dwb_event_log_add(&job->log,
                      dwb_event_queued(job->id, at_ns, dwb_jobs_position(job->jobs, job)), true);
}

static void on_added(int status, void *userdata)
{
    struct dwb_job *job = userdata;
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
    struct dwb_job *job = append(jobs, id, submission->name, submission->uid);
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
    struct dwb_job *job = userdata;

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
    struct dwb_job *job = find(jobs, id);
    dwb_cleanup_free struct dwb_job_waiter *waiter = calloc(1, sizeof(*waiter));

    if (!job)
        return -ENOENT;
    if (!waiter)
        return -ENOMEM;
    if (job->phase == DWB_JOB_IS_QUEUED) {
        snprintf(job->cancel_reason, sizeof(job->cancel_reason), "%s", reason);
        int r = dwb_persist_state(jobs->options.supervisor.persist, job->id, DWB_JOB_CANCELLED,
                                  reason, NULL, on_cancel_stored, job);
        if (r < 0)
            return r;
        job->phase = DWB_JOB_IS_CANCELLING;
    } else if (job->phase == DWB_JOB_IS_RUNNING) {
        dwb_supervisor_cancel(jobs->supervisor, reason);
    }
    *waiter = (struct dwb_job_waiter){job->waiters, fn, userdata};
    job->waiters = dwb_steal(waiter);
    return 0;
}

/* ---- the rest ---- */

int dwb_jobs_listen(struct dwb_jobs *jobs, const char *id, struct dwb_event_sink *sink)
{
    struct dwb_job *job = find(jobs, id);

    if (!job)
        return -ENOENT;
    return dwb_event_log_attach(&job->log, sink);
}

int dwb_jobs_status(const struct dwb_jobs *jobs, const char *id, struct dwb_jobs_status *ret_status)
{
    const struct dwb_job *job = find(jobs, id);
    struct dwb_jobs_status status = {0};

    if (!job)
        return -ENOENT;
    status.running = job->phase == DWB_JOB_IS_RUNNING;
    if (job->phase == DWB_JOB_IS_QUEUED)
        status.position = dwb_jobs_position(jobs, job);
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
    struct dwb_job *job = append(jobs, row->id, row->name, row->uid);

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
    int r = dwb_loop_add_timer(options->supervisor.loop, DWB_SHORTAGE_WAIT_NS_MIN, 0, on_retry,
                               jobs, &jobs->retry_timer);
    if (r == 0)
        r = dwb_supervisor_new(&options->supervisor, &hooks, &jobs->supervisor);
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
    dwb_loop_remove(jobs->retry_timer);
    dwb_supervisor_free(jobs->supervisor);
    while (jobs->first) {
        tell_waiters(jobs->first, DWB_JOBS_E_DRAINING);
        leave(jobs->first);
    }
    free(jobs->turns);
    free(jobs);
}
