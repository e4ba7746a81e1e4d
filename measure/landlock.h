#pragma once

/*
 * Landlock (landlock(7)): which files this process may reach from now on. Layers only ever take
 * away. Beside files a layer denies TCP, abstract Unix sockets and signals to processes outside of
 * it, where the kernel's version of the interface knows them.
 */

#include <stddef.h>
#include <stdint.h>

enum dwb_landlock_access {
    DWB_LANDLOCK_READ = 1 << 0,    /* files below it, and their names */
    DWB_LANDLOCK_EXECUTE = 1 << 1, /* by execve; mapping a library needs READ alone */
    DWB_LANDLOCK_WRITE = 1 << 2,   /* files that are there */
    DWB_LANDLOCK_MAKE = 1 << 3,    /* regular files: make and remove */
};

struct dwb_landlock_path {
    const char
        *path; /* a file, or a directory with all below it; one that is not there is skipped */
    uint32_t access;
};

/*
 * Enters a layer in which these paths alone can be opened; n = 0: none. 0 and the version of the
 * kernel's interface (1 and up); -errno: the kernel has no Landlock (ENOSYS, EOPNOTSUPP), or
 * refuses it. The process has to have no_new_privs. What is open already stays open.
 */
int dwb_landlock_enter(const struct dwb_landlock_path *paths, size_t n, int *ret_abi);
