/*
 * The SQLite adapter: what every connection is set to, cached statements, and the one place where
 * SQLite's codes become errnos.
 *
 * A connection trusts neither the schema of the file nor its own callers' typing errors: defensive,
 * trusted_schema off, double-quoted strings off. It never waits for a lock (busy_timeout 0): the
 * lock file keeps every other daemon away, and a foreign tool that holds the write lock is an error
 * to report, not a reason to stand still. Checkpoints are the writer's own (store_commit.c), not a
 * silent part of a commit whose errors SQLite would swallow.
 */

#include "daemon/store_private.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const sql[DWB_STORE_N_STATEMENTS] = {
    [DWB_STORE_BEGIN] = "BEGIN IMMEDIATE",
    [DWB_STORE_COMMIT] = "COMMIT",
    [DWB_STORE_ROLLBACK] = "ROLLBACK",
    [DWB_STORE_SAVEPOINT] = "SAVEPOINT one",
    [DWB_STORE_RELEASE] = "RELEASE one",
    [DWB_STORE_ROLLBACK_TO] = "ROLLBACK TO one",
    [DWB_STORE_INSERT_JOB] =
        "INSERT INTO job (id, state, uid, idempotency_key, name, spec, created_ns)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    /* started_ns is of the present run: a job that goes back to the queue has none. */
    [DWB_STORE_UPDATE_STATE] =
        "UPDATE job SET state = ?2, reason = ?3,"
        " started_ns = CASE ?2 WHEN 0 THEN 0 WHEN 1 THEN ?4 ELSE started_ns END,"
        " finished_ns = CASE WHEN ?2 > 1 THEN ?4 ELSE 0 END"
        " WHERE id = ?1 AND (1 << state) & ?5",
    [DWB_STORE_JOB_EXISTS] = "SELECT 1 FROM job WHERE id = ?1",
    [DWB_STORE_INSERT_RESULT] =
        "INSERT INTO result (job, document) SELECT number, ?2 FROM job WHERE id = ?1",
    [DWB_STORE_INSERT_REPLICATE] = "INSERT INTO replicate (job, layer, replicate, record)"
                                   " SELECT number, ?2, ?3, ?4 FROM job WHERE id = ?1",
    [DWB_STORE_BASELINE_OWNER] =
        "SELECT uid FROM baseline WHERE name = ?1 ORDER BY number DESC LIMIT 1",
    [DWB_STORE_JOB_IS_DONE] = "SELECT state = 2 FROM job WHERE id = ?1",
    [DWB_STORE_LEAVE_BASELINE] =
        "DELETE FROM baseline WHERE name = ?1 AND job = (SELECT number FROM job WHERE id = ?2)",
    /* The new number is above all: the newest row. */
    [DWB_STORE_INSERT_BASELINE] = "INSERT INTO baseline (name, job, uid, set_at)"
                                  " SELECT ?1, number, ?3, ?4 FROM job WHERE id = ?2",
    [DWB_STORE_TRIM_BASELINE] =
        "DELETE FROM baseline WHERE name = ?1 AND number NOT IN"
        " (SELECT number FROM baseline WHERE name = ?1 ORDER BY number DESC LIMIT ?2)",
    [DWB_STORE_REMOVE_BASELINE] = "DELETE FROM baseline WHERE name = ?1",
#define JOB_COLUMNS                                                                                \
    "SELECT id, state, uid, idempotency_key, name, spec, reason, created_ns, started_ns,"          \
    " finished_ns FROM job "
    [DWB_STORE_GET_JOB] = JOB_COLUMNS "WHERE id = ?1",
    [DWB_STORE_LIST_JOBS] = JOB_COLUMNS "WHERE number < ?1 ORDER BY number DESC LIMIT ?2",
    [DWB_STORE_LIST_JOBS_OF_STATE] =
        JOB_COLUMNS "WHERE number < ?1 AND state = ?3 ORDER BY number DESC LIMIT ?2",
    [DWB_STORE_GET_NUMBER] = "SELECT number FROM job WHERE id = ?1",
    [DWB_STORE_PENDING_JOBS] = JOB_COLUMNS "WHERE state IN (0, 1) ORDER BY number",
    [DWB_STORE_FIND_KEY] = "SELECT id FROM job WHERE uid = ?1 AND idempotency_key = ?2",
    [DWB_STORE_LIST_REPLICATES] = "SELECT layer, replicate, record FROM replicate"
                                  " WHERE job = ?1 ORDER BY layer, replicate",
    [DWB_STORE_GET_RESULT] =
        "SELECT document FROM result WHERE job = (SELECT number FROM job WHERE id = ?1)",
    [DWB_STORE_COUNT_STATES] = "SELECT state, count(*) FROM job GROUP BY state",
    [DWB_STORE_COUNT_OPEN] = "SELECT state, count(*) FROM job WHERE state IN (0, 1) GROUP BY state",
    [DWB_STORE_COUNT_QUEUED] = "SELECT count(*) FROM job WHERE state = 0 AND uid = ?1",
    [DWB_STORE_LIST_BASELINES] =
        "SELECT baseline.name, job.id, baseline.uid, set_at, n - 1 FROM baseline"
        " JOIN (SELECT max(number) AS newest, count(*) AS n FROM baseline GROUP BY name)"
        " ON baseline.number = newest JOIN job ON job.number = job ORDER BY baseline.name",
    [DWB_STORE_GET_BASELINE] = "SELECT baseline.name, job.id, baseline.uid, set_at, 0 FROM baseline"
                               " JOIN job ON job.number = job"
                               " WHERE baseline.name = ?1 ORDER BY baseline.number DESC",
};

static_assert(DWB_JOB_QUEUED == 0 && DWB_JOB_RUNNING == 1 && DWB_JOB_DONE == 2,
              "the statements above have the states' numbers in them");

int dwb_store_sql_errno(int code)
{
    switch (code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
        return -EEXIST;
    case SQLITE_IOERR_SHMSIZE: /* the log's index is a sparse file that grows in the same directory
                                */
        return -ENOSPC;
    }
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
        return -EINVAL;
    case SQLITE_TOOBIG:
        return -EMSGSIZE;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return -EACCES;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EUCLEAN;
    default:
        return -EIO;
    }
}

static int expect_wal(void *opaque, int n_columns, char **values, char **names)
{
    *(bool *)opaque = values[0] && strcmp(values[0], "wal") == 0;
    return 0;
}

static int configure(sqlite3 *db, bool is_reader)
{
    static const int off[] = {SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_DQS_DML,
                              SQLITE_DBCONFIG_DQS_DDL, SQLITE_DBCONFIG_ENABLE_TRIGGER,
                              SQLITE_DBCONFIG_ENABLE_VIEW};
    bool is_wal = false;
    int r;

    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, 0);
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
        sqlite3_db_config(db, off[i], 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (is_reader)
        return dwb_store_sql_exec(db, "PRAGMA query_only = ON");
    r = dwb_store_sql_errno(
        sqlite3_exec(db, "PRAGMA journal_mode = WAL", expect_wal, &is_wal, NULL));
    if (r == 0 && !is_wal) /* a file system without shared memory: SQLite stays as it was */
        r = -EOPNOTSUPP;
    if (r < 0)
        return r;
    return dwb_store_sql_exec(db, "PRAGMA synchronous = FULL;"
                                  "PRAGMA foreign_keys = ON;"
                                  "PRAGMA wal_autocheckpoint = 0;"
                                  "PRAGMA journal_size_limit = 16777216");
}

int dwb_store_sql_open(const char *path, bool is_reader, char *error, size_t error_size,
                       sqlite3 **ret_db)
{
    sqlite3 *db = NULL;
    int r;

    r = dwb_store_sql_errno(sqlite3_open_v2(
        path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL));
    if (r == 0)
        r = configure(db, is_reader);
    if (r < 0) {
        snprintf(error, error_size, "%s: %s", path,
                 db && sqlite3_errcode(db) != SQLITE_OK ? sqlite3_errmsg(db) : strerror(-r));
        sqlite3_close(db);
        return r;
    }
    *ret_db = db;
    return 0;
}

int dwb_store_sql_exec(sqlite3 *db, const char *text)
{
    return dwb_store_sql_errno(sqlite3_exec(db, text, NULL, NULL, NULL));
}

static void finalizep(sqlite3_stmt **statement)
{
    sqlite3_finalize(*statement);
}

void dwb_store_sql_resetp(sqlite3_stmt **statement)
{
    if (*statement)
        sqlite3_reset(*statement);
}

int dwb_store_sql_get_int(sqlite3 *db, const char *text, int64_t *ret_value)
{
    DWB_CLEANUP(finalizep) sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, text, -1, &statement, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? -ENOENT : dwb_store_sql_errno(code);
    *ret_value = sqlite3_column_int64(statement, 0);
    return 0;
}

int dwb_store_sql_prepare(struct dwb_store *store, enum dwb_store_statement which,
                          sqlite3_stmt **ret_statement)
{
    sqlite3 *db = which < DWB_STORE_GET_JOB ? store->writer : store->reader;
    sqlite3_stmt **statement = &store->statements[which];
    int code;

    if (!*statement) {
        code = sqlite3_prepare_v3(db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
        if (code != SQLITE_OK)
            return dwb_store_sql_errno(code);
    }
    if (sqlite3_stmt_busy(*statement))
        return -EBUSY;
    sqlite3_clear_bindings(*statement);
    *ret_statement = *statement;
    return 0;
}

int dwb_store_sql_finish(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);

    sqlite3_reset(statement);
    return dwb_store_sql_errno(code);
}

int dwb_store_sql_run(struct dwb_store *store, enum dwb_store_statement which)
{
    sqlite3_stmt *statement;
    int r = dwb_store_sql_prepare(store, which, &statement);

    return r < 0 ? r : dwb_store_sql_finish(statement);
}

void dwb_store_sql_finalize(struct dwb_store *store)
{
    for (size_t i = 0; i < DWB_STORE_N_STATEMENTS; i++)
        sqlite3_finalize(store->statements[i]);
}
