#pragma once

/*
 * Work for the next turns of the loop: what is asked for in the midst of something else is done
 * from the loop, once however often it was asked for, and what waits in line is taken from there a
 * few at a time, so that a crowd that is woken at once does not hold up everybody else.
 *
 * First come, first served; an entry waits once. Asking costs one write to an eventfd a turn: a
 * timer that expires at once would make the kernel set its clock and interrupt itself.
 */

#include "daemon/loop.h"

#include <stdbool.h>

struct dwb_turns_entry { /* embedded; zeroed = does not wait */
    struct dwb_turns_entry *next, *previous;
    bool waits;
};

/* A turn: runs after whatever asked for it has returned. */
typedef void dwb_turns_fn(void *userdata);

struct dwb_turns {
    int fd; /* -1 before dwb_turns_init, and when it failed */
    struct dwb_loop_source *source;
    dwb_turns_fn *fn;
    void *userdata;
    bool is_asked;
    struct dwb_turns_entry *first, *last;
};

/* 0 or a negative errno; either way dwb_turns_deinit is right. turns must not move. */
int dwb_turns_init(struct dwb_turns *turns, struct dwb_loop *loop, dwb_turns_fn *fn,
                   void *userdata);
void dwb_turns_deinit(struct dwb_turns *turns);

void dwb_turns_ask(struct dwb_turns *turns);
/* To the end of the line, unless it waits already; asks for a turn. */
void dwb_turns_add(struct dwb_turns *turns, struct dwb_turns_entry *entry);
void dwb_turns_drop(struct dwb_turns *turns, struct dwb_turns_entry *entry); /* if it waits */
/* The next in line, dropped; NULL when nobody waits. */
struct dwb_turns_entry *dwb_turns_take(struct dwb_turns *turns);
