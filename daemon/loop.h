#pragma once

/*
 * The event loop: one thread, sources with callbacks, two backends behind one interface. liburing
 * is the first choice (listening sockets, pipes, timers and signals are armed and waited for with
 * one system call a round); epoll is taken by itself where the kernel, kernel.io_uring_disabled or
 * a seccomp filter denies io_uring (EPERM, ENOSYS, EACCES, ENOMEM), and can be asked for.
 *
 * A source is named by an opaque pointer; removing it inside any callback is fine, and no callback
 * of a removed source runs afterwards (the ring's late completions carry slot + generation, never a
 * descriptor). Descriptors stay the caller's: remove first, then close; the loop holds nothing of a
 * removed one, so the close is the last. All calls and callbacks are on one thread.
 * A callback's negative return stops the loop and is passed out of dwb_loop_run.
 */

#include <signal.h>
#include <sys/signalfd.h>
#include <stdint.h>

enum dwb_loop_backend { DWB_LOOP_AUTO, DWB_LOOP_URING, DWB_LOOP_EPOLL };

struct dwb_loop;
struct dwb_loop_source;

/* revents: POLLIN, POLLOUT, POLLHUP, POLLERR. Level-triggered: called again while it holds. */
typedef int dwb_loop_poll_fn(struct dwb_loop_source *source, uint32_t revents, void *userdata);
/* fd is accepted, CLOEXEC, non-blocking, and the callee's to close. */
typedef int dwb_loop_accept_fn(struct dwb_loop_source *source, int fd, void *userdata);
/* n_expired: periods passed since the last call (>= 1). */
typedef int dwb_loop_timer_fn(struct dwb_loop_source *source, uint64_t n_expired, void *userdata);
typedef int dwb_loop_signal_fn(struct dwb_loop_source *source, const struct signalfd_siginfo *info,
                               void *userdata);

/* 0, or the errno of the backend asked for; AUTO falls back to epoll and fails only with epoll's.
 */
int dwb_loop_new(enum dwb_loop_backend backend, struct dwb_loop **ret_loop);
void dwb_loop_free(struct dwb_loop *loop);
const char *dwb_loop_backend_name(const struct dwb_loop *loop); /* "io_uring" or "epoll" */
/* Why AUTO did not take io_uring: a negative errno, 0 when it did or was not asked. */
int dwb_loop_fallback_errno(const struct dwb_loop *loop);

/* All adding calls: 0, or a negative errno and nothing is added; -EEXIST when fd is in the loop
 * already, -EBADF, -ENOMEM. An fd that poll has no meaning for (a regular file) may be -EPERM. */
int dwb_loop_add_poll(struct dwb_loop *loop, int fd, uint32_t events, dwb_loop_poll_fn *fn,
                      void *userdata, struct dwb_loop_source **ret_source);
/*
 * Makes listen_fd non-blocking (-ENOTSOCK, -EINVAL if it does not listen). On EMFILE, ENFILE,
 * ENOBUFS or ENOMEM accepting pauses for 100 ms, then goes on. Connections that fn was not yet
 * called for stay in the backlog when the source is removed, for whoever accepts next.
 */
int dwb_loop_add_accept(struct dwb_loop *loop, int listen_fd, dwb_loop_accept_fn *fn,
                        void *userdata, struct dwb_loop_source **ret_source);
/* CLOCK_MONOTONIC; first expiry after delay_ns, then every period_ns (0 = once, then idle until
 * set again). */
int dwb_loop_add_timer(struct dwb_loop *loop, uint64_t delay_ns, uint64_t period_ns,
                       dwb_loop_timer_fn *fn, void *userdata, struct dwb_loop_source **ret_source);
int dwb_loop_set_timer(struct dwb_loop_source *timer, uint64_t delay_ns, uint64_t period_ns);
/* Blocks the set in this thread and delivers it here; call before any thread is started. It stays
 * blocked after a removal, and in children: they set their own mask before they exec. */
int dwb_loop_add_signals(struct dwb_loop *loop, const sigset_t *set, dwb_loop_signal_fn *fn,
                         void *userdata, struct dwb_loop_source **ret_source);

void dwb_loop_remove(struct dwb_loop_source *source); /* takes NULL */
static inline void dwb_loop_removep(struct dwb_loop_source **source)
{
    dwb_loop_remove(*source);
}

/* Runs until dwb_loop_stop (0) or an error; no callback runs after either, and what is still ready
 * then is told by the next run. -EBUSY inside of a run. A stop before the run ends that run. */
int dwb_loop_run(struct dwb_loop *loop);
void dwb_loop_stop(struct dwb_loop *loop);
