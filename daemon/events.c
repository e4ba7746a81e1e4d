#include "daemon/events.h"

/* See events.h. */

#include "common/cleanup.h"
#include "common/json_memory.h"
#include "daemon/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dwb_event_text {
    size_t n_refs;
    char *bytes;
    size_t length, size;
};

struct dwb_event_aside {
    struct dwb_event_aside *next;
    size_t at; /* it comes when the kept lines are read up to here */
    size_t start, length;
    char bytes[];
};

static void unref(struct dwb_event_text *text)
{
    if (!text || --text->n_refs > 0)
        return;
    free(text->bytes);
    free(text);
}

/* The log's text, made when there is none. NULL: no memory. */
static struct dwb_event_text *text_of(struct dwb_event_log *log)
{
    if (!log->text) {
        log->text = calloc(1, sizeof(*log->text));
        if (log->text)
            log->text->n_refs = 1;
    }
    return log->text;
}

static void keep(struct dwb_event_log *log, const char *line, size_t length)
{
    struct dwb_event_text *text = text_of(log);

    if (!text)
        return;
    if (text->length + length > text->size) {
        size_t size = 2 * (text->length + length);
        char *bytes = realloc(text->bytes, size);
        if (!bytes)
            return;
        text->bytes = bytes;
        text->size = size;
    }
    memcpy(text->bytes + text->length, line, length);
    text->length += length;
}

static void put_aside(struct dwb_event_sink *sink, const char *line, size_t length)
{
    struct dwb_event_aside **last = &sink->asides;

    if (sink->n_aside_bytes + length > DWB_EVENT_ASIDE_MAX)
        return;
    struct dwb_event_aside *aside = malloc(sizeof(*aside) + length);
    if (!aside)
        return;
    *aside = (struct dwb_event_aside){.at = sink->text->length, .length = length};
    memcpy(aside->bytes, line, length);
    while (*last)
        last = &(*last)->next;
    *last = aside;
    sink->n_aside_bytes += length;
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
    for (struct dwb_event_sink *sink = log->sinks; sink; sink = sink->next) {
        if (!kept)
            put_aside(sink, line, length);
        sink->wake(sink);
    }
}

int dwb_event_log_attach(struct dwb_event_log *log, struct dwb_event_sink *sink)
{
    struct dwb_event_text *text = text_of(log);

    if (!text)
        return -ENOMEM;
    text->n_refs++;
    sink->text = text;
    sink->at = 0;
    sink->log = log;
    sink->previous = NULL;
    sink->next = log->sinks;
    if (sink->next)
        sink->next->previous = sink;
    log->sinks = sink;
    if (text->length > 0)
        sink->wake(sink);
    return 0;
}

static void detach(struct dwb_event_sink *sink)
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

/* A piece of the oldest aside. */
static size_t read_aside(struct dwb_event_sink *sink, char *out, size_t max)
{
    struct dwb_event_aside *aside = sink->asides;
    size_t n = aside->length < max ? aside->length : max;

    memcpy(out, aside->bytes + aside->start, n);
    aside->start += n;
    aside->length -= n;
    sink->n_aside_bytes -= n;
    if (aside->length == 0) {
        sink->asides = aside->next;
        free(aside);
    }
    return n;
}

size_t dwb_event_sink_read(struct dwb_event_sink *sink, char *out, size_t max)
{
    const struct dwb_event_text *text = sink->text;
    size_t n = 0;

    while (text && n < max) {
        size_t end = sink->asides ? sink->asides->at : text->length;
        if (sink->at < end) {
            size_t step = end - sink->at < max - n ? end - sink->at : max - n;
            memcpy(out + n, text->bytes + sink->at, step);
            sink->at += step;
            n += step;
        } else if (sink->asides) {
            n += read_aside(sink, out + n, max - n);
        } else {
            break;
        }
    }
    return n;
}

void dwb_event_sink_deinit(struct dwb_event_sink *sink)
{
    detach(sink);
    while (sink->asides) {
        struct dwb_event_aside *aside = sink->asides;
        sink->asides = aside->next;
        free(aside);
    }
    sink->n_aside_bytes = 0;
    unref(sink->text);
    sink->text = NULL;
}

void dwb_event_log_end(struct dwb_event_log *log)
{
    while (log->sinks) {
        struct dwb_event_sink *sink = log->sinks;
        detach(sink);
        sink->end(sink);
    }
}

char *dwb_event_log_steal(struct dwb_event_log *log, size_t *ret_length)
{
    struct dwb_event_text *text = log->text;
    char *bytes = NULL;

    *ret_length = 0;
    if (text) {
        bytes = text->bytes;
        *ret_length = text->length;
        text->bytes = NULL;
        text->length = text->size = 0;
    }
    return bytes;
}

void dwb_event_log_deinit(struct dwb_event_log *log)
{
    dwb_event_log_end(log);
    unref(log->text);
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
