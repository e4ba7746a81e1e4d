/*
 * What the store promises while nothing breaks: durable rows, one answer a write in the order of
 * the calls, the ways between states, the reads. What breaks is in test_store_faults.c.
 */

#include "tests/unit/store_fixture.h"

#include "common/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

START_TEST(test_new)
{
    static const char *const suffixes[] = {"", ".lock", "-wal", "-shm"};
    struct dwb_store *store;
    struct stat st;
    char path[160];

    umask(0);
    store = fixture_open();
    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s%s", fixture_path, suffixes[i]);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0640);
    }
    ck_assert_int_eq(dwb_store_failed(store), 0);
    ck_assert_str_eq(dwb_store_failed_text(store), "");
    dwb_store_close(store);
    dwb_store_close(NULL);
}
END_TEST

static int check_row(const struct dwb_job_row *job, void *n_calls)
{
    ck_assert_str_eq(job->id, "a");
    ck_assert_int_eq(job->state, DWB_JOB_DONE);
    ck_assert_uint_eq(job->uid, 4294967294u);
    ck_assert_str_eq(job->idempotency_key, "key");
    ck_assert_str_eq(job->name, "dws3");
    ck_assert_str_eq(job->spec, "{\"Dk\":3}");
    ck_assert_str_eq(job->reason, "done");
    ck_assert_uint_eq(job->created_ns, 1000);
    ck_assert_uint_eq(job->started_ns, 2000 + DWB_JOB_RUNNING);
    ck_assert_uint_eq(job->finished_ns, 2000 + DWB_JOB_DONE);
    ++*(int *)n_calls;
    return 0;
}

START_TEST(test_round_trip)
{
    struct dwb_store *store = fixture_open();
    dwb_cleanup_free char *result = NULL;
    char id[DWB_JOB_ID_MAX] = "untouched", small[2] = "u";
    int n_calls = 0;

    ck_assert_int_eq(fixture_add(store, "a", 4294967294u, "key"), 0);
    ck_assert_int_eq(fixture_set(store, "a", DWB_JOB_RUNNING, NULL), 0);
    ck_assert_int_eq(fixture_set(store, "a", DWB_JOB_DONE, "{\"x\":1}"), 0);
    dwb_store_close(store);
    store = fixture_open();
    ck_assert_int_eq(dwb_store_get_job(store, "a", check_row, &n_calls), 0);
    ck_assert_int_eq(n_calls, 1);
    ck_assert_int_eq(dwb_store_get_result(store, "a", &result), 0);
    ck_assert_str_eq(result, "{\"x\":1}");
    ck_assert_int_eq(dwb_store_find_key(store, 1, "key", id, sizeof(id)), -ENOENT);
    ck_assert_str_eq(id, "untouched");
    ck_assert_int_eq(dwb_store_find_key(store, 4294967294u, "key", id, sizeof(id)), 0);
    ck_assert_str_eq(id, "a");
    ck_assert_int_eq(dwb_store_find_key(store, 4294967294u, "key", small, 1), -ENAMETOOLONG);
    ck_assert_str_eq(small, "u");
    dwb_store_close(store);
}
END_TEST

/* --- completions --- */

#define N_ORDERED 600

struct ordered {
    int index;
    int *n_done;
    int status;
};

static void in_order(int status, void *opaque)
{
    struct ordered *ordered = opaque;

    ck_assert_int_eq(ordered->index, *ordered->n_done);
    ++*ordered->n_done;
    ordered->status = status;
}

/* Three groups and more, of all verbs, some of them wrong: one answer each, in the order of the
 * calls, and nobody's mistake is another's. */
START_TEST(test_order)
{
    static struct ordered ordered[N_ORDERED];
    struct dwb_store *store = fixture_open();
    char id[16];
    int n_done = 0, r;

    for (int i = 0; i < N_ORDERED; i++) {
        ordered[i] = (struct ordered){.index = i, .n_done = &n_done, .status = 1};
        snprintf(id, sizeof(id), "j%d", i / 4);
        struct dwb_job_row job = fixture_job(id, 1, NULL);
        if (i % 4 == 0 || i % 4 == 2) /* new, then a duplicate */
            r = dwb_store_add_job(store, &job, in_order, &ordered[i]);
        else if (i % 4 == 1)
            r = dwb_store_set_state(store, id, DWB_JOB_RUNNING, "", 5, NULL, in_order, &ordered[i]);
        else
            r = dwb_store_add_replicate(store, id, 0, 0, "{}", in_order, &ordered[i]);
        ck_assert_int_eq(r, 0);
    }
    fixture_wait(store, &n_done, N_ORDERED);
    for (int i = 0; i < N_ORDERED; i++)
        ck_assert_int_eq(ordered[i].status, i % 4 == 2 ? -EEXIST : 0);
    for (int i = 0; i < N_ORDERED / 4; i++) {
        snprintf(id, sizeof(id), "j%d", i);
        ck_assert_int_eq(fixture_state(store, id), DWB_JOB_RUNNING);
    }
    dwb_store_close(store);
}
END_TEST

struct chain {
    struct dwb_store *store;
    int n_done;
};

static void add_next(int status, void *opaque)
{
    struct chain *chain = opaque;
    char id[16];

    ck_assert_int_eq(status, 0);
    snprintf(id, sizeof(id), "c%d", chain->n_done++);
    ck_assert_int_eq(fixture_state(chain->store, id), DWB_JOB_QUEUED); /* committed: visible */
    if (chain->n_done < 20) {
        snprintf(id, sizeof(id), "c%d", chain->n_done);
        struct dwb_job_row job = fixture_job(id, 1, NULL);
        ck_assert_int_eq(dwb_store_add_job(chain->store, &job, add_next, chain), 0);
    }
    dwb_store_dispatch(chain->store);
}

START_TEST(test_write_in_callback)
{
    struct chain chain = {.store = fixture_open()};
    struct dwb_job_row job = fixture_job("c0", 1, NULL);

    ck_assert_int_eq(dwb_store_add_job(chain.store, &job, add_next, &chain), 0);
    fixture_wait(chain.store, &chain.n_done, 20);
    dwb_store_close(chain.store);
}
END_TEST

START_TEST(test_fd_is_quiet)
{
    struct dwb_store *store = fixture_open();
    struct pollfd pollfd = {.fd = dwb_store_fd(store), .events = POLLIN};

    ck_assert_int_eq(poll(&pollfd, 1, 0), 0);
    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    ck_assert_int_eq(poll(&pollfd, 1, 0), 0); /* read away by the dispatch */
    dwb_store_dispatch(store);                /* of nothing */
    dwb_store_close(store);
}
END_TEST

START_TEST(test_close_commits)
{
    static struct ordered ordered[500];
    struct dwb_store *store = fixture_open();
    char id[16];
    int n_done = 0;

    for (int i = 0; i < 500; i++) {
        ordered[i] = (struct ordered){.index = i, .n_done = &n_done, .status = 1};
        snprintf(id, sizeof(id), "j%d", i);
        struct dwb_job_row job = fixture_job(id, 1, NULL);
        ck_assert_int_eq(dwb_store_add_job(store, &job, in_order, &ordered[i]), 0);
    }
    dwb_store_close(store);
    ck_assert_int_eq(n_done, 500);
    store = fixture_open();
    for (int i = 0; i < 500; i++) {
        ck_assert_int_eq(ordered[i].status, 0);
        snprintf(id, sizeof(id), "j%d", i);
        ck_assert_int_eq(fixture_state(store, id), DWB_JOB_QUEUED);
    }
    dwb_store_close(store);
}
END_TEST

START_TEST(test_queue_full)
{
    struct dwb_store *store = fixture_open();
    int n_done = 0, n_taken = 0, r;
    struct waiting waiting = {.n_done = &n_done};

    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    do {
        r = dwb_store_add_replicate(store, "a", 0, (uint32_t)n_taken, "{}", fixture_count,
                                    &waiting);
        n_taken += r == 0;
    } while (r == 0 && n_taken < 100000);
    ck_assert_int_eq(r, -EAGAIN);
    ck_assert_int_eq(n_taken, 4096);
    fixture_wait(store, &n_done, n_taken);
    ck_assert_int_eq(fixture_replicate(store, "a", 0, (uint32_t)n_taken, "{}"), 0);
    dwb_store_close(store);
}
END_TEST

static int sum_records(uint32_t layer, uint32_t replicate, const char *record, void *sum)
{
    ck_assert_uint_eq(strlen(record), 1u << 20);
    ck_assert_int_eq(record[0], 'a' + (int)replicate % 26);
    ck_assert_int_eq(record[(1u << 20) - 1], 'a' + (int)replicate % 26);
    *(int *)sum += 1;
    return 0;
}

/* Records of 1 MiB, until the bytes under way are too many; those that were taken are whole. */
START_TEST(test_large_records)
{
    struct dwb_store *store = fixture_open();
    dwb_cleanup_free char *record = malloc((1u << 20) + 1);
    int n_done = 0, n_taken = 0, n_read = 0, r;
    struct waiting waiting = {.n_done = &n_done};

    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    do {
        memset(record, 'a' + n_taken % 26, 1u << 20);
        record[1u << 20] = '\0';
        r = dwb_store_add_replicate(store, "a", 0, (uint32_t)n_taken, record, fixture_count,
                                    &waiting);
        n_taken += r == 0;
    } while (r == 0 && n_taken < 1000);
    ck_assert_int_eq(r, -ENOBUFS);
    ck_assert_int_eq(n_taken, 63); /* of 64 MiB: id and NULs need room, too */
    fixture_wait(store, &n_done, n_taken);
    ck_assert_int_eq(dwb_store_list_replicates(store, "a", sum_records, &n_read), 0);
    ck_assert_int_eq(n_read, n_taken);
    dwb_store_close(store);
}
END_TEST

/* --- what is wrong with one write --- */

START_TEST(test_duplicates)
{
    struct dwb_store *store = fixture_open();
    uint64_t n = 0;

    ck_assert_int_eq(fixture_add(store, "a", 1, "key"), 0);
    ck_assert_int_eq(fixture_add(store, "a", 2, "other"), -EEXIST);
    ck_assert_int_eq(fixture_add(store, "b", 1, "key"), -EEXIST);
    ck_assert_int_eq(fixture_add(store, "b", 2, "key"), 0); /* another user's */
    ck_assert_int_eq(fixture_add(store, "c", 1, NULL), 0);
    ck_assert_int_eq(fixture_add(store, "d", 1, NULL), 0); /* no key is no key */
    ck_assert_int_eq(fixture_replicate(store, "a", 0, 0, "first"), 0);
    ck_assert_int_eq(fixture_replicate(store, "a", 0, 0, "second"), -EEXIST);
    ck_assert_int_eq(fixture_replicate(store, "a", 0, 1, "third"), 0);
    ck_assert_int_eq(fixture_replicate(store, "a", 1, 0, "fourth"), 0);
    ck_assert_int_eq(fixture_replicate(store, "b", 0, 0, "fifth"), 0);
    ck_assert_int_eq(dwb_store_count_queued(store, 1, &n), 0);
    ck_assert_uint_eq(n, 3);
    dwb_store_close(store);
}
END_TEST

START_TEST(test_unknown)
{
    struct dwb_store *store = fixture_open();
    char *result = (void *)1, text[4096] = "";
    int n = 0;

    ck_assert_int_eq(fixture_set(store, "x", DWB_JOB_RUNNING, NULL), -ENOENT);
    ck_assert_int_eq(fixture_replicate(store, "x", 0, 0, "{}"), -ENOENT);
    ck_assert_int_eq(fixture_state(store, "x"), -ENOENT);
    ck_assert_int_eq(dwb_store_list_jobs(store, -1, "x", 5, fixture_ids, text), -ENOENT);
    ck_assert_int_eq(dwb_store_list_replicates(store, "x", sum_records, &n), -ENOENT);
    ck_assert_int_eq(dwb_store_get_result(store, "x", &result), -ENOENT);
    ck_assert_ptr_eq(result, (void *)1);
    ck_assert_int_eq(fixture_add(store, "x", 1, NULL), 0);
    ck_assert_int_eq(dwb_store_list_replicates(store, "x", sum_records, &n), 0); /* none yet */
    ck_assert_int_eq(dwb_store_get_result(store, "x", &result), -ENOENT);
    dwb_store_close(store);
}
END_TEST

START_TEST(test_invalid)
{
    struct dwb_store *store = fixture_open();
    char key[DWB_IDEMPOTENCY_KEY_MAX + 2], id[DWB_JOB_ID_MAX + 1];
    struct dwb_job_row job = fixture_job("a", 1, NULL);

    memset(key, 'k', sizeof(key));
    key[sizeof(key) - 1] = '\0';
    memset(id, 'i', sizeof(id));
    id[sizeof(id) - 1] = '\0';
    ck_assert_int_eq(fixture_add(store, "a", 1, key), -EINVAL);
    ck_assert_int_eq(fixture_add(store, "a", 1, ""), -EINVAL);
    ck_assert_int_eq(fixture_add(store, "a", 1, key + 1), 0);
    ck_assert_int_eq(fixture_add(store, "", 1, NULL), -EINVAL);
    ck_assert_int_eq(fixture_add(store, id, 1, NULL), -EINVAL);
    ck_assert_int_eq(fixture_add(store, id + 1, 1, NULL), 0);
    job.state = DWB_JOB_RUNNING;
    ck_assert_int_eq(dwb_store_add_job(store, &job, NULL, NULL), -EINVAL);
    job = fixture_job("b", 1, NULL);
    job.created_ns = UINT64_MAX;
    ck_assert_int_eq(dwb_store_add_job(store, &job, NULL, NULL), -EINVAL);
    job = fixture_job("b", 1, NULL);
    job.name = NULL;
    ck_assert_int_eq(dwb_store_add_job(store, &job, NULL, NULL), -EINVAL);
    job = fixture_job("b", 1, NULL);
    job.spec = NULL;
    ck_assert_int_eq(dwb_store_add_job(store, &job, NULL, NULL), -EINVAL);
    ck_assert_int_eq(fixture_set(store, "a", DWB_JOB_RUNNING, NULL), 0);
    ck_assert_int_eq(fixture_set(store, NULL, DWB_JOB_RUNNING, NULL), -EINVAL);
    ck_assert_int_eq(
        dwb_store_set_state(store, "a", DWB_JOB_FAILED, "", UINT64_MAX, NULL, NULL, NULL), -EINVAL);
    ck_assert_int_eq(fixture_replicate(store, "", 0, 0, "{}"), -EINVAL);
    ck_assert_int_eq(fixture_set(store, "a", DWB_JOB_DONE, NULL), -EINVAL);
    ck_assert_int_eq(fixture_set(store, "a", DWB_JOB_CANCELLED, "{}"), -EINVAL);
    ck_assert_int_eq(dwb_store_set_state(store, "a", DWB_N_JOB_STATES, "", 1, NULL, NULL, NULL),
                     -EINVAL);
    ck_assert_int_eq(fixture_replicate(store, "a", 0, 0, NULL), -EINVAL);
    ck_assert_int_eq(fixture_state(store, "a"), DWB_JOB_RUNNING);
    dwb_store_close(store);
}
END_TEST

/* --- states --- */

static const bool allowed[DWB_N_JOB_STATES][DWB_N_JOB_STATES] = {
    [DWB_JOB_QUEUED] = {[DWB_JOB_RUNNING] = 1, [DWB_JOB_FAILED] = 1, [DWB_JOB_CANCELLED] = 1},
    [DWB_JOB_RUNNING] =
        {[DWB_JOB_QUEUED] = 1, [DWB_JOB_DONE] = 1, [DWB_JOB_FAILED] = 1, [DWB_JOB_CANCELLED] = 1},
};

static const char *result_for(enum dwb_job_state state)
{
    return state == DWB_JOB_DONE ? "{}" : NULL;
}

START_TEST(test_transitions)
{
    struct dwb_store *store = fixture_open();
    enum dwb_job_state from, to, state;
    char id[16];
    int r;

    for (int i = 0; i < DWB_N_JOB_STATES * DWB_N_JOB_STATES; i++) {
        from = i / DWB_N_JOB_STATES;
        to = i % DWB_N_JOB_STATES;
        snprintf(id, sizeof(id), "t%d", i);
        ck_assert_int_eq(fixture_add(store, id, 1, NULL), 0);
        if (from != DWB_JOB_QUEUED)
            ck_assert_int_eq(fixture_set(store, id, DWB_JOB_RUNNING, NULL), 0);
        if (from > DWB_JOB_RUNNING)
            ck_assert_int_eq(fixture_set(store, id, from, result_for(from)), 0);
        r = fixture_set(store, id, to, result_for(to));
        ck_assert_msg(r == (allowed[from][to] ? 0 : -ESTALE), "%s to %s: %d",
                      dwb_job_state_name(from), dwb_job_state_name(to), r);
        ck_assert_int_eq(fixture_state(store, id), allowed[from][to] ? to : from);
    }
    for (state = 0; state < DWB_N_JOB_STATES; state++) {
        ck_assert_int_eq(dwb_job_state_from_name(dwb_job_state_name(state), &to), 0);
        ck_assert_int_eq(to, state);
    }
    ck_assert_int_eq(dwb_job_state_from_name("Done", &to), -EINVAL);
    ck_assert_ptr_null(dwb_job_state_name(DWB_N_JOB_STATES));
    dwb_store_close(store);
}
END_TEST

static int take_reason(const struct dwb_job_row *job, void *text)
{
    snprintf(text, 64, "%s %s %llu %llu", dwb_job_state_name(job->state), job->reason,
             (unsigned long long)job->started_ns, (unsigned long long)job->finished_ns);
    return 0;
}

/* A cancel and the end of the same job, queued together: one wins, the other changes nothing. */
START_TEST(test_race)
{
    static const struct {
        enum dwb_job_state first, second;
        const char *row;
        int result;
    } races[] = {
        {DWB_JOB_DONE, DWB_JOB_CANCELLED, "done first 2001 7", 0},
        {DWB_JOB_CANCELLED, DWB_JOB_DONE, "cancelled first 2001 7", -ENOENT},
    };
    struct dwb_store *store = fixture_open();
    char text[64];
    int n_done;

    for (int i = 0; i < 2; i++) {
        const char *id = i == 0 ? "a" : "b";
        struct waiting first = {.n_done = &n_done}, second = first;
        dwb_cleanup_free char *result = NULL;

        n_done = 0;
        ck_assert_int_eq(fixture_add(store, id, 1, NULL), 0);
        ck_assert_int_eq(fixture_set(store, id, DWB_JOB_RUNNING, NULL), 0);
        ck_assert_int_eq(dwb_store_set_state(store, id, races[i].first, "first", 7,
                                             result_for(races[i].first), fixture_count, &first),
                         0);
        ck_assert_int_eq(dwb_store_set_state(store, id, races[i].second, "second", 8,
                                             result_for(races[i].second), fixture_count, &second),
                         0);
        fixture_wait(store, &n_done, 2);
        ck_assert_int_eq(first.status, 0);
        ck_assert_int_eq(second.status, -ESTALE);
        ck_assert_int_eq(dwb_store_get_job(store, id, take_reason, text), 0);
        ck_assert_str_eq(text, races[i].row);
        ck_assert_int_eq(dwb_store_get_result(store, id, &result), races[i].result);
    }
    dwb_store_close(store);
}
END_TEST

START_TEST(test_times)
{
    struct dwb_store *store = fixture_open();
    char text[64];

    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    ck_assert_int_eq(fixture_set(store, "a", DWB_JOB_RUNNING, NULL), 0);
    ck_assert_int_eq(dwb_store_get_job(store, "a", take_reason, text), 0);
    ck_assert_str_eq(text, "running running 2001 0");
    ck_assert_int_eq(fixture_set(store, "a", DWB_JOB_QUEUED, NULL), 0); /* taken up again */
    ck_assert_int_eq(dwb_store_get_job(store, "a", take_reason, text), 0);
    ck_assert_str_eq(text, "queued queued 0 0");
    ck_assert_int_eq(fixture_set(store, "a", DWB_JOB_FAILED, "{\"wrong\":1}"), 0);
    ck_assert_int_eq(dwb_store_get_job(store, "a", take_reason, text), 0);
    ck_assert_str_eq(text, "failed failed 0 2003");
    dwb_store_close(store);
}
END_TEST

/* --- reads --- */

START_TEST(test_pages)
{
    struct dwb_store *store = fixture_open();
    char id[16], text[4096] = "";

    for (int i = 0; i < 25; i++) { /* the ids' order is not the jobs' */
        snprintf(id, sizeof(id), "p%02d", (i * 7) % 25);
        ck_assert_int_eq(fixture_add(store, id, 1, NULL), 0);
        if (i % 5 == 0)
            ck_assert_int_eq(fixture_set(store, id, DWB_JOB_CANCELLED, NULL), 0);
    }
    ck_assert_int_eq(dwb_store_list_jobs(store, -1, NULL, 4, fixture_ids, text), 0);
    ck_assert_str_eq(text, "p18 p11 p04 p22 ");
    text[0] = '\0';
    ck_assert_int_eq(dwb_store_list_jobs(store, -1, "p22", 3, fixture_ids, text), 0);
    ck_assert_str_eq(text, "p15 p08 p01 ");
    text[0] = '\0';
    ck_assert_int_eq(dwb_store_list_jobs(store, -1, "p07", 10, fixture_ids, text), 0);
    ck_assert_str_eq(text, "p00 ");
    text[0] = '\0';
    ck_assert_int_eq(dwb_store_list_jobs(store, -1, "p00", 10, fixture_ids, text), 0);
    ck_assert_int_eq(dwb_store_list_jobs(store, -1, NULL, 0, fixture_ids, text), 0);
    ck_assert_int_eq(dwb_store_list_jobs(store, DWB_JOB_DONE, NULL, 9, fixture_ids, text), 0);
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(dwb_store_list_jobs(store, DWB_JOB_CANCELLED, "p22", 3, fixture_ids, text), 0);
    ck_assert_str_eq(text, "p15 p05 p20 "); /* also with a job of another state as `after` */
    dwb_store_close(store);
}
END_TEST

START_TEST(test_pending)
{
    struct dwb_store *store = fixture_open();
    uint64_t counts[DWB_N_JOB_STATES], n;
    char text[4096] = "";

    ck_assert_int_eq(fixture_add(store, "z", 1, NULL), 0);
    ck_assert_int_eq(fixture_add(store, "y", 2, NULL), 0);
    ck_assert_int_eq(fixture_add(store, "x", 1, NULL), 0);
    ck_assert_int_eq(fixture_add(store, "w", 1, NULL), 0);
    ck_assert_int_eq(fixture_set(store, "y", DWB_JOB_RUNNING, NULL), 0);
    ck_assert_int_eq(fixture_set(store, "x", DWB_JOB_CANCELLED, NULL), 0);
    ck_assert_int_eq(dwb_store_pending_jobs(store, fixture_ids, text), 0);
    ck_assert_str_eq(text, "z y w ");
    ck_assert_int_eq(dwb_store_count_states(store, counts), 0);
    ck_assert_uint_eq(counts[DWB_JOB_QUEUED], 2);
    ck_assert_uint_eq(counts[DWB_JOB_RUNNING], 1);
    ck_assert_uint_eq(counts[DWB_JOB_DONE], 0);
    ck_assert_uint_eq(counts[DWB_JOB_FAILED], 0);
    ck_assert_uint_eq(counts[DWB_JOB_CANCELLED], 1);
    ck_assert_int_eq(dwb_store_count_queued(store, 1, &n), 0);
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(dwb_store_count_queued(store, 2, &n), 0);
    ck_assert_uint_eq(n, 0);

    /* A refused change and a restart leave the counts as they are; a change that is made counts. */
    ck_assert_int_eq(fixture_set(store, "x", DWB_JOB_FAILED, NULL), -ESTALE);
    ck_assert_int_eq(fixture_set(store, "w", DWB_JOB_CANCELLED, NULL), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(dwb_store_count_states(store, counts), 0);
        ck_assert_uint_eq(counts[DWB_JOB_QUEUED], 1);
        ck_assert_uint_eq(counts[DWB_JOB_RUNNING], 1);
        ck_assert_uint_eq(counts[DWB_JOB_FAILED], 0);
        ck_assert_uint_eq(counts[DWB_JOB_CANCELLED], 2);
        dwb_store_close(store);
        store = fixture_open();
    }
    dwb_store_close(store);
}
END_TEST

static int collect(uint32_t layer, uint32_t replicate, const char *record, void *text)
{
    sprintf((char *)text + strlen(text), "%u.%u=%s ", layer, replicate, record);
    return 0;
}

START_TEST(test_replicates)
{
    struct dwb_store *store = fixture_open();
    char text[4096] = "";

    ck_assert_int_eq(fixture_add(store, "a", 1, NULL), 0);
    ck_assert_int_eq(fixture_add(store, "b", 1, NULL), 0);
    ck_assert_int_eq(fixture_replicate(store, "a", 1, 0, "p"), 0);
    ck_assert_int_eq(fixture_replicate(store, "b", 0, 0, "no"), 0);
    ck_assert_int_eq(fixture_replicate(store, "a", 0, 4294967295u, "q"), 0);
    ck_assert_int_eq(fixture_replicate(store, "a", 0, 2, "r"), 0);
    ck_assert_int_eq(dwb_store_list_replicates(store, "a", collect, text), 0);
    ck_assert_str_eq(text, "0.2=r 0.4294967295=q 1.0=p ");
    dwb_store_close(store);
}
END_TEST

struct stopping {
    struct dwb_store *store;
    int n;
};

static int stop_second(const struct dwb_job_row *job, void *opaque)
{
    struct stopping *stopping = opaque;
    char text[4096] = "";

    /* Another read is fine here, the same one is not. */
    ck_assert_int_eq(fixture_state(stopping->store, job->id), DWB_JOB_QUEUED);
    ck_assert_int_eq(dwb_store_list_jobs(stopping->store, -1, NULL, 9, fixture_ids, text), -EBUSY);
    return ++stopping->n == 2 ? -ECANCELED : 0;
}

START_TEST(test_read_stops)
{
    struct stopping stopping = {.store = fixture_open()};
    char text[4096] = "";

    ck_assert_int_eq(fixture_add(stopping.store, "a", 1, NULL), 0);
    ck_assert_int_eq(fixture_add(stopping.store, "b", 1, NULL), 0);
    ck_assert_int_eq(fixture_add(stopping.store, "c", 1, NULL), 0);
    ck_assert_int_eq(dwb_store_list_jobs(stopping.store, -1, NULL, 9, stop_second, &stopping),
                     -ECANCELED);
    ck_assert_int_eq(stopping.n, 2);
    ck_assert_int_eq(dwb_store_list_jobs(stopping.store, -1, NULL, 9, fixture_ids, text), 0);
    ck_assert_str_eq(text, "c b a ");
    dwb_store_close(stopping.store);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *tc = tcase_create("store");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_test(tc, test_new);
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_order);
    tcase_add_test(tc, test_write_in_callback);
    tcase_add_test(tc, test_fd_is_quiet);
    tcase_add_test(tc, test_close_commits);
    tcase_add_test(tc, test_queue_full);
    tcase_add_test(tc, test_large_records);
    tcase_add_test(tc, test_duplicates);
    tcase_add_test(tc, test_unknown);
    tcase_add_test(tc, test_invalid);
    tcase_add_test(tc, test_transitions);
    tcase_add_test(tc, test_race);
    tcase_add_test(tc, test_times);
    tcase_add_test(tc, test_pages);
    tcase_add_test(tc, test_pending);
    tcase_add_test(tc, test_replicates);
    tcase_add_test(tc, test_read_stops);
    suite_add_tcase(suite, tc);
    return fixture_main(suite);
}
