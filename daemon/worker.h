#pragma once

/*
 * One dwbench-worker process, from fork to its last byte. The process has its own process group and
 * dies with the daemon (PDEATHSIG); its end is seen through a pidfd, its output through pipes with
 * caps. Whatever it does (crash, hang, endless or garbage output, too much memory) becomes an
 * outcome with a reason, once, from the loop.
 */

#include "common/record.h"
#include "daemon/loop.h"

#include <jansson.h>
#include <sched.h>
#include <stdint.h>

enum dwb_worker_outcome {
    DWB_WORKER_OK,
    DWB_WORKER_WRONG_OUTPUTS, /* exit 4, or a record with mismatches */
    DWB_WORKER_BAD_REQUEST,   /* exit 2: it will not get better by trying again */
    DWB_WORKER_EXIT,          /* any other status */
    DWB_WORKER_SIGNAL,
    DWB_WORKER_DEADLINE,
    DWB_WORKER_MEMORY,
    DWB_WORKER_OUTPUT, /* too much, not JSON, not a record, or none */
    DWB_WORKER_SPAWN,
    DWB_WORKER_KILLED, /* by dwb_worker_kill */
    DWB_N_WORKER_OUTCOMES
};

/* The closed list of reasons in dwbench_worker_failures_total: "signal", "deadline", ... */
const char *dwb_worker_outcome_name(enum dwb_worker_outcome outcome);

struct dwb_worker_end {
    enum dwb_worker_outcome outcome;
    char reason[512]; /* escaped; "" for OK */
    int shortage; /* of SPAWN: 0, or the errno of what this process lacks; not its worker's fault */
    char *line;   /* the record's line, NUL-terminated; NULL when there is none */
    json_t *document; /* its JSON */
};

struct dwb_worker_options {
    const char *program;
    const char *const *arguments; /* NULL-terminated, after argv[0]; NULL = none */
    const char *record_type;      /* of the line to keep: "replicate" or "probe" */
    const char *request;          /* written to stdin, with its newline; NULL = empty stdin */
    const cpu_set_t *affinity;    /* what the process may use */
    uint64_t deadline_ns;
    uint64_t memory_bytes_max; /* resident; 0 = no limit */
};

struct dwb_worker;

typedef void dwb_worker_progress_fn(const json_t *progress, void *userdata);
/* The last call; the worker is gone. `end` and what it points to may be taken (set to NULL). */
typedef void dwb_worker_end_fn(struct dwb_worker_end *end, void *userdata);

/* Starts a process. A program that cannot be executed is an end with SPAWN, not an error here.
 * 0 or a negative errno (no process, no call). */
int dwb_worker_start(struct dwb_loop *loop, const struct dwb_worker_options *options,
                     dwb_worker_progress_fn *on_progress, dwb_worker_end_fn *on_end, void *userdata,
                     struct dwb_worker **ret_worker);

/* SIGKILL to the group; on_end comes with KILLED. */
void dwb_worker_kill(struct dwb_worker *worker);

/* Kills and frees at once, waiting for the process to be reaped; on_end does not run. Takes NULL.
 */
void dwb_worker_free(struct dwb_worker *worker);
static inline void dwb_worker_freep(struct dwb_worker **worker)
{
    dwb_worker_free(*worker);
}
