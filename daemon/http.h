#pragma once

/*
 * HTTP over a listening Unix socket: only the files behind this one see libmicrohttpd, which
 * parses; the loop drives it (its epoll descriptor is one more poll). On top of it they keep
 * what the library does not: an absolute deadline for a request to arrive (its own timeout is per
 * inactivity), caps for head and body, the peer's uid, a connection quota per uid, answers that
 * come later and answers that stream.
 *
 * An exchange is one request and its answer. The handler gets it once, when the whole body is
 * there, and must answer it exactly once: with dwb_http_reply, now or later, or with
 * dwb_http_stream_begin.
 */

#include "daemon/loop.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct dwb_http;
struct dwb_http_exchange;

struct dwb_http_options {
    uint64_t header_deadline_ns; /* from connect, or the last answer's end, to a whole request */
    uint64_t idle_timeout_ns;    /* between requests; and of a peer that does not read */
    size_t head_bytes_max;
    size_t body_bytes_max;
    size_t connections_per_uid;
    size_t connections_total;
};

enum dwb_http_refusal {
    DWB_HTTP_NONE,
    DWB_HTTP_TOO_LARGE,
    DWB_HTTP_TOO_MANY_CONNECTIONS,
    DWB_HTTP_HEAD_TOO_LARGE,
    DWB_HTTP_BAD_HEAD, /* daemon/head.h */
};

typedef void dwb_http_handler_fn(struct dwb_http_exchange *exchange, void *userdata);
/* Answers queued: for metrics. route is what dwb_http_set_route said, "other" without it. */
typedef void dwb_http_observe_fn(const char *route, const char *method, unsigned status,
                                 uint64_t duration_ns, void *userdata);
typedef void dwb_http_closed_fn(void *userdata);
/* Up to `max` bytes of a stream; 0 = nothing now. */
typedef size_t dwb_http_read_fn(char *out, size_t max, void *userdata);

/* listen_fd is borrowed until dwb_http_stop_accepting. */
int dwb_http_new(struct dwb_loop *loop, int listen_fd, const struct dwb_http_options *options,
                 dwb_http_handler_fn *handler, dwb_http_observe_fn *observe, void *userdata,
                 struct dwb_http **ret_http);
void dwb_http_stop_accepting(struct dwb_http *http);
/* Cuts every connection; closed callbacks of streams run. Takes NULL. */
void dwb_http_free(struct dwb_http *http);
size_t dwb_http_connections(const struct dwb_http *http);

/* Of the request; borrowed until the answer. NULL = absent. */
const char *dwb_http_method(const struct dwb_http_exchange *exchange);
const char *dwb_http_path(const struct dwb_http_exchange *exchange);
const char *dwb_http_header(const struct dwb_http_exchange *exchange, const char *name);
const char *dwb_http_query(const struct dwb_http_exchange *exchange, const char *name);
const char *dwb_http_body(const struct dwb_http_exchange *exchange, size_t *ret_length);
uid_t dwb_http_uid(const struct dwb_http_exchange *exchange);
/* Why this file wants it refused before its body was read; the handler words the answer. */
enum dwb_http_refusal dwb_http_refusal(const struct dwb_http_exchange *exchange);

void dwb_http_set_route(struct dwb_http_exchange *exchange, const char *route); /* static text */
/* Of the answer; before it. Text with a line break is not added. */
void dwb_http_add_header(struct dwb_http_exchange *exchange, const char *name, const char *value);
/* Takes body (malloc); NULL = empty. The exchange is gone for the caller. */
void dwb_http_reply(struct dwb_http_exchange *exchange, unsigned status, const char *content_type,
                    char *body, size_t length);

/* Starts a 200 whose body is read from the caller piece by piece, as fast as the peer takes it. A
 * read that gives nothing is asked again after dwb_http_stream_wake, or is the end after
 * dwb_http_stream_end. closed runs once: when the peer is gone, or everything was sent after the
 * end; the exchange is gone for the caller then. */
int dwb_http_stream_begin(struct dwb_http_exchange *exchange, const char *content_type,
                          dwb_http_read_fn *read, dwb_http_closed_fn *closed, void *userdata);
void dwb_http_stream_wake(struct dwb_http_exchange *exchange);
void dwb_http_stream_end(struct dwb_http_exchange *exchange);
