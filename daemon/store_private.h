#pragma once

/*
 * What the store's own files share; nobody else includes it.
 *
 *   store.c         opens, locks and closes; takes writes in, gives completions out
 *   store_commit.c  the writer thread: one transaction a group, one savepoint a write
 *   store_log.c     the log at start-up
 *   store_read.c    the reads
 *   store_schema.c  the tables and their migrations
 *   store_sql.c     the SQLite adapter: connections, cached statements, codes to errnos
 *   store_state.c   the states of a job and the ways between them
 *
 * Threads: `writer` belongs to the writer thread while that runs, `reader` and everything unmarked
 * to the thread that opened the store. `mutex` guards the members below it.
 */

#include "daemon/store.h"

#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#define DWB_STORE_WRITES_MAX      4096        /* taken and not yet given back to their callers */
#define DWB_STORE_BYTES_MAX       (64u << 20) /* of text in those */
#define DWB_STORE_GROUP_MAX       256         /* writes a transaction */
#define DWB_STORE_GROUP_BYTES_MAX (16u << 20) /* of text in those; one larger write goes alone */
#define DWB_STORE_WAL_PAGES_MAX   1000        /* checkpoint from here on */
#define DWB_STORE_TEXT_MAX        256

enum dwb_store_statement { /* cached, on the connection that uses it */
                           /* writer */
                           DWB_STORE_BEGIN,
                           DWB_STORE_COMMIT,
                           DWB_STORE_ROLLBACK,
                           DWB_STORE_SAVEPOINT,
                           DWB_STORE_RELEASE,
                           DWB_STORE_ROLLBACK_TO,
                           DWB_STORE_INSERT_JOB,
                           DWB_STORE_UPDATE_STATE,
                           DWB_STORE_JOB_EXISTS,
                           DWB_STORE_INSERT_RESULT,
                           DWB_STORE_INSERT_REPLICATE,
                           DWB_STORE_BASELINE_OWNER,
                           DWB_STORE_JOB_IS_DONE,
                           DWB_STORE_LEAVE_BASELINE,
                           DWB_STORE_INSERT_BASELINE,
                           DWB_STORE_TRIM_BASELINE,
                           DWB_STORE_REMOVE_BASELINE,
                           /* reader */
                           DWB_STORE_GET_JOB,
                           DWB_STORE_LIST_JOBS,
                           DWB_STORE_LIST_JOBS_OF_STATE,
                           DWB_STORE_GET_NUMBER,
                           DWB_STORE_PENDING_JOBS,
                           DWB_STORE_FIND_KEY,
                           DWB_STORE_LIST_REPLICATES,
                           DWB_STORE_GET_RESULT,
                           DWB_STORE_COUNT_STATES,
                           DWB_STORE_COUNT_OPEN,
                           DWB_STORE_COUNT_QUEUED,
                           DWB_STORE_LIST_BASELINES,
                           DWB_STORE_GET_BASELINE,
                           DWB_STORE_N_STATEMENTS
};

enum dwb_store_verb {
    DWB_STORE_ADD_JOB,
    DWB_STORE_SET_STATE,
    DWB_STORE_ADD_REPLICATE,
    DWB_STORE_SET_BASELINE,
    DWB_STORE_DELETE_BASELINE
};

struct dwb_store_write {
    struct dwb_store_write *next;
    dwb_store_done_fn *fn;
    void *userdata;
    enum dwb_store_verb verb;
    int status;
    enum dwb_job_state state;
    uid_t uid;
    bool any_owner;
    uint32_t layer;
    uint32_t replicate;
    uint64_t at_ns;
    const char *id; /* this and the following point into text, or are NULL */
    const char *key;
    const char *name; /* of a job, or of a baseline */
    const char *reason;
    const char *document; /* spec, result or record */
    size_t n_bytes;       /* of text */
    char text[];
};

struct dwb_store_list { /* first in, first out */
    struct dwb_store_write *first;
    struct dwb_store_write *last;
};

struct dwb_store {
    int lock_fd;
    int event_fd;
    sqlite3 *writer;
    sqlite3 *reader;
    sqlite3_stmt *statements[DWB_STORE_N_STATEMENTS];
    int wal_pages;                    /* in the log after the last commit; writer thread */
    struct dwb_store_list delivering; /* taken from done, callbacks not yet run */
    bool has_thread;
    pthread_t thread;
    char failure[DWB_STORE_TEXT_MAX]; /* written once, before `failed` */
    _Atomic int failed;               /* 0, or the negative errno of the fatal failure */
    /* Jobs in each of the states that none leaves; counting them takes longer with every job. */
    _Atomic uint64_t n_final[DWB_N_JOB_STATES];

    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct dwb_store_list queued;
    struct dwb_store_list done;
    size_t n_writes; /* taken and not yet given back: queued, in the group, or done */
    size_t n_bytes;
    bool stopping;
};

/* store_state.c: the set of states (1 << state) from which a job may go to `state`. */
unsigned dwb_store_states_before(enum dwb_job_state state);
bool dwb_store_is_final(enum dwb_job_state state); /* no way leads out of it */

/* store_read.c: counts what is in the file, for n_final. */
int dwb_store_read_final(struct dwb_store *store);

/* store_sql.c; each returns 0 or the negative errno of SQLite's code */
int dwb_store_sql_errno(int code); /* extended or not */
int dwb_store_sql_open(const char *path, bool is_reader, char *error, size_t error_size,
                       sqlite3 **ret_db);
int dwb_store_sql_exec(sqlite3 *db, const char *text);
int dwb_store_sql_get_int(sqlite3 *db, const char *text, int64_t *ret_value);
/* The cached statement without bindings; borrowed. -EBUSY while a callback runs on its rows. */
int dwb_store_sql_prepare(struct dwb_store *store, enum dwb_store_statement which,
                          sqlite3_stmt **ret_statement);
int dwb_store_sql_finish(sqlite3_stmt *statement); /* steps a statement without rows, resets it */
int dwb_store_sql_run(struct dwb_store *store, enum dwb_store_statement which); /* both */
void dwb_store_sql_resetp(sqlite3_stmt **statement);
void dwb_store_sql_finalize(struct dwb_store *store);

/* store_schema.c */
int dwb_store_schema_migrate(sqlite3 *db, char *error, size_t error_size);

/* store_log.c: what an earlier life left in the log is made the disk's, before anything is read
 * from it; then it goes into the database and the log starts at its beginning. A commit that was
 * appended to a log with a hole would be out of recovery's reach. */
int dwb_store_log_refresh(sqlite3 *db);
int dwb_store_log_restart(sqlite3 *db);

/* store_commit.c */
void *dwb_store_commit_main(void *store);

/* store.c */
void dwb_store_list_push(struct dwb_store_list *list, struct dwb_store_write *write);
struct dwb_store_write *dwb_store_list_pop(struct dwb_store_list *list);
