/*
 * The loop: sources with callbacks over one of two backends (loop_backend.h). Everything a source
 * can be is a descriptor that is polled: a timer is a timerfd, a set of signals a signalfd, a
 * listening socket itself. So there is one kind of event and one place where callbacks are called,
 * and the two backends cannot disagree about periods or signals.
 *
 * Accepting is poll + accept4, not a multishot accept of the ring, for two reasons. A multishot
 * accept takes connections while nobody looks: one accepted but not yet delivered when its source
 * is removed can only be closed, so a restart under load would reset clients that the backlog would
 * have kept for the next process. And it is unbounded: a burst fills the descriptor table before
 * the daemon can say a word. Here at most ACCEPT_BURST connections are taken a round.
 *
 * Invariants:
 *  - A source sits in a slot; its key is generation << 32 | slot. Reports are looked up by key
 *    right before each callback, so a source that was removed, by whomever, is never called again,
 *    and a removed source's memory is gone at once: nothing keeps a pointer over a callback.
 *  - Each report is answered by one rewatch of the key, also when the loop is left in the middle of
 *    a batch: a later run hears of everything that is still ready.
 *  - A descriptor is watched once (-EEXIST), whatever the backend.
 */

#include "daemon/loop.h"

#include "common/cleanup.h"
#include "daemon/loop_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

#define BATCH_MAX       128
#define ACCEPT_BURST    64
#define ACCEPT_PAUSE_NS UINT64_C(100000000)
#define SIGNALS_BATCH   8
#define NS_PER_S        UINT64_C(1000000000)

enum source_kind { SOURCE_POLL, SOURCE_ACCEPT, SOURCE_TIMER, SOURCE_SIGNALS };

struct dwb_loop_source {
    struct dwb_loop *loop;
    enum source_kind kind;
    uint64_t key;
    int fd;
    uint32_t events;
    bool owns_fd;
    bool is_watched; /* false only while accepting pauses */
    struct dwb_loop_source
        *pause; /* of an accept source: made beforehand, then descriptors are short */
    union {
        dwb_loop_poll_fn *poll;
        dwb_loop_accept_fn *accept;
        dwb_loop_timer_fn *timer;
        dwb_loop_signal_fn *signal;
    } fn;
    void *userdata;
};

struct slot {
    struct dwb_loop_source *source; /* NULL = free */
    uint32_t generation;            /* of the source, or of the next one; never 0 */
};

struct dwb_loop {
    const struct dwb_loop_backend_ops *ops;
    void *backend;
    int fallback_errno;
    bool is_running;
    bool is_stopping;
    struct slot *slots;
    size_t n_slots;
};

int dwb_loop_new(enum dwb_loop_backend backend, struct dwb_loop **ret_loop)
{
    struct dwb_loop *loop = calloc(1, sizeof(*loop));
    int r;

    if (!loop)
        return -ENOMEM;
    loop->ops = backend == DWB_LOOP_EPOLL ? &dwb_loop_epoll : &dwb_loop_uring;
    r = loop->ops->new (&loop->backend);
    if (r < 0 && backend == DWB_LOOP_AUTO) {
        loop->fallback_errno = r;
        loop->ops = &dwb_loop_epoll;
        r = loop->ops->new (&loop->backend);
    }
    if (r < 0) {
        free(loop);
        return r;
    }
    *ret_loop = loop;
    return 0;
}

void dwb_loop_free(struct dwb_loop *loop)
{
    if (!loop)
        return;
    for (size_t i = 0; i < loop->n_slots; i++) { /* first what removes a second source with it */
        if (loop->slots[i].source && loop->slots[i].source->kind == SOURCE_ACCEPT)
            dwb_loop_remove(loop->slots[i].source);
    }
    for (size_t i = 0; i < loop->n_slots; i++)
        dwb_loop_remove(loop->slots[i].source);
    loop->ops->free(loop->backend);
    free(loop->slots);
    free(loop);
}

const char *dwb_loop_backend_name(const struct dwb_loop *loop)
{
    return loop->ops->name;
}

int dwb_loop_fallback_errno(const struct dwb_loop *loop)
{
    return loop->fallback_errno;
}

static struct dwb_loop_source *source_of(const struct dwb_loop *loop, uint64_t key)
{
    uint32_t slot = (uint32_t)key;

    if (slot >= loop->n_slots || loop->slots[slot].generation != key >> 32)
        return NULL;
    return loop->slots[slot].source;
}

static int find_slot(struct dwb_loop *loop, size_t *ret_slot)
{
    size_t n = loop->n_slots ? 2 * loop->n_slots : 64;
    struct slot *slots;

    for (size_t i = 0; i < loop->n_slots; i++) {
        if (!loop->slots[i].source) {
            *ret_slot = i;
            return 0;
        }
    }
    slots = reallocarray(loop->slots, n, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t i = loop->n_slots; i < n; i++)
        slots[i] = (struct slot){.generation = 1};
    *ret_slot = loop->n_slots;
    loop->slots = slots;
    loop->n_slots = n;
    return 0;
}

static bool is_watched_fd(const struct dwb_loop *loop, int fd)
{
    for (size_t i = 0; i < loop->n_slots; i++) {
        if (loop->slots[i].source && loop->slots[i].source->fd == fd)
            return true;
    }
    return false;
}

/* Adds a source as described by `like`, without loop, key and is_watched. */
static int add_source(struct dwb_loop *loop, const struct dwb_loop_source *like,
                      struct dwb_loop_source **ret_source)
{
    dwb_cleanup_free struct dwb_loop_source *source = NULL;
    size_t slot;
    int r;

    if (is_watched_fd(loop, like->fd))
        return -EEXIST;
    r = find_slot(loop, &slot);
    if (r < 0)
        return r;
    source = malloc(sizeof(*source));
    if (!source)
        return -ENOMEM;
    *source = *like;
    source->loop = loop;
    source->key = (uint64_t)loop->slots[slot].generation << 32 | slot;
    r = loop->ops->watch(loop->backend, source->key, source->fd, source->events);
    if (r < 0)
        return r;
    source->is_watched = true;
    loop->slots[slot].source = source;
    *ret_source = dwb_steal(source);
    return 0;
}

void dwb_loop_remove(struct dwb_loop_source *source)
{
    struct slot *slot;

    if (!source)
        return;
    slot = &source->loop->slots[(uint32_t)source->key];
    slot->source = NULL;
    if (++slot->generation == 0)
        slot->generation = 1;
    if (source->is_watched)
        source->loop->ops->unwatch(source->loop->backend, source->key, source->fd);
    dwb_loop_remove(source->pause);
    if (source->owns_fd)
        close(source->fd);
    free(source);
}

int dwb_loop_add_poll(struct dwb_loop *loop, int fd, uint32_t events, dwb_loop_poll_fn *fn,
                      void *userdata, struct dwb_loop_source **ret_source)
{
    const struct dwb_loop_source like = {
        .kind = SOURCE_POLL, .fd = fd, .events = events, .fn.poll = fn, .userdata = userdata};

    return add_source(loop, &like, ret_source);
}

/* --- timers --- */

/* A timerfd takes 0 for "off"; a delay of 0 means at once. */
static int set_timerfd(int fd, uint64_t delay_ns, uint64_t period_ns)
{
    struct itimerspec spec = {0};

    if (delay_ns == 0)
        delay_ns = 1;
    spec.it_value.tv_sec = (time_t)(delay_ns / NS_PER_S);
    spec.it_value.tv_nsec = (long)(delay_ns % NS_PER_S);
    spec.it_interval.tv_sec = (time_t)(period_ns / NS_PER_S);
    spec.it_interval.tv_nsec = (long)(period_ns % NS_PER_S);
    return timerfd_settime(fd, 0, &spec, NULL) < 0 ? -errno : 0;
}

/* An unset timer: it never expires before it is set. */
static int add_idle_timer(struct dwb_loop *loop, dwb_loop_timer_fn *fn, void *userdata,
                          struct dwb_loop_source **ret_source)
{
    dwb_cleanup_close int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct dwb_loop_source like = {.kind = SOURCE_TIMER,
                                   .fd = fd,
                                   .events = POLLIN,
                                   .owns_fd = true,
                                   .fn.timer = fn,
                                   .userdata = userdata};
    int r;

    if (fd < 0)
        return -errno;
    r = add_source(loop, &like, ret_source);
    if (r < 0)
        return r;
    dwb_steal_fd(&fd);
    return 0;
}

int dwb_loop_add_timer(struct dwb_loop *loop, uint64_t delay_ns, uint64_t period_ns,
                       dwb_loop_timer_fn *fn, void *userdata, struct dwb_loop_source **ret_source)
{
    struct dwb_loop_source *timer;
    int r;

    r = add_idle_timer(loop, fn, userdata, &timer);
    if (r < 0)
        return r;
    r = set_timerfd(timer->fd, delay_ns, period_ns);
    if (r < 0) {
        dwb_loop_remove(timer);
        return r;
    }
    *ret_source = timer;
    return 0;
}

int dwb_loop_set_timer(struct dwb_loop_source *timer, uint64_t delay_ns, uint64_t period_ns)
{
    return set_timerfd(timer->fd, delay_ns, period_ns);
}

static int dispatch_timer(struct dwb_loop_source *timer)
{
    uint64_t n_expired;

    /* EAGAIN: set anew between the report and now. */
    if (read(timer->fd, &n_expired, sizeof(n_expired)) != sizeof(n_expired))
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    return timer->fn.timer(timer, n_expired, timer->userdata);
}

/* --- accepting --- */

static int pause_accept(struct dwb_loop_source *source)
{
    source->loop->ops->unwatch(source->loop->backend, source->key, source->fd);
    source->is_watched = false;
    return set_timerfd(source->pause->fd, ACCEPT_PAUSE_NS, 0);
}

static int resume_accept(struct dwb_loop_source *timer, uint64_t n_expired, void *userdata)
{
    struct dwb_loop_source *source = userdata;
    int r;

    r = source->loop->ops->watch(source->loop->backend, source->key, source->fd, source->events);
    if (r < 0) /* memory is still short */
        return r == -ENOMEM ? set_timerfd(timer->fd, ACCEPT_PAUSE_NS, 0) : r;
    source->is_watched = true;
    return 0;
}

int dwb_loop_add_accept(struct dwb_loop *loop, int listen_fd, dwb_loop_accept_fn *fn,
                        void *userdata, struct dwb_loop_source **ret_source)
{
    struct dwb_loop_source like = {.kind = SOURCE_ACCEPT,
                                   .fd = listen_fd,
                                   .events = POLLIN,
                                   .fn.accept = fn,
                                   .userdata = userdata};
    struct dwb_loop_source *source;
    socklen_t length = sizeof(int);
    int is_listening = 0, flags, r;

    if (getsockopt(listen_fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) < 0)
        return -errno;
    if (!is_listening)
        return -EINVAL;
    /* A client that has gone again must not block the loop in accept4. */
    flags = fcntl(listen_fd, F_GETFL);
    if (flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    r = add_idle_timer(loop, resume_accept, NULL, &like.pause);
    if (r < 0)
        return r;
    r = add_source(loop, &like, &source);
    if (r < 0) {
        dwb_loop_remove(like.pause);
        return r;
    }
    source->pause->userdata = source;
    *ret_source = source;
    return 0;
}

static int dispatch_accept(struct dwb_loop_source *source)
{
    struct dwb_loop *loop = source->loop;
    uint64_t key = source->key;
    int fd, r;

    for (unsigned i = 0; i < ACCEPT_BURST && !loop->is_stopping; i++) {
        fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            switch (errno) {
            case EAGAIN:
                return 0;
            case EINTR:
            case ECONNABORTED: /* this client has gone: the next one */
            case EPROTO:
            case EPERM: /* a filter's word on this client only */
                continue;
            case EMFILE:
            case ENFILE:
            case ENOBUFS:
            case ENOMEM:
                return pause_accept(source);
            default:
                return -errno;
            }
        }
        r = source->fn.accept(source, fd, source->userdata);
        if (r < 0)
            return r;
        if (!source_of(loop, key))
            return 0;
    }
    return 0;
}

/* --- signals --- */

int dwb_loop_add_signals(struct dwb_loop *loop, const sigset_t *set, dwb_loop_signal_fn *fn,
                         void *userdata, struct dwb_loop_source **ret_source)
{
    dwb_cleanup_close int fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
    const struct dwb_loop_source like = {.kind = SOURCE_SIGNALS,
                                         .fd = fd,
                                         .events = POLLIN,
                                         .owns_fd = true,
                                         .fn.signal = fn,
                                         .userdata = userdata};
    struct dwb_loop_source *source;
    int r;

    if (fd < 0)
        return -errno;
    r = add_source(loop, &like, &source);
    if (r < 0)
        return r;
    dwb_steal_fd(&fd);
    r = -pthread_sigmask(SIG_BLOCK, set, NULL);
    if (r < 0) {
        dwb_loop_remove(source);
        return r;
    }
    *ret_source = source;
    return 0;
}

static int dispatch_signals(struct dwb_loop_source *source)
{
    struct dwb_loop *loop = source->loop;
    uint64_t key = source->key;
    struct signalfd_siginfo info;
    int r;

    /* One at a time: a signal that is not read yet stays pending, whatever a callback removes. */
    for (unsigned i = 0; i < SIGNALS_BATCH && !loop->is_stopping; i++) {
        if (read(source->fd, &info, sizeof(info)) != sizeof(info))
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        r = source->fn.signal(source, &info, source->userdata);
        if (r < 0)
            return r;
        if (!source_of(loop, key))
            return 0;
    }
    return 0;
}

/* --- running --- */

static int dispatch(struct dwb_loop_source *source, uint32_t revents)
{
    switch (source->kind) {
    case SOURCE_POLL:
        return source->fn.poll(source, revents, source->userdata);
    case SOURCE_ACCEPT:
        return dispatch_accept(source);
    case SOURCE_TIMER:
        return dispatch_timer(source);
    case SOURCE_SIGNALS:
        return dispatch_signals(source);
    }
    return -EINVAL;
}

/* Calls back for one batch, rewatches all of it. The first negative return ends the callbacks. */
static int dispatch_batch(struct dwb_loop *loop, const struct dwb_loop_ready *ready, size_t n)
{
    int r = 0;

    for (size_t i = 0; i < n; i++) {
        struct dwb_loop_source *source = source_of(loop, ready[i].key);

        if (!source || !source->is_watched)
            continue;
        if (r >= 0 && !loop->is_stopping)
            r = ready[i].error < 0 ? ready[i].error : dispatch(source, ready[i].revents);
        loop->ops->rewatch(loop->backend, ready[i].key);
    }
    return r;
}

int dwb_loop_run(struct dwb_loop *loop)
{
    struct dwb_loop_ready ready[BATCH_MAX];
    int n, r = 0;

    if (loop->is_running)
        return -EBUSY;
    loop->is_running = true;
    while (r >= 0 && !loop->is_stopping) {
        n = loop->ops->wait(loop->backend, ready, BATCH_MAX);
        r = n < 0 ? n : dispatch_batch(loop, ready, (size_t)n);
    }
    loop->is_running = false;
    loop->is_stopping = false;
    return r < 0 ? r : 0;
}

void dwb_loop_stop(struct dwb_loop *loop)
{
    loop->is_stopping = true;
}
