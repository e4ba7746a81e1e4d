/*
 * The loop's own kinds of sources: accepting, timers, signals; `test_loop_sources epoll`,
 * `test_loop_sources io_uring`.
 */

#include "tests/unit/loop_fixture.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define N_CLIENTS 300

/* --- accepting --- */

static int listen_at(struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* blocking: the loop must not block */

    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof(address->sun_path), "/tmp/dwb-test-loop-%d.sock", getpid());
    unlink(address->sun_path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)address, sizeof(*address)), 0);
    ck_assert_int_eq(listen(fd, 2 * N_CLIENTS), 0);
    return fd;
}

static int connect_to(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
    return fd;
}

struct accepted {
    struct dwb_loop *loop;
    int n;
    int stop_at;
    int remove_at;
    int fds[N_CLIENTS];
    uint64_t at_ns;
};

static int on_accept(struct dwb_loop_source *source, int fd, void *userdata)
{
    struct accepted *accepted = userdata;

    ck_assert_int_ge(fd, 0);
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    accepted->fds[accepted->n++] = fd;
    accepted->at_ns = fixture_now_ns();
    if (accepted->n == accepted->stop_at)
        dwb_loop_stop(accepted->loop);
    if (accepted->n == accepted->remove_at)
        dwb_loop_remove(source);
    return 0;
}

START_TEST(test_accept_many)
{
    static struct accepted accepted;
    static int clients[N_CLIENTS];
    struct sockaddr_un address;
    struct dwb_loop_source *source;
    int listen_fd = listen_at(&address);
    char byte;

    accepted = (struct accepted){.loop = fixture_new_loop(), .stop_at = N_CLIENTS};
    ck_assert_int_eq(dwb_loop_add_accept(accepted.loop, listen_fd, on_accept, &accepted, &source),
                     0);
    for (int i = 0; i < N_CLIENTS; i++)
        clients[i] = connect_to(&address);
    ck_assert_int_eq(dwb_loop_run(accepted.loop), 0);
    ck_assert_int_eq(accepted.n, N_CLIENTS);
    for (int i = 0; i < N_CLIENTS; i++) { /* each got its own: in order, they answer each other */
        fixture_put(accepted.fds[i], 1);
        ck_assert_int_eq(recv(clients[i], &byte, 1, MSG_DONTWAIT), 1);
    }
    dwb_loop_free(accepted.loop);
    unlink(address.sun_path);
}
END_TEST

/* Connections that nobody took when the source goes are still there for the next one (a restart).
 */
START_TEST(test_accept_backlog)
{
    static struct accepted accepted;
    struct sockaddr_un address;
    struct dwb_loop_source *source;
    int listen_fd = listen_at(&address);

    accepted = (struct accepted){.loop = fixture_new_loop(), .remove_at = 5};
    ck_assert_int_eq(dwb_loop_add_accept(accepted.loop, listen_fd, on_accept, &accepted, &source),
                     0);
    for (int i = 0; i < 20; i++)
        connect_to(&address);
    ck_assert_int_eq(fixture_run_for(accepted.loop, 20 * MS), 0);
    ck_assert_int_eq(accepted.n, 5);
    accepted.stop_at = 20;
    ck_assert_int_eq(dwb_loop_add_accept(accepted.loop, listen_fd, on_accept, &accepted, &source),
                     0);
    accepted.remove_at = 0;
    ck_assert_int_eq(dwb_loop_run(accepted.loop), 0);
    ck_assert_int_eq(accepted.n, 20);
    dwb_loop_free(accepted.loop);
    unlink(address.sun_path);
}
END_TEST

START_TEST(test_accept_pause)
{
    static struct accepted accepted;
    struct sockaddr_un address;
    struct dwb_loop_source *source;
    struct rlimit full, tight;
    struct timespec cpu;
    int listen_fd = listen_at(&address);
    uint64_t start_ns;

    accepted = (struct accepted){.loop = fixture_new_loop(), .stop_at = 2};
    ck_assert_int_eq(dwb_loop_add_accept(accepted.loop, listen_fd, on_accept, &accepted, &source),
                     0);
    connect_to(&address);
    tight.rlim_cur = (rlim_t)connect_to(&address) + 1; /* no number is left */
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &full), 0);
    tight.rlim_max = full.rlim_max;
    /* The timer that ends the first run needs a number, too: it is made before. */
    struct dwb_loop_source *timer;
    ck_assert_int_eq(
        dwb_loop_add_timer(accepted.loop, 250 * MS, 0, fixture_stop, accepted.loop, &timer), 0);
    tight.rlim_cur++;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    ck_assert_int_eq(dwb_loop_run(accepted.loop), 0);
    ck_assert_int_eq(accepted.n, 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu); /* it paused, it did not spin */
    ck_assert_int_eq((int)cpu.tv_sec, 0);
    ck_assert_int_lt((int)(cpu.tv_nsec / 1000000), 100);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &full), 0);
    start_ns = fixture_now_ns();
    ck_assert_int_eq(dwb_loop_run(accepted.loop), 0);
    ck_assert_int_eq(accepted.n, 2);
    ck_assert_uint_lt(accepted.at_ns - start_ns, 200 * MS);
    dwb_loop_remove(source);
    dwb_loop_free(accepted.loop);
    unlink(address.sun_path);
}
END_TEST

/* --- timers --- */

struct ticks {
    struct dwb_loop *loop;
    int n;
    uint64_t n_expired;
    int stop_at;
    uint64_t first_ns;
};

static int on_tick(struct dwb_loop_source *timer, uint64_t n_expired, void *userdata)
{
    struct ticks *ticks = userdata;

    ck_assert_uint_ge(n_expired, 1);
    if (ticks->n++ == 0)
        ticks->first_ns = fixture_now_ns();
    ticks->n_expired += n_expired;
    if (ticks->n == ticks->stop_at)
        dwb_loop_stop(ticks->loop);
    return 0;
}

START_TEST(test_timer_period)
{
    struct ticks ticks = {.loop = fixture_new_loop(), .stop_at = 10};
    struct dwb_loop_source *timer;
    uint64_t start_ns = fixture_now_ns(), elapsed_ns;

    ck_assert_int_eq(dwb_loop_add_timer(ticks.loop, 30 * MS, 5 * MS, on_tick, &ticks, &timer), 0);
    ck_assert_int_eq(dwb_loop_run(ticks.loop), 0);
    elapsed_ns = fixture_now_ns() - start_ns;
    ck_assert_uint_ge(ticks.first_ns - start_ns, 30 * MS);
    /* No expiry is lost or invented: 30 ms, then one each 5 ms. */
    ck_assert_uint_ge(elapsed_ns, 30 * MS + (ticks.n_expired - 1) * 5 * MS);
    ck_assert_uint_ge(ticks.n_expired, 10);
    dwb_loop_free(ticks.loop);
}
END_TEST

static int sleep_first(struct dwb_loop_source *timer, uint64_t n_expired, void *userdata)
{
    struct ticks *ticks = userdata;

    ticks->n_expired += n_expired;
    if (ticks->n++ == 0)
        usleep(50000);
    else
        dwb_loop_stop(ticks->loop);
    return 0;
}

START_TEST(test_timer_missed)
{
    struct ticks ticks = {.loop = fixture_new_loop()};
    struct dwb_loop_source *timer;

    ck_assert_int_eq(dwb_loop_add_timer(ticks.loop, 1 * MS, 5 * MS, sleep_first, &ticks, &timer),
                     0);
    ck_assert_int_eq(dwb_loop_run(ticks.loop), 0);
    ck_assert_int_eq(ticks.n, 2);
    ck_assert_uint_ge(ticks.n_expired, 10); /* told in one call, not ten */
    dwb_loop_free(ticks.loop);
}
END_TEST

START_TEST(test_timer_once)
{
    struct ticks ticks = {.loop = fixture_new_loop()};
    struct dwb_loop_source *timer;

    ck_assert_int_eq(dwb_loop_add_timer(ticks.loop, 0, 0, on_tick, &ticks, &timer), 0);
    ck_assert_int_eq(fixture_run_for(ticks.loop, 20 * MS), 0);
    ck_assert_int_eq(ticks.n, 1);
    ck_assert_int_eq(dwb_loop_set_timer(timer, 2 * MS, 0), 0);
    ck_assert_int_eq(fixture_run_for(ticks.loop, 20 * MS), 0);
    ck_assert_int_eq(ticks.n, 2);
    ck_assert_int_eq(dwb_loop_set_timer(timer, 1 * MS, 0), 0); /* put off before it is due */
    ck_assert_int_eq(dwb_loop_set_timer(timer, 1000 * MS, 0), 0);
    ck_assert_int_eq(fixture_run_for(ticks.loop, 20 * MS), 0);
    ck_assert_int_eq(ticks.n, 2);
    ck_assert_int_eq(dwb_loop_set_timer(timer, 1 * MS, 0), 0);
    usleep(5000); /* expired, not yet reported, then put off */
    ck_assert_int_eq(dwb_loop_set_timer(timer, 1000 * MS, 0), 0);
    ck_assert_int_eq(fixture_run_for(ticks.loop, 20 * MS), 0);
    ck_assert_int_eq(ticks.n, 2);
    dwb_loop_remove(timer);
    dwb_loop_free(ticks.loop);
}
END_TEST

/* --- signals --- */

struct signals {
    struct dwb_loop *loop;
    int n[3]; /* SIGTERM, SIGUSR1, SIGCHLD */
    pid_t child;
    int stop_at;
};

static int on_signal(struct dwb_loop_source *source, const struct signalfd_siginfo *info,
                     void *userdata)
{
    struct signals *signals = userdata;
    int n;

    switch (info->ssi_signo) {
    case SIGTERM:
        signals->n[0]++;
        break;
    case SIGUSR1:
        signals->n[1]++;
        break;
    case SIGCHLD:
        ck_assert_int_eq((pid_t)info->ssi_pid, signals->child);
        signals->n[2]++;
        break;
    default:
        return -EINVAL;
    }
    n = signals->n[0] + signals->n[1] + signals->n[2];
    if (n == signals->stop_at)
        dwb_loop_stop(signals->loop);
    return 0;
}

static int send_term(struct dwb_loop_source *timer, uint64_t n_expired, void *userdata)
{
    kill(getpid(), SIGTERM);
    return 0;
}

START_TEST(test_signals)
{
    struct signals signals = {.loop = fixture_new_loop(), .stop_at = 3};
    struct dwb_loop_source *source, *timer;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    ck_assert_int_eq(dwb_loop_add_signals(signals.loop, &set, on_signal, &signals, &source), 0);
    kill(getpid(), SIGUSR1); /* pending before the run */
    ck_assert_int_eq(dwb_loop_add_timer(signals.loop, 5 * MS, 0, send_term, NULL, &timer), 0);
    signals.child = fork();
    if (signals.child == 0) {
        usleep(20000); /* while the loop sleeps */
        _exit(0);
    }
    ck_assert_int_eq(dwb_loop_run(signals.loop), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(signals.n[i], 1);
    ck_assert_int_eq(waitpid(signals.child, NULL, 0), signals.child);
    signals.stop_at = 4; /* and again: the watch outlives its first report */
    kill(getpid(), SIGUSR1);
    ck_assert_int_eq(dwb_loop_run(signals.loop), 0);
    ck_assert_int_eq(signals.n[1], 2);
    dwb_loop_remove(source);
    dwb_loop_free(signals.loop);
}
END_TEST

static int remove_signals(struct dwb_loop_source *source, const struct signalfd_siginfo *info,
                          void *userdata)
{
    (*(int *)userdata)++;
    dwb_loop_remove(source);
    return 0;
}

START_TEST(test_signals_removed)
{
    struct dwb_loop *loop = fixture_new_loop();
    struct dwb_loop_source *source;
    sigset_t set, pending;
    int n = 0;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    ck_assert_int_eq(dwb_loop_add_signals(loop, &set, remove_signals, &n, &source), 0);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    ck_assert_int_eq(fixture_run_for(loop, 10 * MS), 0);
    ck_assert_int_eq(n, 1);
    ck_assert_int_eq(sigpending(&pending), 0); /* the other one was not swallowed */
    ck_assert(sigismember(&pending, SIGUSR2));
    dwb_loop_free(loop);
}
END_TEST

/* --- descriptors --- */

static size_t count_fds(void)
{
    size_t n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

START_TEST(test_no_leak)
{
    struct accepted accepted = {0};
    struct sockaddr_un address;
    struct dwb_loop_source *source;
    int listen_fd = listen_at(&address);
    size_t n_before = count_fds();
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    for (int i = 0; i < 20; i++) {
        struct dwb_loop *loop = fixture_new_loop();

        ck_assert_int_eq(dwb_loop_add_accept(loop, listen_fd, on_accept, &accepted, &source), 0);
        ck_assert_int_eq(dwb_loop_add_signals(loop, &set, on_signal, NULL, &source), 0);
        ck_assert_int_eq(fixture_run_for(loop, 1 * MS), 0);
        dwb_loop_free(loop);
    }
    ck_assert_uint_eq(count_fds(), n_before);
    unlink(address.sun_path);
}
END_TEST

static Suite *new_suite(const char *name)
{
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("sources");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_accept_many);
    tcase_add_test(tc, test_accept_backlog);
    tcase_add_test(tc, test_accept_pause);
    tcase_add_test(tc, test_timer_period);
    tcase_add_test(tc, test_timer_missed);
    tcase_add_test(tc, test_timer_once);
    tcase_add_test(tc, test_signals);
    tcase_add_test(tc, test_signals_removed);
    tcase_add_test(tc, test_no_leak);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, new_suite);
}
