#pragma once

/*
 * HTTP/1.1 over the daemon's Unix socket. The only file that knows libcurl is http.c. One request
 * at a time; the calls return when it is over, when the deadline has passed or when the process was
 * interrupted (client/interrupt.h), within 200 ms of either.
 *
 * Errors: -ECONNREFUSED, -ENOENT, -EACCES, ... from connect; -EPIPE the connection ended before the
 * answer was whole (the request may have been carried out); -ETIME the daemon did not answer in
 * DWB_HTTP_ANSWER_NS; -ETIMEDOUT the caller's deadline; -EINTR interrupted; -ENAMETOOLONG the
 * socket's path does not fit; -EFBIG the answer is past the cap; -ENOMEM.
 */

#include <stddef.h>
#include <stdint.h>

#define DWB_HTTP_BODY_MAX  (64u << 20)
#define DWB_HTTP_ANSWER_NS UINT64_C(30000000000)

struct dwb_http;

struct dwb_http_response {
    long status;
    unsigned retry_after_s; /* 0 = the header was not there */
    char *body;             /* NUL-terminated; "" when empty */
    size_t n_body;
};

/* One whole line without its newline; a negative return ends the stream and is passed on. */
typedef int dwb_http_line_fn(const char *line, size_t length, void *userdata);
/* Called about five times a second while a stream is open. */
typedef void dwb_http_tick_fn(void *userdata);

int dwb_http_new(const char *socket_path, struct dwb_http **ret_http);
void dwb_http_free(struct dwb_http *http);
static inline void dwb_http_freep(struct dwb_http **http)
{
    dwb_http_free(*http);
}

const char *dwb_http_socket(const struct dwb_http *http);

/* CLOCK_MONOTONIC; 0 = none. */
void dwb_http_set_deadline(struct dwb_http *http, uint64_t deadline_ns);

/* body may be NULL; idempotency_key may be NULL. */
int dwb_http_request(struct dwb_http *http, const char *method, const char *path, const char *body,
                     const char *idempotency_key, struct dwb_http_response *ret_response);

/* GET of a stream of lines. A status other than 200 fills the response as dwb_http_request does. */
int dwb_http_stream(struct dwb_http *http, const char *path, dwb_http_line_fn *line_fn,
                    dwb_http_tick_fn *tick_fn, void *userdata,
                    struct dwb_http_response *ret_response);

void dwb_http_response_deinit(struct dwb_http_response *response);

uint64_t dwb_http_now_ns(void); /* CLOCK_MONOTONIC */
