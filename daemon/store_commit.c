/*
 * The writer thread: takes what has gathered in the queue, writes it in one transaction, and hands
 * it back when the commit is on the disk. While one commit waits for the disk the next group
 * gathers, so many writers share a sync and a lone one waits for nothing.
 *
 * Each write has a savepoint of its own: what is wrong with one (a duplicate, a state it may not
 * leave) is undone and told alone, the others of the group stay. What is wrong with the transaction
 * is everybody's: nothing of the group is durable then, also if a write had its own answer before.
 *
 *   full disk, no memory, a foreign lock   the group fails, the store goes on
 *   everything else (I/O, corruption)      the store has failed for good
 *
 * A failed sync is never tried again: the kernel may have dropped the pages and call the second
 * try a success. That holds for checkpoints, too, which is why they are made here and not by
 * SQLite inside of a commit. They come after the group's answers: nobody waits for them.
 */

#include "daemon/store_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

static int apply_add_job(struct dwb_store *store, const struct dwb_store_write *write)
{
    sqlite3_stmt *statement;
    int r;

    r = dwb_store_sql_prepare(store, DWB_STORE_INSERT_JOB, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_text(statement, 1, write->id, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 2, write->state);
    sqlite3_bind_int64(statement, 3, write->uid);
    sqlite3_bind_text(statement, 4, write->key, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 5, write->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 6, write->document, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 7, (int64_t)write->at_ns);
    return dwb_store_sql_finish(statement);
}

static int job_exists(struct dwb_store *store, const char *id)
{
    sqlite3_stmt *statement;
    int code, r;

    r = dwb_store_sql_prepare(store, DWB_STORE_JOB_EXISTS, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    code = sqlite3_step(statement);
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? -ENOENT : dwb_store_sql_errno(code);
}

static int apply_set_state(struct dwb_store *store, const struct dwb_store_write *write)
{
    sqlite3_stmt *statement;
    int r;

    r = dwb_store_sql_prepare(store, DWB_STORE_UPDATE_STATE, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_text(statement, 1, write->id, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 2, write->state);
    sqlite3_bind_text(statement, 3, write->reason, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 4, (int64_t)write->at_ns);
    sqlite3_bind_int64(statement, 5, dwb_store_states_before(write->state));
    r = dwb_store_sql_finish(statement);
    if (r < 0)
        return r;
    if (sqlite3_changes(store->writer) == 0) {
        r = job_exists(store, write->id);
        return r < 0 ? r : -ESTALE;
    }
    if (!write->document)
        return 0;
    r = dwb_store_sql_prepare(store, DWB_STORE_INSERT_RESULT, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_text(statement, 1, write->id, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, write->document, -1, SQLITE_STATIC);
    return dwb_store_sql_finish(statement);
}

static int apply_add_replicate(struct dwb_store *store, const struct dwb_store_write *write)
{
    sqlite3_stmt *statement;
    int r;

    r = dwb_store_sql_prepare(store, DWB_STORE_INSERT_REPLICATE, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_text(statement, 1, write->id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, write->layer);
    sqlite3_bind_int64(statement, 3, write->replicate);
    sqlite3_bind_text(statement, 4, write->document, -1, SQLITE_STATIC);
    r = dwb_store_sql_finish(statement);
    return r == 0 && sqlite3_changes(store->writer) == 0 ? -ENOENT : r;
}

/* The first column of a row of the writer's; -ENOENT without a row. */
static int get_int(sqlite3_stmt *statement, int64_t *ret_value)
{
    int code = sqlite3_step(statement);

    if (code == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? -ENOENT : dwb_store_sql_errno(code);
}

/* 0 and who owns the name, -ENOENT when nobody does, -EPERM when it is not the one who writes. */
static int baseline_owner(struct dwb_store *store, const struct dwb_store_write *write,
                          int64_t *ret_uid)
{
    sqlite3_stmt *statement;
    int64_t uid = 0;
    int r;

    r = dwb_store_sql_prepare(store, DWB_STORE_BASELINE_OWNER, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_text(statement, 1, write->name, -1, SQLITE_STATIC);
    r = get_int(statement, &uid);
    if (r < 0)
        return r;
    if (uid != (int64_t)write->uid && !write->any_owner)
        return -EPERM;
    *ret_uid = uid;
    return 0;
}

static int job_is_done(struct dwb_store *store, const char *id)
{
    sqlite3_stmt *statement;
    int64_t is_done = 0;
    int r;

    r = dwb_store_sql_prepare(store, DWB_STORE_JOB_IS_DONE, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    r = get_int(statement, &is_done);
    return r < 0 || is_done ? r : -ESTALE;
}

static int apply_set_baseline(struct dwb_store *store, const struct dwb_store_write *write)
{
    static const enum dwb_store_statement steps[] = {
        DWB_STORE_LEAVE_BASELINE, DWB_STORE_INSERT_BASELINE, DWB_STORE_TRIM_BASELINE};
    int64_t uid = write->uid;
    sqlite3_stmt *statement;
    int r;

    r = baseline_owner(store, write, &uid);
    if (r == 0 || r == -ENOENT)
        r = job_is_done(store, write->id);
    for (size_t i = 0; r == 0 && i < sizeof(steps) / sizeof(steps[0]); i++) {
        r = dwb_store_sql_prepare(store, steps[i], &statement);
        if (r < 0)
            return r;
        sqlite3_bind_text(statement, 1, write->name, -1, SQLITE_STATIC);
        if (steps[i] == DWB_STORE_TRIM_BASELINE)
            sqlite3_bind_int(statement, 2, DWB_BASELINE_HISTORY + 1);
        else
            sqlite3_bind_text(statement, 2, write->id, -1, SQLITE_STATIC);
        if (steps[i] == DWB_STORE_INSERT_BASELINE) {
            sqlite3_bind_int64(statement, 3, uid);
            sqlite3_bind_int64(statement, 4, (int64_t)write->at_ns);
        }
        r = dwb_store_sql_finish(statement);
    }
    return r;
}

static int apply_delete_baseline(struct dwb_store *store, const struct dwb_store_write *write)
{
    sqlite3_stmt *statement;
    int64_t uid = 0;
    int r;

    r = baseline_owner(store, write, &uid);
    if (r == 0)
        r = dwb_store_sql_prepare(store, DWB_STORE_REMOVE_BASELINE, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_text(statement, 1, write->name, -1, SQLITE_STATIC);
    return dwb_store_sql_finish(statement);
}

static int apply(struct dwb_store *store, const struct dwb_store_write *write)
{
    switch (write->verb) {
    case DWB_STORE_ADD_JOB:
        return apply_add_job(store, write);
    case DWB_STORE_SET_STATE:
        return apply_set_state(store, write);
    case DWB_STORE_ADD_REPLICATE:
        return apply_add_replicate(store, write);
    case DWB_STORE_SET_BASELINE:
        return apply_set_baseline(store, write);
    case DWB_STORE_DELETE_BASELINE:
        return apply_delete_baseline(store, write);
    }
    return -EINVAL;
}

static bool is_own_failure(int status)
{
    return status == -EEXIST || status == -ENOENT || status == -ESTALE || status == -EINVAL ||
           status == -EMSGSIZE || status == -EPERM;
}

static bool is_passing(int r)
{
    return r == -ENOSPC || r == -EBUSY || r == -ENOMEM;
}

/* 0 with write->status set, or what is wrong with the whole transaction. */
static int apply_in_savepoint(struct dwb_store *store, struct dwb_store_write *write)
{
    int r;

    r = dwb_store_sql_run(store, DWB_STORE_SAVEPOINT);
    if (r < 0)
        return r;
    write->status = apply(store, write);
    if (write->status < 0) {
        if (!is_own_failure(write->status))
            return write->status;
        r = dwb_store_sql_run(store, DWB_STORE_ROLLBACK_TO);
        if (r < 0)
            return r;
    }
    return dwb_store_sql_run(store, DWB_STORE_RELEASE);
}

static int apply_group(struct dwb_store *store, struct dwb_store_list *group)
{
    int r;

    r = dwb_store_sql_run(store, DWB_STORE_BEGIN);
    for (struct dwb_store_write *write = group->first; r == 0 && write; write = write->next)
        r = apply_in_savepoint(store, write);
    return r;
}

static void fail(struct dwb_store *store, int error, const char *what)
{
    if (atomic_load(&store->failed) != 0)
        return;
    snprintf(store->failure, sizeof(store->failure), "%s: %s", what, sqlite3_errmsg(store->writer));
    atomic_store(&store->failed, error); /* releases the text */
}

/* Nothing of the group is durable when this returns less than 0. */
static int commit_group(struct dwb_store *store, struct dwb_store_list *group)
{
    int r;

    r = apply_group(store, group);
    if (r < 0 && !is_passing(r)) {
        fail(store, r, "write");
    } else if (r == 0) {
        r = dwb_store_sql_run(store, DWB_STORE_COMMIT);
        /* Short memory is passing only before the commit: in it, it leaves the outcome open. */
        if (r < 0 && (!is_passing(r) || r == -ENOMEM))
            fail(store, r, "commit");
    }
    if (r < 0 && !sqlite3_get_autocommit(store->writer) &&
        dwb_store_sql_run(store, DWB_STORE_ROLLBACK) < 0 && !sqlite3_get_autocommit(store->writer))
        fail(store, -EIO, "rollback");
    return r;
}

/* Before the group is given back: whoever is told that a job has ended finds it counted. */
static void count_final(struct dwb_store *store, const struct dwb_store_list *group)
{
    for (const struct dwb_store_write *write = group->first; write; write = write->next)
        if (write->verb == DWB_STORE_SET_STATE && write->status == 0 &&
            dwb_store_is_final(write->state))
            atomic_fetch_add(&store->n_final[write->state], 1);
}

static void checkpoint(struct dwb_store *store)
{
    int r, n_log = -1, n_moved = -1;

    if (atomic_load(&store->failed) != 0 || store->wal_pages < DWB_STORE_WAL_PAGES_MAX)
        return;
    r = dwb_store_sql_errno(sqlite3_wal_checkpoint_v2(store->writer, NULL,
                                                      SQLITE_CHECKPOINT_PASSIVE, &n_log, &n_moved));
    if (r < 0 && !is_passing(r)) /* else the log grows, and the next commit comes here again */
        fail(store, r, "checkpoint");
}

static struct dwb_store_list take_group(struct dwb_store *store)
{
    struct dwb_store_list group = {0};
    size_t n = 0, n_bytes = 0;

    while (store->queued.first && n < DWB_STORE_GROUP_MAX &&
           (n == 0 || n_bytes + store->queued.first->n_bytes <= DWB_STORE_GROUP_BYTES_MAX)) {
        n++;
        n_bytes += store->queued.first->n_bytes;
        dwb_store_list_push(&group, dwb_store_list_pop(&store->queued));
    }
    return group;
}

static void give_back(struct dwb_store *store, struct dwb_store_list *group)
{
    struct dwb_store_write *write;

    while ((write = dwb_store_list_pop(group)))
        dwb_store_list_push(&store->done, write);
    (void)eventfd_write(store->event_fd, 1); /* fails only past 2^64 - 2 unread wake-ups */
}

void *dwb_store_commit_main(void *opaque)
{
    struct dwb_store *store = opaque;
    struct dwb_store_list group;
    int r;

    pthread_mutex_lock(&store->mutex);
    for (;;) {
        while (!store->queued.first && !store->stopping)
            pthread_cond_wait(&store->wake, &store->mutex);
        if (!store->queued.first)
            break;
        group = take_group(store);
        pthread_mutex_unlock(&store->mutex);

        r = atomic_load(&store->failed);
        if (r == 0)
            r = commit_group(store, &group);
        if (r == 0)
            count_final(store, &group);
        for (struct dwb_store_write *write = group.first; r < 0 && write; write = write->next)
            write->status = r;

        pthread_mutex_lock(&store->mutex);
        give_back(store, &group);
        pthread_mutex_unlock(&store->mutex);
        checkpoint(store);
        pthread_mutex_lock(&store->mutex);
    }
    pthread_mutex_unlock(&store->mutex);
    return NULL;
}
