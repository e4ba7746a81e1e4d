/*
 * The epoll backend: level-triggered epoll is what the loop promises, so there is nothing to add.
 * The only state is the epoll descriptor; the key travels in the event.
 */

#include "daemon/loop_backend.h"

#include "common/cleanup.h"

#include <errno.h>
#include <sys/epoll.h>

#define BATCH_MAX 128

struct epoll_backend {
    int fd;
};

static void backend_free(void *opaque)
{
    struct epoll_backend *backend = opaque;

    if (!backend)
        return;
    dwb_closep(&backend->fd);
    free(backend);
}

static int backend_new(void **ret_backend)
{
    struct epoll_backend *backend = malloc(sizeof(*backend));

    if (!backend)
        return -ENOMEM;
    backend->fd = epoll_create1(EPOLL_CLOEXEC);
    if (backend->fd < 0) {
        int r = -errno;
        backend_free(backend);
        return r;
    }
    *ret_backend = backend;
    return 0;
}

static int watch(void *opaque, uint64_t key, int fd, uint32_t events)
{
    struct epoll_backend *backend = opaque;
    struct epoll_event event = {.events = events, .data.u64 = key};

    return epoll_ctl(backend->fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void rewatch(void *backend, uint64_t key)
{
}

static void unwatch(void *opaque, uint64_t key, int fd)
{
    struct epoll_backend *backend = opaque;

    /* Fails only for a descriptor that was closed before, and then nothing is watched any more. */
    (void)epoll_ctl(backend->fd, EPOLL_CTL_DEL, fd, NULL);
}

static int wait_ready(void *opaque, struct dwb_loop_ready *ready, size_t n_ready_max)
{
    struct epoll_backend *backend = opaque;
    struct epoll_event events[BATCH_MAX];
    int n;

    n = epoll_wait(backend->fd, events, n_ready_max < BATCH_MAX ? (int)n_ready_max : BATCH_MAX, -1);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n; i++)
        ready[i] = (struct dwb_loop_ready){.key = events[i].data.u64, .revents = events[i].events};
    return n;
}

const struct dwb_loop_backend_ops dwb_loop_epoll = {
    .name = "epoll",
    .new = backend_new,
    .free = backend_free,
    .watch = watch,
    .rewatch = rewatch,
    .unwatch = unwatch,
    .wait = wait_ready,
};
