/*
 * The io_uring backend; the only file that knows liburing.
 *
 * A watch is a one-shot IORING_OP_POLL_ADD, armed again after its report was handled. That is
 * level-triggered by construction: arming looks at the descriptor's state, and completes at once
 * while it is ready. A multishot poll is not: it reports wake-ups, so a reader that leaves bytes
 * behind would never hear of them again. The price is one submission entry an event and no system
 * call, since all entries go in with the call that waits.
 *
 * Invariants:
 *  - An entry carries the watch's key, never the descriptor. A late completion of a watch that is
 *    gone finds no watch with its key and is dropped, even if slot and descriptor are in use again.
 *  - Entries are written only in submit_waiting, right before they are submitted, so none can name
 *    a descriptor that was closed and reused in between. What has to be armed waits in `waiting`.
 *  - A watch is in one of three states: armed (the kernel has it), waiting (an index into
 * `waiting`) or idle (reported, not yet rewatched). `waiting` has room for every slot: rewatch
 * cannot fail.
 *  - unwatch cancels an armed poll with a system call of its own. The kernel holds the file of an
 *    armed poll; were the cancellation left to the next wait, the other end of a pipe that the
 *    caller closes would not see it. (In the source's own callback nothing is armed, and nothing is
 *    called.)
 */

#include "daemon/loop_backend.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define ENTRIES            256
#define COMPLETION_ENTRIES 4096
#define BATCH_MAX          128
#define SHORTAGE_PAUSE_NS  1000000
#define KEY_NONE           UINT64_C(0) /* of entries whose completion nobody waits for */

struct watch {
    uint64_t key; /* KEY_NONE = no watch in this slot */
    int fd;
    uint32_t events;
    bool is_armed;
    bool is_waiting;
    uint32_t waiting_index;
};

struct uring_backend {
    struct io_uring ring;
    bool has_ring;
    struct watch *watches; /* by slot */
    uint32_t *waiting;     /* slots to arm */
    size_t n_watches;      /* room in both */
    size_t n_waiting;
};

static struct watch *watch_of(struct uring_backend *backend, uint64_t key)
{
    uint32_t slot = (uint32_t)key;

    if (slot >= backend->n_watches || backend->watches[slot].key != key)
        return NULL;
    return &backend->watches[slot];
}

static void backend_free(void *opaque)
{
    struct uring_backend *backend = opaque;

    if (!backend)
        return;
    if (backend->has_ring)
        io_uring_queue_exit(&backend->ring);
    free(backend->watches);
    free(backend->waiting);
    free(backend);
}

/* A filter may let io_uring_setup pass and deny io_uring_enter: only a round trip tells. */
static int try_ring(struct io_uring *ring)
{
    struct io_uring_cqe *cqe;
    int r;

    io_uring_prep_nop(io_uring_get_sqe(ring));
    r = io_uring_submit_and_wait(ring, 1);
    if (r < 0)
        return r;
    r = io_uring_peek_cqe(ring, &cqe);
    if (r < 0)
        return r;
    io_uring_cqe_seen(ring, cqe);
    return 0;
}

static int backend_new(void **ret_backend)
{
    /* COOP_TASKRUN (5.19): completions do not interrupt this thread, it collects them anyway. */
    static const unsigned flags[] = {IORING_SETUP_COOP_TASKRUN, 0};
    struct uring_backend *backend = calloc(1, sizeof(*backend));
    int r = -EINVAL;

    if (!backend)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && r == -EINVAL; i++) {
        struct io_uring_params params = {.flags = flags[i] | IORING_SETUP_CQSIZE,
                                         .cq_entries = COMPLETION_ENTRIES};
        r = io_uring_queue_init_params(ENTRIES, &backend->ring, &params);
    }
    backend->has_ring = r >= 0;
    if (r >= 0 && !(backend->ring.features & IORING_FEAT_NODROP))
        r = -ENOSYS; /* before 5.5 a full completion queue lost events */
    if (r >= 0)
        r = io_uring_ring_dontfork(&backend->ring);
    if (r >= 0)
        r = try_ring(&backend->ring);
    if (r < 0) {
        backend_free(backend);
        return r;
    }
    *ret_backend = backend;
    return 0;
}

static int make_room(struct uring_backend *backend, uint32_t slot)
{
    size_t n = backend->n_watches ? backend->n_watches : 64;
    struct watch *watches;
    uint32_t *waiting;

    if (slot < backend->n_watches)
        return 0;
    while (n <= slot)
        n *= 2;
    watches = reallocarray(backend->watches, n, sizeof(*watches));
    if (!watches)
        return -ENOMEM;
    backend->watches = watches;
    waiting = reallocarray(backend->waiting, n, sizeof(*waiting));
    if (!waiting)
        return -ENOMEM;
    backend->waiting = waiting;
    memset(watches + backend->n_watches, 0, (n - backend->n_watches) * sizeof(*watches));
    backend->n_watches = n;
    return 0;
}

static void push_waiting(struct uring_backend *backend, struct watch *watch)
{
    watch->is_waiting = true;
    watch->waiting_index = (uint32_t)backend->n_waiting;
    backend->waiting[backend->n_waiting++] = (uint32_t)watch->key;
}

static void drop_waiting(struct uring_backend *backend, struct watch *watch)
{
    uint32_t last = backend->waiting[--backend->n_waiting];

    backend->waiting[watch->waiting_index] = last;
    backend->watches[last].waiting_index = watch->waiting_index;
    watch->is_waiting = false;
}

static int watch_fd(void *opaque, uint64_t key, int fd, uint32_t events)
{
    struct uring_backend *backend = opaque;
    uint32_t slot = (uint32_t)key;
    int r;

    /* The kernel would say so only in a completion; the caller can be told now. */
    if (fcntl(fd, F_GETFD) < 0)
        return -errno;
    r = make_room(backend, slot);
    if (r < 0)
        return r;
    backend->watches[slot] = (struct watch){.key = key, .fd = fd, .events = events};
    push_waiting(backend, &backend->watches[slot]);
    return 0;
}

static void rewatch(void *opaque, uint64_t key)
{
    struct uring_backend *backend = opaque;
    struct watch *watch = watch_of(backend, key);

    if (watch && !watch->is_armed && !watch->is_waiting)
        push_waiting(backend, watch);
}

/* Submits until there is room; NULL when the kernel takes nothing before completions are seen. */
static struct io_uring_sqe *get_entry(struct uring_backend *backend)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&backend->ring);

    if (!sqe && io_uring_submit(&backend->ring) > 0)
        sqe = io_uring_get_sqe(&backend->ring);
    return sqe;
}

static void cancel(struct uring_backend *backend, uint64_t key)
{
    struct io_uring_sqe *sqe = get_entry(backend);

    /* Without room the poll stays until it fires; its completion finds no watch. */
    if (!sqe)
        return;
    io_uring_prep_poll_remove(sqe, key);
    io_uring_sqe_set_data64(sqe, KEY_NONE);
    (void)io_uring_submit(&backend->ring); /* what fails here goes in with the next wait */
}

static void unwatch(void *opaque, uint64_t key, int fd)
{
    struct uring_backend *backend = opaque;
    struct watch *watch = watch_of(backend, key);

    if (!watch)
        return;
    watch->key = KEY_NONE;
    if (watch->is_waiting)
        drop_waiting(backend, watch);
    else if (watch->is_armed)
        cancel(backend, key);
}

static void submit_waiting(struct uring_backend *backend)
{
    while (backend->n_waiting > 0) {
        struct watch *watch = &backend->watches[backend->waiting[backend->n_waiting - 1]];
        struct io_uring_sqe *sqe = get_entry(backend);

        if (!sqe)
            return;
        io_uring_prep_poll_add(sqe, watch->fd, watch->events);
        io_uring_sqe_set_data64(sqe, watch->key);
        drop_waiting(backend, watch);
        watch->is_armed = true;
    }
}

static size_t take_completions(struct uring_backend *backend, struct dwb_loop_ready *ready,
                               size_t n_ready_max)
{
    struct io_uring_cqe *cqes[BATCH_MAX];
    unsigned n_cqes, n_max = n_ready_max < BATCH_MAX ? (unsigned)n_ready_max : BATCH_MAX;
    size_t n = 0;

    n_cqes = io_uring_peek_batch_cqe(&backend->ring, cqes, n_max);
    for (unsigned i = 0; i < n_cqes; i++) {
        uint64_t key = cqes[i]->user_data;
        int result = cqes[i]->res;
        struct watch *watch = key == KEY_NONE ? NULL : watch_of(backend, key);

        if (!watch)
            continue;
        watch->is_armed = false;
        ready[n++] = (struct dwb_loop_ready){.key = key,
                                             .revents = result > 0 ? (uint32_t)result : 0,
                                             .error = result < 0 ? result : 0};
    }
    io_uring_cq_advance(&backend->ring, n_cqes);
    return n;
}

static int wait_ready(void *opaque, struct dwb_loop_ready *ready, size_t n_ready_max)
{
    struct uring_backend *backend = opaque;
    size_t n;
    int r;

    submit_waiting(backend);
    /* With entries left over (the kernel is short of something) completions go first. */
    r = io_uring_submit_and_wait(&backend->ring, backend->n_waiting == 0 ? 1 : 0);
    if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY)
        return r;
    n = take_completions(backend, ready, n_ready_max);
    if (n == 0 && (r == -EAGAIN || r == -EBUSY)) /* not at full speed, beside a measurement */
        nanosleep(&(struct timespec){.tv_nsec = SHORTAGE_PAUSE_NS}, NULL);
    return (int)n;
}

const struct dwb_loop_backend_ops dwb_loop_uring = {
    .name = "io_uring",
    .new = backend_new,
    .free = backend_free,
    .watch = watch_fd,
    .rewatch = rewatch,
    .unwatch = unwatch,
    .wait = wait_ready,
};
