/*
 * The log (the -wal file) at start-up: nothing is built on what an earlier life left in it before
 * that is on the disk.
 *
 * After a failed sync the page cache still shows what the disk did not take, counts it as written,
 * and calls the next sync a success. A recovery that believes it moves pages to the database that
 * no log can repair: a power cut in the middle leaves the database damaged. So the log is written
 * over with its own bytes first. That makes every page of it dirty, and the sync of the checkpoint
 * that follows is about the disk again; a tear in the overwriting changes nothing.
 */

#include "daemon/store_private.h"

#include "common/cleanup.h"

#include <errno.h>

#define CHUNK_BYTES 65536

static int rewrite(sqlite3_file *file)
{
    dwb_cleanup_free char *chunk = malloc(CHUNK_BYTES);
    sqlite3_int64 size = 0;
    int code;

    if (!chunk)
        return SQLITE_NOMEM;
    code = file->pMethods->xFileSize(file, &size);
    for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size; at += CHUNK_BYTES) {
        int n = (int)(size - at < CHUNK_BYTES ? size - at : CHUNK_BYTES);

        code = file->pMethods->xRead(file, chunk, n, at);
        if (code == SQLITE_OK)
            code = file->pMethods->xWrite(file, chunk, n, at);
    }
    return code;
}

int dwb_store_log_refresh(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    int r, r_end;

    /* The write lock keeps a foreign tool from appending meanwhile; nothing is committed. */
    r = dwb_store_sql_exec(db, "BEGIN IMMEDIATE");
    if (r < 0)
        return r;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
    if (file && file->pMethods)
        r = dwb_store_sql_errno(rewrite(file));
    r_end = dwb_store_sql_exec(db, "ROLLBACK");
    return r < 0 ? r : r_end;
}

int dwb_store_log_restart(sqlite3 *db)
{
    return dwb_store_sql_errno(
        sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));
}
