#include "daemon/persist.h"

/*
 * See persist.h. A write is in the list from its call to its callback, waiting or not.
 *
 * Invariant: no write overtakes an earlier one of its job, be that waiting or under way: whether
 * one under way will find room is known only when it is told. A result must not be stored before
 * the record it was made from, nor a job be done before it runs. While one is put off because the
 * disk is full, all others wait too; then they go one at a time, each after the one before.
 */

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_PERIOD_NS UINT64_C(1000000000)

struct write {
    struct write *next;
    struct dwb_persist *persist;
    char id[DWB_JOB_ID_MAX];
    bool is_state;
    enum dwb_job_state state;
    uint64_t at_ns;
    uint32_t layer, replicate;
    char *text; /* reason or record */
    char *result;
    dwb_store_done_fn *fn;
    void *userdata;
    bool waits;      /* not with the store */
    bool is_put_off; /* and that because it met a full disk */
};

struct dwb_persist {
    struct dwb_loop *loop;
    struct dwb_store *store;
    struct dwb_loop_source *timer;
    struct write *writes;
};

static void free_write(struct write *write)
{
    free(write->text);
    free(write->result);
    free(write);
}

static void forget(struct write *write)
{
    struct write **link = &write->persist->writes;

    while (*link != write)
        link = &(*link)->next;
    *link = write->next;
    free_write(write);
}

/* What another try may not meet again: a full disk, memory, a full queue, a foreign lock. */
static bool passes(int status)
{
    return status == -ENOSPC || status == -ENOMEM || status == -EBUSY || status == -EAGAIN ||
           status == -ENOBUFS;
}

static bool is_first_of_job(const struct write *write)
{
    const struct write *other = write->persist->writes;

    while (other != write && strcmp(other->id, write->id) != 0)
        other = other->next;
    return other == write;
}

/* The first that may go. Where any waits, and none is under way, there is one. */
static struct write *next_ready(const struct dwb_persist *persist)
{
    struct write *write = persist->writes;

    while (write && !(write->waits && is_first_of_job(write)))
        write = write->next;
    return write;
}

static bool is_disk_full(const struct dwb_persist *persist)
{
    const struct write *write = persist->writes;

    while (write && !write->is_put_off)
        write = write->next;
    return write != NULL;
}

static int submit(struct write *write);

static void on_stored(int status, void *userdata)
{
    struct write *write = userdata, *next;
    struct dwb_persist *persist = write->persist;
    dwb_store_done_fn *fn = write->fn;
    int r;

    if (passes(status)) {
        dwb_log(DWB_LOG_WARNING, "job %s: the store cannot be written: %s; waiting", write->id,
                strerror(-status));
        write->waits = write->is_put_off = true;
        dwb_loop_set_timer(persist->timer, RETRY_PERIOD_NS, 0);
        return;
    }
    userdata = write->userdata;
    forget(write);
    next = next_ready(persist);
    r = next ? submit(next) : 0;
    fn(status, userdata);
    if (r < 0)
        on_stored(r, next);
}

static int submit(struct write *write)
{
    struct dwb_store *store = write->persist->store;

    write->waits = write->is_put_off = false;
    if (write->is_state)
        return dwb_store_set_state(store, write->id, write->state, write->text, write->at_ns,
                                   write->result, on_stored, write);
    return dwb_store_add_replicate(store, write->id, write->layer, write->replicate, write->text,
                                   on_stored, write);
}

static int on_retry(struct dwb_loop_source *source, uint64_t n_expired, void *userdata)
{
    struct dwb_persist *persist = userdata;

    (void)source;
    (void)n_expired;
    struct write *write = next_ready(persist);
    int r = write ? submit(write) : 0;

    if (r < 0)
        on_stored(r, write);
    return 0;
}

int dwb_persist_new(struct dwb_loop *loop, struct dwb_store *store,
                    struct dwb_persist **ret_persist)
{
    struct dwb_persist *persist = calloc(1, sizeof(*persist));

    if (!persist)
        return -ENOMEM;
    persist->loop = loop;
    persist->store = store;
    int r = dwb_loop_add_timer(loop, RETRY_PERIOD_NS, 0, on_retry, persist, &persist->timer);
    if (r < 0) {
        free(persist);
        return r;
    }
    *ret_persist = persist;
    return 0;
}

void dwb_persist_free(struct dwb_persist *persist)
{
    if (!persist)
        return;
    dwb_loop_remove(persist->timer);
    while (persist->writes) {
        struct write *write = persist->writes;
        persist->writes = write->next;
        free_write(write);
    }
    free(persist);
}

/* Takes write->text and write->result as they are; a NULL text is an allocation that failed. */
static int start(struct dwb_persist *persist, struct write *write, const char *id,
                 dwb_store_done_fn *fn, void *userdata)
{
    if (!write->text) {
        free_write(write);
        return -ENOMEM;
    }
    snprintf(write->id, sizeof(write->id), "%s", id);
    write->persist = persist;
    write->fn = fn;
    write->userdata = userdata;
    bool is_full = is_disk_full(persist);
    struct write **link = &persist->writes;
    while (*link)
        link = &(*link)->next;
    *link = write;
    write->waits = is_full || !is_first_of_job(write);
    if (write->waits)
        return 0;
    int r = submit(write);
    if (passes(r)) {
        on_stored(r, write);
        return 0;
    }
    if (r < 0)
        forget(write);
    return r;
}

int dwb_persist_state(struct dwb_persist *persist, const char *id, enum dwb_job_state state,
                      const char *reason, const char *result, dwb_store_done_fn *fn, void *userdata)
{
    struct write *write = calloc(1, sizeof(*write));

    if (!write)
        return -ENOMEM;
    write->is_state = true;
    write->state = state;
    write->at_ns = dwb_clock_real_ns();
    write->text = strdup(reason);
    write->result = result ? strdup(result) : NULL;
    if (result && !write->result) {
        free_write(write);
        return -ENOMEM;
    }
    return start(persist, write, id, fn, userdata);
}

int dwb_persist_replicate(struct dwb_persist *persist, const char *id, uint32_t layer,
                          uint32_t replicate, const char *record, dwb_store_done_fn *fn,
                          void *userdata)
{
    struct write *write = calloc(1, sizeof(*write));

    if (!write)
        return -ENOMEM;
    write->layer = layer;
    write->replicate = replicate;
    write->text = strdup(record);
    return start(persist, write, id, fn, userdata);
}
