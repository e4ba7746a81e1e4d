/*
 * The event catalogue: its errors have places, and every event of every shipped file is one that
 * libpfm4 can encode. The library has the tables of one architecture, and AMD's only when it is
 * told that it runs there (LIBPFM_FORCE_PMU), so each PMU is checked in a process of its own.
 */

#include "measure/catalogue.h"

#include "common/cleanup.h"
#include "common/paths.h"
#include "measure/pmu.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

static int parse(const char *text, struct dwb_diags *diags, struct dwb_catalogue **ret_catalogue)
{
    return dwb_catalogue_parse(text, strlen(text), diags, ret_catalogue);
}

START_TEST(test_good)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    DWB_CLEANUP(dwb_catalogue_freep) struct dwb_catalogue *catalogue = NULL;
    const struct dwb_catalogue_counter *counter;

    ck_assert_int_eq(parse("pmu: [a, b]\n"
                           "counters:\n"
                           "  cycles: {events: [\"X:Y\"], note: hello}\n"
                           "  flops: {events: [Z, {event: W, weight: 16}]}\n"
                           "  llc_misses: {missing: because}\n",
                           diags, &catalogue),
                     0);
    ck_assert_uint_eq(catalogue->n_pmus, 2);
    ck_assert_str_eq(catalogue->pmus[1], "b");
    counter = dwb_catalogue_get(catalogue, "cycles");
    ck_assert_str_eq(counter->events[0].name, "X:Y");
    ck_assert_uint_eq(counter->events[0].weight, 1);
    ck_assert_str_eq(counter->note, "hello");
    counter = dwb_catalogue_get(catalogue, "flops");
    ck_assert_uint_eq(counter->n_events, 2);
    ck_assert_uint_eq(counter->events[1].weight, 16);
    ck_assert_str_eq(dwb_catalogue_get(catalogue, "llc_misses")->missing, "because");
    ck_assert_ptr_null(dwb_catalogue_get(catalogue, "l1d_misses"));
}
END_TEST

static const struct {
    const char *text;
    unsigned line, column;
} bad[] = {
    {"- pmu\n", 1, 1},
    {"pmu: [a]\n", 1, 1},
    {"counters: {cycles: {events: [X]}}\n", 1, 1},
    {"pmu: a\ncounters: {cycles: {events: [X]}}\n", 1, 6},
    {"pmu: []\ncounters: {cycles: {events: [X]}}\n", 1, 6},
    {"pmu: [a]\ncounters: {}\n", 2, 11},
    {"pmu: [a]\ncounters:\n  cylces: {events: [X]}\n", 3, 3},
    {"pmu: [a]\ncounters:\n  cycles: {events: []}\n", 3, 20},
    {"pmu: [a]\ncounters:\n  cycles: {events: X}\n", 3, 20},
    {"pmu: [a]\ncounters:\n  cycles: {events: [A, B, C, D, E, F, G]}\n", 3, 20},
    {"pmu: [a]\ncounters:\n  cycles: {events: [{weight: 2}]}\n", 3, 21},
    {"pmu: [a]\ncounters:\n  cycles: {events: [{event: X, weight: 0}]}\n", 3, 40},
    {"pmu: [a]\ncounters:\n  cycles: {events: [{event: X, weight: 1.5}]}\n", 3, 40},
    {"pmu: [a]\ncounters:\n  cycles: {events: [{event: X, wieght: 1}]}\n", 3, 32},
    {"pmu: [a]\ncounters:\n  cycles: {note: x}\n", 3, 11},
    {"pmu: [a]\ncounters:\n  cycles: {events: [X], missing: x}\n", 3, 11},
    {"pmu: [a]\ncounters:\n  cycles: {events: [X], nota: x}\n", 3, 25},
    {"pmu: [a]\nconters: 1\ncounters: {cycles: {events: [X]}}\n", 2, 1},
    {"pmu: [a]\ncounters:\n  cycles: {events: [X]}\n  cycles: {events: [X]}\n", 4, 3},
    {"pmu: [[a]]\ncounters: {cycles: {events: [X]}}\n", 1, 7},
    {"pmu: [\"\"]\ncounters: {cycles: {events: [X]}}\n", 1, 7},
    {"pmu: [\"\xc2\xb5\"]\ncounters: {cycles: {events: [X]}}\n", 1, 7},
    {"pmu: [a-name-longer-than-libpfm4-has-any]\ncounters: {cycles: {events: [X]}}\n", 1, 7},
    {"pmu: [a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a]\n"
     "counters: {cycles: {events: [X]}}\n",
     1, 6},
    {"pmu: [a]\ncounters: [cycles]\n", 2, 11},
    {"pmu: [a]\ncounters: {cycles: X}\n", 2, 20},
    {"pmu: [a]\ncounters:\n  cycles: {events: [[X]]}\n", 3, 21},
    {"pmu: [a]\ncounters:\n  cycles: {events: [{event: X, weight: [1]}]}\n", 3, 40},
    {"pmu: [a]\ncounters:\n  cycles: {events: [{event: X, weight: 1025}]}\n", 3, 40},
};

START_TEST(test_bad)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    struct dwb_catalogue *catalogue = NULL;

    ck_assert_int_eq(parse(bad[_i].text, diags, &catalogue), -EINVAL);
    ck_assert_ptr_null(catalogue);
    ck_assert_uint_ge(diags->n, 1);
    ck_assert_msg(diags->items[0].line == bad[_i].line && diags->items[0].column == bad[_i].column,
                  "%s: %u:%u %s", bad[_i].text, diags->items[0].line, diags->items[0].column,
                  diags->items[0].message);
}
END_TEST

/* All findings of a file, not only the first. */
START_TEST(test_all_findings)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    struct dwb_catalogue *catalogue = NULL;

    ck_assert_int_eq(
        parse("pmu: []\ncounters:\n  foo: 1\n  cycles: {events: []}\n", diags, &catalogue),
        -EINVAL);
    ck_assert_uint_eq(diags->n, 3);
}
END_TEST

/* Each file of configs/counters: the PMU in turn must find this very file and encode its events. */
static int check_pmu(const char *directory, const char *pmu)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    DWB_CLEANUP(dwb_catalogue_freep) struct dwb_catalogue *catalogue = NULL;
    char path[4096], error[96];
    int n_encoded = 0;

    ck_assert_int_eq(dwb_catalogue_find(directory, pmu, diags, path, sizeof path, &catalogue), 0);
    setenv("LIBPFM_ENCODE_INACTIVE", "1", 1);
    if (strncmp(pmu, "amd64", 5) == 0)
        setenv("LIBPFM_FORCE_PMU", pmu, 1);
    for (size_t i = 0; i < catalogue->n_counters; i++)
        for (size_t k = 0; k < catalogue->counters[i].n_events; k++) {
            struct perf_event_attr attr;
            const char *event = catalogue->counters[i].events[k].name;
            int r = dwb_pmu_encode("", pmu, event, 0, &attr, error, sizeof error);

            ck_assert_msg(r == 0, "%s: %s::%s: %s", path, pmu, event, error);
            ck_assert(attr.exclude_kernel && attr.exclude_hv && !attr.exclude_user);
            n_encoded++;
        }
    return n_encoded;
}

/* The library has the tables of one architecture: between them the two builds encode all. */
static const char *const x86_pmus[] = {
    "perf",
    "hsw",
    "hsw_ep",
    "bdw",
    "bdw_ep",
    "skl",
    "skx",
    "clx",
    "icl",
    "icx",
    "spr",
    "amd64_fam17h_zen1",
    "amd64_fam17h_zen2",
    "amd64_fam19h_zen3",
    "amd64_fam19h_zen4",
};
static const char *const arm_pmus[] = {
    "perf", "arm_n1", "arm_n2", "arm_v1", "arm_v2", "arm_ac53", "arm_ac57", "arm_a64fx",
};

#define LENGTH(array_) (sizeof(array_) / sizeof *(array_))

#if defined(__x86_64__)
#define OWN_PMUS x86_pmus
#else
#define OWN_PMUS arm_pmus
#endif

/* Is it encoded by this build's test, or by that of the other architecture? */
static bool is_tested(const char *pmu)
{
    for (size_t i = 0; i < LENGTH(x86_pmus); i++)
        if (strcmp(pmu, x86_pmus[i]) == 0)
            return true;
    for (size_t i = 0; i < LENGTH(arm_pmus); i++)
        if (strcmp(pmu, arm_pmus[i]) == 0)
            return true;
    return false;
}

START_TEST(test_shipped_events)
{
    char directory[4096];

    ck_assert_int_eq(dwb_paths_data("counters", directory, sizeof directory), 0);
    ck_assert_int_ge(check_pmu(directory, OWN_PMUS[_i]), 4);
}
END_TEST

/* Every shipped file is valid, says something of every logical counter, and no PMU is in two. */
START_TEST(test_shipped_files)
{
    char directory[4096], seen[64][32];
    struct dirent *entry;
    size_t n_seen = 0, n_files = 0;

    ck_assert_int_eq(dwb_paths_data("counters", directory, sizeof directory), 0);
    DIR *dir = opendir(directory);
    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir))) {
        DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
        DWB_CLEANUP(dwb_catalogue_freep) struct dwb_catalogue *catalogue = NULL;
        char path[8192], text[65536];

        if (!strstr(entry->d_name, ".yaml"))
            continue;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        dwb_cleanup_file FILE *file = fopen(path, "r");
        ck_assert_ptr_nonnull(file);
        size_t n = fread(text, 1, sizeof text, file);
        if (dwb_catalogue_parse(text, n, diags, &catalogue) < 0) {
            dwb_diags_print(diags, path, stderr);
            ck_abort_msg("%s is not valid", path);
        }
        for (size_t i = 0; i < DWB_CATALOGUE_COUNTERS_MAX; i++)
            ck_assert_msg(dwb_catalogue_get(catalogue, dwb_catalogue_logical(i)), "%s: %s", path,
                          dwb_catalogue_logical(i));
        for (size_t i = 0; i < catalogue->n_pmus; i++) {
            for (size_t k = 0; k < n_seen; k++)
                ck_assert_str_ne(seen[k], catalogue->pmus[i]);
            ck_assert_uint_lt(n_seen, 64);
            ck_assert_msg(is_tested(catalogue->pmus[i]), "%s: no test encodes %s", path,
                          catalogue->pmus[i]);
            strcpy(seen[n_seen++], catalogue->pmus[i]);
        }
        n_files++;
    }
    closedir(dir);
    ck_assert_uint_ge(n_files, 17);
}
END_TEST

START_TEST(test_find)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    struct dwb_catalogue *catalogue = NULL;
    char directory[4096], path[4096];

    ck_assert_int_eq(dwb_paths_data("counters", directory, sizeof directory), 0);
    ck_assert_int_eq(
        dwb_catalogue_find(directory, "no_such_pmu", diags, path, sizeof path, &catalogue),
        -ENOENT);
    ck_assert_int_eq(
        dwb_catalogue_find("/nonexistent", "skx", diags, path, sizeof path, &catalogue), -ENOENT);
    ck_assert_ptr_null(catalogue);
    ck_assert_uint_eq(diags->n, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("catalogue");
    TCase *tests = tcase_create("catalogue");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_test(tests, test_good);
    tcase_add_loop_test(tests, test_bad, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(tests, test_all_findings);
    tcase_add_loop_test(tests, test_shipped_events, 0, LENGTH(OWN_PMUS));
    tcase_add_test(tests, test_shipped_files);
    tcase_add_test(tests, test_find);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
