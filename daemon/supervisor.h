#pragma once

/*
 * The supervisor: measures one job at a time, one dwbench-worker at a time, on the measuring CPU.
 * It takes replicates from the schedule, stores each record as it arrives, stops a layer when it is
 * precise enough, and turns what is stored into the result document. Its caller hears what happens;
 * `ended` comes when the final state is durable.
 *
 * A replicate that crashes, hangs or writes nonsense is measured again, worker_failures times a
 * layer; wrong outputs end the job at once.
 */

#include "daemon/metrics.h"
#include "daemon/persist.h"
#include "daemon/schedule.h"
#include "daemon/store.h"

#include <sched.h>

struct dwb_supervisor;

struct dwb_supervisor_options {
    struct dwb_loop *loop; /* all borrowed for the supervisor's life */
    struct dwb_store *store;
    struct dwb_persist *persist;
    struct dwb_metrics *metrics;
    const char *worker;              /* program */
    const char *worker_a, *worker_b; /* sides of a comparison of two programs; "" = none */
    const char *plugin_dir;          /* "" = none */
    uint32_t measure_cpu;
    cpu_set_t affinity; /* of workers */
    uint64_t memory_bytes_max;
    uint64_t job_time_ns;
    uint64_t worker_deadline_ns;
    uint32_t worker_failures;
};

struct dwb_supervisor_replicate {
    const struct dwb_layer *layer;
    uint32_t layer_index;
    uint32_t replicate;
    bool ok;
    const char *reason;
    double half_width; /* of the layer; INFINITY until there is one */
};

struct dwb_supervisor_progress {
    const struct dwb_layer *layer;
    uint32_t layer_index;
    uint32_t replicate;
    uint64_t done_ns, slice_ns;
    const char *simulating; /* operation; NULL = it measures */
    const char *backend;    /* of that */
    uint32_t step, n_steps;
};

/* What a job's owner hears, from the loop, in this order: started, known (for each replicate
 * that was in the store), any of progress and replicate, ended. */
struct dwb_supervisor_hooks {
    void (*started)(void *userdata);
    void (*known)(const struct dwb_supervisor_replicate *replicate, void *userdata);
    void (*progress)(const struct dwb_supervisor_progress *progress, void *userdata);
    void (*replicate)(const struct dwb_supervisor_replicate *replicate, void *userdata);
    /* state QUEUED: given back by a drain. document: of DONE. The supervisor is free again. */
    void (*ended)(enum dwb_job_state state, const char *reason, const json_t *document,
                  void *userdata);
    void *userdata;
};

int dwb_supervisor_new(const struct dwb_supervisor_options *options,
                       const struct dwb_supervisor_hooks *hooks,
                       struct dwb_supervisor **ret_supervisor);
/* Kills a worker that runs; ended does not come. Takes NULL. */
void dwb_supervisor_free(struct dwb_supervisor *supervisor);

bool dwb_supervisor_busy(const struct dwb_supervisor *supervisor);
/* Takes the job up. 0 (ended will come), or a negative errno and the job is as it was. */
int dwb_supervisor_start(struct dwb_supervisor *supervisor, const struct dwb_job_row *job);
void dwb_supervisor_cancel(struct dwb_supervisor *supervisor, const char *reason);
/* Nothing new starts; a worker that runs has this long, then its job goes back to the queue. */
void dwb_supervisor_drain(struct dwb_supervisor *supervisor, uint64_t patience_ns);
/* Of the job at hand; the supervisor is busy. */
void dwb_supervisor_totals(const struct dwb_supervisor *supervisor,
                           struct dwb_schedule_totals *ret_totals);
