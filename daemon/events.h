#pragma once

/*
 * The events of one job that is queued or running: what has happened so far as lines of JSON, and
 * who listens. A listener gets the past first, then the present, so it misses nothing whenever it
 * comes. Progress is not kept: it is only worth something now.
 */

#include "daemon/store.h"
#include "daemon/supervisor.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct dwb_event_sink;
/* line[0..length) ends in a newline. Must not detach any sink. */
typedef void dwb_event_write_fn(struct dwb_event_sink *sink, const char *line, size_t length,
                                bool droppable);
/* The last call: nothing more comes; the sink is detached. */
typedef void dwb_event_end_fn(struct dwb_event_sink *sink);

struct dwb_event_sink { /* embedded by the listener */
    dwb_event_write_fn *write;
    dwb_event_end_fn *end;
    struct dwb_event_log *log; /* NULL = detached */
    struct dwb_event_sink *next, *previous;
};

struct dwb_event_log { /* zeroed = empty */
    char *text;
    size_t length, size;
    struct dwb_event_sink *sinks;
};

/* Ends every listener and frees the text. */
void dwb_event_log_deinit(struct dwb_event_log *log);

/* Takes `event` (NULL = no memory: nothing is added). kept = part of what later listeners get. */
void dwb_event_log_add(struct dwb_event_log *log, json_t *event, bool kept);
void dwb_event_log_attach(struct dwb_event_log *log, struct dwb_event_sink *sink);
void dwb_event_sink_detach(struct dwb_event_sink *sink);
void dwb_event_log_end(struct dwb_event_log *log);

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
