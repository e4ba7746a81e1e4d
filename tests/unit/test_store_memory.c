/*
 * Each allocation of a read of the store fails, once and with all behind it: the read has an answer
 * or says that it has none. It never says that what is stored is not there. Exit 77 where the heap
 * is not this program's.
 */

#include "tests/unit/heap.h"
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ALLOCATIONS_MAX 5000

static int see_job(const struct dwb_job_row *job, void *userdata)
{
    return 0;
}

static int see_replicate(uint32_t layer, uint32_t replicate, const char *record, void *userdata)
{
    return 0;
}

static int get_job(struct dwb_store *store)
{
    return dwb_store_get_job(store, "one", see_job, NULL);
}

static int list_jobs(struct dwb_store *store)
{
    return dwb_store_list_jobs(store, -1, "one", 10, see_job, NULL);
}

static int find_key(struct dwb_store *store)
{
    char id[DWB_JOB_ID_MAX];

    return dwb_store_find_key(store, 1, "key", id, sizeof(id));
}

static int list_replicates(struct dwb_store *store)
{
    return dwb_store_list_replicates(store, "one", see_replicate, NULL);
}

static int get_result(struct dwb_store *store)
{
    char *result = NULL;
    int r = dwb_store_get_result(store, "one", &result);

    free(result);
    return r;
}

static int (*const reads[])(struct dwb_store *) = {get_job, list_jobs, find_key, list_replicates,
                                                   get_result};

START_TEST(a_read_without_memory_denies_nothing)
{
    struct dwb_store *store = fixture_open();
    unsigned long n_failed = 0;

    ck_assert_int_eq(fixture_add(store, "one", 1, "key"), 0);
    ck_assert_int_eq(fixture_set(store, "one", DWB_JOB_RUNNING, NULL), 0);
    ck_assert_int_eq(fixture_replicate(store, "one", 0, 0, "{}"), 0);
    ck_assert_int_eq(fixture_set(store, "one", DWB_JOB_DONE, "{}"), 0);
    for (int all = 0; all < 2; all++) {
        bool failed = true;
        for (unsigned long n = 1; failed && n < ALLOCATIONS_MAX; n++) {
            heap_fail_at(n, all);
            int r = reads[_i](store);
            failed = heap_has_failed();
            heap_fail_at(0, false);
            n_failed += failed;
            ck_assert_msg(r == 0 || (failed && r == -ENOMEM), "allocation %lu: %d", n, r);
        }
        ck_assert(!failed);
    }
    ck_assert_uint_gt(n_failed, 0);
    dwb_store_close(store);
}
END_TEST

int main(void)
{
    if (!heap_is_watched()) {
        puts("a sanitizer has the allocator");
        return 77;
    }
    Suite *suite = suite_create("store_memory");
    TCase *tcase = tcase_create("store_memory");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tcase, a_read_without_memory_denies_nothing, 0,
                        sizeof(reads) / sizeof(reads[0]));
    suite_add_tcase(suite, tcase);
    return fixture_main(suite);
}
