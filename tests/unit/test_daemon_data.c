/*
 * What the daemon keeps of a job and of the shipped suites, at its edges: files that are no suites,
 * records that come in any order or are not the ones asked for, and memory that fails.
 */

#include "common/cleanup.h"
#include "common/json_memory.h"
#include "daemon/metrics.h"
#include "daemon/records.h"
#include "daemon/schedule.h"
#include "daemon/suites.h"
#include "tests/unit/heap.h"
#include "tests/unit/synthetic.h"
#include "tests/unmarked.h"

#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ALLOCATIONS_MAX 10000

/* ---- suites ---- */

static char directory[64];
static struct dwb_metrics *metrics;

static void setup(void)
{
    strcpy(directory, "/tmp/dwb-test-suites-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(dwb_metrics_new(&metrics), 0);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void teardown(void)
{
    nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    dwb_metrics_free(metrics);
}

static void put_file(const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    dwb_cleanup_file FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
}

static char *render(void)
{
    struct dwb_metrics_view view = {.loop_backend = "epoll", .version = "1"};
    char *text = NULL;
    size_t n;

    ck_assert_int_eq(dwb_metrics_render(metrics, &view, false, &text, &n), 0);
    return text;
}

static json_t *result(const char *backend, int channels, json_t *ratio)
{
    json_t *entry = json_pack("{s:s*, s:{s:s, s:i, s:i, s:i, s:i, s:i, s:s, s:i}, s:{s:{s:o}}, "
                              "s:{s:f}}",
                              "backend", backend, "layer", "name", "one", "Dk", 3, "Dx", 8, "M",
                              channels, "N", 4, "stride", 1, "padding", "same", "repeat", 1,
                              "ratio", "time", "floor", ratio, "theory", "ratio", 0.36);

    ck_assert_ptr_nonnull(entry);
    return entry;
}

static void publish(const struct dwb_suites *suites, const char *name, json_t *results)
{
    json_t *document = json_pack("{s:{s:s?}, s:o}", "job", "name", name, "results", results);

    ck_assert_ptr_nonnull(document);
    dwb_suites_publish(suites, document, metrics);
    json_decref(document);
}

#define SUITE "{name: mine, layers: [{name: one, Dk: 3, Dx: 8, M: 4, N: 4}]}\n"

START_TEST(test_publish)
{
    struct dwb_suites *suites = NULL;

    put_file("mine.yaml", SUITE);
    put_file("other.yaml", "{name: other, layers: [{name: one, Dk: 3, Dx: 9, M: 4, N: 4}]}\n");
    put_file("layer.yaml", "{Dk: 3, Dx: 8, M: 4, N: 4}\n"); /* no suite */
    put_file("broken.yaml", "{name: mine\n");
    put_file("readme.txt", SUITE);
    put_file("yaml", SUITE);
    ck_assert_int_eq(dwb_suites_new(directory, &suites), 0);
    publish(suites, NULL, json_pack("[o]", result("native", 4, json_real(0.125))));
    publish(suites, "unknown", json_pack("[o]", result("native", 4, json_real(0.125))));
    publish(suites, "other", json_pack("[o]", result("native", 4, json_real(0.125))));
    publish(suites, "mine", json_pack("[o]", result("native", 5, json_real(0.125))));
    publish(suites, "mine", json_pack("[o, {}]", result("plugin:a.so", 4, json_real(0.125))));
    dwb_cleanup_free char *nothing = render();
    ck_assert_ptr_null(strstr(nothing, "suite=")); /* none of these is a layer that is shipped */
    publish(suites, "mine", json_pack("[o]", result(NULL, 4, json_null())));
    dwb_cleanup_free char *theory = render();
    ck_assert_ptr_null(strstr(theory, "ratio_measured{suite=\"mine\""));
    ck_assert_ptr_nonnull(strstr(theory, "ratio_theory{suite=\"mine\",layer=\"one\"} 0.35"
                                         "999999999999999"));
    publish(suites, "mine", json_pack("[o]", result("native", 4, json_real(0.125))));
    dwb_cleanup_free char *measured = render();
    ck_assert_ptr_nonnull(strstr(measured, "ratio_measured{suite=\"mine\",layer=\"one\"} 0.125"));
    dwb_suites_free(suites);
}
END_TEST

/* As many as there is room for, by name; and no directory is an error with its reason. */
START_TEST(test_many_suites)
{
    struct dwb_suites *suites = NULL;
    char name[32], text[128];

    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "s%02d.yaml", i);
        snprintf(text, sizeof(text),
                 "{name: s%02d, layers: [{name: one, Dk: 3, Dx: 8, M: 4, N: 4}]}\n", i);
        put_file(name, text);
    }
    ck_assert_int_eq(dwb_suites_new(directory, &suites), 0);
    publish(suites, "s31", json_pack("[o]", result("native", 4, json_real(0.5))));
    publish(suites, "s32", json_pack("[o]", result("native", 4, json_real(0.5))));
    dwb_cleanup_free char *page = render();
    ck_assert_ptr_nonnull(strstr(page, "suite=\"s31\""));
    ck_assert_ptr_null(strstr(page, "suite=\"s32\""));
    dwb_suites_free(suites);
    dwb_suites_free(NULL);
    suites = NULL;
    ck_assert_int_eq(dwb_suites_new("/nonexistent", &suites), -ENOENT);
    ck_assert_ptr_null(suites);
}
END_TEST

/* Where no file can be opened, what the kernel says of the process is left out, and is no zero. */
START_TEST(test_no_descriptors)
{
    struct rlimit now;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, now.rlim_max}), 0);
    dwb_cleanup_free char *page = render();
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
    ck_assert_ptr_null(strstr(page, "process_start_time_seconds"));
    ck_assert_ptr_null(strstr(page, "process_resident_memory_bytes"));
    ck_assert_ptr_nonnull(strstr(page, "process_cpu_seconds_total"));
}
END_TEST

/* ---- records ---- */

static struct dwb_record *record_of(uint32_t replicate)
{
    struct synthetic synthetic = synthetic_quiet();
    uint64_t state = 1 + replicate;

    return synthetic_record(&synthetic, replicate, &state);
}

/* By layer and replicate, whatever the order that they came in. */
START_TEST(test_records_order)
{
    static const uint32_t replicates[] = {3, 0, 2, 1, 4};
    struct dwb_record *const *all;
    struct dwb_records *records;
    const uint32_t *layer_of;
    size_t n;

    ck_assert_int_eq(dwb_records_new(2, &records), 0);
    for (size_t i = 0; i < 5; i++)
        for (uint32_t layer = 2; layer-- > 0;)
            ck_assert_int_eq(dwb_records_add(records, layer, record_of(replicates[i])), 0);
    for (uint32_t i = 5; i < 40; i++) /* more than it had room for */
        ck_assert_int_eq(dwb_records_add(records, 1, record_of(i)), 0);
    all = dwb_records_all(records, &layer_of, &n);
    ck_assert_uint_eq(n, 45);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_eq(layer_of[i], i < 5 ? 0 : 1);
        ck_assert_uint_eq(all[i]->replicate, i < 5 ? i : i - 5);
    }
    ck_assert_ptr_eq(dwb_records_of_layer(records, 1, &n)[39], all[44]);
    ck_assert_uint_eq(n, 40);
    ck_assert(!dwb_records_have_simulation(records, 0));
    struct dwb_record *simulated = record_of(5);
    simulated->simulation = calloc(1, sizeof(*simulated->simulation));
    ck_assert_int_eq(dwb_records_add(records, 0, simulated), 0);
    ck_assert(dwb_records_have_simulation(records, 0));
    ck_assert(!dwb_records_have_simulation(records, 1));
    dwb_records_free(records);
    dwb_records_free(NULL);
}
END_TEST

static enum dwb_worker_outcome check(json_t *document, const struct dwb_layer *layer,
                                     uint32_t replicate, const char **ret_reason)
{
    static struct dwb_worker_end end;
    struct dwb_record *record = NULL;

    end = (struct dwb_worker_end){.outcome = DWB_WORKER_OK, .document = document};
    dwb_records_check(&end, layer, replicate, &record);
    ck_assert_int_eq(record != NULL, end.outcome == DWB_WORKER_OK);
    dwb_record_free(record);
    *ret_reason = end.reason;
    return end.outcome;
}

/* Each field of the layer is looked at. */
START_TEST(test_records_check)
{
    struct dwb_record *record = record_of(7);
    json_t *document = dwb_record_to_json(record);
    const struct dwb_layer own = record->layer;
    struct dwb_layer layers[7] = {own, own, own, own, own, own, own};
    const char *reason;

    strcpy(layers[0].name, "other");
    layers[1].kernel_size++;
    layers[2].input_size++;
    layers[3].in_channels++;
    layers[4].out_channels++;
    layers[5].stride++;
    layers[6].padding = DWB_PADDING_VALID;
    ck_assert_ptr_nonnull(document);
    ck_assert_int_eq(check(document, &own, 7, &reason), DWB_WORKER_OK);
    ck_assert_int_eq(check(document, &own, 8, &reason), DWB_WORKER_OUTPUT);
    for (size_t i = 0; i < 7; i++) {
        ck_assert_int_eq(check(document, &layers[i], 7, &reason), DWB_WORKER_OUTPUT);
        ck_assert_str_eq(reason, "its record is of another replicate");
    }
    json_decref(document);
    record->subjects[1].mismatched = 1;
    document = dwb_record_to_json(record);
    ck_assert_int_eq(check(document, &own, 7, &reason), DWB_WORKER_WRONG_OUTPUTS);
    json_decref(document);
    document = json_object();
    ck_assert_int_eq(check(document, &own, 7, &reason), DWB_WORKER_OUTPUT);
    ck_assert_str_eq(reason, "its record is not valid");
    json_decref(document);
    dwb_record_free(record);
}
END_TEST

/* ---- memory ---- */

static struct dwb_spec *spec;
static struct dwb_record *kept, *spare; /* spare: for whoever takes one */
static json_t *kept_document;

static int make_schedule(void)
{
    struct dwb_schedule *schedule = NULL;
    int r = dwb_schedule_new(spec, &schedule);

    dwb_schedule_free(schedule);
    return r;
}

static int make_metrics(void)
{
    struct dwb_metrics *made = NULL;
    int r = dwb_metrics_new(&made);

    dwb_metrics_free(made);
    return r;
}

static int make_page(void)
{
    struct dwb_metrics_view view = {.loop_backend = "epoll", .version = "1"};
    char *text = NULL;
    size_t n;
    int r = dwb_metrics_render(metrics, &view, true, &text, &n);

    ck_assert(r < 0 || strstr(text, "# EOF")); /* all of it or nothing */
    free(text);
    return r;
}

static int make_records(void)
{
    struct dwb_records *records = NULL;
    const uint32_t *layer_of;
    size_t n = 0;
    int r = dwb_records_new(1, &records);

    if (r < 0)
        return r;
    r = dwb_records_add(records, 0, spare);
    if (r == 0) {
        r = dwb_records_all(records, &layer_of, &n) ? 0 : -ENOMEM;
        ck_assert_uint_eq(n, r == 0);
        spare = NULL; /* goes with the list */
    }
    dwb_records_free(records);
    return r;
}

static int check_record(void)
{
    struct dwb_worker_end end = {.outcome = DWB_WORKER_OK, .document = kept_document};
    struct dwb_record *record = NULL;

    dwb_records_check(&end, &kept->layer, 7, &record);
    ck_assert_int_eq(record != NULL, end.outcome == DWB_WORKER_OK);
    ck_assert_msg(record || (end.outcome == DWB_WORKER_SPAWN && end.shortage == -ENOMEM), "%s",
                  end.reason);
    if (record && heap_has_failed()) { /* where it did not matter, all of it is there */
        json_t *again = dwb_record_to_json(record);

        ck_assert(json_equal(again, kept_document));
        json_decref(again);
    }
    dwb_record_free(record);
    return end.shortage;
}

static const struct {
    int (*make)(void);
    bool may_do_without; /* of some of the memory */
} makers[] = {{make_schedule, false},
              {make_metrics, false},
              {make_page, true},
              {make_records, false},
              {check_record, true}};

/* Each allocation fails once: that is said, and nothing is lost. */
START_TEST(test_memory)
{
    struct synthetic synthetic = synthetic_quiet();
    unsigned long nth = 0;
    bool failed = true;

    if (!heap_is_watched())
        return;
    dwb_json_memory_watch();
    spec = synthetic_spec(&synthetic);
    kept = record_of(7);
    kept_document = dwb_record_to_json(kept);
    while (failed) {
        size_t n_blocks = heap_blocks();

        ck_assert_uint_lt(nth, ALLOCATIONS_MAX);
        spare = record_of(7);
        heap_fail_at(++nth, false);
        int r = makers[_i].make();
        failed = heap_has_failed();
        heap_fail_at(0, false);
        dwb_record_free(spare);
        ck_assert_msg(r == (failed ? -ENOMEM : 0) || (r == 0 && makers[_i].may_do_without),
                      "allocation %lu: %d", nth, r);
        ck_assert_msg(heap_blocks() == n_blocks, "allocation %lu: lost", nth);
    }
    ck_assert_uint_gt(nth, 1);
    json_decref(kept_document);
    dwb_record_free(kept);
    dwb_spec_free(spec);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("daemon_data");
    TCase *tests = tcase_create("daemon_data");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_publish);
    tcase_add_test(tests, test_many_suites);
    tcase_add_test(tests, test_no_descriptors);
    tcase_add_test(tests, test_records_order);
    tcase_add_test(tests, test_records_check);
    tcase_add_loop_test(tests, test_memory, 0, sizeof(makers) / sizeof(makers[0]));
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
