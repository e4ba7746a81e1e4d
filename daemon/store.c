/*
 * The store's front: opening and closing, the queue of writes, the way back of completions. The
 * idea of the whole is in store.h, the writer's in store_commit.c, the map of the files in
 * store_private.h.
 *
 * Invariants:
 *  - The lock file is taken before the database is touched and let go after it is closed. The lock
 *    is flock's: it goes with the process, however that ends, so no stale lock keeps a daemon out.
 *  - A write that was taken in is given back exactly once, by a dispatch or by close, in the order
 *    of the calls: one queue, one thread, groups are cut from the front.
 *  - Memory is bounded: DWB_STORE_WRITES_MAX writes and DWB_STORE_BYTES_MAX bytes may be under way,
 *    counted until their callbacks are due.
 *  - The database is at most 0640. SQLite gives its log and its index the mode of the file.
 */

#include "daemon/store_private.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>

#define FILE_MODE 0640

/* --- lists --- */

void dwb_store_list_push(struct dwb_store_list *list, struct dwb_store_write *write)
{
    write->next = NULL;
    if (list->last)
        list->last->next = write;
    else
        list->first = write;
    list->last = write;
}

struct dwb_store_write *dwb_store_list_pop(struct dwb_store_list *list)
{
    struct dwb_store_write *write = list->first;

    if (write) {
        list->first = write->next;
        if (!list->first)
            list->last = NULL;
    }
    return write;
}

/* --- opening --- */

struct report { /* where the text of a failed open goes */
    const char *path;
    char *text;
    size_t size;
};

__attribute__((format(printf, 3, 4))) static int explain(const struct report *report, int r,
                                                         const char *format, ...)
{
    char what[DWB_STORE_TEXT_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    snprintf(report->text, report->size, "%s: %s", report->path, what);
    return r;
}

static int take_lock(struct dwb_store *store, const struct report *report)
{
    dwb_cleanup_free char *path = NULL;
    char holder[32] = "";

    if (asprintf(&path, "%s.lock", report->path) < 0) {
        path = NULL;
        return explain(report, -ENOMEM, "%s", strerror(ENOMEM));
    }
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (store->lock_fd < 0)
        return explain(report, -errno, "cannot open the lock file %s: %s", path, strerror(errno));
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return explain(report, -errno, "cannot lock %s: %s", path, strerror(errno));
        if (pread(store->lock_fd, holder, sizeof(holder) - 1, 0) <= 0)
            strcpy(holder, "unknown");
        return explain(report, -EBUSY, "another dwbenchd has the database open (process %.*s)",
                       (int)strcspn(holder, "\n"), holder);
    }
    /* For people only: the lock is what counts. */
    snprintf(holder, sizeof(holder), "%d\n", getpid());
    if (ftruncate(store->lock_fd, 0) == 0)
        (void)!write(store->lock_fd, holder, strlen(holder));
    return 0;
}

/* A new database is there after a power cut only if its directory entry is. */
static int sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    dwb_cleanup_free char *directory =
        slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    dwb_cleanup_close int fd = -1;

    if (!directory)
        return -ENOMEM;
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return -errno;
    return 0;
}

static int create_file(const struct report *report)
{
    dwb_cleanup_close int fd = -1;
    int r;

    fd = open(report->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0)
        return explain(report, -errno, "cannot open the database: %s", strerror(errno));
    r = sync_directory(report->path);
    return r < 0 ? explain(report, r, "cannot sync its directory: %s", strerror(-r)) : 0;
}

static int expect_ok(void *opaque, int n_columns, char **values, char **names)
{
    const struct report *report = opaque;

    if (values[0] && strcmp(values[0], "ok") == 0)
        return 0;
    explain(report, 0, "the database is damaged: %s", values[0] ? values[0] : "no details");
    return 1;
}

/* The jobs' table only, which is small: records and results may be gigabytes, and are read when
 * they are asked for. */
static int check(sqlite3 *db, struct report *report)
{
    int code = sqlite3_exec(db, "PRAGMA quick_check('job')", expect_ok, report, NULL);

    if (code == SQLITE_ABORT)
        return -EUCLEAN;
    if (code != SQLITE_OK)
        return explain(report, dwb_store_sql_errno(code), "the database is damaged: %s",
                       sqlite3_errmsg(db));
    return 0;
}

/* A full disk is no reason not to start: reads work, and writes say so. */
static int settle_log(sqlite3 *db, int (*step)(sqlite3 *), const struct report *report)
{
    int r = step(db);

    if (r == -ENOSPC)
        return 0;
    return r < 0 ? explain(report, r, "the log: %s", sqlite3_errmsg(db)) : 0;
}

static int on_wal_commit(void *opaque, sqlite3 *db, const char *name, int n_pages)
{
    ((struct dwb_store *)opaque)->wal_pages = n_pages;
    return SQLITE_OK;
}

static int open_database(struct dwb_store *store, struct report *report)
{
    char text[DWB_STORE_TEXT_MAX];
    int r;

    r = dwb_store_sql_open(report->path, false, report->text, report->size, &store->writer);
    if (r < 0)
        return r;
    r = settle_log(store->writer, dwb_store_log_refresh, report);
    if (r < 0)
        return r;
    r = dwb_store_schema_migrate(store->writer, text, sizeof(text));
    if (r < 0)
        return explain(report, r, "%s", text);
    r = check(store->writer, report);
    if (r < 0)
        return r;
    r = settle_log(store->writer, dwb_store_log_restart, report);
    if (r < 0)
        return r;
    sqlite3_wal_hook(store->writer, on_wal_commit, store);
    r = dwb_store_sql_open(report->path, true, report->text, report->size, &store->reader);
    if (r < 0)
        return r;
    r = dwb_store_read_final(store);
    return r < 0 ? explain(report, r, "cannot count the jobs: %s", sqlite3_errmsg(store->reader))
                 : 0;
}

/* The thread takes no signals: they are the loop's. */
static int start_thread(struct dwb_store *store)
{
    sigset_t all, before;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = -pthread_create(&store->thread, NULL, dwb_store_commit_main, store);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    store->has_thread = r == 0;
    if (r == 0)
        pthread_setname_np(store->thread, "dwb-store");
    return r;
}

int dwb_store_open(const char *path, char *error, size_t error_size, struct dwb_store **ret_store)
{
    struct report report = {.path = path, .text = error, .size = error_size};
    struct dwb_store *store = calloc(1, sizeof(*store));
    int r;

    if (!store)
        return explain(&report, -ENOMEM, "%s", strerror(ENOMEM));
    store->lock_fd = store->event_fd = -1;
    pthread_mutex_init(&store->mutex, NULL);
    pthread_cond_init(&store->wake, NULL);
    r = take_lock(store, &report);
    if (r == 0)
        r = create_file(&report);
    if (r == 0)
        r = open_database(store, &report);
    if (r == 0) {
        store->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r = store->event_fd < 0 ? -errno : start_thread(store);
        if (r < 0)
            explain(&report, r, "cannot start its thread: %s", strerror(-r));
    }
    if (r < 0) {
        dwb_store_close(store);
        return r;
    }
    *ret_store = store;
    return 0;
}

void dwb_store_close(struct dwb_store *store)
{
    if (!store)
        return;
    if (store->has_thread) {
        pthread_mutex_lock(&store->mutex);
        store->stopping = true;
        pthread_cond_signal(&store->wake);
        pthread_mutex_unlock(&store->mutex);
        pthread_join(store->thread, NULL);
        dwb_store_dispatch(store);
        while (store->queued.first) { /* by a callback, after the thread had gone */
            dwb_store_commit_main(store);
            dwb_store_dispatch(store);
        }
    }
    /* A failed store leaves the log as it is, and so does one that could not be opened, be that for
     * a sync that failed: recovery is at start-up, not on the way out. */
    if (store->writer && (!store->has_thread || dwb_store_failed(store) != 0))
        sqlite3_db_config(store->writer, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    dwb_store_sql_finalize(store);
    sqlite3_close(store->reader);
    sqlite3_close(store->writer);
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->mutex);
    dwb_closep(&store->event_fd);
    dwb_closep(&store->lock_fd); /* last: the next daemon may come now */
    free(store);
}

/* --- completions --- */

int dwb_store_fd(const struct dwb_store *store)
{
    return store->event_fd;
}

void dwb_store_dispatch(struct dwb_store *store)
{
    struct dwb_store_write *write;
    eventfd_t n_wakes;

    (void)eventfd_read(store->event_fd, &n_wakes); /* EAGAIN: another dispatch was faster */
    pthread_mutex_lock(&store->mutex);
    while ((write = dwb_store_list_pop(&store->done))) {
        store->n_writes--;
        store->n_bytes -= write->n_bytes;
        dwb_store_list_push(&store->delivering, write);
    }
    pthread_mutex_unlock(&store->mutex);
    /* A list of the store: a callback that dispatches goes on where this one is. */
    while ((write = dwb_store_list_pop(&store->delivering))) {
        if (write->fn)
            write->fn(write->status, write->userdata);
        free(write);
    }
}

int dwb_store_failed(const struct dwb_store *store)
{
    return atomic_load(&store->failed);
}

const char *dwb_store_failed_text(const struct dwb_store *store)
{
    return atomic_load(&store->failed) != 0 ? store->failure : "";
}

/* --- writes --- */

static const char *put_text(struct dwb_store_write *write, const char *text)
{
    char *copy = write->text + write->n_bytes;
    size_t size;

    if (!text)
        return NULL;
    size = strlen(text) + 1;
    memcpy(copy, text, size);
    write->n_bytes += size;
    return copy;
}

static size_t size_of(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static bool is_id(const char *id)
{
    size_t length = id ? strnlen(id, DWB_JOB_ID_MAX) : 0;

    return length > 0 && length < DWB_JOB_ID_MAX;
}

/* Copies what `like` says and queues it. */
static int enqueue(struct dwb_store *store, const struct dwb_store_write *like)
{
    size_t n_bytes = size_of(like->id) + size_of(like->key) + size_of(like->name) +
                     size_of(like->reason) + size_of(like->document);
    struct dwb_store_write *write;
    int r = dwb_store_failed(store);

    if (r < 0)
        return r;
    write = malloc(sizeof(*write) + n_bytes);
    if (!write)
        return -ENOMEM;
    *write = *like;
    write->id = put_text(write, like->id);
    write->key = put_text(write, like->key);
    write->name = put_text(write, like->name);
    write->reason = put_text(write, like->reason);
    write->document = put_text(write, like->document);

    pthread_mutex_lock(&store->mutex);
    if (store->n_writes >= DWB_STORE_WRITES_MAX)
        r = -EAGAIN;
    else if (n_bytes > DWB_STORE_BYTES_MAX - store->n_bytes)
        r = -ENOBUFS;
    if (r == 0) {
        store->n_writes++;
        store->n_bytes += n_bytes;
        dwb_store_list_push(&store->queued, write);
        pthread_cond_signal(&store->wake);
    }
    pthread_mutex_unlock(&store->mutex);
    if (r < 0)
        free(write);
    return r;
}

int dwb_store_add_job(struct dwb_store *store, const struct dwb_job_row *job, dwb_store_done_fn *fn,
                      void *userdata)
{
    const char *key = job->idempotency_key;
    const struct dwb_store_write like = {.fn = fn,
                                         .userdata = userdata,
                                         .verb = DWB_STORE_ADD_JOB,
                                         .state = job->state,
                                         .uid = job->uid,
                                         .at_ns = job->created_ns,
                                         .id = job->id,
                                         .key = key,
                                         .name = job->name,
                                         .document = job->spec};

    if (!is_id(job->id) || job->state != DWB_JOB_QUEUED || !job->name || !job->spec ||
        job->created_ns > INT64_MAX)
        return -EINVAL;
    if (key && (key[0] == '\0' || strlen(key) > DWB_IDEMPOTENCY_KEY_MAX))
        return -EINVAL;
    return enqueue(store, &like);
}

int dwb_store_set_state(struct dwb_store *store, const char *id, enum dwb_job_state state,
                        const char *reason, uint64_t at_ns, const char *result,
                        dwb_store_done_fn *fn, void *userdata)
{
    const struct dwb_store_write like = {.fn = fn,
                                         .userdata = userdata,
                                         .verb = DWB_STORE_SET_STATE,
                                         .state = state,
                                         .at_ns = at_ns,
                                         .id = id,
                                         .reason = reason ? reason : "",
                                         .document = result};

    if (!is_id(id) || (unsigned)state >= DWB_N_JOB_STATES || at_ns > INT64_MAX)
        return -EINVAL;
    if (state == DWB_JOB_DONE ? !result : result && state != DWB_JOB_FAILED)
        return -EINVAL;
    return enqueue(store, &like);
}

int dwb_store_add_replicate(struct dwb_store *store, const char *id, uint32_t layer,
                            uint32_t replicate, const char *record, dwb_store_done_fn *fn,
                            void *userdata)
{
    const struct dwb_store_write like = {.fn = fn,
                                         .userdata = userdata,
                                         .verb = DWB_STORE_ADD_REPLICATE,
                                         .layer = layer,
                                         .replicate = replicate,
                                         .id = id,
                                         .document = record};

    if (!is_id(id) || !record)
        return -EINVAL;
    return enqueue(store, &like);
}

bool dwb_baseline_name_valid(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return n >= 1 && n <= DWB_BASELINE_NAME_MAX && name[n] == '\0';
}

int dwb_store_set_baseline(struct dwb_store *store, const char *name, const char *id, uid_t uid,
                           bool any_owner, uint64_t at_ns, dwb_store_done_fn *fn, void *userdata)
{
    const struct dwb_store_write like = {.fn = fn,
                                         .userdata = userdata,
                                         .verb = DWB_STORE_SET_BASELINE,
                                         .uid = uid,
                                         .any_owner = any_owner,
                                         .at_ns = at_ns,
                                         .id = id,
                                         .name = name};

    if (!name || !dwb_baseline_name_valid(name) || !is_id(id) || at_ns > INT64_MAX)
        return -EINVAL;
    return enqueue(store, &like);
}

int dwb_store_delete_baseline(struct dwb_store *store, const char *name, uid_t uid, bool any_owner,
                              dwb_store_done_fn *fn, void *userdata)
{
    const struct dwb_store_write like = {.fn = fn,
                                         .userdata = userdata,
                                         .verb = DWB_STORE_DELETE_BASELINE,
                                         .uid = uid,
                                         .any_owner = any_owner,
                                         .name = name};

    if (!name || !dwb_baseline_name_valid(name))
        return -EINVAL;
    return enqueue(store, &like);
}
