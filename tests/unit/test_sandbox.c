/*
 * The sandbox where the kernel gives less than it could: it goes on with what there is and says
 * what is missing. And what has to work in it. Whether it holds is tests/sandbox. Each test is a
 * process of its own, for no sandbox can be left.
 */

#include "measure/sandbox.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct dwb_sandbox_config measuring = {.profile = DWB_SANDBOX_MEASURE};

/* Lets this process go on with `number` answered by `error`; with prctl only PR_SET_SECCOMP. */
static void deny(long number, int error)
{
    uint8_t to_allow = number == __NR_prctl ? 1 : 0;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SECCOMP, 0, to_allow),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static const char *reason_of(const struct dwb_sandbox *sandbox, json_t **ret_object)
{
    *ret_object = dwb_sandbox_to_json(sandbox);
    return json_string_value(json_object_get(*ret_object, "reason"));
}

START_TEST(test_without_landlock)
{
    static const int errors[] = {ENOSYS, EPERM, EOPNOTSUPP};
    struct dwb_sandbox sandbox;
    json_t *object;

    deny(__NR_landlock_create_ruleset, errors[_i]);
    dwb_sandbox_enter(&measuring, &sandbox);
    dwb_sandbox_seal(&sandbox);
    ck_assert_int_eq(sandbox.landlock, 0);
    ck_assert(sandbox.seccomp && sandbox.no_new_privs);
    ck_assert_msg(strstr(reason_of(&sandbox, &object), "no Landlock: "), "%s", sandbox.reason);
    ck_assert_ptr_nonnull(strstr(sandbox.reason, strerror(errors[_i])));
    ck_assert(json_is_null(json_object_get(object, "landlock")));
    ck_assert(json_is_true(json_object_get(object, "seccomp")));
    json_decref(object);
    ck_assert_int_eq(open("/etc/passwd", O_RDONLY), -1); /* the other layer holds */
}
END_TEST

START_TEST(test_without_seccomp)
{
    struct dwb_sandbox sandbox;
    json_t *object;

    deny(__NR_seccomp, EPERM);
    deny(__NR_prctl, EPERM);
    dwb_sandbox_enter(&measuring, &sandbox);
    dwb_sandbox_seal(&sandbox);
    ck_assert(!sandbox.seccomp);
    ck_assert_msg(strstr(reason_of(&sandbox, &object), "no seccomp: "), "%s", sandbox.reason);
    ck_assert(json_is_false(json_object_get(object, "seccomp")));
    json_decref(object);
    if (sandbox.landlock)
        ck_assert_int_eq(open("/etc/passwd", O_RDONLY), -1);
}
END_TEST

static void check_descriptors(int kept, int loaded)
{
    char byte;

    ck_assert_int_eq(pread(kept, &byte, 1, 0), 1);
    errno = 0;
    ck_assert(pread(loaded, &byte, 1, 0) < 0 && errno == EBADF);
    ck_assert(read(STDIN_FILENO, &byte, 1) < 0 && errno == EBADF);
}

/* Memory, time, output and what was opened before: a measurement asks for no more. */
START_TEST(test_what_works)
{
    struct dwb_sandbox sandbox;
    struct timespec now;
    struct rusage usage;
    int kept = open("/proc/stat", O_RDONLY | O_CLOEXEC), loaded;
    void *memory;

    dwb_sandbox_enter(&measuring, &sandbox);
    loaded = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(loaded, 0);
    dwb_sandbox_seal(&sandbox);
    check_descriptors(kept, loaded);
    ck_assert_int_eq(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
    ck_assert_int_eq(getrusage(RUSAGE_THREAD, &usage), 0);
    memory = malloc(64 << 20);
    ck_assert_ptr_nonnull(memory);
    memset(memory, 1, 64 << 20);
    memory = realloc(memory, 128 << 20);
    ck_assert_ptr_nonnull(memory);
    free(memory);
    ck_assert_int_eq(write(STDERR_FILENO, "", 0), 0);
    ck_assert_str_eq(sandbox.reason, "");
}
END_TEST

/* A library that writes its kernels may do so while it is loaded, if it was said, and never later.
 */
START_TEST(test_code)
{
    const struct dwb_sandbox_config config = {.profile = DWB_SANDBOX_MEASURE, .writes_code = _i};
    struct dwb_sandbox sandbox;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    dwb_sandbox_enter(&config, &sandbox);
    ck_assert_int_eq(mprotect(page, 4096, PROT_READ | PROT_EXEC), _i ? 0 : -1);
    dwb_sandbox_seal(&sandbox);
    ck_assert_int_eq(mprotect(page, 4096, PROT_READ | PROT_WRITE), 0);
    ck_assert_int_eq(mprotect(page, 4096, PROT_READ | PROT_EXEC), -1);
    ck_assert_int_eq(errno, EPERM);
}
END_TEST

static int run_true(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

/* Programs, and a temporary file; nothing else of what the narrower one denies. */
START_TEST(test_simulate)
{
    const struct dwb_sandbox_config config = {.profile = DWB_SANDBOX_SIMULATE};
    struct dwb_sandbox sandbox;
    unsigned char parameters[256] = {0};
    char path[] = "/tmp/dwbench-test-XXXXXX";
    int fd;

    dwb_sandbox_enter(&config, &sandbox);
    dwb_sandbox_seal(&sandbox);
    ck_assert_str_eq(sandbox.reason, "");
    ck_assert_int_eq(run_true(), 0);
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_ge(memfd_create("x", 0), 0);
    ck_assert_int_eq(socket(AF_UNIX, SOCK_STREAM, 0), -1);
    ck_assert_int_eq((int)ptrace(PTRACE_TRACEME, 0, NULL, NULL), -1);
    ck_assert_int_eq(kill(getpid(), 0), 0);
    if (sandbox.landlock >= 6)
        ck_assert_int_eq(kill(getppid(), 0), -1);
    ck_assert_int_eq(setpriority(PRIO_PROCESS, 0, 1), -1);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(cpu_set_t), &(cpu_set_t){{1}}), -1);
    ck_assert_int_eq((int)syscall(SYS_io_uring_setup, 4, parameters), -1);
    ck_assert_int_eq(unshare(CLONE_NEWUSER), -1);
    if (!sandbox.landlock)
        return;
    ck_assert_int_eq(open("/etc/passwd", O_RDONLY), -1);
    ck_assert_int_eq(open("/usr/bin/dwbench-test", O_WRONLY | O_CREAT, 0600), -1);
    ck_assert_int_eq(mkdir("/tmp/dwbench-test", 0700), -1);
}
END_TEST

START_TEST(test_off)
{
    const struct dwb_sandbox_config config = {.profile = DWB_SANDBOX_OFF};
    struct dwb_sandbox sandbox;
    json_t *object;

    dwb_sandbox_enter(&config, &sandbox);
    dwb_sandbox_seal(&sandbox);
    ck_assert_str_eq(reason_of(&sandbox, &object), "--no-sandbox");
    ck_assert_str_eq(json_string_value(json_object_get(object, "profile")), "off");
    ck_assert(json_is_false(json_object_get(object, "no_new_privs")));
    json_decref(object);
    ck_assert_int_ge(open("/etc/passwd", O_RDONLY | O_CLOEXEC), 0);
}
END_TEST

/* The assertions of a sealed process reach Check through its pipe, which was open before. */
int main(void)
{
    Suite *suite = suite_create("sandbox");
    TCase *tests = tcase_create("sandbox");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
        puts("no seccomp here, so there is nothing to enter (qemu-user has none)");
        return 77;
    }
    tcase_add_loop_test(tests, test_without_landlock, 0, 3);
    tcase_add_test(tests, test_without_seccomp);
    tcase_add_test(tests, test_what_works);
    tcase_add_loop_test(tests, test_code, 0, 2);
    tcase_add_test(tests, test_simulate);
    tcase_add_test(tests, test_off);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
