#include "daemon/http_private.h"

/* See http.h, http_private.h. */

#include "common/log.h"
#include "daemon/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SWEEP_PERIOD_NS   UINT64_C(100000000)
#define CUT_PAUSE_NS      UINT64_C(1000000) /* where more are late than are cut at once */
#define CUTS_MAX          32
#define WAKES_MAX         32   /* streams a turn: about 0.2 ms */
#define POOL_ANSWER_BYTES 2048 /* of a connection's pool, for the answer's head */

/* The library's own timeouts only move away. So a timer that was set fires early at times, which is
 * a turn for nothing; to set it anew would be a system call each turn. */
static void set_timer(struct dwb_http *http, unsigned long long timeout_ms)
{
    uint64_t delay_ns = timeout_ms * 1000000, at_ns = dwb_clock_monotonic_ns() + delay_ns;

    if (http->timer_ns && http->timer_ns <= at_ns)
        return;
    http->timer_ns = at_ns;
    dwb_loop_set_timer(http->timer, delay_ns, 0);
}

static void run(struct dwb_http *http)
{
    unsigned long long timeout_ms;

    MHD_run(http->daemon);
    if (MHD_get_timeout(http->daemon, &timeout_ms) != MHD_YES)
        return;
    if (timeout_ms == 0) /* it has work left */
        dwb_turns_ask(&http->turns);
    else
        set_timer(http, timeout_ms);
}

static int on_ready(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    run(userdata);
    return 0;
}

static int on_timer(struct dwb_loop_source *source, uint64_t n_expired, void *userdata)
{
    struct dwb_http *http = userdata;

    http->timer_ns = 0;
    run(http);
    return 0;
}

static void on_turn(void *userdata)
{
    struct dwb_http *http = userdata;

    dwb_http_exchange_resume_some(http, WAKES_MAX);
    if (http->turns.first)
        dwb_turns_ask(&http->turns);
    run(http);
}

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
    dwb_turns_ask(&http->turns);
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

static int on_sweep(struct dwb_loop_source *source, uint64_t n_expired, void *userdata)
{
    struct dwb_http *http = userdata;

    if (dwb_peers_cut_late(&http->peers, dwb_clock_monotonic_ns(), CUTS_MAX))
        dwb_loop_set_timer(http->sweep_timer, CUT_PAUSE_NS, SWEEP_PERIOD_NS);
    return 0;
}

static int on_left(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    struct dwb_http *http = userdata;
    struct dwb_peer *left[DWB_PEERS_LEFT_MAX];
    size_t n = dwb_peers_take_left(&http->peers, left);

    for (size_t i = 0; i < n; i++)
        if (left[i]->exchange && left[i]->exchange->suspended)
            dwb_http_exchange_cut(left[i]->exchange);
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
        dwb_http_exchange_on_request, http, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
        MHD_OPTION_NOTIFY_COMPLETED, dwb_http_exchange_on_completed, http,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)options->connections_total,
        MHD_OPTION_CONNECTION_TIMEOUT, timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        options->head_bytes_max + POOL_ANSWER_BYTES, MHD_OPTION_CONNECTION_MEMORY_INCREMENT,
        (size_t)1024, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_END);
    return http->daemon ? 0 : -ENOMEM;
}

static int start_sources(struct dwb_http *http, int listen_fd)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct dwb_loop *loop = http->loop;
    int r;

    if (!info)
        return -ENOTSUP;
    r = dwb_turns_init(&http->turns, loop, on_turn, http);
    if (r == 0)
        r = dwb_peers_init(&http->peers);
    if (r == 0)
        r = dwb_loop_add_timer(loop, SWEEP_PERIOD_NS, 0, on_timer, http, &http->timer);
    if (r == 0)
        r = dwb_loop_add_timer(loop, SWEEP_PERIOD_NS, SWEEP_PERIOD_NS, on_sweep, http,
                               &http->sweep_timer);
    if (r == 0)
        r = dwb_loop_add_poll(loop, info->epoll_fd, POLLIN, on_ready, http, &http->poll_source);
    if (r == 0)
        r = dwb_loop_add_poll(loop, http->peers.left_fd, POLLIN, on_left, http, &http->left_source);
    if (r == 0)
        r = dwb_loop_add_accept(loop, listen_fd, on_accept, http, &http->accept_source);
    return r;
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
                              .userdata = userdata,
                              .turns.fd = -1,
                              .peers.left_fd = -1};
    r = start_library(http);
    if (r == 0)
        r = start_sources(http, listen_fd);
    if (r < 0) {
        dwb_http_free(http);
        return r;
    }
    *ret_http = http;
    return 0;
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
    dwb_loop_remove(http->left_source);
    /* The library wants nobody suspended when it stops. */
    for (struct dwb_peer *peer = http->peers.first; peer; peer = peer->next)
        if (peer->exchange)
            dwb_http_exchange_cut(peer->exchange);
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    dwb_loop_remove(http->timer);
    dwb_turns_deinit(&http->turns);
    dwb_peers_deinit(&http->peers);
    free(http);
}

size_t dwb_http_connections(const struct dwb_http *http)
{
    return http->peers.n;
}
