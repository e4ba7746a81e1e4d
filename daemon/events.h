#pragma once

/*
 * The events of one job that is queued or running: what has happened so far as lines of JSON, and
 * who listens. A listener gets the past first, then the present, so it misses nothing whenever it
 * comes. Progress is not kept: it is only worth something now.
 *
 * The kept lines are there once, however many listen and however slowly: a listener is a place in
 * them. Of what is not kept it has copies of its own, DWB_EVENT_ASIDE_MAX bytes at most; more is
 * dropped until it has read on. The kept lines outlive their job while a listener still reads them.
 */

#include "daemon/store.h"
#include "daemon/supervisor.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define DWB_EVENT_ASIDE_MAX 4096

struct dwb_event_sink;
struct dwb_event_text;
struct dwb_event_aside;
/* There is more to read. Must not detach any sink. */
typedef void dwb_event_wake_fn(struct dwb_event_sink *sink);
/* The last call: the sink is detached, and nothing comes after what is to be read. */
typedef void dwb_event_end_fn(struct dwb_event_sink *sink);

struct dwb_event_sink { /* embedded by the listener, who sets wake and end */
    dwb_event_wake_fn *wake;
    dwb_event_end_fn *end;
    struct dwb_event_log *log; /* NULL = detached */
    struct dwb_event_sink *next, *previous;
    struct dwb_event_text *text; /* the kept lines, and up to where they are read */
    size_t at;
    struct dwb_event_aside *asides; /* the others, oldest first */
    size_t n_aside_bytes;
};

struct dwb_event_log { /* zeroed = empty */
    struct dwb_event_text *text;
    struct dwb_event_sink *sinks;
};

/* Ends every listener and lets go of the text. */
void dwb_event_log_deinit(struct dwb_event_log *log);

/* Takes `event` (NULL = no memory: nothing is added). kept = part of what later listeners get. */
void dwb_event_log_add(struct dwb_event_log *log, json_t *event, bool kept);
int dwb_event_log_attach(struct dwb_event_log *log, struct dwb_event_sink *sink); /* 0, -ENOMEM */
void dwb_event_log_end(struct dwb_event_log *log);
/* The kept lines of a log that nobody listens to; free them. NULL when there are none. */
char *dwb_event_log_steal(struct dwb_event_log *log, size_t *ret_length);

/* The next up to `max` bytes, in the order in which they were added; 0 = nothing now. */
size_t dwb_event_sink_read(struct dwb_event_sink *sink, char *out, size_t max);
/* Detaches it, if it still is attached, and frees what it holds. */
void dwb_event_sink_deinit(struct dwb_event_sink *sink);

/* {event, job, at}; at_ns 0 = null. New reference or NULL. */
json_t *dwb_event_new(const char *event, const char *job, uint64_t at_ns);

/* The shapes of docs/protocol.md. All: new reference or NULL. */
json_t *dwb_event_queued(const char *job, uint64_t at_ns, size_t position);
json_t *dwb_event_progress(const char *job, uint64_t at_ns,
                           const struct dwb_supervisor_progress *progress, double fraction);
json_t *dwb_event_result(const char *job, uint64_t at_ns);
json_t *dwb_event_done(const char *job, uint64_t at_ns, enum dwb_job_state state,
                       const char *reason);

struct dwb_event_replicate {
    const char *layer;
    uint32_t layer_index;
    uint32_t replicate;
    bool ok;
    const char *reason;
    uint64_t replicates_done;
    double fraction;
    double half_width; /* INFINITY or NAN = null */
};

json_t *dwb_event_replicate(const char *job, uint64_t at_ns,
                            const struct dwb_event_replicate *replicate);
