/*
 * The reads: synchronous, on the connection that can do nothing else (query_only), so they neither
 * wait for the writer nor hold it up, and go on after it has failed. Each is one statement, hence
 * one consistent view. Rows are handed out one by one; their strings are SQLite's own and last
 * until the callback returns. A callback may read, but not by the very call that it serves
 * (-EBUSY).
 */

#include "daemon/store_private.h"

#include "common/cleanup.h"

#include <errno.h>
#include <string.h>

static const char *column_text(sqlite3_stmt *statement, int column)
{
    return (const char *)sqlite3_column_text(statement, column);
}

/* -ENOMEM where SQLite could not produce a text that is there. */
static int job_of_row(sqlite3_stmt *statement, struct dwb_job_row *job)
{
    int state = sqlite3_column_int(statement, 1);

    *job = (struct dwb_job_row){
        .id = column_text(statement, 0),
        .state = (enum dwb_job_state)state,
        .uid = (uid_t)sqlite3_column_int64(statement, 2),
        .idempotency_key = column_text(statement, 3),
        .name = column_text(statement, 4),
        .spec = column_text(statement, 5),
        .reason = column_text(statement, 6),
        .created_ns = (uint64_t)sqlite3_column_int64(statement, 7),
        .started_ns = (uint64_t)sqlite3_column_int64(statement, 8),
        .finished_ns = (uint64_t)sqlite3_column_int64(statement, 9),
    };
    if (state < 0 || state >= DWB_N_JOB_STATES)
        return -EUCLEAN;
    return job->id && job->name && job->spec && job->reason ? 0 : -ENOMEM;
}

/* Steps through all rows; *ret_n counts them. Stops at the first negative return of fn. */
static int each_job(sqlite3_stmt *statement, dwb_store_job_fn *fn, void *userdata, size_t *ret_n)
{
    DWB_CLEANUP(dwb_store_sql_resetp) sqlite3_stmt *running = statement;
    struct dwb_job_row job;
    int code, r;

    while ((code = sqlite3_step(running)) == SQLITE_ROW) {
        r = job_of_row(running, &job);
        if (r == 0)
            r = fn(&job, userdata);
        if (r < 0)
            return r;
        ++*ret_n;
    }
    return dwb_store_sql_errno(code);
}

int dwb_store_get_job(struct dwb_store *store, const char *id, dwb_store_job_fn *fn, void *userdata)
{
    sqlite3_stmt *statement;
    size_t n = 0;
    int r;

    r = dwb_store_sql_prepare(store, DWB_STORE_GET_JOB, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    r = each_job(statement, fn, userdata, &n);
    return r == 0 && n == 0 ? -ENOENT : r;
}

/* One row with one integer; -ENOENT without a row. */
static int get_int(sqlite3_stmt *statement, int64_t *ret_value)
{
    int code = sqlite3_step(statement);

    if (code == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? -ENOENT : dwb_store_sql_errno(code);
}

static int number_of(struct dwb_store *store, const char *id, int64_t *ret_number)
{
    sqlite3_stmt *statement;
    int r;

    r = dwb_store_sql_prepare(store, DWB_STORE_GET_NUMBER, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    return get_int(statement, ret_number);
}

int dwb_store_list_jobs(struct dwb_store *store, int state, const char *after, uint32_t limit,
                        dwb_store_job_fn *fn, void *userdata)
{
    sqlite3_stmt *statement;
    int64_t below = INT64_MAX;
    size_t n = 0;
    int r;

    if (after) {
        r = number_of(store, after, &below);
        if (r < 0)
            return r;
    }
    r = dwb_store_sql_prepare(store, state < 0 ? DWB_STORE_LIST_JOBS : DWB_STORE_LIST_JOBS_OF_STATE,
                              &statement);
    if (r < 0)
        return r;
    sqlite3_bind_int64(statement, 1, below);
    sqlite3_bind_int64(statement, 2, limit);
    if (state >= 0)
        sqlite3_bind_int(statement, 3, state);
    return each_job(statement, fn, userdata, &n);
}

int dwb_store_pending_jobs(struct dwb_store *store, dwb_store_job_fn *fn, void *userdata)
{
    sqlite3_stmt *statement;
    size_t n = 0;
    int r;

    r = dwb_store_sql_prepare(store, DWB_STORE_PENDING_JOBS, &statement);
    return r < 0 ? r : each_job(statement, fn, userdata, &n);
}

int dwb_store_find_key(struct dwb_store *store, uid_t uid, const char *key, char *ret_id,
                       size_t size)
{
    DWB_CLEANUP(dwb_store_sql_resetp) sqlite3_stmt *statement = NULL;
    const char *id;
    int code, r;

    r = dwb_store_sql_prepare(store, DWB_STORE_FIND_KEY, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_int64(statement, 1, uid);
    sqlite3_bind_text(statement, 2, key, -1, SQLITE_STATIC);
    code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? -ENOENT : dwb_store_sql_errno(code);
    id = column_text(statement, 0);
    if (!id)
        return -ENOMEM;
    if (strlen(id) >= size)
        return -ENAMETOOLONG;
    strcpy(ret_id, id);
    return 0;
}

int dwb_store_list_replicates(struct dwb_store *store, const char *id, dwb_store_replicate_fn *fn,
                              void *userdata)
{
    DWB_CLEANUP(dwb_store_sql_resetp) sqlite3_stmt *statement = NULL;
    const char *record;
    int64_t number = 0;
    int code, r;

    r = number_of(store, id, &number);
    if (r == 0)
        r = dwb_store_sql_prepare(store, DWB_STORE_LIST_REPLICATES, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_int64(statement, 1, number);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        record = column_text(statement, 2);
        if (!record)
            return -ENOMEM;
        r = fn((uint32_t)sqlite3_column_int64(statement, 0),
               (uint32_t)sqlite3_column_int64(statement, 1), record, userdata);
        if (r < 0)
            return r;
    }
    return dwb_store_sql_errno(code);
}

int dwb_store_get_result(struct dwb_store *store, const char *id, char **ret_result)
{
    DWB_CLEANUP(dwb_store_sql_resetp) sqlite3_stmt *statement = NULL;
    const char *document;
    char *copy;
    int code, r;

    r = dwb_store_sql_prepare(store, DWB_STORE_GET_RESULT, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? -ENOENT : dwb_store_sql_errno(code);
    document = column_text(statement, 0);
    copy = document ? strdup(document) : NULL;
    if (!copy)
        return -ENOMEM;
    *ret_result = copy;
    return 0;
}

static int each_baseline(sqlite3_stmt *statement, dwb_store_baseline_fn *fn, void *userdata,
                         size_t *ret_n)
{
    DWB_CLEANUP(dwb_store_sql_resetp) sqlite3_stmt *running = statement;
    int code, r;

    while ((code = sqlite3_step(running)) == SQLITE_ROW) {
        struct dwb_baseline_row row = {
            .name = column_text(running, 0),
            .job = column_text(running, 1),
            .uid = (uid_t)sqlite3_column_int64(running, 2),
            .set_at_ns = (uint64_t)sqlite3_column_int64(running, 3),
            .n_history = (uint64_t)sqlite3_column_int64(running, 4),
        };

        r = row.name && row.job ? fn(&row, userdata) : -ENOMEM;
        if (r < 0)
            return r;
        ++*ret_n;
    }
    return dwb_store_sql_errno(code);
}

int dwb_store_list_baselines(struct dwb_store *store, dwb_store_baseline_fn *fn, void *userdata)
{
    sqlite3_stmt *statement;
    size_t n = 0;
    int r;

    r = dwb_store_sql_prepare(store, DWB_STORE_LIST_BASELINES, &statement);
    return r < 0 ? r : each_baseline(statement, fn, userdata, &n);
}

int dwb_store_get_baseline(struct dwb_store *store, const char *name, dwb_store_baseline_fn *fn,
                           void *userdata)
{
    sqlite3_stmt *statement;
    size_t n = 0;
    int r;

    r = dwb_store_sql_prepare(store, DWB_STORE_GET_BASELINE, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    r = each_baseline(statement, fn, userdata, &n);
    return r == 0 && n == 0 ? -ENOENT : r;
}

static int count_by_state(struct dwb_store *store, enum dwb_store_statement which,
                          uint64_t counts[DWB_N_JOB_STATES])
{
    DWB_CLEANUP(dwb_store_sql_resetp) sqlite3_stmt *statement = NULL;
    uint64_t found[DWB_N_JOB_STATES] = {0};
    int code, r;

    r = dwb_store_sql_prepare(store, which, &statement);
    if (r < 0)
        return r;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        int state = sqlite3_column_int(statement, 0);

        if (state < 0 || state >= DWB_N_JOB_STATES)
            return -EUCLEAN;
        found[state] = (uint64_t)sqlite3_column_int64(statement, 1);
    }
    r = dwb_store_sql_errno(code);
    if (r == 0)
        memcpy(counts, found, sizeof(found));
    return r;
}

int dwb_store_read_final(struct dwb_store *store)
{
    uint64_t counts[DWB_N_JOB_STATES];
    int r = count_by_state(store, DWB_STORE_COUNT_STATES, counts);

    for (int i = 0; r == 0 && i < DWB_N_JOB_STATES; i++)
        if (dwb_store_is_final((enum dwb_job_state)i))
            atomic_store(&store->n_final[i], counts[i]);
    return r;
}

int dwb_store_count_states(struct dwb_store *store, uint64_t counts[DWB_N_JOB_STATES])
{
    int r = count_by_state(store, DWB_STORE_COUNT_OPEN, counts);

    for (int i = 0; r == 0 && i < DWB_N_JOB_STATES; i++)
        if (dwb_store_is_final((enum dwb_job_state)i))
            counts[i] = atomic_load(&store->n_final[i]);
    return r;
}

int dwb_store_count_queued(struct dwb_store *store, uid_t uid, uint64_t *ret_n)
{
    sqlite3_stmt *statement;
    int64_t n = 0;
    int r;

    r = dwb_store_sql_prepare(store, DWB_STORE_COUNT_QUEUED, &statement);
    if (r < 0)
        return r;
    sqlite3_bind_int64(statement, 1, uid);
    r = get_int(statement, &n);
    if (r == 0)
        *ret_n = (uint64_t)n;
    return r;
}
