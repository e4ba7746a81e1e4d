/*
 * What results are built from: records that belong to the job, and any record that the decoder
 * takes.
 */

#include "analysis/result.h"

#include "common/cleanup.h"

#include "synthetic.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

START_TEST(test_refused)
{
    struct synthetic s = synthetic_quiet();
    struct dwb_spec *spec = synthetic_spec(&s);
    struct dwb_record *records[3];
    uint32_t layer_of[3] = {0};
    json_t *document = NULL;
    struct dwb_progress progress;

    synthetic_records(&s, 42, records, 3);
    layer_of[1] = 1;
    ck_assert_int_eq(dwb_result_build(spec, NULL, records, layer_of, 3, &document), -EINVAL);
    layer_of[1] = 0;
    records[1]->layer.stride = 2;
    ck_assert_int_eq(dwb_result_build(spec, NULL, records, layer_of, 3, &document), -EINVAL);
    ck_assert_int_eq(dwb_result_progress(spec, records, 3, &progress), -EINVAL);
    records[1]->layer.stride = 1;
    records[1]->cache = DWB_CACHE_COLD;
    ck_assert_int_eq(dwb_result_build(spec, NULL, records, layer_of, 3, &document), -EINVAL);
    records[1]->cache = DWB_CACHE_WARM;
    records[1]->replicate = 2;
    ck_assert_int_eq(dwb_result_build(spec, NULL, records, layer_of, 3, &document), -EINVAL);
    records[1]->replicate = 1;
    ck_assert_ptr_null(document);
    ck_assert_int_eq(dwb_result_build(spec, NULL, records, layer_of, 3, &document), 0);
    json_decref(document);
    synthetic_free(records, 3);
    dwb_spec_free(spec);
}
END_TEST

/* Any record that the decoder takes can be analysed: digits of real ones are replaced at random. */
START_TEST(test_whatever_decodes)
{
    struct synthetic s = synthetic_quiet();
    uint64_t state = 11;
    struct dwb_spec *spec = synthetic_spec(&s);
    struct dwb_record *records[3];
    const uint32_t layer_of[3] = {0};
    int n_built = 0;

    s.n_blocks = 2;
    s.counted = true;
    synthetic_records(&s, 42, records, 3);
    json_t *object = dwb_record_to_json(records[1]);
    dwb_cleanup_free char *original = json_dumps(object, JSON_COMPACT);
    size_t length = strlen(original), layer_end = 0;
    json_decref(object);
    layer_end = (size_t)(strstr(original, "\"seed\"") - original);

    for (int round = 0; round < 1500; round++) {
        dwb_cleanup_free char *text_copy = strdup(original);
        struct dwb_record *changed = NULL;
        for (int k = 0; k < 6; k++) {
            size_t i = layer_end + synthetic_random(&state) % (length - layer_end);
            if (text_copy[i] >= '0' && text_copy[i] <= '9')
                text_copy[i] = (char)('0' + synthetic_random(&state) % 10);
        }
        json_t *parsed = json_loads(text_copy, 0, NULL); /* NULL for a leading zero */
        if (parsed && dwb_record_from_json(parsed, &changed) == 0) {
            struct dwb_record *kept = records[1];
            records[1] = changed;
            json_t *document = NULL;
            ck_assert_int_eq(dwb_result_build(spec, NULL, records, layer_of, 3, &document), 0);
            json_decref(document);
            records[1] = kept;
            dwb_record_free(changed);
            n_built++;
        }
        json_decref(parsed);
    }
    ck_assert_int_gt(n_built, 300);
    synthetic_free(records, 3);
    dwb_spec_free(spec);
}
END_TEST

static long allocations_left;

static void *failing_malloc(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

/* Without memory there is no document, or one that lacks nothing; leaks are the sanitizer's to see.
 */
START_TEST(test_no_memory)
{
    struct synthetic s = synthetic_quiet();
    struct dwb_spec *spec = synthetic_spec(&s);
    struct dwb_record *records[3];
    const uint32_t layer_of[3] = {0};
    json_t *whole = NULL;
    int n_failed = 0, r = -ENOMEM;

    s.n_blocks = 2;
    synthetic_records(&s, 42, records, 3);
    ck_assert_int_eq(dwb_result_build(spec, NULL, records, layer_of, 3, &whole), 0);
    for (long n = 0; r != 0; n++) {
        json_t *document = NULL;
        allocations_left = n;
        json_set_alloc_funcs(failing_malloc, free);
        r = dwb_result_build(spec, NULL, records, layer_of, 3, &document);
        json_set_alloc_funcs(malloc, free);
        if (r == 0) {
            ck_assert(json_equal(document, whole));
            json_decref(document);
        } else {
            ck_assert_int_eq(r, -ENOMEM);
            ck_assert_ptr_null(document);
            n_failed++;
        }
    }
    ck_assert_int_gt(n_failed, 500);
    json_decref(whole);
    synthetic_free(records, 3);
    dwb_spec_free(spec);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("result_input");
    TCase *tcase = tcase_create("records");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_refused);
    tcase_add_test(tcase, test_whatever_decodes);
    tcase_add_test(tcase, test_no_memory);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
