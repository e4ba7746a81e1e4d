#pragma once

/*
 * Attempts to leave the worker's sandbox: what each may use, and what is expected of it where. Each
 * runs in a process of its own, over files and a victim process that were made for it.
 */

#include <stddef.h>
#include <sys/types.h>

struct world { /* made before the sandbox is entered */
    char directory[64];
    char file[96], other[96], empty[96]; /* in it: a file, a name that is free, a directory */
    pid_t victim;                        /* of the same user, outside of the sandbox */
    void *victims_memory;                /* 64 bytes at the same address in both */
    int victim_fd;                       /* pidfd */
    int directory_fd, file_fd, pty_fd, namespace_fd;
    int inherited_fd; /* as file_fd, but from before the process closed what it inherited */
    int loaded_fd;    /* what foreign code opened while it was loaded; -1 when it was refused */
    int unix_fd, inet_fd;
    int cpu; /* where it runs */
};

enum {
    ESCAPE_WHILE_LOADING = 1 << 0, /* open while libraries are loaded (docs/reliability.md) */
    ESCAPE_RUNS_PROGRAM = 1 << 1, /* success is a process that is another program and ends with 0 */
    ESCAPE_CLOSED = 1 << 2,       /* EBADF denies it: the descriptor is gone */
    ESCAPE_MEMORY = 1 << 3,       /* ENOMEM denies it; sanitizers need the memory */
};

struct escape {
    const char *what;
    int landlock; /* the version of it that has to deny this alone; 0 = none does */
    unsigned flags;
    long (*attempt)(const struct world *world); /* negative with errno: it did not work */
};

const struct escape *escapes(size_t *ret_n);
