/*
 * What the store promises when something breaks: kill -9, a full disk, a failed sync, a damaged or
 * foreign file, a second daemon. Faults of the disk are made by this program's own pwrite and
 * fdatasync, which the SQLite library finds before libc's; `test_store_faults tmpfs` fills a real
 * file system instead (exit 77 where this process may not mount one).
 */

#include "tests/unit/store_fixture.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define EXIT_SKIP 77
#define N_KILLS   50

/* --- a disk that fails on demand --- */

static _Atomic int pwrite_errno;    /* of every pwrite to the log */
static _Atomic int fdatasync_errno; /* of the syncs of the files that end in sync_suffix */
static const char *sync_suffix;
static _Atomic int n_failed_syncs;
static _Atomic int n_syncs;
static _Atomic bool hold_syncs; /* a sync that has begun ends when this does */

static bool ends_in(int fd, const char *suffix)
{
    char link[64], path[256];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    if (n < 0)
        return false;
    path[n] = '\0';
    return (size_t)n >= strlen(suffix) && strcmp(path + n - strlen(suffix), suffix) == 0;
}

ssize_t pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
    if (pwrite_errno != 0 && ends_in(fd, "-wal")) {
        errno = pwrite_errno;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, buffer, size, offset);
}

int fdatasync(int fd)
{
    if (fdatasync_errno != 0 && ends_in(fd, sync_suffix)) {
        n_failed_syncs++;
        errno = fdatasync_errno;
        return -1;
    }
    n_syncs++;
    while (hold_syncs)
        usleep(100);
    return (int)syscall(SYS_fdatasync, fd);
}

/* Queues a write and returns in the middle of its commit: what is queued now is the next group. */
static void hold_a_commit(struct dwb_store *store, struct waiting *waiting)
{
    struct dwb_job_row job = fixture_job("held", 1, NULL);
    int n_before = n_syncs;

    hold_syncs = true;
    ck_assert_int_eq(dwb_store_add_job(store, &job, fixture_count, waiting), 0);
    while (n_syncs == n_before)
        usleep(100);
}

/* --- kill -9 --- */

struct acknowledging {
    uint32_t number;
    int fd;
    int *n_out;
};

static void acknowledge(int status, void *opaque)
{
    struct acknowledging *acknowledging = opaque;

    if (status != 0 || write(acknowledging->fd, &acknowledging->number, 4) != 4)
        _exit(3);
    --*acknowledging->n_out;
    free(acknowledging);
}

/* Adds jobs and their replicates, up to 40 writes under way, until it is killed; tells of each job
 * whose replicate is acknowledged. */
_Noreturn static void write_until_killed(uint32_t first, int fd)
{
    struct dwb_store *store = fixture_open();
    struct pollfd pollfd = {.fd = dwb_store_fd(store), .events = POLLIN};
    int n_out = 0;

    for (uint32_t i = first;; i++) {
        struct acknowledging *acknowledging = malloc(sizeof(*acknowledging));
        char id[16];

        *acknowledging = (struct acknowledging){.number = i, .fd = fd, .n_out = &n_out};
        snprintf(id, sizeof(id), "k%u", i);
        struct dwb_job_row job = fixture_job(id, 1, id);
        if (dwb_store_add_job(store, &job, NULL, NULL) < 0 ||
            dwb_store_add_replicate(store, id, 0, 0, id, acknowledge, acknowledging) < 0)
            _exit(2);
        n_out++;
        while (n_out >= 20) {
            poll(&pollfd, 1, -1);
            dwb_store_dispatch(store);
        }
    }
}

static int check_record(uint32_t layer, uint32_t replicate, const char *record, void *id)
{
    ck_assert_str_eq(record, id);
    *(char *)id = '\0'; /* seen */
    return 0;
}

static void check_acknowledged(struct dwb_store *store, uint32_t number)
{
    char id[16], record[16];

    snprintf(id, sizeof(id), "k%u", number);
    strcpy(record, id);
    ck_assert_int_eq(fixture_state(store, id), DWB_JOB_QUEUED);
    ck_assert_int_eq(dwb_store_list_replicates(store, id, check_record, record), 0);
    ck_assert_str_eq(record, "");
}

/* One life: from `first` on; the number after the last job that is in the database. */
static uint32_t live_and_die(uint32_t first, useconds_t life_us, uint32_t *n_acknowledged)
{
    struct dwb_store *store;
    uint32_t number, next = first;
    char id[16];
    int fds[2], status;
    pid_t child;

    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    child = fork();
    if (child == 0)
        write_until_killed(first, fds[1]);
    close(fds[1]);
    ck_assert_int_eq(read(fds[0], &number, 4), 4); /* it is up */
    ck_assert_uint_eq(number, next++);
    usleep(life_us);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    while (read(fds[0], &number, 4) == 4)
        ck_assert_uint_eq(number, next++); /* in order, none left out */
    close(fds[0]);
    *n_acknowledged += next - first;

    store = fixture_open();
    for (number = first; number < next; number++)
        check_acknowledged(store, number);
    do { /* what was committed and not yet acknowledged is there, too: without a gap */
        snprintf(id, sizeof(id), "k%u", next++);
    } while (fixture_state(store, id) == DWB_JOB_QUEUED);
    dwb_store_close(store);
    return next - 1;
}

START_TEST(test_kill)
{
    uint32_t next = 0, n_acknowledged = 0;
    uint64_t counts[DWB_N_JOB_STATES];
    struct dwb_store *store;

    for (int i = 0; i < N_KILLS; i++)
        next = live_and_die(next, (useconds_t)(i * 977 % 20000), &n_acknowledged);
    store = fixture_open();
    for (uint32_t number = 0; number < next; number++) {
        char id[16];

        snprintf(id, sizeof(id), "k%u", number);
        ck_assert_int_eq(fixture_state(store, id), DWB_JOB_QUEUED);
    }
    ck_assert_int_eq(dwb_store_count_states(store, counts), 0);
    ck_assert_uint_eq(counts[DWB_JOB_QUEUED], next);
    ck_assert_uint_ge(next, n_acknowledged);
    dwb_store_close(store);
}
END_TEST

/* --- one daemon --- */

static int try_open(char error[256])
{
    struct dwb_store *store = (void *)1;
    int r;

    error[0] = '\0';
    r = dwb_store_open(fixture_path, error, 256, &store);
    if (r == 0) {
        dwb_store_close(store);
        return 0;
    }
    ck_assert_ptr_eq(store, (void *)1);
    ck_assert_ptr_nonnull(strstr(error, fixture_path));
    return r;
}

START_TEST(test_second)
{
    char error[256], expected[256];
    int fds[2];
    pid_t child;
    char byte;

    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    child = fork();
    if (child == 0) {
        fixture_open();
        if (write(fds[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    ck_assert_int_eq(try_open(error), -EBUSY);
    snprintf(expected, sizeof(expected), "%s: another dwbenchd has the database open (process %d)",
             fixture_path, child);
    ck_assert_str_eq(error, expected);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    ck_assert_int_eq(try_open(error), 0); /* no stale lock */
}
END_TEST

START_TEST(test_second_here)
{
    struct dwb_store *store = fixture_open();
    char error[256];

    ck_assert_int_eq(try_open(error), -EBUSY);
    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0); /* the attempt did no harm */
    dwb_store_close(store);
    ck_assert_int_eq(try_open(error), 0);
}
END_TEST

/* --- a failing disk --- */

START_TEST(test_full)
{
    struct dwb_store *store = fixture_open();
    char text[4096] = "";

    ck_assert_int_eq(fixture_add(store, "a", 1, "key"), 0);
    for (int i = 0; i < 3; i++) {
        pwrite_errno = ENOSPC;
        ck_assert_int_eq(fixture_add(store, "b", 1, "other"), -ENOSPC);
        ck_assert_int_eq(fixture_set(store, "a", DWB_JOB_RUNNING, NULL), -ENOSPC);
        ck_assert_int_eq(dwb_store_failed(store), 0);
        ck_assert_int_eq(fixture_state(store, "a"), DWB_JOB_QUEUED);
        ck_assert_int_eq(fixture_state(store, "b"), -ENOENT);
        pwrite_errno = 0;
        ck_assert_int_eq(fixture_set(store, "a", DWB_JOB_RUNNING, NULL), 0);
        ck_assert_int_eq(fixture_set(store, "a", DWB_JOB_QUEUED, NULL), 0);
    }
    ck_assert_int_eq(fixture_add(store, "b", 1, "other"), 0);
    dwb_store_close(store);
    store = fixture_open();
    ck_assert_int_eq(dwb_store_pending_jobs(store, fixture_ids, text), 0);
    ck_assert_str_eq(text, "a b ");
    dwb_store_close(store);
}
END_TEST

static off_t size_of_log(void)
{
    char path[160];
    struct stat st;

    snprintf(path, sizeof(path), "%s-wal", fixture_path);
    return stat(path, &st) < 0 ? -1 : st.st_size;
}

/* A sync that fails once is the end: the group and all that comes later get the error, nothing is
 * synced again, reads go on, and the next start begins with a log of its own. */
START_TEST(test_failed_sync)
{
    struct dwb_store *store = fixture_open();
    int n_done = 0;
    struct waiting held = {.n_done = &n_done}, first = held, duplicate = held, last = held;
    struct dwb_job_row b = fixture_job("b", 1, NULL), c = fixture_job("c", 1, NULL);

    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    hold_a_commit(store, &held);
    ck_assert_int_eq(dwb_store_add_job(store, &b, fixture_count, &first), 0);
    ck_assert_int_eq(dwb_store_add_job(store, &b, fixture_count, &duplicate), 0);
    ck_assert_int_eq(dwb_store_add_job(store, &c, fixture_count, &last), 0);
    sync_suffix = "-wal";
    fdatasync_errno = EIO;
    hold_syncs = false;
    fixture_wait(store, &n_done, 4);
    ck_assert_int_eq(held.status, 0);
    ck_assert_int_eq(first.status, -EIO);
    ck_assert_int_eq(duplicate.status, -EIO); /* what it repeats is not there */
    ck_assert_int_eq(last.status, -EIO);
    ck_assert_int_eq(dwb_store_failed(store), -EIO);
    ck_assert_str_eq(dwb_store_failed_text(store), "commit: disk I/O error");
    fdatasync_errno = 0; /* the disk is well again: too late */
    ck_assert_int_eq(fixture_add(store, "d", 1, NULL), -EIO);
    ck_assert_int_eq(n_failed_syncs, 1);
    ck_assert_int_eq(fixture_state(store, "a"), DWB_JOB_QUEUED);
    ck_assert_int_eq(fixture_state(store, "b"), -ENOENT);
    dwb_store_close(store);
    ck_assert_int_gt(size_of_log(), 0); /* left for recovery */
    store = fixture_open();
    ck_assert_int_eq(size_of_log(), 0);
    ck_assert_int_eq(fixture_state(store, "a"), DWB_JOB_QUEUED);
    ck_assert_int_eq(fixture_add(store, "d", 1, NULL), 0);
    dwb_store_close(store);
}
END_TEST

/* What gathers while a commit waits for the disk shares the next sync. */
START_TEST(test_group)
{
    struct dwb_store *store = fixture_open();
    int n_done = 0, n_before;
    struct waiting held = {.n_done = &n_done}, others[100];

    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0); /* a new log syncs its head once */
    hold_a_commit(store, &held);
    n_before = n_syncs;
    for (int i = 0; i < 100; i++) {
        char id[16];

        snprintf(id, sizeof(id), "g%d", i / 2); /* each id twice */
        struct dwb_job_row job = fixture_job(id, 1, NULL);
        others[i] = (struct waiting){.n_done = &n_done, .status = 1};
        ck_assert_int_eq(dwb_store_add_job(store, &job, fixture_count, &others[i]), 0);
    }
    hold_syncs = false;
    fixture_wait(store, &n_done, 101);
    ck_assert_int_eq(n_syncs - n_before, 1);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(others[i].status, i % 2 == 0 ? 0 : -EEXIST);
    dwb_store_close(store);
}
END_TEST

/* The database's own sync is the checkpoint's: what was acknowledged before stays true. */
START_TEST(test_failed_checkpoint)
{
    struct dwb_store *store = fixture_open();
    dwb_cleanup_free char *record = malloc((1u << 20) + 1);
    uint32_t n = 0;
    int r, n_found = 0;

    memset(record, 'r', 1u << 20);
    record[1u << 20] = '\0';
    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    sync_suffix = ".db";
    fdatasync_errno = EIO;
    while ((r = fixture_replicate(store, "a", 0, n, record)) == 0 && n < 100)
        n++;
    ck_assert_int_eq(r, -EIO);
    ck_assert_uint_ge(n, 3); /* 1,000 pages of log and more */
    ck_assert_int_eq(dwb_store_failed(store), -EIO);
    ck_assert_str_eq(dwb_store_failed_text(store), "checkpoint: disk I/O error");
    dwb_store_close(store);
    ck_assert_int_eq(n_failed_syncs, 1);
    fdatasync_errno = 0;
    store = fixture_open();
    for (uint32_t i = 0; i < n; i++) {
        ck_assert_int_eq(fixture_replicate(store, "a", 0, i, "again"), -EEXIST);
        n_found++;
    }
    ck_assert_int_eq(n_found, (int)n);
    ck_assert_int_eq(fixture_state(store, "a"), DWB_JOB_QUEUED);
    dwb_store_close(store);
}
END_TEST

/* Many checkpoints that succeed: the log stays small. */
START_TEST(test_log_is_bounded)
{
    struct dwb_store *store = fixture_open();
    dwb_cleanup_free char *record = malloc((1u << 20) + 1);

    memset(record, 'r', 1u << 20);
    record[1u << 20] = '\0';
    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    for (uint32_t i = 0; i < 40; i++)
        ck_assert_int_eq(fixture_replicate(store, "a", 0, i, record), 0);
    ck_assert_int_lt(size_of_log(), 10 << 20);
    dwb_store_close(store);
}
END_TEST

/* --- files that are not ours, or not whole --- */

static void patch_file(off_t offset, const void *bytes, size_t size)
{
    dwb_cleanup_close int fd = open(fixture_path, O_RDWR | O_CREAT, 0640);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(lseek(fd, offset, SEEK_SET), offset);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
}

START_TEST(test_not_a_database)
{
    char garbage[8192], error[256];

    memset(garbage, 'g', sizeof(garbage));
    patch_file(0, garbage, sizeof(garbage));
    ck_assert_int_eq(try_open(error), -EUCLEAN);
    ck_assert_ptr_nonnull(strstr(error, "file is not a database"));
}
END_TEST

/* The jobs' pages are overwritten, the file's head is not. */
START_TEST(test_damaged)
{
    struct dwb_store *store = fixture_open();
    char garbage[4096], error[256], id[16];
    struct stat st;

    for (int i = 0; i < 400; i++) {
        snprintf(id, sizeof(id), "d%d", i);
        struct dwb_job_row job = fixture_job(id, 1, id);
        ck_assert_int_eq(dwb_store_add_job(store, &job, NULL, NULL), 0);
    }
    dwb_store_close(store);
    ck_assert_int_eq(stat(fixture_path, &st), 0);
    ck_assert_int_gt(st.st_size, 10 * 4096);
    memset(garbage, 0xa5, sizeof(garbage));
    for (off_t page = 1; page < st.st_size / 4096; page += 2)
        patch_file(page * 4096, garbage, sizeof(garbage));
    ck_assert_int_eq(try_open(error), -EUCLEAN);
    ck_assert_ptr_nonnull(strstr(error, "the database is damaged: "));
    ck_assert_uint_gt(strlen(strstr(error, "damaged: ")), strlen("damaged: ") + 5);
}
END_TEST

START_TEST(test_foreign)
{
    static const unsigned char other[4] = {0x12, 0x34, 0x56, 0x78};
    char error[256];

    dwb_store_close(fixture_open());
    patch_file(68, other, sizeof(other)); /* application_id of the file format */
    ck_assert_int_eq(try_open(error), -EINVAL);
    ck_assert_ptr_nonnull(strstr(error, "belongs to another program"));
}
END_TEST

START_TEST(test_newer)
{
    static const unsigned char version[4] = {0, 0, 0, 99};
    char error[256];

    dwb_store_close(fixture_open());
    patch_file(60, version, sizeof(version)); /* user_version of the file format */
    ck_assert_int_eq(try_open(error), -EPROTONOSUPPORT);
    ck_assert_ptr_nonnull(strstr(error, "schema version 99, this program knows up to 2"));
}
END_TEST

START_TEST(test_no_place)
{
    char error[256], target[160];

    strcpy(fixture_path + strlen(fixture_path), "/none/x.db");
    ck_assert_int_eq(try_open(error), -ENOENT);
    *strstr(fixture_path, "/none") = '\0';
    snprintf(target, sizeof(target), "%s.target", fixture_path);
    ck_assert_int_eq(symlink(target, fixture_path), 0);
    ck_assert_int_eq(try_open(error), -ELOOP); /* nobody redirects the database */
}
END_TEST

/* --- a real full disk --- */

static bool is_root_enough(void)
{
    return unshare(CLONE_NEWNS) == 0 &&
           mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", "/mnt", "tmpfs", 0, "size=4k") == 0 && umount("/mnt") == 0;
}

START_TEST(test_tmpfs)
{
    struct dwb_store *store;
    dwb_cleanup_free char *record = malloc((256u << 10) + 1);
    uint32_t n = 0;
    int r, n_done = 0;

    *strrchr(fixture_path, '/') = '\0'; /* over the test's directory */
    ck_assert_int_eq(mount("tmpfs", fixture_path, "tmpfs", 0, "size=8m"), 0);
    strcat(fixture_path, "/dwbench.db");
    memset(record, 'r', 256u << 10);
    record[256u << 10] = '\0';
    store = fixture_open();
    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    while ((r = fixture_replicate(store, "a", 0, n, record)) == 0 && n < 1000)
        n++;
    ck_assert_int_eq(r, -ENOSPC);
    ck_assert_uint_ge(n, 8);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(fixture_replicate(store, "a", 0, n, record), -ENOSPC);
    ck_assert_int_eq(dwb_store_failed(store), 0);
    ck_assert_int_eq(fixture_state(store, "a"), DWB_JOB_QUEUED);
    ck_assert_int_eq(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL), 0);
    *strrchr(fixture_path, '/') = '\0';
    ck_assert_int_eq(mount("tmpfs", fixture_path, "tmpfs", MS_REMOUNT, "size=64m"), 0);
    strcat(fixture_path, "/dwbench.db");
    ck_assert_int_eq(fixture_replicate(store, "a", 0, n, record), 0); /* room again */
    dwb_store_close(store);
    store = fixture_open();
    for (uint32_t i = 0; i <= n; i++)
        n_done += fixture_replicate(store, "a", 0, i, "again") == -EEXIST;
    ck_assert_int_eq(n_done, (int)n + 1);
    dwb_store_close(store);
    *strrchr(fixture_path, '/') = '\0';
    ck_assert_int_eq(umount2(fixture_path, MNT_DETACH), 0);
}
END_TEST

static void add_all(TCase *tc)
{
    tcase_add_test(tc, test_kill);
    tcase_add_test(tc, test_second);
    tcase_add_test(tc, test_second_here);
    tcase_add_test(tc, test_full);
    tcase_add_test(tc, test_failed_sync);
    tcase_add_test(tc, test_group);
    tcase_add_test(tc, test_failed_checkpoint);
    tcase_add_test(tc, test_log_is_bounded);
    tcase_add_test(tc, test_not_a_database);
    tcase_add_test(tc, test_damaged);
    tcase_add_test(tc, test_foreign);
    tcase_add_test(tc, test_newer);
    tcase_add_test(tc, test_no_place);
}

int main(int argc, char **argv)
{
    Suite *suite = suite_create("store_faults");
    TCase *tc = tcase_create("faults");

    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    if (argc == 2 && strcmp(argv[1], "tmpfs") == 0) {
        if (!is_root_enough()) {
            printf("SKIP: this process may not mount a small tmpfs: %s\n", strerror(errno));
            return EXIT_SKIP;
        }
        tcase_add_test(tc, test_tmpfs);
    } else {
        add_all(tc);
    }
    suite_add_tcase(suite, tc);
    return fixture_main(suite);
}
