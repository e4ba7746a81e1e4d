#pragma once

/* What the loop's test programs share: a guarded loop, runs of a given length, pipes, and the main
 * program that runs one suite on the backend of its argument (`epoll` or `io_uring`; exit 77 where
 * this kernel or a filter denies the ring). */

#include "daemon/loop.h"

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

#define MS UINT64_C(1000000)

struct seen { /* what a polled descriptor's callback saw, and what it shall do */
    struct dwb_loop *loop;
    int fd;
    int n;
    int stop_at; /* calls; 0 = never */
    bool drain;  /* one byte a call */
    uint32_t revents;
    struct dwb_loop_source *source;
};

uint64_t fixture_now_ns(void);
/* On the backend under test; ends with -ETIMEDOUT after 3 s if nothing else ends it. */
struct dwb_loop *fixture_new_loop(void);
int fixture_run_for(struct dwb_loop *loop, uint64_t ns);
int fixture_stop(struct dwb_loop_source *timer, uint64_t n_expired, void *loop);
void fixture_pipe(int fds[2]);
void fixture_put(int fd, size_t n_bytes);
int fixture_on_poll(struct dwb_loop_source *source, uint32_t revents, void *opaque);
/* Adds seen->fd with fixture_on_poll. */
void fixture_watch(struct seen *seen, uint32_t events);
int fixture_main(int argc, char **argv, Suite *(*new_suite)(const char *name));

extern enum dwb_loop_backend fixture_backend;
