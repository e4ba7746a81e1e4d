#pragma once

/*
 * What the two files that see libmicrohttpd share; nobody else includes it.
 *
 *   http.c           the library in the loop: its turns, its timeouts, connections
 *   http_exchange.c  a request and its answer
 *
 * Who owns what: a `struct dwb_peer` lives from the library's STARTED to its CLOSED notification; a
 * `struct dwb_http_exchange` from the request's head to its COMPLETED notification, and past it
 * while the handler still owes a reply (`held`). All of it runs on the loop's thread.
 *
 * An exchange without an answer, and a stream without data, is suspended: the library forgets its
 * socket until it is resumed. So the library does not see its peer leave: peers.h tells.
 *
 * The library handles all that is resumed in one call. So streams that have something to tell wait
 * in line to be resumed, a few a turn, and who comes in between is served in between. Only what is
 * suspended waits there.
 */

#include "daemon/buffer.h"
#include "daemon/http.h"
#include "daemon/peers.h"
#include "daemon/turns.h"

#include <microhttpd.h>
#include <stdbool.h>

#define DWB_HTTP_ANSWER_HEADERS 6

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
    } headers[DWB_HTTP_ANSWER_HEADERS];
    size_t n_headers;
    uint64_t start_ns;
    dwb_http_read_fn *read; /* of a stream, as the two below */
    dwb_http_closed_fn *closed;
    void *closed_userdata;
    struct dwb_turns_entry turn;
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
    uint64_t timer_ns; /* when it fires; 0 = not set */
    struct dwb_loop_source *sweep_timer;
    struct dwb_loop_source *left_source;
    struct dwb_turns turns; /* in which the library runs, and streams that wait for theirs */
    struct dwb_peers peers;
    uid_t accepted_uid; /* of the connection that is being added */
    int accepted_fd;
};

/* The library's callbacks. */
enum MHD_Result dwb_http_exchange_on_request(void *http, struct MHD_Connection *handle,
                                             const char *path, const char *method,
                                             const char *version, const char *data, size_t *length,
                                             void **state);
void dwb_http_exchange_on_completed(void *http, struct MHD_Connection *handle, void **state,
                                    enum MHD_RequestTerminationCode code);

/* Resumes up to n_max of the streams that wait in line; the library must run after it. */
void dwb_http_exchange_resume_some(struct dwb_http *http, size_t n_max);
/* Its peer is gone, or is to be. */
void dwb_http_exchange_cut(struct dwb_http_exchange *exchange);
