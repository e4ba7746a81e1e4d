#include "tests/unit/loop_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GUARD_NS  (3000 * MS)
#define EXIT_SKIP 77

enum dwb_loop_backend fixture_backend;

uint64_t fixture_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int fail_late(struct dwb_loop_source *timer, uint64_t n_expired, void *userdata)
{
    return -ETIMEDOUT;
}

struct dwb_loop *fixture_new_loop(void)
{
    struct dwb_loop *loop = NULL;
    struct dwb_loop_source *guard;

    ck_assert_int_eq(dwb_loop_new(fixture_backend, &loop), 0);
    ck_assert_int_eq(dwb_loop_add_timer(loop, GUARD_NS, 0, fail_late, NULL, &guard), 0);
    return loop;
}

int fixture_stop(struct dwb_loop_source *timer, uint64_t n_expired, void *loop)
{
    dwb_loop_stop(loop);
    return 0;
}

/* Runs the loop for a while; what it returns. */
int fixture_run_for(struct dwb_loop *loop, uint64_t ns)
{
    struct dwb_loop_source *timer;
    int r;

    ck_assert_int_eq(dwb_loop_add_timer(loop, ns, 0, fixture_stop, loop, &timer), 0);
    r = dwb_loop_run(loop);
    dwb_loop_remove(timer);
    return r;
}

void fixture_pipe(int fds[2])
{
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
}

void fixture_put(int fd, size_t n_bytes)
{
    while (n_bytes-- > 0)
        ck_assert_int_eq(write(fd, "x", 1), 1);
}

int fixture_on_poll(struct dwb_loop_source *source, uint32_t revents, void *opaque)
{
    struct seen *seen = opaque;
    char byte;

    ck_assert_ptr_eq(source, seen->source);
    seen->n++;
    seen->revents |= revents;
    if (seen->drain)
        ck_assert_int_eq(read(seen->fd, &byte, 1), 1);
    if (seen->n == seen->stop_at)
        dwb_loop_stop(seen->loop);
    return 0;
}

void fixture_watch(struct seen *seen, uint32_t events)
{
    ck_assert_int_eq(
        dwb_loop_add_poll(seen->loop, seen->fd, events, fixture_on_poll, seen, &seen->source), 0);
}

static int choose_backend(const char *name)
{
    struct dwb_loop *loop;
    int r;

    if (strcmp(name, "epoll") == 0)
        fixture_backend = DWB_LOOP_EPOLL;
    else if (strcmp(name, "io_uring") == 0)
        fixture_backend = DWB_LOOP_URING;
    else
        return -EINVAL;
    r = dwb_loop_new(fixture_backend, &loop);
    if (r == 0)
        dwb_loop_free(loop);
    return r;
}

int fixture_main(int argc, char **argv, Suite *(*new_suite)(const char *name))
{
    const char *name = argc == 2 ? argv[1] : "epoll";
    SRunner *runner;
    int n_failed, r;

    r = choose_backend(name);
    if (r < 0) {
        printf("%s: no %s here: %s\n", fixture_backend == DWB_LOOP_URING ? "SKIP" : "FAIL", name,
               strerror(-r));
        return fixture_backend == DWB_LOOP_URING ? EXIT_SKIP : 1;
    }
    runner = srunner_create(new_suite(name));
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
