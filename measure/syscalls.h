#pragma once

/*
 * Which system calls this process may make from now on (seccomp(2), through libseccomp). The lists
 * are here and nowhere else; docs/reliability.md says what they leave open and why. Filters only
 * ever take away: the one that was entered first holds on.
 *
 * What is not on a list answers EPERM: a library's call that nobody thought of is then an error
 * that its caller reports, and not a worker that died without a word; an attempt to escape gets the
 * same and nothing else. A call by the numbers of another architecture kills the process: no
 * library of this one makes any.
 */

#include <stdbool.h>

enum dwb_syscalls {
    DWB_SYSCALLS_MEASURE, /* compute, time, count, write lines, end */
    DWB_SYSCALLS_LOAD,    /* that, and opening files and mapping libraries */
    DWB_SYSCALLS_PROGRAM, /* that, and starting programs: Valgrind, and what it does itself */
};

/* writes_code: memory may become executable (a library that makes its kernels at run time); of
 * DWB_SYSCALLS_LOAD only: PROGRAM always may, MEASURE never. 0, -errno. The process has to have
 * no_new_privs, and one thread. */
int dwb_syscalls_enter(enum dwb_syscalls which, bool writes_code);
