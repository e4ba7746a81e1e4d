/*
 * Jobs under a name: who may, which job, what history is kept; and a database of the version before
 * there were any, which becomes one of today's with all that was in it.
 */

#include "tests/unit/store_fixture.h"

#include "common/cleanup.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_done(struct dwb_store *store, const char *id)
{
    ck_assert_int_eq(fixture_add(store, id, 1, NULL), 0);
    ck_assert_int_eq(fixture_set(store, id, DWB_JOB_RUNNING, NULL), 0);
    ck_assert_int_eq(fixture_set(store, id, DWB_JOB_DONE, "{}"), 0);
}

static int set(struct dwb_store *store, const char *name, const char *id, uid_t uid, bool any_owner)
{
    int n_done = 0;
    struct waiting waiting = {.n_done = &n_done, .status = 1};
    int r = dwb_store_set_baseline(store, name, id, uid, any_owner, 7000, fixture_count, &waiting);

    if (r < 0)
        return r;
    fixture_wait(store, &n_done, 1);
    return waiting.status;
}

static int delete (struct dwb_store *store, const char *name, uid_t uid, bool any_owner)
{
    int n_done = 0;
    struct waiting waiting = {.n_done = &n_done, .status = 1};
    int r = dwb_store_delete_baseline(store, name, uid, any_owner, fixture_count, &waiting);

    if (r < 0)
        return r;
    fixture_wait(store, &n_done, 1);
    return waiting.status;
}

static int take_text(const struct dwb_baseline_row *row, void *text)
{
    char line[128];

    snprintf(line, sizeof(line), "%s=%s/%u/%llu/%llu ", row->name, row->job, (unsigned)row->uid,
             (unsigned long long)row->set_at_ns, (unsigned long long)row->n_history);
    ck_assert_uint_lt(strlen(text) + strlen(line), 8192);
    strcat(text, line);
    return 0;
}

static const char *shown(struct dwb_store *store, const char *name)
{
    static char text[8192];

    text[0] = '\0';
    ck_assert_int_eq(dwb_store_get_baseline(store, name, take_text, text), 0);
    return text;
}

static const char *listed(struct dwb_store *store)
{
    static char text[8192];

    text[0] = '\0';
    ck_assert_int_eq(dwb_store_list_baselines(store, take_text, text), 0);
    return text;
}

START_TEST(test_set)
{
    struct dwb_store *store = fixture_open();

    add_done(store, "a");
    add_done(store, "b");
    ck_assert_str_eq(listed(store), "");
    ck_assert_int_eq(set(store, "main", "a", 5, false), 0);
    ck_assert_int_eq(set(store, "main", "b", 5, false), 0);
    ck_assert_int_eq(set(store, "Other_1.2-x", "a", 6, false), 0);
    ck_assert_str_eq(listed(store), "Other_1.2-x=a/6/7000/0 main=b/5/7000/1 ");
    ck_assert_str_eq(shown(store, "main"), "main=b/5/7000/0 main=a/5/7000/0 ");
    ck_assert_int_eq(set(store, "main", "b", 5, false), 0); /* as it is */
    ck_assert_str_eq(shown(store, "main"), "main=b/5/7000/0 main=a/5/7000/0 ");
    ck_assert_int_eq(set(store, "main", "a", 5, false), 0); /* an older one comes to the front */
    ck_assert_str_eq(shown(store, "main"), "main=a/5/7000/0 main=b/5/7000/0 ");
    dwb_store_close(store);
    store = fixture_open();
    ck_assert_str_eq(shown(store, "main"), "main=a/5/7000/0 main=b/5/7000/0 ");
    dwb_store_close(store);
}
END_TEST

START_TEST(test_refused)
{
    struct dwb_store *store = fixture_open();
    char untouched[8192] = "";

    add_done(store, "a");
    ck_assert_int_eq(fixture_add(store, "queued", 1, NULL), 0);
    ck_assert_int_eq(set(store, "main", "none", 5, false), -ENOENT);
    ck_assert_int_eq(set(store, "main", "queued", 5, false), -ESTALE);
    ck_assert_int_eq(dwb_store_get_baseline(store, "main", take_text, untouched), -ENOENT);
    ck_assert_int_eq(delete (store, "main", 5, true), -ENOENT);
    ck_assert_int_eq(set(store, "main", "a", 5, false), 0);
    ck_assert_int_eq(set(store, "main", "a", 6, false), -EPERM);
    ck_assert_int_eq(delete (store, "main", 6, false), -EPERM);
    ck_assert_str_eq(shown(store, "main"), "main=a/5/7000/0 ");
    ck_assert_int_eq(set(store, "main", "a", 0, true), 0);
    ck_assert_str_eq(shown(store, "main"), "main=a/5/7000/0 "); /* it stays its owner's */
    ck_assert_int_eq(delete (store, "main", 5, false), 0);
    ck_assert_int_eq(set(store, "main", "a", 6, false), 0); /* free again */
    ck_assert_int_eq(dwb_store_failed(store), 0);
    dwb_store_close(store);
}
END_TEST

START_TEST(test_names)
{
    char longest[DWB_BASELINE_NAME_MAX + 2];
    struct dwb_store *store = fixture_open();

    memset(longest, 'x', sizeof(longest));
    longest[DWB_BASELINE_NAME_MAX + 1] = '\0';
    add_done(store, "a");
    ck_assert_int_eq(set(store, longest, "a", 1, false), -EINVAL);
    ck_assert_int_eq(set(store, longest + 1, "a", 1, false), 0);
    ck_assert_int_eq(set(store, "", "a", 1, false), -EINVAL);
    ck_assert_int_eq(set(store, "a b", "a", 1, false), -EINVAL);
    ck_assert_int_eq(set(store, "a/b", "a", 1, false), -EINVAL);
    ck_assert_int_eq(delete (store, "\xc3\xa9", 1, false), -EINVAL);
    ck_assert_int_eq(set(store, "ok", NULL, 1, false), -EINVAL);
    ck_assert_int_eq(set(store, NULL, "a", 1, false), -EINVAL);
    ck_assert_int_eq(delete (store, NULL, 1, false), -EINVAL);
    ck_assert_int_eq(dwb_store_set_baseline(store, "ok", "a", 1, false, UINT64_MAX, NULL, NULL),
                     -EINVAL);
    dwb_store_close(store);
}
END_TEST

START_TEST(test_history_is_bounded)
{
    struct dwb_store *store = fixture_open();
    char text[16], first[64];

    for (int i = 0; i < DWB_BASELINE_HISTORY + 3; i++) {
        snprintf(text, sizeof(text), "j%d", i);
        add_done(store, text);
        ck_assert_int_eq(set(store, "main", text, 5, false), 0);
        ck_assert_int_eq(set(store, "rare", i == 0 ? text : "j0", 5, false), 0);
    }
    snprintf(first, sizeof(first), "main=j%d/5/7000/%d rare=j0/5/7000/0 ", DWB_BASELINE_HISTORY + 2,
             DWB_BASELINE_HISTORY);
    ck_assert_str_eq(listed(store), first);
    ck_assert_ptr_null(strstr(shown(store, "main"), "=j1/")); /* 0 and 1 are forgotten */
    ck_assert_ptr_nonnull(strstr(shown(store, "main"), "=j2/"));
    dwb_store_close(store);
}
END_TEST

static void load_version_1(void)
{
    dwb_cleanup_file FILE *file = fopen(DWB_TEST_DATA "/store_version_1.sql", "re");
    static char text[8192];
    sqlite3 *db;
    char *error = NULL;

    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    ck_assert(feof(file));
    ck_assert_int_eq(sqlite3_open(fixture_path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, &error) == SQLITE_OK, "%s", error);
    sqlite3_close(db);
}

static int count(uint32_t layer, uint32_t replicate, const char *record, void *n)
{
    ck_assert_str_eq(record, "{\"samples\":[[0,0,0,1,5,5,0]]}");
    ++*(int *)n;
    return 0;
}

static int64_t version_of_file(void)
{
    sqlite3_stmt *statement;
    sqlite3 *db;
    int64_t version;

    ck_assert_int_eq(sqlite3_open(fixture_path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    version = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return version;
}

START_TEST(test_version_1)
{
    dwb_cleanup_free char *result = NULL;
    char ids[4096] = "";
    struct dwb_store *store;
    int n = 0;

    load_version_1();
    ck_assert_int_eq(version_of_file(), 1);
    store = fixture_open();
    ck_assert_int_eq(dwb_store_list_jobs(store, -1, NULL, 100, fixture_ids, ids), 0);
    ck_assert_str_eq(ids, "third second first ");
    ck_assert_int_eq(fixture_state(store, "first"), DWB_JOB_DONE);
    ck_assert_int_eq(dwb_store_get_result(store, "first", &result), 0);
    ck_assert_str_eq(result, "{\"schema\":\"dwbench.result/1\"}");
    ck_assert_int_eq(dwb_store_list_replicates(store, "first", count, &n), 0);
    ck_assert_int_eq(n, 1);
    ck_assert_str_eq(listed(store), "");
    ck_assert_int_eq(set(store, "main", "first", 5, false), 0);
    ck_assert_int_eq(set(store, "main", "third", 5, false), -ESTALE);
    dwb_store_close(store);
    ck_assert_int_eq(version_of_file(), 2);
    store = fixture_open(); /* a migration is made once */
    ck_assert_str_eq(listed(store), "main=first/5/7000/0 ");
    dwb_store_close(store);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_baselines");
    TCase *tests = tcase_create("baselines");

    tcase_add_checked_fixture(tests, fixture_setup, fixture_teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_set);
    tcase_add_test(tests, test_refused);
    tcase_add_test(tests, test_names);
    tcase_add_test(tests, test_history_is_bounded);
    tcase_add_test(tests, test_version_1);
    suite_add_tcase(suite, tests);
    return fixture_main(suite);
}
