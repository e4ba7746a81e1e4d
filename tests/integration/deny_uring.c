/*
 * Runs a program as a container's default seccomp profile would: io_uring is denied with EPERM, the
 * rest is as it was. The filter stays over the exec, and over what the program starts.
 *
 *   deny_uring PROGRAM [ARGUMENT]...
 *
 * Exit status 77 when no filter can be installed here, 127 when the program cannot be run.
 */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The three calls follow each other on every architecture: their numbers are the generic ones. */
_Static_assert(__NR_io_uring_enter == __NR_io_uring_setup + 1 &&
                   __NR_io_uring_register == __NR_io_uring_setup + 2,
               "the filter below denies a range of numbers");

static int deny(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, __NR_io_uring_setup, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, __NR_io_uring_register, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return -errno;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("Usage: deny_uring PROGRAM [ARGUMENT]...\n", stderr);
        return 2;
    }
    if (deny() < 0) {
        perror("no seccomp filter can be installed here");
        return 77;
    }
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
