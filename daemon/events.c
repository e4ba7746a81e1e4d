#include "daemon/events.h"

/* See events.h. */

#include "common/cleanup.h"
#include "daemon/clock.h"
#include "daemon/json_memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int keep(struct dwb_event_log *log, const char *line, size_t length)
{
    if (log->length + length > log->size) {
        size_t size = 2 * (log->length + length);
        char *text = realloc(log->text, size);
        if (!text)
            return -1;
        log->text = text;
        log->size = size;
    }
    memcpy(log->text + log->length, line, length);
    log->length += length;
    return 0;
}

void dwb_event_log_add(struct dwb_event_log *log, json_t *event, bool kept)
{
    dwb_cleanup_free char *line = dwb_json_memory_dump(event);
    size_t length = line ? strlen(line) : 0;

    json_decref(event);
    if (!line)
        return;
    line[length++] = '\n'; /* in place of the NUL: it is no string from here on */
    if (kept)
        keep(log, line, length);
    for (struct dwb_event_sink *sink = log->sinks; sink; sink = sink->next)
        sink->write(sink, line, length, !kept);
}

void dwb_event_log_attach(struct dwb_event_log *log, struct dwb_event_sink *sink)
{
    sink->log = log;
    sink->previous = NULL;
    sink->next = log->sinks;
    if (sink->next)
        sink->next->previous = sink;
    log->sinks = sink;
    if (log->length > 0)
        sink->write(sink, log->text, log->length, false);
}

void dwb_event_sink_detach(struct dwb_event_sink *sink)
{
    if (!sink->log)
        return;
    if (sink->previous)
        sink->previous->next = sink->next;
    else
        sink->log->sinks = sink->next;
    if (sink->next)
        sink->next->previous = sink->previous;
    sink->log = NULL;
}

void dwb_event_log_end(struct dwb_event_log *log)
{
    while (log->sinks) {
        struct dwb_event_sink *sink = log->sinks;
        dwb_event_sink_detach(sink);
        sink->end(sink);
    }
}

void dwb_event_log_deinit(struct dwb_event_log *log)
{
    dwb_event_log_end(log);
    free(log->text);
    *log = (struct dwb_event_log){0};
}

json_t *dwb_event_new(const char *event, const char *job, uint64_t at_ns)
{
    dwb_json_memory_begin();
    return json_pack("{s:s, s:s, s:o}", "event", event, "job", job, "at", dwb_clock_to_json(at_ns));
}

json_t *dwb_event_queued(const char *job, uint64_t at_ns, size_t position)
{
    json_t *event = dwb_event_new("queued", job, at_ns);

    json_object_set_new(event, "position", json_integer((json_int_t)position));
    return event;
}

json_t *dwb_event_progress(const char *job, uint64_t at_ns,
                           const struct dwb_supervisor_progress *progress, double fraction)
{
    json_t *event = dwb_event_new("progress", job, at_ns);

    json_object_set_new(event, "layer", json_string(progress->layer->name));
    json_object_set_new(event, "layer_index", json_integer(progress->layer_index));
    json_object_set_new(event, "replicate", json_integer(progress->replicate));
    json_object_set_new(event, "done_ns", json_integer((json_int_t)progress->done_ns));
    json_object_set_new(event, "slice_ns", json_integer((json_int_t)progress->slice_ns));
    json_object_set_new(event, "fraction", json_real(fraction));
    if (progress->simulating) {
        json_object_set_new(event, "simulating", json_string(progress->simulating));
        json_object_set_new(event, "backend", json_string(progress->backend));
        json_object_set_new(event, "step", json_integer(progress->step));
        json_object_set_new(event, "steps", json_integer(progress->n_steps));
    }
    return event;
}

json_t *dwb_event_result(const char *job, uint64_t at_ns)
{
    json_t *event = dwb_event_new("result", job, at_ns);

    json_object_set_new(event, "url", json_sprintf("/v1/jobs/%s/result", job));
    return event;
}

json_t *dwb_event_done(const char *job, uint64_t at_ns, enum dwb_job_state state,
                       const char *reason)
{
    json_t *event = dwb_event_new("done", job, at_ns);

    json_object_set_new(event, "state", json_string(dwb_job_state_name(state)));
    json_object_set_new(event, "reason", json_string(reason));
    return event;
}

json_t *dwb_event_replicate(const char *job, uint64_t at_ns,
                            const struct dwb_event_replicate *replicate)
{
    json_t *event = dwb_event_new("replicate", job, at_ns);
    json_t *half_width =
        isfinite(replicate->half_width) ? json_real(replicate->half_width) : json_null();

    json_object_set_new(event, "layer", json_string(replicate->layer));
    json_object_set_new(event, "layer_index", json_integer(replicate->layer_index));
    json_object_set_new(event, "replicate", json_integer(replicate->replicate));
    json_object_set_new(event, "ok", json_boolean(replicate->ok));
    json_object_set_new(event, "reason", json_string(replicate->reason));
    json_object_set_new(event, "replicates_done",
                        json_integer((json_int_t)replicate->replicates_done));
    json_object_set_new(event, "fraction", json_real(replicate->fraction));
    json_object_set_new(event, "half_width", half_width);
    return event;
}
