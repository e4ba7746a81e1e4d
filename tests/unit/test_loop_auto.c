/*
 * The choice of the backend: AUTO takes epoll where the ring is denied, says why, and works. The
 * denials are real ones, by a seccomp filter in the forked test process.
 */

#include "tests/unit/loop_fixture.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Lets this process go on with `number` answered by `error`. */
static void deny(long number, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static const struct {
    long number;
    int error;
} denials[] = {
    {__NR_io_uring_setup, EPERM},  {__NR_io_uring_setup, ENOSYS}, {__NR_io_uring_setup, ENOMEM},
    {__NR_io_uring_setup, EACCES}, {__NR_io_uring_enter, EPERM},
};

START_TEST(test_auto_denied)
{
    struct seen seen = {.stop_at = 1};
    struct dwb_loop *loop = (void *)1;
    int fds[2], r;

    r = dwb_loop_new(DWB_LOOP_URING, &loop);
    if (r == 0)
        dwb_loop_free(loop);
    else if (denials[_i].number == __NR_io_uring_enter)
        return; /* the ring is denied already: `test_loop io_uring` is the one that says so */
    deny(denials[_i].number, denials[_i].error);
    loop = (void *)1;
    ck_assert_int_eq(dwb_loop_new(DWB_LOOP_URING, &loop), -denials[_i].error);
    ck_assert_ptr_eq(loop, (void *)1);
    ck_assert_int_eq(dwb_loop_new(DWB_LOOP_AUTO, &seen.loop), 0);
    ck_assert_str_eq(dwb_loop_backend_name(seen.loop), "epoll");
    ck_assert_int_eq(dwb_loop_fallback_errno(seen.loop), -denials[_i].error);
    fixture_pipe(fds); /* and it works */
    fixture_put(fds[1], 1);
    seen.fd = fds[0];
    fixture_watch(&seen, POLLIN);
    ck_assert_int_eq(dwb_loop_run(seen.loop), 0);
    dwb_loop_free(seen.loop);
}
END_TEST

START_TEST(test_auto_here)
{
    struct dwb_loop *ring = NULL, *loop = NULL;
    int r = dwb_loop_new(DWB_LOOP_URING, &ring);

    ck_assert_int_eq(dwb_loop_new(DWB_LOOP_AUTO, &loop), 0);
    ck_assert_str_eq(dwb_loop_backend_name(loop), r == 0 ? "io_uring" : "epoll");
    ck_assert_int_eq(dwb_loop_fallback_errno(loop), r);
    dwb_loop_free(loop);
    dwb_loop_free(ring);
}
END_TEST

/* Nothing is left: the error is epoll's, and no loop comes out. */
START_TEST(test_auto_fails)
{
    struct dwb_loop *loop = (void *)1;

    deny(__NR_epoll_create1, ENOMEM);
    deny(__NR_io_uring_setup, EPERM);
    ck_assert_int_eq(dwb_loop_new(DWB_LOOP_AUTO, &loop), -ENOMEM);
    ck_assert_ptr_eq(loop, (void *)1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("auto");
    TCase *tc = tcase_create("choice");
    SRunner *runner;
    int n_failed;

    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
        puts("no seccomp here, so nothing can be denied (qemu-user has none)");
        return 77;
    }
    tcase_add_test(tc, test_auto_here);
    tcase_add_loop_test(tc, test_auto_denied, 0, sizeof(denials) / sizeof(denials[0]));
    tcase_add_test(tc, test_auto_fails);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
