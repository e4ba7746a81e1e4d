#include "daemon/http_private.h"

/* See http_private.h. */

#include "daemon/clock.h"
#include "daemon/head.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A body past the cap is still read (and dropped) up to here: most clients look for the answer only
 * when they have sent everything. Beyond it the connection is cut. */
#define DROPPED_BYTES_MAX (2u << 20)

/* The library must run after it. */
static void resume(struct dwb_http_exchange *exchange)
{
    dwb_turns_drop(&exchange->http->turns, &exchange->turn);
    exchange->suspended = false;
    MHD_resume_connection(exchange->connection);
}

void dwb_http_exchange_resume_some(struct dwb_http *http, size_t n_max)
{
    struct dwb_turns_entry *entry;

    while (n_max-- > 0 && (entry = dwb_turns_take(&http->turns)))
        resume(
            (struct dwb_http_exchange *)((char *)entry - offsetof(struct dwb_http_exchange, turn)));
}

/* At once, before all that wait in line. */
static void wake(struct dwb_http_exchange *exchange)
{
    if (!exchange->suspended)
        return;
    resume(exchange);
    dwb_turns_ask(&exchange->http->turns);
}

void dwb_http_exchange_cut(struct dwb_http_exchange *exchange)
{
    exchange->broken = true;
    wake(exchange);
}

static void suspend(struct dwb_http_exchange *exchange)
{
    exchange->suspended = true;
    MHD_suspend_connection(exchange->connection);
    if (exchange->peer->has_left) /* it is told only once */
        dwb_http_exchange_cut(exchange);
}

static void free_exchange(struct dwb_http_exchange *exchange)
{
    for (size_t i = 0; i < exchange->n_headers; i++) {
        free(exchange->headers[i].name);
        free(exchange->headers[i].value);
    }
    if (exchange->response)
        MHD_destroy_response(exchange->response);
    free(exchange->body.data);
    free(exchange->path);
    free(exchange);
}

/* ---- answers ---- */

static enum MHD_Result queue_answer(struct dwb_http_exchange *exchange)
{
    struct dwb_http *http = exchange->http;

    for (size_t i = 0; i < exchange->n_headers; i++)
        MHD_add_response_header(exchange->response, exchange->headers[i].name,
                                exchange->headers[i].value);
    if (exchange->refusal != DWB_HTTP_NONE)
        MHD_add_response_header(exchange->response, MHD_HTTP_HEADER_CONNECTION, "close");
    exchange->queued = true;
    enum MHD_Result result =
        MHD_queue_response(exchange->connection, exchange->status, exchange->response);
    if (result == MHD_YES && http->observe)
        http->observe(exchange->route, exchange->method, exchange->status,
                      dwb_clock_monotonic_ns() - exchange->start_ns, http->userdata);
    return result;
}

void dwb_http_add_header(struct dwb_http_exchange *exchange, const char *name, const char *value)
{
    if (exchange->n_headers == DWB_HTTP_ANSWER_HEADERS || strpbrk(value, "\r\n"))
        return;
    char *name_copy = strdup(name);
    char *value_copy = strdup(value);
    if (!name_copy || !value_copy) {
        free(name_copy);
        free(value_copy);
        return;
    }
    exchange->headers[exchange->n_headers].name = name_copy;
    exchange->headers[exchange->n_headers++].value = value_copy;
}

void dwb_http_reply(struct dwb_http_exchange *exchange, unsigned status, const char *content_type,
                    char *body, size_t length)
{
    exchange->held = false;
    if (!exchange->connection) { /* the peer has left while it waited */
        free(body);
        free_exchange(exchange);
        return;
    }
    exchange->status = status;
    exchange->response =
        MHD_create_response_from_buffer(body ? length : 0, body ? body : (void *)"",
                                        body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (!exchange->response)
        free(body);
    dwb_http_add_header(exchange, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    wake(exchange);
}

static ssize_t read_stream(void *userdata, uint64_t position, char *out, size_t max)
{
    struct dwb_http_exchange *exchange = userdata;

    (void)position;
    if (exchange->broken)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = exchange->read(out, max, exchange->closed_userdata);
    if (n > 0)
        return (ssize_t)n;
    if (exchange->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    suspend(exchange);
    return 0;
}

int dwb_http_stream_begin(struct dwb_http_exchange *exchange, const char *content_type,
                          dwb_http_read_fn *read, dwb_http_closed_fn *closed, void *userdata)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_stream, exchange, NULL);

    if (!response)
        return -ENOMEM;
    exchange->held = false;
    exchange->status = 200;
    exchange->response = response;
    exchange->read = read;
    exchange->closed = closed;
    exchange->closed_userdata = userdata;
    dwb_http_add_header(exchange, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    wake(exchange);
    return 0;
}

void dwb_http_stream_wake(struct dwb_http_exchange *exchange)
{
    if (exchange->suspended)
        dwb_turns_add(&exchange->http->turns, &exchange->turn);
}

void dwb_http_stream_end(struct dwb_http_exchange *exchange)
{
    exchange->ended = true;
    dwb_http_stream_wake(exchange);
}

/* ---- requests ---- */

static struct dwb_http_exchange *new_exchange(struct dwb_http *http, struct MHD_Connection *handle,
                                              const char *path, const char *method)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct dwb_peer *peer = info ? info->socket_context : NULL;
    struct dwb_http_exchange *exchange = peer ? calloc(1, sizeof(*exchange)) : NULL;

    if (!exchange)
        return NULL;
    exchange->path = strdup(path);
    if (!exchange->path) {
        free(exchange);
        return NULL;
    }
    exchange->http = http;
    exchange->peer = peer;
    exchange->uid = peer->uid;
    peer->exchange = exchange;
    exchange->connection = handle;
    exchange->method = method;
    exchange->route = "other";
    exchange->start_ns = dwb_clock_monotonic_ns();
    return exchange;
}

static enum MHD_Result dispatch(struct dwb_http_exchange *exchange)
{
    exchange->dispatched = true;
    exchange->held = true;
    exchange->peer->deadline_ns = 0;
    exchange->http->handler(exchange, exchange->http->userdata);
    if (exchange->response)
        return queue_answer(exchange);
    if (!exchange->held) /* a reply for which there was no memory */
        return MHD_NO;
    suspend(exchange);
    return MHD_YES;
}

static enum MHD_Result take_field(void *head, enum MHD_ValueKind kind, const char *name,
                                  size_t name_length, const char *value, size_t value_length)
{
    dwb_head_take(head, name, name_length, value ? value : "", value ? value_length : 0);
    return MHD_YES;
}

static enum dwb_http_refusal check_head(const struct dwb_http_exchange *exchange)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const char *length = dwb_http_header(exchange, MHD_HTTP_HEADER_CONTENT_LENGTH);
    struct dwb_head head = {0};

    if (exchange->peer->over_quota)
        return DWB_HTTP_TOO_MANY_CONNECTIONS;
    if (info && info->header_size > exchange->http->options.head_bytes_max)
        return DWB_HTTP_HEAD_TOO_LARGE;
    MHD_get_connection_values_n(exchange->connection, MHD_HEADER_KIND, take_field, &head);
    if (!dwb_head_good(&head))
        return DWB_HTTP_BAD_HEAD;
    errno = 0;
    if (length && (strtoull(length, NULL, 10) > DROPPED_BYTES_MAX || errno))
        return DWB_HTTP_TOO_LARGE;
    return DWB_HTTP_NONE;
}

/* Whether what is refused has its body read and dropped first, since a client may send it in a call
 * of its own and not look for an answer before. Not one that is too large, nor one behind a head
 * that left no room, nor one in a coding that may be what is wrong. */
static bool reads_on(const struct dwb_http_exchange *exchange)
{
    return exchange->refusal != DWB_HTTP_TOO_LARGE &&
           exchange->refusal != DWB_HTTP_HEAD_TOO_LARGE &&
           !dwb_http_header(exchange, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

/* The head is there, the body is not: what is refused already now. */
static enum MHD_Result begin(struct dwb_http *http, struct MHD_Connection *handle, const char *path,
                             const char *method, void **state)
{
    struct dwb_http_exchange *exchange = new_exchange(http, handle, path, method);

    if (!exchange)
        return MHD_NO;
    *state = exchange;
    exchange->refusal = check_head(exchange);
    return exchange->refusal == DWB_HTTP_NONE || reads_on(exchange) ? MHD_YES : dispatch(exchange);
}

/* A piece of the body. */
static enum MHD_Result take_body(struct dwb_http_exchange *exchange, const char *data,
                                 size_t *length)
{
    struct dwb_http *http = exchange->http;

    if (exchange->body.length + *length > http->options.body_bytes_max)
        exchange->refusal = DWB_HTTP_TOO_LARGE;
    if (exchange->refusal == DWB_HTTP_NONE) {
        if (dwb_buffer_append(&exchange->body, data, *length) < 0)
            return MHD_NO;
    } else {
        exchange->n_dropped += *length;
    }
    *length = 0;
    if (exchange->n_dropped <= DROPPED_BYTES_MAX)
        return MHD_YES;
    /* Only a chunked body comes here. The library takes no answer in mid-body. */
    dwb_peers_send_refusal(exchange->peer->fd, 413, "Content Too Large", "too_large");
    if (http->observe)
        http->observe(exchange->route, exchange->method, 413,
                      dwb_clock_monotonic_ns() - exchange->start_ns, http->userdata);
    return MHD_NO;
}

enum MHD_Result dwb_http_exchange_on_request(void *userdata, struct MHD_Connection *handle,
                                             const char *path, const char *method,
                                             const char *version, const char *data, size_t *length,
                                             void **state)
{
    struct dwb_http_exchange *exchange = *state;

    if (!exchange)
        return begin(userdata, handle, path, method, state);
    if (*length > 0)
        return take_body(exchange, data, length);
    if (exchange->queued)
        return MHD_YES;
    if (!exchange->dispatched && !exchange->whole) {
        /* Called once more before anything is suspended here: the library then no longer waits for
         * input. Else, resumed, it would read first, and a peer that has closed its half would be
         * cut instead of answered. */
        exchange->whole = true;
        dwb_turns_ask(&exchange->http->turns);
        return MHD_YES;
    }
    if (!exchange->dispatched)
        return dispatch(exchange);
    if (exchange->response)
        return queue_answer(exchange);
    return MHD_NO;
}

void dwb_http_exchange_on_completed(void *userdata, struct MHD_Connection *handle, void **state,
                                    enum MHD_RequestTerminationCode code)
{
    struct dwb_http_exchange *exchange = *state;

    (void)userdata;
    if (!exchange)
        return;
    *state = NULL;
    exchange->connection = NULL;
    exchange->suspended = false;
    exchange->peer->exchange = NULL;
    exchange->peer->deadline_ns =
        dwb_clock_monotonic_ns() + exchange->http->options.idle_timeout_ns;
    if (exchange->closed)
        exchange->closed(exchange->closed_userdata);
    if (!exchange->held)
        free_exchange(exchange);
}

const char *dwb_http_method(const struct dwb_http_exchange *exchange)
{
    return exchange->method;
}

const char *dwb_http_path(const struct dwb_http_exchange *exchange)
{
    return exchange->path;
}

const char *dwb_http_header(const struct dwb_http_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

const char *dwb_http_query(const struct dwb_http_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *dwb_http_body(const struct dwb_http_exchange *exchange, size_t *ret_length)
{
    *ret_length = exchange->body.length;
    return exchange->body.length ? exchange->body.data + exchange->body.start : "";
}

uid_t dwb_http_uid(const struct dwb_http_exchange *exchange)
{
    return exchange->uid;
}

enum dwb_http_refusal dwb_http_refusal(const struct dwb_http_exchange *exchange)
{
    return exchange->refusal;
}

void dwb_http_set_route(struct dwb_http_exchange *exchange, const char *route)
{
    exchange->route = route;
}
