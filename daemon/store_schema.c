/*
 * The tables, and how a database of an older version becomes one of this version.
 *
 * PRAGMA user_version is the number of migrations that a file has seen; each runs in a transaction
 * of its own together with the new number, so a crash in between leaves a whole version. A released
 * migration is never edited: the next change is a further entry. A file of a newer version, or of
 * another program (application_id), is refused and left alone.
 *
 * `number` is the order in which jobs were accepted. Listing goes by it, not by a time: the wall
 * clock may jump, and a job that was accepted later is later all the same.
 */

#include "daemon/store_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define APPLICATION_ID 0x6477626e /* "dwbn" */

static const char *const migrations[] = {
    /* 1 */
    "CREATE TABLE job ("
    "  number INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),"
    "  uid INTEGER NOT NULL,"
    "  idempotency_key TEXT,"
    "  name TEXT NOT NULL,"
    "  spec TEXT NOT NULL,"
    "  reason TEXT NOT NULL DEFAULT '',"
    "  created_ns INTEGER NOT NULL,"
    "  started_ns INTEGER NOT NULL DEFAULT 0,"
    "  finished_ns INTEGER NOT NULL DEFAULT 0,"
    "  UNIQUE (uid, idempotency_key)"
    ") STRICT;"
    "CREATE INDEX job_by_state ON job (state, number);"
    "CREATE TABLE replicate ("
    "  job INTEGER NOT NULL REFERENCES job (number),"
    "  layer INTEGER NOT NULL,"
    "  replicate INTEGER NOT NULL,"
    "  record TEXT NOT NULL,"
    "  UNIQUE (job, layer, replicate)"
    ") STRICT;"
    "CREATE TABLE result ("
    "  job INTEGER PRIMARY KEY REFERENCES job (number),"
    "  document TEXT NOT NULL"
    ") STRICT;",
    /*
     * 2: the newest row of a name is its baseline, the others are its history. The reference keeps
     * anybody from deleting a job that a baseline names.
     */
    "CREATE TABLE baseline ("
    "  number INTEGER PRIMARY KEY,"
    "  name TEXT NOT NULL,"
    "  job INTEGER NOT NULL REFERENCES job (number),"
    "  uid INTEGER NOT NULL,"
    "  set_at INTEGER NOT NULL,"
    "  UNIQUE (name, job)"
    ") STRICT;"
    "CREATE INDEX baseline_by_name ON baseline (name, number);"
    "CREATE INDEX baseline_by_job ON baseline (job);",
};

#define VERSION ((int64_t)(sizeof(migrations) / sizeof(migrations[0])))

/* An empty file is ours to fill; anything else must say that it is ours. */
static int check_owner(sqlite3 *db, char *error, size_t error_size)
{
    int64_t id = 0, n_tables = 0;
    int r;

    r = dwb_store_sql_get_int(db, "PRAGMA application_id", &id);
    if (r == 0)
        r = dwb_store_sql_get_int(db, "SELECT count(*) FROM sqlite_schema", &n_tables);
    if (r == 0 && id != APPLICATION_ID && (id != 0 || n_tables != 0)) {
        snprintf(error, error_size, "this database belongs to another program");
        return -EINVAL;
    }
    return r;
}

static int migrate_one(sqlite3 *db, int64_t from)
{
    char text[128];
    int r;

    snprintf(text, sizeof(text),
             "PRAGMA application_id = %d; PRAGMA user_version = %" PRId64 "; COMMIT",
             APPLICATION_ID, from + 1);
    r = dwb_store_sql_exec(db, "BEGIN IMMEDIATE");
    if (r == 0)
        r = dwb_store_sql_exec(db, migrations[from]);
    if (r == 0)
        r = dwb_store_sql_exec(db, text);
    return r;
}

int dwb_store_schema_migrate(sqlite3 *db, char *error, size_t error_size)
{
    int64_t version = 0;
    int r;

    error[0] = '\0';
    r = check_owner(db, error, error_size);
    if (r == 0)
        r = dwb_store_sql_get_int(db, "PRAGMA user_version", &version);
    if (r == 0 && (version < 0 || version > VERSION)) {
        snprintf(error, error_size,
                 "the database has schema version %" PRId64 ", this program knows up to %" PRId64,
                 version, VERSION);
        return -EPROTONOSUPPORT;
    }
    for (; r == 0 && version < VERSION; version++)
        r = migrate_one(db, version);
    if (r < 0 && error[0] == '\0')
        snprintf(error, error_size, "%s", sqlite3_errmsg(db));
    return r;
}
