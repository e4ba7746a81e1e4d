/*
 * Writes that wait for a full disk, over the real store and loop: order is kept whatever is under
 * way when space comes back. The disk is this program's own pwrite, as in test_store_faults.
 */

#include "daemon/persist.h"
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic int pwrite_errno;

ssize_t pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
    if (pwrite_errno != 0) {
        errno = pwrite_errno;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, buffer, size, offset);
}

struct told {
    int n;
    struct dwb_loop *loop;
    int status[8];
};

static struct dwb_store *store;
static struct dwb_loop *loop;
static struct dwb_persist *persist;
static struct told told;
static int n_wanted;

static void on_told(int status, void *userdata)
{
    told.status[told.n++] = status;
    if (told.n == n_wanted)
        dwb_loop_stop(loop);
}

static int on_store(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    dwb_store_dispatch(store);
    return 0;
}

static int on_too_late(struct dwb_loop_source *source, uint64_t n_expired, void *userdata)
{
    dwb_loop_stop(loop);
    return 0;
}

static void setup(void)
{
    struct dwb_loop_source *source;

    fixture_setup();
    store = fixture_open();
    told = (struct told){0};
    ck_assert_int_eq(dwb_loop_new(DWB_LOOP_EPOLL, &loop), 0);
    ck_assert_int_eq(dwb_persist_new(loop, store, &persist), 0);
    ck_assert_int_eq(dwb_loop_add_poll(loop, dwb_store_fd(store), POLLIN, on_store, NULL, &source),
                     0);
}

static void teardown(void)
{
    dwb_loop_free(loop);
    fixture_teardown();
}

static void close_all(void)
{
    dwb_store_close(store);
    dwb_persist_free(persist);
}

/* Runs the loop until so many writes have been told, at most 10 s. */
static void wait_told(int n)
{
    struct dwb_loop_source *deadline;

    n_wanted = n;
    ck_assert_int_eq(
        dwb_loop_add_timer(loop, UINT64_C(10000000000), 0, on_too_late, NULL, &deadline), 0);
    if (told.n < n)
        ck_assert_int_eq(dwb_loop_run(loop), 0);
    dwb_loop_remove(deadline);
    ck_assert_int_eq(told.n, n);
}

/* The disk is full for the write of `state`, and no more when that is not yet known here. */
static void miss_the_disk(const char *id, enum dwb_job_state state)
{
    struct pollfd pollfd = {.fd = dwb_store_fd(store), .events = POLLIN};

    pwrite_errno = ENOSPC;
    ck_assert_int_eq(dwb_persist_state(persist, id, state, "", NULL, on_told, NULL), 0);
    ck_assert_int_eq(poll(&pollfd, 1, 10000), 1); /* its answer waits, nobody has read it */
    pwrite_errno = 0;
}

/* What a restart does: the job goes back to the queue and is taken up at once. */
START_TEST(test_no_write_overtakes_one_under_way)
{
    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    ck_assert_int_eq(fixture_set(store, "a", DWB_JOB_RUNNING, NULL), 0);
    miss_the_disk("a", DWB_JOB_QUEUED);
    ck_assert_int_eq(dwb_persist_state(persist, "a", DWB_JOB_RUNNING, "", NULL, on_told, NULL), 0);
    wait_told(2);
    ck_assert_int_eq(told.status[0], 0);
    ck_assert_int_eq(told.status[1], 0);
    ck_assert_int_eq(fixture_state(store, "a"), DWB_JOB_RUNNING);
    close_all();
}
END_TEST

START_TEST(test_a_cancel_waits_for_its_job)
{
    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    ck_assert_int_eq(fixture_set(store, "a", DWB_JOB_RUNNING, NULL), 0);
    miss_the_disk("a", DWB_JOB_QUEUED);
    ck_assert_int_eq(dwb_persist_state(persist, "a", DWB_JOB_CANCELLED, "why", NULL, on_told, NULL),
                     0);
    wait_told(2);
    ck_assert_int_eq(told.status[0], 0);
    ck_assert_int_eq(told.status[1], 0);
    ck_assert_int_eq(fixture_state(store, "a"), DWB_JOB_CANCELLED);
    close_all();
}
END_TEST

/* Jobs do not wait for each other while the disk has room. */
START_TEST(test_writes_of_two_jobs_share_a_commit)
{
    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    ck_assert_int_eq(fixture_add(store, "b", 1, NULL), 0);
    ck_assert_int_eq(dwb_persist_state(persist, "a", DWB_JOB_RUNNING, "", NULL, on_told, NULL), 0);
    ck_assert_int_eq(dwb_persist_replicate(persist, "a", 0, 0, "r", on_told, NULL), 0);
    ck_assert_int_eq(dwb_persist_state(persist, "a", DWB_JOB_DONE, "", "{}", on_told, NULL), 0);
    ck_assert_int_eq(dwb_persist_state(persist, "b", DWB_JOB_CANCELLED, "", NULL, on_told, NULL),
                     0);
    wait_told(4);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(told.status[i], 0);
    ck_assert_int_eq(fixture_state(store, "a"), DWB_JOB_DONE);
    ck_assert_int_eq(fixture_state(store, "b"), DWB_JOB_CANCELLED);
    close_all();
}
END_TEST

/* A write that fails for its own reason does not hold up what waits behind it. */
START_TEST(test_a_failure_lets_the_next_go)
{
    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    ck_assert_int_eq(dwb_persist_state(persist, "a", DWB_JOB_DONE, "", "{}", on_told, NULL), 0);
    ck_assert_int_eq(dwb_persist_state(persist, "a", DWB_JOB_RUNNING, "", NULL, on_told, NULL), 0);
    wait_told(2);
    ck_assert_int_eq(told.status[0], -ESTALE);
    ck_assert_int_eq(told.status[1], 0);
    close_all();
}
END_TEST

/* The end of the store does not leave out what waited for a write under way. */
START_TEST(test_close_takes_what_waits)
{
    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    ck_assert_int_eq(dwb_persist_state(persist, "a", DWB_JOB_RUNNING, "", NULL, on_told, NULL), 0);
    ck_assert_int_eq(dwb_persist_state(persist, "a", DWB_JOB_DONE, "", "{}", on_told, NULL), 0);
    close_all();
    ck_assert_int_eq(told.n, 2);
    store = fixture_open();
    ck_assert_int_eq(fixture_state(store, "a"), DWB_JOB_DONE);
    dwb_store_close(store);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("persist");
    TCase *tc = tcase_create("order");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_no_write_overtakes_one_under_way);
    tcase_add_test(tc, test_a_cancel_waits_for_its_job);
    tcase_add_test(tc, test_writes_of_two_jobs_share_a_commit);
    tcase_add_test(tc, test_a_failure_lets_the_next_go);
    tcase_add_test(tc, test_close_takes_what_waits);
    suite_add_tcase(suite, tc);
    return fixture_main(suite);
}
