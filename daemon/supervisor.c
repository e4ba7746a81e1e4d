#include "daemon/supervisor.h"

/*
 * See supervisor.h. Exactly one of these is under way while a job is at hand: a worker, a write to
 * the store, the analysis, or the timer that takes the next step. So every step ends by starting
 * one of them, and a cancel or drain has one place to look at: on_step.
 */

#include "analysis/gate.h"
#include "analysis/result.h"
#include "common/cleanup.h"
#include "common/json_memory.h"
#include "common/log.h"
#include "daemon/analyst.h"
#include "daemon/clock.h"
#include "daemon/estimate.h"
#include "daemon/records.h"
#include "daemon/shortage.h"
#include "daemon/worker_request.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NOW_NS        1
#define RETRY_WAIT_NS UINT64_C(50000000)

struct run { /* the job at hand */
    char id[DWB_JOB_ID_MAX];
    struct dwb_spec *spec;
    struct dwb_schedule *schedule;
    struct dwb_records *records;
    json_t *job; /* members of the result's `job` */
    uint64_t start_ns;
    json_int_t measured_ns, kernel_ns; /* to the end of the last replicate, and of those since */
    int n_measured;                    /* then: not of those that were found in the store */
    uint32_t layer, replicate;         /* of the worker that runs */
    struct dwb_record *record;         /* that is being stored, or is, and not yet in `records` */
    struct dwb_shortage shortage;      /* since the last step that was whole */
    enum dwb_job_state end_state;
    char end_reason[768];
    json_t *document;
};

struct dwb_supervisor {
    struct dwb_supervisor_options options;
    struct dwb_supervisor_hooks hooks;
    struct dwb_loop_source *step_timer;
    struct dwb_loop_source *drain_timer;
    struct dwb_worker *worker;
    struct dwb_analyst *analyst;
    struct run *run;
    bool draining;
    bool cancelled;
    bool writing; /* to the store */
    bool ending;  /* that write is the final state */
    char cancel_reason[128];
};

static void free_run(struct run *run)
{
    if (!run)
        return;
    dwb_spec_free(run->spec);
    dwb_schedule_free(run->schedule);
    dwb_records_free(run->records);
    dwb_record_free(run->record);
    json_decref(run->job);
    json_decref(run->document);
    free(run);
}

static void free_runp(struct run **run)
{
    free_run(*run);
}

/* A write that cannot even be queued: nothing may be acknowledged any more. A restart recovers. */
static void give_up(struct dwb_supervisor *supervisor, int r)
{
    dwb_log(DWB_LOG_ERROR, "job %s: cannot be written: %s", supervisor->run->id, strerror(-r));
    dwb_loop_stop(supervisor->options.loop);
}

static void on_end_stored(int status, void *userdata)
{
    struct dwb_supervisor *supervisor = userdata;
    struct run *run = supervisor->run;

    if (status < 0) {
        give_up(supervisor, status);
        return;
    }
    supervisor->run = NULL;
    supervisor->writing = supervisor->ending = supervisor->cancelled = false;
    supervisor->hooks.ended(run->end_state, run->end_reason, run->document,
                            supervisor->hooks.userdata);
    free_run(run);
}

static void end_with(struct dwb_supervisor *supervisor, enum dwb_job_state state,
                     const char *reason, const char *result)
{
    struct run *run = supervisor->run;

    supervisor->writing = supervisor->ending = true;
    run->end_state = state;
    snprintf(run->end_reason, sizeof(run->end_reason), "%s", reason);
    int r = dwb_persist_state(supervisor->options.persist, run->id, state, run->end_reason, result,
                              on_end_stored, supervisor);
    if (r < 0)
        give_up(supervisor, r);
}

static void __attribute__((format(printf, 2, 3)))
fail(struct dwb_supervisor *supervisor, const char *format, ...)
{
    char reason[768];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    end_with(supervisor, DWB_JOB_FAILED, reason, NULL);
}

static void next_step(struct dwb_supervisor *supervisor, uint64_t delay_ns)
{
    dwb_loop_set_timer(supervisor->step_timer, delay_ns, 0);
}

/* The same step again, later, unless r will not pass. */
static void step_failed(struct dwb_supervisor *supervisor, int r, const char *what)
{
    struct run *run = supervisor->run;
    bool is_new = run->shortage.since_ns == 0;
    uint64_t wait_ns;

    if (!dwb_shortage_wait(&run->shortage, r, dwb_clock_monotonic_ns(), &wait_ns)) {
        fail(supervisor, "%s: %s", what, strerror(-r));
        return;
    }
    if (is_new)
        dwb_log(DWB_LOG_WARNING, "job %s: %s: %s; trying again", run->id, what, strerror(-r));
    next_step(supervisor, wait_ns);
}

/* ---- the records become the result ---- */

static void on_analysed(int r, const json_t *document, const char *text, void *userdata)
{
    struct dwb_supervisor *supervisor = userdata;

    supervisor->analyst = NULL;
    if (supervisor->cancelled) {
        end_with(supervisor, DWB_JOB_CANCELLED, supervisor->cancel_reason, NULL);
        return;
    }
    if (r < 0) {
        step_failed(supervisor, r, "the analysis failed");
        return;
    }
    supervisor->run->document = json_incref((json_t *)document);
    end_with(supervisor, DWB_JOB_DONE, "", text);
}

static void analyse(struct dwb_supervisor *supervisor)
{
    struct run *run = supervisor->run;
    const uint32_t *layer_of;
    size_t n;
    int r = -ENOMEM;

    struct dwb_record *const *records = dwb_records_all(run->records, &layer_of, &n);
    dwb_json_memory_begin();
    json_t *job = json_copy(run->job);
    json_object_set_new(job, "finished_at", dwb_clock_to_json(dwb_clock_real_ns()));
    json_t *clock = json_pack("{s:I, s:I, s:i}", "wall_ns", run->measured_ns, "kernel_ns",
                              run->kernel_ns, "replicates", run->n_measured);
    json_object_set_new(job, "measuring", clock);
    if (!records || dwb_json_memory_was_short())
        json_decref(job);
    else
        r = dwb_analyst_start(supervisor->options.loop, run->spec, job, records, layer_of, n,
                              on_analysed, supervisor, &supervisor->analyst);
    if (r < 0)
        step_failed(supervisor, r, "the analysis cannot be started");
}

/* ---- replicates ---- */

/* Stops the layer when its interval is narrow enough; returns the half-width. */
static double judge_precision(struct run *run, uint32_t layer)
{
    struct dwb_progress progress;
    size_t n;

    if (dwb_schedule_count(run->schedule, layer) < dwb_spec_processes(run->spec))
        return INFINITY;
    struct dwb_record *const *records = dwb_records_of_layer(run->records, layer, &n);
    if (!records || dwb_result_progress(run->spec, records, n, &progress) < 0)
        return INFINITY;
    if (progress.half_width <= run->spec->options.precision)
        dwb_schedule_settle(run->schedule, layer);
    return progress.half_width;
}

static void tell_replicate(struct dwb_supervisor *supervisor, bool ok, const char *reason,
                           double half_width)
{
    const struct run *run = supervisor->run;
    struct dwb_supervisor_replicate replicate = {
        &run->spec->layers[run->layer], run->layer, run->replicate, ok, reason, half_width};

    supervisor->hooks.replicate(&replicate, supervisor->hooks.userdata);
}

/* A record that is in the store counts. */
static void keep_record(struct dwb_supervisor *supervisor)
{
    struct run *run = supervisor->run;

    int r = dwb_records_add(run->records, run->layer, run->record);
    if (r < 0) {
        step_failed(supervisor, r, "a record cannot be kept");
        return;
    }
    run->shortage = (struct dwb_shortage){0};
    run->kernel_ns += (json_int_t)run->record->kernel_ns;
    run->n_measured++;
    run->record = NULL;
    dwb_schedule_have(run->schedule, run->layer, run->replicate);
    dwb_metrics_count_replicate(supervisor->options.metrics);
    tell_replicate(supervisor, true, "", judge_precision(run, run->layer));
    run->measured_ns = (json_int_t)(dwb_clock_monotonic_ns() - run->start_ns);
    next_step(supervisor, NOW_NS);
}

static void on_replicate_stored(int status, void *userdata)
{
    struct dwb_supervisor *supervisor = userdata;

    supervisor->writing = false;
    if (status < 0 && status != -EEXIST)
        give_up(supervisor, status);
    else
        keep_record(supervisor);
}

static void replicate_failed(struct dwb_supervisor *supervisor, const struct dwb_worker_end *end)
{
    struct run *run = supervisor->run;
    const char *name = run->spec->layers[run->layer].name;

    dwb_metrics_count_failure(supervisor->options.metrics, end->outcome);
    dwb_log(DWB_LOG_WARNING, "job %s: layer %s: replicate %u: %s", run->id, name, run->replicate,
            end->reason);
    uint32_t n = dwb_schedule_failed(run->schedule, run->layer, run->replicate);
    tell_replicate(supervisor, false, end->reason, INFINITY);
    if (end->outcome == DWB_WORKER_WRONG_OUTPUTS || end->outcome == DWB_WORKER_BAD_REQUEST)
        fail(supervisor, "layer %s: %s", name, end->reason);
    else if (n >= supervisor->options.worker_failures)
        fail(supervisor, "layer %s: %u replicates failed, the last: %s", name, n, end->reason);
    else
        next_step(supervisor, RETRY_WAIT_NS);
}

static void store_record(struct dwb_supervisor *supervisor, const char *line)
{
    const struct run *run = supervisor->run;

    supervisor->writing = true;
    int r = dwb_persist_replicate(supervisor->options.persist, run->id, run->layer, run->replicate,
                                  line, on_replicate_stored, supervisor);
    if (r < 0)
        give_up(supervisor, r);
}

static void on_worker_end(struct dwb_worker_end *end, void *userdata)
{
    struct dwb_supervisor *supervisor = userdata;
    struct run *run = supervisor->run;

    supervisor->worker = NULL;
    if (supervisor->cancelled) {
        end_with(supervisor, DWB_JOB_CANCELLED, supervisor->cancel_reason, NULL);
        return;
    }
    if (end->outcome == DWB_WORKER_KILLED) {
        end_with(supervisor, DWB_JOB_QUEUED, "", NULL);
        return;
    }
    if (end->outcome == DWB_WORKER_OK)
        dwb_records_check(end, &run->spec->layers[run->layer], run->replicate, &run->record);
    if (end->outcome == DWB_WORKER_OK)
        store_record(supervisor, end->line);
    else if (dwb_shortage_is(end->shortage))
        step_failed(supervisor, end->shortage, end->reason);
    else
        replicate_failed(supervisor, end);
}

static void on_worker_progress(const json_t *line, void *userdata)
{
    const struct dwb_supervisor *supervisor = userdata;
    const struct run *run = supervisor->run;
    json_int_t done_ns = json_integer_value(json_object_get(line, "done_ns"));
    json_int_t slice_ns = json_integer_value(json_object_get(line, "slice_ns"));

    if (done_ns < 0 || slice_ns <= 0)
        return;
    const char *simulating = json_string_value(json_object_get(line, "simulating"));
    const char *backend = json_string_value(json_object_get(line, "backend"));
    json_int_t step = json_integer_value(json_object_get(line, "step"));
    json_int_t n_steps = json_integer_value(json_object_get(line, "steps"));
    struct dwb_supervisor_progress progress = {
        .layer = &run->spec->layers[run->layer],
        .layer_index = run->layer,
        .replicate = run->replicate,
        .done_ns = (uint64_t)(done_ns < slice_ns ? done_ns : slice_ns),
        .slice_ns = (uint64_t)slice_ns,
        .simulating =
            backend && step > 0 && step <= UINT32_MAX && n_steps >= step && n_steps <= UINT32_MAX
                ? simulating
                : NULL,
        .backend = backend,
        .step = (uint32_t)step,
        .n_steps = (uint32_t)n_steps,
    };
    supervisor->hooks.progress(&progress, supervisor->hooks.userdata);
}

static const char *program_of(const struct dwb_supervisor *supervisor)
{
    const struct dwb_supervisor_options *options = &supervisor->options;
    const struct run *run = supervisor->run;

    if (!dwb_spec_compares_workers(run->spec))
        return options->worker;
    const struct dwb_side *side =
        dwb_gate_side_of(run->replicate) == 'a' ? &run->spec->options.a : &run->spec->options.b;
    return strcmp(side->name, "a") == 0 ? options->worker_a : options->worker_b;
}

static int start_worker(struct dwb_supervisor *supervisor)
{
    const struct dwb_supervisor_options *options = &supervisor->options;
    const struct run *run = supervisor->run;
    bool simulates = run->spec->options.simulate && /* once a layer: the first that is measured */
                     !dwb_records_have_simulation(run->records, run->layer);
    dwb_cleanup_free char *request =
        dwb_worker_request(run->spec, run->layer, run->replicate, simulates, options->measure_cpu,
                           options->plugin_dir);
    struct dwb_worker_options worker = {
        .program = program_of(supervisor),
        .record_type = "replicate",
        .request = request,
        .affinity = &options->affinity,
        .deadline_ns =
            dwb_estimate_deadline_ns(run->spec, run->layer, simulates, options->worker_deadline_ns),
        .memory_bytes_max = options->memory_bytes_max,
    };

    if (!request)
        return -ENOMEM;
    return dwb_worker_start(options->loop, &worker, on_worker_progress, on_worker_end, supervisor,
                            &supervisor->worker);
}

static void measure(struct dwb_supervisor *supervisor)
{
    struct dwb_worker_end end = {.outcome = DWB_WORKER_SPAWN};

    int r = start_worker(supervisor);
    if (r == 0)
        return;
    if (dwb_shortage_is(r)) {
        step_failed(supervisor, r, "a worker cannot be started");
        return;
    }
    snprintf(end.reason, sizeof(end.reason), "cannot be started: %s", strerror(-r));
    replicate_failed(supervisor, &end);
}

static int on_step(struct dwb_loop_source *source, uint64_t n_expired, void *userdata)
{
    struct dwb_supervisor *supervisor = userdata;
    struct run *run = supervisor->run;

    (void)source;
    (void)n_expired;
    if (!run || supervisor->worker || supervisor->analyst || supervisor->writing)
        return 0;
    if (supervisor->cancelled)
        end_with(supervisor, DWB_JOB_CANCELLED, supervisor->cancel_reason, NULL);
    else if (supervisor->draining)
        end_with(supervisor, DWB_JOB_QUEUED, "", NULL);
    else if (dwb_clock_monotonic_ns() - run->start_ns > supervisor->options.job_time_ns)
        fail(supervisor, "took longer than the limit of %g s",
             (double)supervisor->options.job_time_ns / 1e9);
    else if (run->record)
        keep_record(supervisor);
    else if (dwb_schedule_next(run->schedule, &run->layer, &run->replicate))
        measure(supervisor);
    else
        analyse(supervisor);
    return 0;
}

/* ---- a job is taken up ---- */

/* A record of the store that cannot be used is measured again under the next free number: the store
 * keeps what it has. */
static int on_known(uint32_t layer, uint32_t replicate, const char *line, void *userdata)
{
    struct run *run = userdata;
    struct dwb_worker_end end = {.outcome = DWB_WORKER_OK};
    DWB_CLEANUP(dwb_record_freep) struct dwb_record *record = NULL;

    if (layer >= run->spec->n_layers || dwb_schedule_have(run->schedule, layer, replicate) < 0)
        return 0;
    dwb_json_memory_begin();
    end.document = dwb_json_memory_load(line, strlen(line), 0, NULL);
    if (!end.document && dwb_json_memory_was_short())
        return -ENOMEM;
    dwb_records_check(&end, &run->spec->layers[layer], replicate, &record);
    json_decref(end.document);
    if (end.shortage < 0)
        return end.shortage;
    if (end.outcome != DWB_WORKER_OK) {
        dwb_log(DWB_LOG_WARNING, "job %s: stored replicate %u of layer %u: %s", run->id, replicate,
                layer, end.reason);
        return 0;
    }
    int r = dwb_records_add(run->records, layer, record);
    if (r == 0)
        record = NULL;
    return r;
}

static int load(struct dwb_supervisor *supervisor, const struct dwb_job_row *job, struct run *run)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();

    snprintf(run->id, sizeof(run->id), "%s", job->id);
    run->start_ns = dwb_clock_monotonic_ns();
    int r = diags ? dwb_spec_parse(job->spec, strlen(job->spec), diags, &run->spec) : -ENOMEM;
    if (r == 0)
        r = dwb_schedule_new(run->spec, &run->schedule);
    if (r == 0)
        r = dwb_records_new(run->spec->n_layers, &run->records);
    if (r < 0)
        return r;
    dwb_json_memory_begin();
    run->job = json_pack("{s:s, s:s, s:I, s:o, s:o}", "id", job->id, "name", job->name, "uid",
                         (json_int_t)job->uid, "created_at", dwb_clock_to_json(job->created_ns),
                         "started_at", dwb_clock_to_json(dwb_clock_real_ns()));
    if (!run->job || dwb_json_memory_was_short())
        return -ENOMEM;
    return dwb_store_list_replicates(supervisor->options.store, run->id, on_known, run);
}

static void tell_known(struct dwb_supervisor *supervisor)
{
    struct run *run = supervisor->run;

    for (uint32_t layer = 0; layer < run->spec->n_layers; layer++) {
        size_t n;
        struct dwb_record *const *records = dwb_records_of_layer(run->records, layer, &n);
        double half_width = judge_precision(run, layer);
        for (size_t i = 0; i < n; i++) {
            struct dwb_supervisor_replicate replicate = {.layer = &run->spec->layers[layer],
                                                         .layer_index = layer,
                                                         .replicate = records[i]->replicate,
                                                         .ok = true,
                                                         .reason = "",
                                                         .half_width = half_width};
            supervisor->hooks.known(&replicate, supervisor->hooks.userdata);
        }
    }
}

static void on_running_stored(int status, void *userdata)
{
    struct dwb_supervisor *supervisor = userdata;

    supervisor->writing = false;
    if (status < 0) {
        give_up(supervisor, status);
        return;
    }
    supervisor->hooks.started(supervisor->hooks.userdata);
    tell_known(supervisor);
    next_step(supervisor, NOW_NS);
}

int dwb_supervisor_start(struct dwb_supervisor *supervisor, const struct dwb_job_row *job)
{
    DWB_CLEANUP(free_runp) struct run *run = calloc(1, sizeof(*run));

    if (!run)
        return -ENOMEM;
    int r = load(supervisor, job, run);
    if (r == 0)
        r = dwb_persist_state(supervisor->options.persist, run->id, DWB_JOB_RUNNING, "", NULL,
                              on_running_stored, supervisor);
    if (r < 0)
        return r;
    supervisor->run = dwb_steal(run);
    supervisor->writing = true;
    supervisor->cancelled = supervisor->ending = false;
    return 0;
}

bool dwb_supervisor_busy(const struct dwb_supervisor *supervisor)
{
    return supervisor->run != NULL;
}

void dwb_supervisor_cancel(struct dwb_supervisor *supervisor, const char *reason)
{
    if (!supervisor->run || supervisor->ending)
        return;
    supervisor->cancelled = true;
    snprintf(supervisor->cancel_reason, sizeof(supervisor->cancel_reason), "%s", reason);
    if (supervisor->worker)
        dwb_worker_kill(supervisor->worker);
    else
        next_step(supervisor, NOW_NS);
}

static int on_patience_over(struct dwb_loop_source *source, uint64_t n_expired, void *userdata)
{
    struct dwb_supervisor *supervisor = userdata;

    (void)source;
    (void)n_expired;
    if (supervisor->draining && supervisor->worker)
        dwb_worker_kill(supervisor->worker);
    return 0;
}

void dwb_supervisor_drain(struct dwb_supervisor *supervisor, uint64_t patience_ns)
{
    supervisor->draining = true;
    dwb_loop_set_timer(supervisor->drain_timer, patience_ns, 0);
    if (supervisor->run && !supervisor->worker)
        next_step(supervisor, NOW_NS);
}

void dwb_supervisor_totals(const struct dwb_supervisor *supervisor,
                           struct dwb_schedule_totals *ret_totals)
{
    dwb_schedule_totals(supervisor->run->schedule, ret_totals);
}

int dwb_supervisor_new(const struct dwb_supervisor_options *options,
                       const struct dwb_supervisor_hooks *hooks,
                       struct dwb_supervisor **ret_supervisor)
{
    struct dwb_supervisor *supervisor = calloc(1, sizeof(*supervisor));

    if (!supervisor)
        return -ENOMEM;
    supervisor->options = *options;
    supervisor->hooks = *hooks;
    int r =
        dwb_loop_add_timer(options->loop, NOW_NS, 0, on_step, supervisor, &supervisor->step_timer);
    if (r == 0)
        r = dwb_loop_add_timer(options->loop, NOW_NS, 0, on_patience_over, supervisor,
                               &supervisor->drain_timer);
    if (r < 0) {
        dwb_supervisor_free(supervisor);
        return r;
    }
    *ret_supervisor = supervisor;
    return 0;
}

void dwb_supervisor_free(struct dwb_supervisor *supervisor)
{
    if (!supervisor)
        return;
    dwb_loop_remove(supervisor->step_timer);
    dwb_loop_remove(supervisor->drain_timer);
    dwb_worker_free(supervisor->worker);
    dwb_analyst_free(supervisor->analyst);
    free_run(supervisor->run);
    free(supervisor);
}
