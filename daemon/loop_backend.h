#pragma once

/*
 * The seam between the loop (loop.c) and what waits for the kernel (loop_epoll.c, loop_uring.c). A
 * backend knows descriptors and keys, nothing of callbacks, timers or signals: those are
 * descriptors, too (timerfd, signalfd), so both backends give them the same meaning.
 *
 * A key is generation << 32 | slot. Slots are small and dense (a backend may index by them); a key
 * is of one source only, so a backend may report late and the loop drops what it does not know any
 * more. The one key that is watched again after an unwatch (accepting that pauses) was not armed.
 */

#include <stddef.h>
#include <stdint.h>

struct dwb_loop_ready {
    uint64_t key;
    uint32_t revents; /* POLLIN ... */
    int error;        /* negative errno: the watch itself is broken, revents is 0 */
};

struct dwb_loop_backend_ops {
    const char *name;
    int (*new)(void **ret_backend);
    void (*free)(void *backend);

    /* Watches fd until unwatch. 0, or a negative errno and nothing is watched. */
    int (*watch)(void *backend, uint64_t key, int fd, uint32_t events);
    /* After each report of a key that is still watched: report it again while it is ready. */
    void (*rewatch)(void *backend, uint64_t key);
    /* The backend lets go of the file before it returns: a close of fd is the last one. */
    void (*unwatch)(void *backend, uint64_t key, int fd);
    /* Waits for at least one report; 0 on a signal handler's interruption; the number, or errno. */
    int (*wait)(void *backend, struct dwb_loop_ready *ready, size_t n_ready_max);
};

extern const struct dwb_loop_backend_ops dwb_loop_epoll;
extern const struct dwb_loop_backend_ops dwb_loop_uring;
