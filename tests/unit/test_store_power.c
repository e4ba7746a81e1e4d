/*
 * Power cuts. The store runs over a VFS that forgets what was not synced (fault_vfs.h): a random
 * load, the power goes in a random call, the files are thrown back, the store is opened again, and
 * what it had acknowledged has to be there, whole, and nothing of another order. Some lives have a
 * failing sync before, after which the page cache shows more than the disk has.
 *
 *   test_store_power [N_CUTS [SEED]]
 *
 * Every write is numbered, and its number can be seen in the database: in the specification of a
 * job, the reason of a state, the text of a record. So "a prefix of what was queued" can be
 * checked.
 */

#include "tests/unit/fault_vfs.h"
#include "tests/unit/store_fixture.h"

#include "common/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/random.h>

#define CUTS_A_DATABASE 40
#define N_WRITES_MAX    8192
#define N_JOBS_MAX      2048
#define TEXT_MAX        (1u << 18)

enum kind { ADD, STATE, REPLICATE };

struct write {
    enum kind kind;
    uint32_t job;       /* index */
    uint32_t replicate; /* its number in the job */
    enum dwb_job_state state;
    size_t size;  /* of the text */
    int status;   /* 1 = not told */
    bool is_seen; /* in the database, at the last look */
};

struct job {
    enum dwb_job_state state; /* after all that is queued */
    uint32_t n_replicates;
    uint32_t last_state; /* number of the write; of the job's own at first */
};

static struct write writes[N_WRITES_MAX];
static uint32_t n_writes;
static struct job jobs[N_JOBS_MAX];
static uint32_t n_jobs;
static int n_told;
static char text_buffer[TEXT_MAX + 1];
static uint64_t n_acknowledged;
static unsigned long n_cuts_wanted = 3000;
static uint64_t seed;

/* Directories are the test's own, and on no disk that matters. */
int fsync(int fd)
{
    return 0;
}

/* "NUMBER xxxx..." of that size; borrowed until the next call. */
static const char *text_of(uint32_t number, size_t size)
{
    int n = snprintf(text_buffer, sizeof(text_buffer), "%u ", number);

    if ((size_t)n < size)
        memset(text_buffer + n, 'a' + number % 26, size - (size_t)n);
    text_buffer[(size_t)n < size ? size : (size_t)n] = '\0';
    return text_buffer;
}

static void on_told(int status, void *userdata)
{
    struct write *write = userdata;

    write->status = status;
    n_acknowledged += status == 0;
    n_told++;
}

/* ---- the load ---- */

static const char *id_of(uint32_t job)
{
    static char id[16];

    snprintf(id, sizeof(id), "j%u", job);
    return id;
}

static struct write *new_write(enum kind kind, uint32_t job)
{
    struct write *write = &writes[n_writes];
    uint64_t size = fault_vfs_random(100);

    ck_assert_uint_lt(n_writes, N_WRITES_MAX);
    *write = (struct write){.kind = kind, .job = job, .status = 1};
    write->size = size < 60   ? 20 + fault_vfs_random(300)
                  : size < 98 ? fault_vfs_random(9000)
                              : fault_vfs_random(TEXT_MAX);
    return write;
}

static int add_job(struct dwb_store *store)
{
    struct write *write = new_write(ADD, n_jobs);
    char id[16];

    ck_assert_uint_lt(n_jobs, N_JOBS_MAX);
    strcpy(id, id_of(n_jobs));
    struct dwb_job_row row = fixture_job(id, 1, id);
    row.spec = text_of(n_writes, write->size);
    jobs[n_jobs++] = (struct job){.state = DWB_JOB_QUEUED, .last_state = n_writes++};
    return dwb_store_add_job(store, &row, on_told, write);
}

static int change_state(struct dwb_store *store, uint32_t job)
{
    static const enum dwb_job_state ways[2][4] = {
        {DWB_JOB_RUNNING, DWB_JOB_RUNNING, DWB_JOB_CANCELLED, DWB_JOB_FAILED},
        {DWB_JOB_DONE, DWB_JOB_QUEUED, DWB_JOB_CANCELLED, DWB_JOB_FAILED}};
    struct write *write = new_write(STATE, job);
    char reason[16];

    write->state = ways[jobs[job].state][fault_vfs_random(4)];
    snprintf(reason, sizeof(reason), "%u", n_writes);
    const char *result = write->state == DWB_JOB_DONE ? text_of(n_writes, write->size) : NULL;
    jobs[job].state = write->state;
    jobs[job].last_state = n_writes++;
    return dwb_store_set_state(store, id_of(job), write->state, reason, 5000, result, on_told,
                               write);
}

static int add_replicate(struct dwb_store *store, uint32_t job)
{
    struct write *write = new_write(REPLICATE, job);

    write->replicate = jobs[job].n_replicates++;
    return dwb_store_add_replicate(store, id_of(job), 0, write->replicate,
                                   text_of(n_writes++, write->size), on_told, write);
}

static int random_write(struct dwb_store *store)
{
    uint64_t choice = fault_vfs_random(10);
    uint32_t job = 0;

    if (n_jobs > 0)
        job = n_jobs - 1 - (uint32_t)fault_vfs_random(n_jobs < 8 ? n_jobs : 8);
    if (n_jobs == 0 || choice < 3)
        return add_job(store);
    if (choice < 6 && jobs[job].state <= DWB_JOB_RUNNING)
        return change_state(store, job);
    return add_replicate(store, job);
}

/* Until the store fails, or for that many writes. */
static void load(struct dwb_store *store, uint64_t n)
{
    struct pollfd pollfd = {.fd = dwb_store_fd(store), .events = POLLIN};

    while (n > 0 && dwb_store_failed(store) == 0) {
        uint64_t group = 1 + fault_vfs_random(6);
        int n_wanted = n_told;

        for (; group > 0 && n > 0; group--, n--) {
            int r = random_write(store);
            if (r < 0) { /* failed meanwhile: it was never queued */
                ck_assert_int_eq(r, dwb_store_failed(store));
                writes[n_writes - 1].status = r;
                n = 1;
                continue;
            }
            n_wanted++;
        }
        while (n_told < n_wanted) {
            ck_assert_int_eq(poll(&pollfd, 1, 10000), 1);
            dwb_store_dispatch(store);
        }
    }
}

/* ---- what is there ---- */

struct seen_job {
    uint32_t job;
    bool is_there;
    enum dwb_job_state state;
    uint32_t add, last_state;
};

static int see_job(const struct dwb_job_row *row, void *userdata)
{
    struct seen_job *seen = userdata;
    uint32_t number = (uint32_t)strtoul(row->spec, NULL, 10);

    ck_assert_uint_lt(number, n_writes);
    ck_assert(writes[number].kind == ADD && writes[number].job == seen->job);
    ck_assert_str_eq(row->spec, text_of(number, writes[number].size));
    ck_assert_str_eq(row->idempotency_key, id_of(seen->job));
    seen->is_there = writes[number].is_seen = true;
    seen->state = row->state;
    seen->add = number;
    seen->last_state = row->reason[0] ? (uint32_t)strtoul(row->reason, NULL, 10) : number;
    return 0;
}

static int see_record(uint32_t layer, uint32_t replicate, const char *record, void *userdata)
{
    uint32_t number = (uint32_t)strtoul(record, NULL, 10);

    ck_assert_uint_lt(number, n_writes);
    ck_assert(writes[number].kind == REPLICATE && writes[number].job == *(uint32_t *)userdata &&
              writes[number].replicate == replicate);
    ck_assert_str_eq(record, text_of(number, writes[number].size));
    writes[number].is_seen = true;
    return 0;
}

static void look_at_job(struct dwb_store *store, uint32_t job, uint32_t *highest)
{
    struct seen_job seen = {.job = job};
    dwb_cleanup_free char *result = NULL;
    char id[DWB_JOB_ID_MAX];
    int r = dwb_store_get_job(store, id_of(job), see_job, &seen);

    if (r == -ENOENT) {
        ck_assert_int_eq(dwb_store_find_key(store, 1, id_of(job), id, sizeof(id)), -ENOENT);
        return;
    }
    ck_assert_int_eq(r, 0);
    ck_assert_int_eq(dwb_store_find_key(store, 1, id_of(job), id, sizeof(id)), 0);
    ck_assert_str_eq(id, id_of(job));
    ck_assert_int_eq(dwb_store_list_replicates(store, id, see_record, &job), 0);
    const struct write *last = &writes[seen.last_state];
    ck_assert_uint_lt(seen.last_state, n_writes);
    ck_assert(last->job == job && (last->kind == STATE || seen.last_state == seen.add));
    ck_assert_int_eq(seen.state, last->kind == STATE ? last->state : DWB_JOB_QUEUED);
    r = dwb_store_get_result(store, id, &result);
    ck_assert_int_eq(r, seen.state == DWB_JOB_DONE ? 0 : -ENOENT);
    if (r == 0)
        ck_assert_str_eq(result, text_of(seen.last_state, last->size));
    for (uint32_t i = seen.add + 1; i <= seen.last_state; i++) /* states before it were passed */
        if (writes[i].job == job && writes[i].kind == STATE)
            writes[i].is_seen = true;
    if (seen.last_state > *highest)
        *highest = seen.last_state;
}

static int expect_ok(void *userdata, int n, char **values, char **names)
{
    ck_assert_str_eq(values[0], "ok");
    return 0;
}

static void check_integrity(void)
{
    sqlite3 *db = NULL;

    ck_assert_int_eq(sqlite3_open_v2(fixture_path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "PRAGMA integrity_check", expect_ok, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "PRAGMA foreign_key_check", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* The model goes on from what is there. */
static void forget_after(uint32_t n_kept)
{
    n_writes = n_kept;
    n_jobs = 0;
    for (uint32_t i = 0; i < n_writes; i++) {
        struct job *job = &jobs[writes[i].job];

        writes[i].status = 0;
        if (writes[i].kind == ADD) {
            *job = (struct job){.state = DWB_JOB_QUEUED, .last_state = i};
            n_jobs = writes[i].job + 1;
        } else if (writes[i].kind == STATE) {
            job->state = writes[i].state;
            job->last_state = i;
        } else {
            job->n_replicates = writes[i].replicate + 1;
        }
    }
}

static void check_all(struct dwb_store *store)
{
    uint32_t highest = 0, n_kept;

    check_integrity();
    for (uint32_t i = 0; i < n_writes; i++)
        writes[i].is_seen = false;
    for (uint32_t job = 0; job < n_jobs; job++)
        look_at_job(store, job, &highest);
    for (n_kept = n_writes; n_kept > 0 && !writes[n_kept - 1].is_seen; n_kept--)
        ck_assert_msg(writes[n_kept - 1].status != 0, "write %u of %u was acknowledged and is lost",
                      n_kept - 1, n_writes);
    for (uint32_t i = 0; i < n_kept; i++)
        ck_assert_msg(writes[i].is_seen, "write %u is lost, write %u is there", i, n_kept - 1);
    forget_after(n_kept);
}

/* ---- lives ---- */

static struct dwb_store *try_open(void)
{
    struct dwb_store *store = NULL;
    char error[256];

    return dwb_store_open(fixture_path, error, sizeof(error), &store) == 0 ? store : NULL;
}

/* One life, to a cut: it may come in the start, in the load, in a pause, or in the end. Sometimes a
 * sync fails first, and the power goes after that, in the same life or in the next. */
static void live(void)
{
    bool fails = fault_vfs_random(4) == 0;
    struct dwb_store *store;

    if (fails) {
        fault_vfs_fail_sync_at(1 + fault_vfs_random(fault_vfs_random(2) ? 3 : 12));
        fault_vfs_cut_at(fault_vfs_random(2) ? 0
                                             : 1 + fault_vfs_random(fault_vfs_random(2) ? 12 : 60));
        store = try_open();
        if (store)
            load(store, 1 + fault_vfs_random(40));
        dwb_store_close(store);
        fault_vfs_fail_sync_at(0);
        if (fault_vfs_is_off()) {
            fault_vfs_cut();
            return;
        }
    }
    fault_vfs_cut_at(fault_vfs_random(8) == 0 ? 0 : 1 + fault_vfs_random(fails ? 60 : 150));
    store = try_open();
    if (store) {
        check_all(store); /* what a started store shows is durable, whoever was told of it */
        load(store, 1 + fault_vfs_random(60));
    }
    fault_vfs_power_off();
    dwb_store_close(store);
    fault_vfs_cut();
}

START_TEST(test_cuts)
{
    fault_vfs_register(seed);
    while (fault_vfs_counts.n_cuts < n_cuts_wanted) {
        fixture_setup();
        n_writes = n_jobs = 0;
        for (int i = 0; i < CUTS_A_DATABASE; i++) {
            live();
            struct dwb_store *store = fixture_open();
            check_all(store);
            if (fault_vfs_random(2)) { /* else the next life begins with an orderly start */
                fault_vfs_power_off();
                dwb_store_close(store);
                fault_vfs_cut();
                store = fixture_open();
                check_all(store);
            }
            dwb_store_close(store);
        }
        fixture_teardown();
        fault_vfs_forget();
    }
    const struct fault_vfs_counts *counts = &fault_vfs_counts;
    printf("%llu power cuts, %llu writes acknowledged and found; of the file writes since a sync "
           "%llu dropped, %llu torn, %llu cuts with another order; %llu failed syncs\n",
           (unsigned long long)counts->n_cuts, (unsigned long long)n_acknowledged,
           (unsigned long long)counts->n_dropped, (unsigned long long)counts->n_torn,
           (unsigned long long)counts->n_reordered, (unsigned long long)counts->n_failed_syncs);
    fflush(stdout);
    ck_assert_uint_gt(counts->n_dropped, n_cuts_wanted);
    ck_assert_uint_gt(counts->n_torn, n_cuts_wanted / 10);
    ck_assert_uint_gt(counts->n_failed_syncs, n_cuts_wanted / 40);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("store_power");
    TCase *tc = tcase_create("cuts");

    if (argc > 1)
        n_cuts_wanted = strtoul(argv[1], NULL, 10);
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 10);
    else if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        return 1;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    tcase_set_timeout(tc, 3600);
    tcase_add_test(tc, test_cuts);
    suite_add_tcase(suite, tc);
    return fixture_main(suite);
}
