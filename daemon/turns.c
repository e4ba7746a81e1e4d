#include "daemon/turns.h"

/* See turns.h. */

#include "common/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

static int on_turn(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    struct dwb_turns *turns = userdata;
    eventfd_t n;

    (void)source;
    (void)revents;
    eventfd_read(turns->fd, &n);
    turns->is_asked = false; /* first: the turn may ask for another */
    turns->fn(turns->userdata);
    return 0;
}

int dwb_turns_init(struct dwb_turns *turns, struct dwb_loop *loop, dwb_turns_fn *fn, void *userdata)
{
    *turns = (struct dwb_turns){.fn = fn, .userdata = userdata};
    turns->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (turns->fd < 0)
        return -errno;
    return dwb_loop_add_poll(loop, turns->fd, POLLIN, on_turn, turns, &turns->source);
}

void dwb_turns_deinit(struct dwb_turns *turns)
{
    dwb_loop_remove(turns->source);
    turns->source = NULL;
    dwb_closep(&turns->fd);
    turns->fd = -1;
}

void dwb_turns_ask(struct dwb_turns *turns)
{
    if (!turns->is_asked)
        eventfd_write(turns->fd, 1);
    turns->is_asked = true;
}

void dwb_turns_add(struct dwb_turns *turns, struct dwb_turns_entry *entry)
{
    if (entry->waits)
        return;
    *entry = (struct dwb_turns_entry){.previous = turns->last, .waits = true};
    if (turns->last)
        turns->last->next = entry;
    else
        turns->first = entry;
    turns->last = entry;
    dwb_turns_ask(turns);
}

void dwb_turns_drop(struct dwb_turns *turns, struct dwb_turns_entry *entry)
{
    if (!entry->waits)
        return;
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        turns->first = entry->next;
    if (entry->next)
        entry->next->previous = entry->previous;
    else
        turns->last = entry->previous;
    *entry = (struct dwb_turns_entry){0};
}

struct dwb_turns_entry *dwb_turns_take(struct dwb_turns *turns)
{
    struct dwb_turns_entry *entry = turns->first;

    if (entry)
        dwb_turns_drop(turns, entry);
    return entry;
}
