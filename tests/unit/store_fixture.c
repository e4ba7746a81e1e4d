#include "tests/unit/store_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char fixture_path[128];

static char directory[64];

void fixture_setup(void)
{
    strcpy(directory, "/tmp/dwb-test-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(fixture_path, sizeof(fixture_path), "%s/dwbench.db", directory);
}

void fixture_teardown(void)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    char path[512];

    while (dir && (entry = readdir(dir))) {
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        unlink(path);
    }
    if (dir)
        closedir(dir);
    rmdir(directory);
}

struct dwb_store *fixture_open(void)
{
    struct dwb_store *store = NULL;
    char error[256] = "";
    int r = dwb_store_open(fixture_path, error, sizeof(error), &store);

    ck_assert_msg(r == 0, "open: %s (%d)", error, r);
    return store;
}

void fixture_wait(struct dwb_store *store, const int *n_done, int n)
{
    struct pollfd pollfd = {.fd = dwb_store_fd(store), .events = POLLIN};

    while (*n_done < n) {
        ck_assert_int_eq(poll(&pollfd, 1, 10000), 1);
        dwb_store_dispatch(store);
    }
    ck_assert_int_eq(*n_done, n);
}

void fixture_count(int status, void *opaque)
{
    struct waiting *waiting = opaque;

    waiting->status = status;
    ++*waiting->n_done;
}

struct dwb_job_row fixture_job(const char *id, uid_t uid, const char *key)
{
    return (struct dwb_job_row){.id = id,
                                .state = DWB_JOB_QUEUED,
                                .uid = uid,
                                .idempotency_key = key,
                                .name = "dws3",
                                .spec = "{\"Dk\":3}",
                                .created_ns = 1000};
}

int fixture_add(struct dwb_store *store, const char *id, uid_t uid, const char *key)
{
    struct dwb_job_row job = fixture_job(id, uid, key);
    int n_done = 0;
    struct waiting waiting = {.n_done = &n_done, .status = 1};
    int r = dwb_store_add_job(store, &job, fixture_count, &waiting);

    if (r < 0)
        return r;
    fixture_wait(store, &n_done, 1);
    return waiting.status;
}

int fixture_set(struct dwb_store *store, const char *id, enum dwb_job_state state,
                const char *result)
{
    int n_done = 0;
    struct waiting waiting = {.n_done = &n_done, .status = 1};
    int r = dwb_store_set_state(store, id, state, dwb_job_state_name(state), 2000 + state, result,
                                fixture_count, &waiting);

    if (r < 0)
        return r;
    fixture_wait(store, &n_done, 1);
    return waiting.status;
}

int fixture_replicate(struct dwb_store *store, const char *id, uint32_t layer, uint32_t replicate,
                      const char *record)
{
    int n_done = 0;
    struct waiting waiting = {.n_done = &n_done, .status = 1};
    int r = dwb_store_add_replicate(store, id, layer, replicate, record, fixture_count, &waiting);

    if (r < 0)
        return r;
    fixture_wait(store, &n_done, 1);
    return waiting.status;
}

static int take_state(const struct dwb_job_row *job, void *state)
{
    *(int *)state = job->state;
    return 0;
}

int fixture_state(struct dwb_store *store, const char *id)
{
    int state = -1;
    int r = dwb_store_get_job(store, id, take_state, &state);

    return r < 0 ? r : state;
}

int fixture_ids(const struct dwb_job_row *job, void *text)
{
    ck_assert_uint_lt(strlen(text) + strlen(job->id) + 2, 4096);
    strcat(text, job->id);
    strcat(text, " ");
    return 0;
}

int fixture_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int n_failed;

    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
