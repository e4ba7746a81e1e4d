/*
 * The server in this process, with a handler of the test's: who is served before whom, and what
 * becomes of peers that leave; `test_http epoll`, `test_http io_uring`. What is held here is order,
 * never time.
 */

#include "tests/unit/loop_fixture.h"

#include "common/cleanup.h"
#include "daemon/http.h"
#include "daemon/peers.h"
#include "daemon/turns.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define N_STREAMS  200
#define N_PEERS    40
#define RUN_NS     (2 * MS)
#define N_RUNS_MAX 1000

struct stream {
    struct dwb_http_exchange *exchange;
    bool has_data;
    int n_given;
};

static struct world {
    struct sockaddr_un address;
    struct dwb_loop *loop;
    struct dwb_http *http;
    int listen_fd;
    struct stream streams[N_STREAMS];
    int n_streams, n_empty_reads, n_given, n_closed;
    struct dwb_http_exchange *held;
    int n_held;
    int n_given_at_ping; /* -1: not asked yet */
} world;

static size_t read_stream(char *out, size_t max, void *userdata)
{
    struct stream *stream = userdata;

    ck_assert_uint_gt(max, 0);
    if (!stream->has_data) {
        world.n_empty_reads++;
        return 0;
    }
    stream->has_data = false;
    stream->n_given++;
    world.n_given++;
    *out = 'x';
    return 1;
}

static void on_closed(void *userdata)
{
    ((struct stream *)userdata)->exchange = NULL;
    world.n_closed++;
}

static void on_request(struct dwb_http_exchange *exchange, void *userdata)
{
    const char *path = dwb_http_path(exchange);

    (void)userdata;
    if (dwb_http_refusal(exchange) != DWB_HTTP_NONE) {
        dwb_http_reply(exchange, 400, "text/plain", NULL, 0);
    } else if (strcmp(path, "/stream") == 0) {
        struct stream *stream = &world.streams[world.n_streams++];
        stream->exchange = exchange;
        ck_assert_int_eq(
            dwb_http_stream_begin(exchange, "text/plain", read_stream, on_closed, stream), 0);
    } else if (strcmp(path, "/held") == 0) {
        world.held = exchange;
        world.n_held++;
    } else {
        world.n_given_at_ping = world.n_given;
        dwb_http_reply(exchange, 200, "text/plain", NULL, 0);
    }
}

static void open_world(void)
{
    static const struct dwb_http_options options = {.header_deadline_ns = 60000 * MS,
                                                    .idle_timeout_ns = 60000 * MS,
                                                    .head_bytes_max = 4096,
                                                    .body_bytes_max = 4096,
                                                    .connections_per_uid = 2 * N_STREAMS,
                                                    .connections_total = 2 * N_STREAMS};

    world = (struct world){.address = {.sun_family = AF_UNIX}, .n_given_at_ping = -1};
    snprintf(world.address.sun_path, sizeof(world.address.sun_path), "/tmp/dwb-test-http-%d.sock",
             getpid());
    unlink(world.address.sun_path);
    world.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(
        bind(world.listen_fd, (struct sockaddr *)&world.address, sizeof(world.address)), 0);
    ck_assert_int_eq(listen(world.listen_fd, 2 * N_STREAMS), 0);
    world.loop = fixture_new_loop();
    ck_assert_int_eq(
        dwb_http_new(world.loop, world.listen_fd, &options, on_request, NULL, NULL, &world.http),
        0);
}

static void close_world(void)
{
    dwb_http_free(world.http);
    dwb_loop_free(world.loop);
    close(world.listen_fd);
    unlink(world.address.sun_path);
}

static int ask(const char *path)
{
    char request[128];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int n = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);

    ck_assert_int_eq(connect(fd, (struct sockaddr *)&world.address, sizeof(world.address)), 0);
    ck_assert_int_eq(send(fd, request, (size_t)n, MSG_NOSIGNAL), n);
    return fd;
}

/* Until *counter is what it shall be; the loop's own guard ends what takes too long. */
static void run_until(const int *counter, int value)
{
    for (int i = 0; i < N_RUNS_MAX && *counter != value; i++)
        ck_assert_int_eq(fixture_run_for(world.loop, RUN_NS), 0);
    ck_assert_int_eq(*counter, value);
}

static void run_until_alone(void)
{
    for (int i = 0; i < N_RUNS_MAX && dwb_http_connections(world.http) > 0; i++)
        ck_assert_int_eq(fixture_run_for(world.loop, RUN_NS), 0);
    ck_assert_uint_eq(dwb_http_connections(world.http), 0);
}

static void open_streams(int fds[N_STREAMS])
{
    for (int i = 0; i < N_STREAMS; i++)
        fds[i] = ask("/stream");
    run_until(&world.n_empty_reads, N_STREAMS);
}

/* All streams are woken while a request waits to be accepted: it is answered in between. */
START_TEST(test_request_between_streams)
{
    char answer[256] = "";
    int fds[N_STREAMS];

    open_world();
    open_streams(fds);
    int ping = ask("/ping");
    for (int round = 0; round < 2; round++) /* the second finds them waiting already */
        for (int i = 0; i < N_STREAMS; i++) {
            world.streams[i].has_data = true;
            dwb_http_stream_wake(world.streams[i].exchange);
        }
    run_until(&world.n_given, N_STREAMS);
    ck_assert_int_ge(world.n_given_at_ping, 0);
    ck_assert_int_lt(world.n_given_at_ping, N_STREAMS);
    for (int i = 0; i < N_STREAMS; i++)
        ck_assert_int_eq(world.streams[i].n_given, 1);
    ck_assert_int_gt(recv(ping, answer, sizeof(answer) - 1, MSG_DONTWAIT), 0);
    ck_assert_int_eq(strncmp(answer, "HTTP/1.1 200", 12), 0);

    for (int i = 0; i < N_STREAMS; i++) /* ending is waking, too */
        dwb_http_stream_end(world.streams[i].exchange);
    run_until(&world.n_closed, N_STREAMS);
    for (int i = 0; i < N_STREAMS; i++)
        close(fds[i]);
    close(ping);
    run_until_alone();
    close_world();
}
END_TEST

/* Those that wait for their turn are among those who leave, and among those who stay. */
START_TEST(test_streams_leave)
{
    int fds[N_STREAMS];

    open_world();
    open_streams(fds);
    for (int i = 0; i < N_STREAMS; i++)
        dwb_http_stream_wake(world.streams[i].exchange);
    for (int i = 0; i < N_STREAMS / 2; i++)
        close(fds[i]);
    run_until(&world.n_closed, N_STREAMS / 2);
    for (int i = 0; i < N_STREAMS; i++)
        if (world.streams[i].exchange)
            dwb_http_stream_wake(world.streams[i].exchange);
    close_world(); /* with a line that waits */
    ck_assert_int_eq(world.n_closed, N_STREAMS);
    for (int i = N_STREAMS / 2; i < N_STREAMS; i++)
        close(fds[i]);
}
END_TEST

/* Whoever only stops sending waits for its answer still; whoever leaves is let go at once, and the
 * answer may come later. */
START_TEST(test_held_leaves)
{
    open_world();
    int fd = ask("/held");
    run_until(&world.n_held, 1);
    shutdown(fd, SHUT_WR);
    ck_assert_int_eq(fixture_run_for(world.loop, 10 * RUN_NS), 0);
    ck_assert_uint_eq(dwb_http_connections(world.http), 1);
    close(fd);
    run_until_alone();
    dwb_http_reply(world.held, 200, "text/plain", NULL, 0);
    close_world();
}
END_TEST

/* A client that sends head and body in two calls, and looks for an answer after both. */
START_TEST(test_refused_before_the_body)
{
    static const char head[] =
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nX-Bad: \x7f\r\n\r\n";
    char answer[256] = "";

    open_world();
    int fd = ask("/ping");
    ck_assert_int_eq(fixture_run_for(world.loop, 10 * RUN_NS), 0);
    ck_assert_int_gt(recv(fd, answer, sizeof(answer), MSG_DONTWAIT), 0);
    ck_assert_int_gt(send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL), 0);
    ck_assert_int_eq(fixture_run_for(world.loop, 10 * RUN_NS), 0);
    ck_assert_int_eq(send(fd, "body", 4, MSG_NOSIGNAL), 4);
    run_until_alone();
    ck_assert_int_gt(recv(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT), 0);
    ck_assert_int_eq(strncmp(answer, "HTTP/1.1 400", 12), 0);
    close(fd);
    close_world();
}
END_TEST

START_TEST(test_peers)
{
    struct dwb_peer *all[N_PEERS], *left[DWB_PEERS_LEFT_MAX];
    struct dwb_peers peers;
    int pairs[N_PEERS][2], n_cut = 0;
    size_t n_left = 0, n;
    char byte;

    ck_assert_int_eq(dwb_peers_init(&peers), 0);
    for (int i = 0; i < N_PEERS; i++) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pairs[i]), 0);
        all[i] = dwb_peers_add(&peers, pairs[i][0], 1000);
        ck_assert_ptr_nonnull(all[i]);
        all[i]->deadline_ns = i == 0 ? 0 : 1;
    }
    ck_assert_uint_eq(dwb_peers_take_left(&peers, left), 0);
    ck_assert(dwb_peers_cut_late(&peers, 2, N_PEERS - 10));
    for (int i = 0; i < N_PEERS; i++)
        n_cut += read(pairs[i][1], &byte, 1) == 0;
    ck_assert_int_eq(n_cut, N_PEERS - 10);
    ck_assert(!dwb_peers_cut_late(&peers, 2, N_PEERS - 10));
    ck_assert_int_eq(read(pairs[0][1], &byte, 1), -1); /* it had no deadline */

    close(pairs[0][1]);
    while ((n = dwb_peers_take_left(&peers, left)) > 0) /* each once */
        n_left += n;
    ck_assert_uint_eq(n_left, N_PEERS);
    for (int i = 0; i < N_PEERS; i++) {
        ck_assert(all[i]->has_left);
        dwb_peers_remove(&peers, all[i]);
        close(pairs[i][0]);
        if (i > 0)
            close(pairs[i][1]);
    }
    dwb_peers_deinit(&peers);
}
END_TEST

static void count_turn(void *userdata)
{
    ++*(int *)userdata;
}

START_TEST(test_turns)
{
    struct dwb_loop *loop = fixture_new_loop();
    struct dwb_turns_entry a = {0}, b = {0}, c = {0};
    struct dwb_turns turns;
    int n = 0;

    ck_assert_int_eq(dwb_turns_init(&turns, loop, count_turn, &n), 0);
    dwb_turns_add(&turns, &a);
    dwb_turns_add(&turns, &b);
    dwb_turns_add(&turns, &c);
    dwb_turns_add(&turns, &a); /* it keeps its place */
    dwb_turns_drop(&turns, &b);
    dwb_turns_drop(&turns, &b);
    ck_assert_int_eq(n, 0); /* never from inside of the one who asks */
    ck_assert_int_eq(fixture_run_for(loop, 10 * MS), 0);
    ck_assert_int_eq(n, 1);
    ck_assert_ptr_eq(dwb_turns_take(&turns), &a);
    ck_assert_ptr_eq(dwb_turns_take(&turns), &c);
    ck_assert_ptr_null(dwb_turns_take(&turns));
    dwb_turns_ask(&turns);
    ck_assert_int_eq(fixture_run_for(loop, 10 * MS), 0);
    ck_assert_int_eq(n, 2);
    dwb_turns_deinit(&turns);
    dwb_loop_free(loop);
}
END_TEST

static Suite *new_suite(const char *name)
{
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("http");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_request_between_streams);
    tcase_add_test(tc, test_streams_leave);
    tcase_add_test(tc, test_held_leaves);
    tcase_add_test(tc, test_refused_before_the_body);
    tcase_add_test(tc, test_peers);
    tcase_add_test(tc, test_turns);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, new_suite);
}
