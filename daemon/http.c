#include "daemon/http.h"

/*
 * See http.h. Who owns what: a `struct dwb_peer` lives from the library's STARTED to its CLOSED
 * notification; a `struct dwb_http_exchange` from the request's head to its COMPLETED notification,
 * and past it while the handler still owes a reply (`held`). All of it runs on the loop's thread.
 *
 * An exchange without an answer, and a stream without data, is suspended: the library forgets its
 * socket until it is resumed. So nothing would see its peer leave: the sweep does.
 */

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/buffer.h"
#include "daemon/clock.h"
#include "daemon/head.h"
#include "daemon/peers.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SWEEP_PERIOD_NS   UINT64_C(100000000)
#define KICK_NS           1
#define N_ANSWER_HEADERS  6
#define POOL_ANSWER_BYTES 2048 /* of a connection's pool, for the answer's head */
/* A body past the cap is still read (and dropped) up to here: most clients look for the answer only
 * when they have sent everything. Beyond it the connection is cut. */
#define DROPPED_BYTES_MAX (2u << 20)

struct dwb_http_exchange {
    struct dwb_http *http;
    struct dwb_peer *peer;
    struct MHD_Connection *connection; /* NULL once it is completed */
    const char *method;
    char *path;
    uid_t uid; /* a late answer may outlive the peer */
    const char *route;
    enum dwb_http_refusal refusal;
    struct dwb_buffer body; /* of the request */
    uint64_t n_dropped;     /* bytes of the request's body */
    struct MHD_Response *response;
    unsigned status;
    struct {
        char *name, *value;
    } headers[N_ANSWER_HEADERS];
    size_t n_headers;
    uint64_t start_ns;
    dwb_http_read_fn *read; /* of a stream, as the two below */
    dwb_http_closed_fn *closed;
    void *closed_userdata;
    bool whole, dispatched, held, suspended, queued;
    bool ended, broken;
};

struct dwb_http {
    struct dwb_loop *loop;
    struct MHD_Daemon *daemon;
    struct dwb_http_options options;
    dwb_http_handler_fn *handler;
    dwb_http_observe_fn *observe;
    void *userdata;
    struct dwb_loop_source *accept_source;
    struct dwb_loop_source *poll_source;
    struct dwb_loop_source *timer;
    struct dwb_loop_source *sweep_timer;
    bool kicked; /* the timer is about to fire */
    struct dwb_peers peers;
    uid_t accepted_uid; /* of the connection that is being added */
    int accepted_fd;
};

/* Has the library run from the loop, not from inside whatever calls this. Once is enough for all
 * that is resumed until then, such as each listener of an event: setting a timer is a system call.
 */
static void kick(struct dwb_http *http)
{
    if (!http->kicked)
        dwb_loop_set_timer(http->timer, KICK_NS, 0);
    http->kicked = true;
}

static void run(struct dwb_http *http)
{
    unsigned long long timeout_ms;

    http->kicked = false;
    MHD_run(http->daemon);
    if (MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES) { /* 0 where it has work left */
        dwb_loop_set_timer(http->timer, timeout_ms ? timeout_ms * 1000000 : KICK_NS, 0);
        http->kicked = timeout_ms == 0;
    }
}

static int on_ready(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    run(userdata);
    return 0;
}

static int on_timer(struct dwb_loop_source *source, uint64_t n_expired, void *userdata)
{
    run(userdata);
    return 0;
}

static void resume(struct dwb_http_exchange *exchange)
{
    if (!exchange->suspended || !exchange->connection)
        return;
    exchange->suspended = false;
    MHD_resume_connection(exchange->connection);
    kick(exchange->http);
}

static void suspend(struct dwb_http_exchange *exchange)
{
    exchange->suspended = true;
    MHD_suspend_connection(exchange->connection);
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
    if (exchange->n_headers == N_ANSWER_HEADERS || strpbrk(value, "\r\n"))
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
    resume(exchange);
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
    resume(exchange);
    return 0;
}

void dwb_http_stream_wake(struct dwb_http_exchange *exchange)
{
    resume(exchange);
}

void dwb_http_stream_end(struct dwb_http_exchange *exchange)
{
    exchange->ended = true;
    resume(exchange);
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

/* The head is there, the body is not: what is refused already now. */
static enum MHD_Result begin(struct dwb_http *http, struct MHD_Connection *handle, const char *path,
                             const char *method, void **state)
{
    struct dwb_http_exchange *exchange = new_exchange(http, handle, path, method);

    if (!exchange)
        return MHD_NO;
    *state = exchange;
    exchange->refusal = check_head(exchange);
    return exchange->refusal == DWB_HTTP_NONE ? MHD_YES : dispatch(exchange);
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

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *handle, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *length, void **state)
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
        kick(exchange->http);
        return MHD_YES;
    }
    if (!exchange->dispatched)
        return dispatch(exchange);
    if (exchange->response)
        return queue_answer(exchange);
    return MHD_NO;
}

static void on_completed(void *userdata, struct MHD_Connection *handle, void **state,
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

/* ---- connections ---- */

static int on_accept(struct dwb_loop_source *source, int fd, void *userdata)
{
    struct dwb_http *http = userdata;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t quota = http->options.connections_per_uid;

    if (dwb_peers_uid(fd, &http->accepted_uid) < 0) {
        close(fd);
        return 0;
    }
    /* Some more than the quota still get their 429 in answer to a request, the rest at once. */
    if (dwb_peers_count(&http->peers, http->accepted_uid) >= quota + quota / 4 + 1) {
        dwb_peers_send_refusal(fd, 429, "Too Many Requests", "quota_connections");
        close(fd);
        return 0;
    }
    http->accepted_fd = fd;
    if (MHD_add_connection(http->daemon, fd, (struct sockaddr *)&address,
                           sizeof(address.sun_family)) != MHD_YES)
        dwb_log(DWB_LOG_DEBUG, "connection refused: %s", strerror(errno)); /* closed by MHD */
    kick(http);
    return 0;
}

static void connection_started(struct dwb_http *http, void **context)
{
    size_t n_before = dwb_peers_count(&http->peers, http->accepted_uid);
    struct dwb_peer *peer = dwb_peers_add(&http->peers, http->accepted_fd, http->accepted_uid);

    if (!peer)
        return;
    peer->deadline_ns = dwb_clock_monotonic_ns() + http->options.header_deadline_ns;
    peer->over_quota = n_before >= http->options.connections_per_uid;
    *context = peer;
}

static void on_connection(void *userdata, struct MHD_Connection *handle, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        connection_started(userdata, context);
    else
        dwb_peers_remove(&((struct dwb_http *)userdata)->peers, *context);
}

/* Deadlines, and peers of suspended exchanges that have gone. */
static int on_sweep(struct dwb_loop_source *source, uint64_t n_expired, void *userdata)
{
    struct dwb_http *http = userdata;

    dwb_peers_cut_late(&http->peers, dwb_clock_monotonic_ns());
    for (struct dwb_peer *peer = http->peers.first; peer; peer = peer->next) {
        struct dwb_http_exchange *exchange = peer->exchange;
        if (!exchange || !exchange->suspended || !dwb_peer_has_left(peer))
            continue;
        exchange->broken = true;
        resume(exchange);
    }
    return 0;
}

/* %00 stays as it is: decoded it would end the text, and a longer path would be a shorter one. */
static size_t unescape(void *userdata, struct MHD_Connection *handle, char *text)
{
    (void)userdata;
    return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

static int start_library(struct dwb_http *http)
{
    const struct dwb_http_options *options = &http->options;
    unsigned timeout_s = (unsigned)((options->idle_timeout_ns + 999999999) / 1000000000);

    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
        on_request, http, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)options->connections_total, MHD_OPTION_CONNECTION_TIMEOUT, timeout_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, options->head_bytes_max + POOL_ANSWER_BYTES,
        MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)1024, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
        MHD_OPTION_END);
    return http->daemon ? 0 : -ENOMEM;
}

int dwb_http_new(struct dwb_loop *loop, int listen_fd, const struct dwb_http_options *options,
                 dwb_http_handler_fn *handler, dwb_http_observe_fn *observe, void *userdata,
                 struct dwb_http **ret_http)
{
    struct dwb_http *http = calloc(1, sizeof(*http));
    int r;

    if (!http)
        return -ENOMEM;
    *http = (struct dwb_http){.loop = loop,
                              .options = *options,
                              .handler = handler,
                              .observe = observe,
                              .userdata = userdata};
    r = start_library(http);
    if (r < 0)
        goto failed;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info) {
        r = -ENOTSUP;
        goto failed;
    }
    r = dwb_loop_add_timer(loop, KICK_NS, 0, on_timer, http, &http->timer);
    if (r == 0)
        r = dwb_loop_add_timer(loop, SWEEP_PERIOD_NS, SWEEP_PERIOD_NS, on_sweep, http,
                               &http->sweep_timer);
    if (r == 0)
        r = dwb_loop_add_poll(loop, info->epoll_fd, POLLIN, on_ready, http, &http->poll_source);
    if (r == 0)
        r = dwb_loop_add_accept(loop, listen_fd, on_accept, http, &http->accept_source);
    if (r < 0)
        goto failed;
    *ret_http = http;
    return 0;

failed:
    dwb_http_free(http);
    return r;
}

void dwb_http_stop_accepting(struct dwb_http *http)
{
    dwb_loop_remove(http->accept_source);
    http->accept_source = NULL;
}

void dwb_http_free(struct dwb_http *http)
{
    if (!http)
        return;
    dwb_http_stop_accepting(http);
    dwb_loop_remove(http->poll_source);
    dwb_loop_remove(http->sweep_timer);
    /* The library wants nobody suspended when it stops. */
    for (struct dwb_peer *peer = http->peers.first; peer; peer = peer->next)
        if (peer->exchange) {
            peer->exchange->broken = true;
            resume(peer->exchange);
        }
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    dwb_loop_remove(http->timer);
    free(http);
}

size_t dwb_http_connections(const struct dwb_http *http)
{
    return http->peers.n;
}
