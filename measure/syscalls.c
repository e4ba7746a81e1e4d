/*
 * The allow-lists. A call whose arguments do not matter has no condition: the kernel then keeps a
 * bitmap of it (Linux 5.11) and runs no filter at all, and those are the ones around a sample
 * (clock_gettime, getrusage, pread64, write). The counters' two ioctls have conditions and cost
 * some tens of nanoseconds, which no counted value has in it: kernel time is not counted.
 */

#include "measure/syscalls.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/types.h>

/* Names, because not every architecture has all of them; what this one lacks is skipped. */
static const char *const measure_calls[] = {
    /* time, and what a sample is judged by */
    "clock_getres",
    "clock_gettime",
    "getcpu",
    "getrusage",
    "gettimeofday",
    "sched_getaffinity",
    "time",
    /* memory, without code (see add_memory) */
    "brk",
    "madvise",
    "mremap",
    "munmap",
    /* what is open: nothing but the output and what is only read */
    "close",
    "pread64",
    "read",
    "write",
    "writev",
    /* one's own thread */
    "exit",
    "exit_group",
    "futex",
    "getpid",
    "getrandom",
    "gettid",
    "membarrier",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_yield",
    "sigaltstack",
};

/* Landlock says which files; names and sizes of others can be asked for. */
static const char *const load_calls[] = {
    "access",
    "faccessat",
    "faccessat2",
    "fstat",
    "getcwd",
    "getdents64",
    "geteuid",
    "getegid",
    "getgid",
    "getuid",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "lseek",
    "lstat",
    "newfstatat",
    "open",
    "openat",
    "readlink",
    "readlinkat",
    "stat",
    "statfs",
    "fstatfs",
    "statx",
    "sysinfo",
    "uname",
    /* to lower them, before measuring */
    "capset",
    "close_range",
    "setrlimit",
    "getrlimit",
};

/* Signals are between processes of the sandbox by Landlock's scope, from its version 6 on; before,
 * a simulating replicate can signal its user's other processes. Valgrind dies by a kill of itself.
 */
static const char *const program_calls[] = {
    "arch_prctl",
    "chdir",
    "clock_nanosleep",
    "clone",
    "clone3",
    "dup",
    "dup2",
    "dup3",
    "execve",
    "fcntl",
    "fork",
    "ftruncate",
    "getpgrp",
    "getppid",
    "getxattr",
    "kill",
    "memfd_create",
    "nanosleep",
    "pidfd_open",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "pwrite64",
    "prctl",
    "prlimit64",
    "rt_sigpending",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "set_robust_list",
    "set_tid_address",
    "tkill",
    "unlink",
    "unlinkat",
    "vfork",
    "wait4",
    "waitid",
};

static int allow(scmp_filter_ctx filter, const char *name, unsigned n_conditions,
                 const struct scmp_arg_cmp *conditions)
{
    int number = seccomp_syscall_resolve_name(name);

    if (number < 0) /* not on this architecture, or younger than the library */
        return 0;
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, n_conditions, conditions);
}

static int allow_all(scmp_filter_ctx filter, const char *const *names, size_t n)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = allow(filter, names[i], 0, NULL);
    return r;
}

/* Pages that are executable come from a library's file, or not at all; from memory where that is
 * wanted. */
static int add_memory(scmp_filter_ctx filter, enum dwb_syscalls which, bool writes_code)
{
    const struct scmp_arg_cmp no_code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    const struct scmp_arg_cmp of_file = SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0);
    bool any = which == DWB_SYSCALLS_PROGRAM || (which == DWB_SYSCALLS_LOAD && writes_code);
    int r = allow(filter, "mmap", any ? 0 : 1, any ? NULL : &no_code);

    if (r == 0)
        r = allow(filter, "mprotect", any ? 0 : 1, any ? NULL : &no_code);
    if (r == 0 && !any && which == DWB_SYSCALLS_LOAD)
        r = allow(filter, "mmap", 1, &of_file);
    return r;
}

/* Loading: one's own limits, to lower them; of descriptors what opendir() asks. */
static int add_loading(scmp_filter_ctx filter)
{
    static const int commands[] = {F_GETFD, F_SETFD, F_GETFL};
    const struct scmp_arg_cmp set_filter = SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER);
    const struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, 0);
    int r = allow(filter, "seccomp", 1, &set_filter);

    if (r == 0)
        r = allow(filter, "prlimit64", 1, &self);
    for (size_t i = 0; r == 0 && i < sizeof commands / sizeof commands[0]; i++)
        r = allow(filter, "fcntl", 1, &SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));
    return r;
}

static int add_conditional(scmp_filter_ctx filter, enum dwb_syscalls which)
{
    const struct scmp_arg_cmp enable = SCMP_A1(SCMP_CMP_EQ, PERF_EVENT_IOC_ENABLE);
    const struct scmp_arg_cmp disable = SCMP_A1(SCMP_CMP_EQ, PERF_EVENT_IOC_DISABLE);
    const struct scmp_arg_cmp own = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
    int r;

    if (which == DWB_SYSCALLS_PROGRAM) { /* of any process that it starts */
        r = allow(filter, "tgkill", 0, NULL);
        return r == 0 ? allow(filter, "ioctl", 0, NULL) : r;
    }
    r = allow(filter, "ioctl", 1, &enable);
    if (r == 0)
        r = allow(filter, "ioctl", 1, &disable);
    if (r == 0) /* abort() */
        r = allow(filter, "tgkill", 1, &own);
    if (r == 0 && which == DWB_SYSCALLS_LOAD)
        r = add_loading(filter);
    return r;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int build(scmp_filter_ctx filter, enum dwb_syscalls which, bool writes_code)
{
    int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

    if (r == 0) /* set already, for Landlock; the call for it is not on the lists */
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
    /* Without this, Linux before 5.16 turns speculative stores off with the filter: that is slower,
     * and would be taken for the kernels' own speed. */
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0)
        r = add_memory(filter, which, writes_code);
    if (r == 0)
        r = add_conditional(filter, which);
    if (r == 0)
        r = allow_all(filter, measure_calls, COUNT(measure_calls));
    if (r == 0 && which != DWB_SYSCALLS_MEASURE)
        r = allow_all(filter, load_calls, COUNT(load_calls));
    if (r == 0 && which == DWB_SYSCALLS_PROGRAM)
        r = allow_all(filter, program_calls, COUNT(program_calls));
    return r;
}

static void releasep(scmp_filter_ctx *filter)
{
    if (*filter)
        seccomp_release(*filter);
}

int dwb_syscalls_enter(enum dwb_syscalls which, bool writes_code)
{
    DWB_CLEANUP(releasep) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = filter ? build(filter, which, writes_code) : -ENOMEM;

    return r == 0 ? seccomp_load(filter) : r;
}
