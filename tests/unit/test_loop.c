/*
 * The loop's promises on polled descriptors, removal, errors and stopping: `test_loop epoll`,
 * `test_loop io_uring`. Each test runs in a process of its own (Check forks).
 */

#include "tests/unit/loop_fixture.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#define N_FDS 1000

/* --- polling --- */

START_TEST(test_name)
{
    struct dwb_loop *loop = fixture_new_loop();

    ck_assert_str_eq(dwb_loop_backend_name(loop),
                     fixture_backend == DWB_LOOP_URING ? "io_uring" : "epoll");
    ck_assert_int_eq(dwb_loop_fallback_errno(loop), 0);
    dwb_loop_free(loop);
    dwb_loop_free(NULL);
}
END_TEST

START_TEST(test_level)
{
    struct seen seen = {.loop = fixture_new_loop(), .stop_at = 50};
    int fds[2];

    fixture_pipe(fds);
    fixture_put(fds[1], 1);
    seen.fd = fds[0];
    fixture_watch(&seen, POLLIN);
    ck_assert_int_eq(dwb_loop_run(seen.loop), 0); /* the byte is never read */
    ck_assert_int_eq(seen.n, 50);
    ck_assert_uint_eq(seen.revents, POLLIN);
    dwb_loop_free(seen.loop);
}
END_TEST

START_TEST(test_partial_reads)
{
    struct seen seen = {.loop = fixture_new_loop(), .drain = true};
    int fds[2];

    fixture_pipe(fds);
    seen.fd = fds[0];
    fixture_watch(&seen, POLLIN);
    fixture_put(fds[1], 10);
    ck_assert_int_eq(fixture_run_for(seen.loop, 20 * MS), 0);
    ck_assert_int_eq(seen.n, 10);
    fixture_put(fds[1], 3);
    ck_assert_int_eq(fixture_run_for(seen.loop, 20 * MS), 0);
    ck_assert_int_eq(seen.n, 13);
    dwb_loop_free(seen.loop);
}
END_TEST

START_TEST(test_hangup)
{
    struct seen seen = {.loop = fixture_new_loop(), .stop_at = 3};
    int fds[2];

    fixture_pipe(fds);
    seen.fd = fds[0];
    fixture_watch(&seen, POLLIN);
    close(fds[1]);
    ck_assert_int_eq(dwb_loop_run(seen.loop), 0);
    ck_assert_uint_eq(seen.revents, POLLHUP);
    dwb_loop_free(seen.loop);
}
END_TEST

START_TEST(test_writable)
{
    struct seen seen = {.loop = fixture_new_loop()};
    int fds[2];
    char page[4096] = {0};

    fixture_pipe(fds);
    while (write(fds[1], page, sizeof(page)) > 0)
        ;
    seen.fd = fds[1];
    fixture_watch(&seen, POLLOUT);
    ck_assert_int_eq(fixture_run_for(seen.loop, 10 * MS), 0);
    ck_assert_int_eq(seen.n, 0);
    while (read(fds[0], page, sizeof(page)) > 0)
        ;
    seen.stop_at = 1;
    ck_assert_int_eq(dwb_loop_run(seen.loop), 0);
    ck_assert_uint_eq(seen.revents, POLLOUT);
    dwb_loop_free(seen.loop);
}
END_TEST

static int read_one(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    struct seen *seen = userdata;
    char byte;

    ck_assert_int_eq(read(seen->fd, &byte, 1), 1);
    seen->n++;
    return 0;
}

START_TEST(test_many)
{
    static struct seen seen[N_FDS];
    static int ends[N_FDS];
    struct dwb_loop *loop = fixture_new_loop();
    int fds[2];

    for (int i = 0; i < N_FDS; i++) {
        fixture_pipe(fds);
        seen[i] = (struct seen){.fd = fds[0]};
        ends[i] = fds[1];
        ck_assert_int_eq(
            dwb_loop_add_poll(loop, fds[0], POLLIN, read_one, &seen[i], &seen[i].source), 0);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N_FDS; i++)
            fixture_put(ends[i], 2);
        ck_assert_int_eq(fixture_run_for(loop, 150 * MS), 0);
        for (int i = 0; i < N_FDS; i++)
            ck_assert_int_eq(seen[i].n, 2 * (round + 1));
    }
    dwb_loop_free(loop);
}
END_TEST

START_TEST(test_bad_fd)
{
    struct dwb_loop *loop = fixture_new_loop();
    struct dwb_loop_source *source = (void *)1, *second = (void *)1;
    int fds[2];

    fixture_pipe(fds);
    ck_assert_int_eq(dwb_loop_add_poll(loop, -1, POLLIN, fixture_on_poll, NULL, &source), -EBADF);
    ck_assert_int_eq(dwb_loop_add_poll(loop, 9999, POLLIN, fixture_on_poll, NULL, &source), -EBADF);
    ck_assert_int_eq(dwb_loop_add_accept(loop, fds[0], NULL, NULL, &source), -ENOTSOCK);
    ck_assert_ptr_eq(source, (void *)1);
    ck_assert_int_eq(dwb_loop_add_poll(loop, fds[0], POLLIN, fixture_on_poll, NULL, &source), 0);
    ck_assert_int_eq(dwb_loop_add_poll(loop, fds[0], POLLOUT, fixture_on_poll, NULL, &second),
                     -EEXIST);
    ck_assert_ptr_eq(second, (void *)1);
    dwb_loop_free(loop);
}
END_TEST

/* --- removal --- */

static int remove_self(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    struct seen *seen = userdata;

    seen->n++;
    dwb_loop_remove(source);
    return 0;
}

START_TEST(test_remove_self)
{
    struct seen seen = {.loop = fixture_new_loop()};
    int fds[2];

    fixture_pipe(fds);
    fixture_put(fds[1], 1);
    ck_assert_int_eq(dwb_loop_add_poll(seen.loop, fds[0], POLLIN, remove_self, &seen, &seen.source),
                     0);
    ck_assert_int_eq(fixture_run_for(seen.loop, 20 * MS), 0);
    ck_assert_int_eq(seen.n, 1);
    dwb_loop_free(seen.loop);
}
END_TEST

#define N_CROWD 40

struct crowd {
    struct dwb_loop *loop;
    struct dwb_loop_source *sources[N_CROWD];
    int fds[N_CROWD][2];
    int n_calls;
};

static int remove_others(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    struct crowd *crowd = userdata;

    crowd->n_calls++;
    for (int i = 0; i < N_CROWD; i++) {
        dwb_loop_remove(crowd->sources[i]);
        crowd->sources[i] = NULL;
    }
    return 0;
}

/* All are readable, so all reports are pending when the first callback removes everybody. */
START_TEST(test_remove_others)
{
    struct crowd crowd = {.loop = fixture_new_loop()};

    for (int i = 0; i < N_CROWD; i++) {
        fixture_pipe(crowd.fds[i]);
        fixture_put(crowd.fds[i][1], 1);
        ck_assert_int_eq(dwb_loop_add_poll(crowd.loop, crowd.fds[i][0], POLLIN, remove_others,
                                           &crowd, &crowd.sources[i]),
                         0);
    }
    ck_assert_int_eq(fixture_run_for(crowd.loop, 20 * MS), 0);
    ck_assert_int_eq(crowd.n_calls, 1);
    dwb_loop_free(crowd.loop);
}
END_TEST

struct swap {
    struct dwb_loop *loop;
    struct dwb_loop_source *old, *new;
    int old_fd;
    int n_old, n_new;
};

static int count_old(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    ((struct swap *)userdata)->n_old++;
    return 0;
}

static int count_new(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    ((struct swap *)userdata)->n_new++;
    return 0;
}

/* The old source has a report pending in this batch; its descriptor's number and its slot go to a
 * new, silent pipe. */
static int swap_fds(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    struct swap *swap = userdata;
    int fds[2];

    dwb_loop_remove(source);
    if (!swap->old)
        return 0;
    dwb_loop_remove(swap->old);
    swap->old = NULL;
    close(swap->old_fd);
    fixture_pipe(fds);
    ck_assert(fds[0] == swap->old_fd || fds[1] == swap->old_fd);
    if (fds[0] != swap->old_fd) { /* keep the reading end at the reused number */
        int writing = fcntl(fds[1], F_DUPFD_CLOEXEC, 0);
        ck_assert_int_ge(writing, 0);
        ck_assert_int_eq(dup2(fds[0], swap->old_fd), swap->old_fd);
    }
    ck_assert_int_eq(
        dwb_loop_add_poll(swap->loop, swap->old_fd, POLLIN, count_new, swap, &swap->new), 0);
    return 0;
}

START_TEST(test_reuse_fd)
{
    struct swap swap = {.loop = fixture_new_loop()};
    struct dwb_loop_source *first, *last;
    int a[2], b[2], c[2];

    fixture_pipe(a);
    fixture_pipe(b);
    fixture_pipe(c);
    fixture_put(a[1], 1);
    fixture_put(b[1], 1);
    fixture_put(c[1], 1);
    swap.old_fd = b[0];
    /* One before and one behind the old source, so that one of them is called before it. */
    ck_assert_int_eq(dwb_loop_add_poll(swap.loop, a[0], POLLIN, swap_fds, &swap, &first), 0);
    ck_assert_int_eq(dwb_loop_add_poll(swap.loop, b[0], POLLIN, count_old, &swap, &swap.old), 0);
    ck_assert_int_eq(dwb_loop_add_poll(swap.loop, c[0], POLLIN, swap_fds, &swap, &last), 0);
    ck_assert_int_eq(fixture_run_for(swap.loop, 20 * MS), 0);
    ck_assert_int_le(swap.n_old, 1); /* it may have been called before the others, once */
    ck_assert_int_eq(swap.n_new, 0); /* the pending report was the old pipe's */
    dwb_loop_free(swap.loop);
}
END_TEST

/* Armed in the kernel, then removed and its number reused 200 times: nobody hears another's news.
 */
START_TEST(test_reuse_churn)
{
    struct seen seen = {.loop = fixture_new_loop(), .drain = true};
    int fds[2], number = -1;

    for (int i = 0; i < 200; i++) {
        fixture_pipe(fds);
        ck_assert(number < 0 || number == fds[0]);
        number = seen.fd = fds[0];
        fixture_watch(&seen, POLLIN);
        if (i % 2 == 0) {
            seen.stop_at = seen.n + 1;
            fixture_put(fds[1], 1);
            ck_assert_int_eq(dwb_loop_run(seen.loop), 0);
        }
        fixture_put(fds[1], 1); /* readable when it goes */
        dwb_loop_remove(seen.source);
        close(fds[0]);
        close(fds[1]);
    }
    ck_assert_int_eq(seen.n, 100);
    seen.stop_at = 0;
    fixture_pipe(fds);
    ck_assert_int_eq(fds[0], number);
    seen.fd = number;
    fixture_watch(&seen, POLLIN);
    ck_assert_int_eq(fixture_run_for(seen.loop, 10 * MS), 0);
    ck_assert_int_eq(seen.n, 100);
    dwb_loop_free(seen.loop);
}
END_TEST

/* The loop holds no file after a removal: the other end sees the close at once, not at the next
 * run. */
START_TEST(test_remove_lets_go)
{
    struct seen seen = {.loop = fixture_new_loop()};
    int fds[2];

    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 3; i++) { /* from the second on, the last one's late news is in the slot */
        fixture_pipe(fds);
        seen.fd = fds[0];
        fixture_watch(&seen, POLLIN);
        ck_assert_int_eq(fixture_run_for(seen.loop, 5 * MS), 0); /* armed now */
        dwb_loop_remove(seen.source);
        close(fds[0]);
        ck_assert_int_eq(write(fds[1], "x", 1), -1);
        ck_assert_int_eq(errno, EPIPE);
    }
    dwb_loop_free(seen.loop);
}
END_TEST

START_TEST(test_remove_null)
{
    struct dwb_loop_source *source = NULL;

    dwb_loop_remove(NULL);
    dwb_loop_removep(&source);
    ck_assert_ptr_null(source);
}
END_TEST

/* --- running --- */

static int fail_poll(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    (*(int *)userdata)++;
    return -EXDEV;
}

/* An error ends the run with the rest of the batch unheard; the next run hears of it. */
START_TEST(test_error)
{
    struct dwb_loop *loop = fixture_new_loop();
    struct dwb_loop_source *sources[10];
    int fds[2], n = 0;

    for (int i = 0; i < 10; i++) {
        fixture_pipe(fds);
        fixture_put(fds[1], 1);
        ck_assert_int_eq(dwb_loop_add_poll(loop, fds[0], POLLIN, fail_poll, &n, &sources[i]), 0);
    }
    for (int i = 1; i <= 30; i++) {
        ck_assert_int_eq(dwb_loop_run(loop), -EXDEV);
        ck_assert_int_eq(n, i);
    }
    dwb_loop_free(loop);
}
END_TEST

static int stop_poll(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    struct seen *seen = userdata;

    seen->n++;
    dwb_loop_stop(seen->loop);
    return 0;
}

START_TEST(test_stop)
{
    struct seen seen = {.loop = fixture_new_loop()};
    struct dwb_loop_source *sources[3];
    int fds[2];

    for (int i = 0; i < 3; i++) {
        fixture_pipe(fds);
        fixture_put(fds[1], 1);
        ck_assert_int_eq(
            dwb_loop_add_poll(seen.loop, fds[0], POLLIN, stop_poll, &seen, &sources[i]), 0);
    }
    dwb_loop_stop(seen.loop); /* before the run: it ends at once, and only that one */
    ck_assert_int_eq(dwb_loop_run(seen.loop), 0);
    ck_assert_int_eq(seen.n, 0);
    for (int i = 1; i <= 9; i++) {
        ck_assert_int_eq(dwb_loop_run(seen.loop), 0);
        ck_assert_int_eq(seen.n, i); /* nobody is called after a stop */
    }
    dwb_loop_free(seen.loop);
}
END_TEST

static int run_again(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    ck_assert_int_eq(dwb_loop_run(userdata), -EBUSY);
    dwb_loop_stop(userdata);
    return 0;
}

START_TEST(test_nested_run)
{
    struct dwb_loop *loop = fixture_new_loop();
    struct dwb_loop_source *source;
    int fds[2];

    fixture_pipe(fds);
    fixture_put(fds[1], 1);
    ck_assert_int_eq(dwb_loop_add_poll(loop, fds[0], POLLIN, run_again, loop, &source), 0);
    ck_assert_int_eq(dwb_loop_run(loop), 0);
    dwb_loop_free(loop);
}
END_TEST

static Suite *new_suite(const char *name)
{
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("loop");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_name);
    tcase_add_test(tc, test_level);
    tcase_add_test(tc, test_partial_reads);
    tcase_add_test(tc, test_hangup);
    tcase_add_test(tc, test_writable);
    tcase_add_test(tc, test_many);
    tcase_add_test(tc, test_bad_fd);
    tcase_add_test(tc, test_remove_self);
    tcase_add_test(tc, test_remove_others);
    tcase_add_test(tc, test_reuse_fd);
    tcase_add_test(tc, test_reuse_churn);
    tcase_add_test(tc, test_remove_lets_go);
    tcase_add_test(tc, test_remove_null);
    tcase_add_test(tc, test_error);
    tcase_add_test(tc, test_stop);
    tcase_add_test(tc, test_nested_run);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, new_suite);
}
