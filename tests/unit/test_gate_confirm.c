/*
 * What becomes of a document of comparisons: the verdict of the whole, the names of verdicts, and
 * the confirmation of an alarm by a second run.
 */

#include "analysis/gate.h"
#include "common/cleanup.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "slower same" -> a document of layers l0, l1, whose comparison of depthwise came out so. */
static json_t *document_of(const char *verdicts)
{
    json_t *document = json_object(), *comparisons = json_array();
    char copy[256], *save = NULL;
    size_t n = 0;

    snprintf(copy, sizeof copy, "%s", verdicts);
    for (char *verdict = strtok_r(copy, " ", &save); verdict;
         verdict = strtok_r(NULL, " ", &save)) {
        char layer[16];

        snprintf(layer, sizeof layer, "l%zu", n++);
        json_array_append_new(
            comparisons, json_pack("{s:s, s:s, s:{s:f, s:f, s:f}, s:s, s:s, s:n}", "layer", layer,
                                   "operation", "depthwise", "change", "median", 0.01 * (double)n,
                                   "ci_low", 0.008 * (double)n, "ci_high", 0.012 * (double)n,
                                   "verdict", verdict, "reason", "", "confirmed"));
    }
    json_object_set_new(document, "comparisons", comparisons);
    ck_assert_int_eq(dwb_gate_summarize(document), 0);
    return document;
}

static const char *member(json_t *document, size_t i, const char *key)
{
    json_t *comparison = json_array_get(json_object_get(document, "comparisons"), i);

    return json_string_value(json_object_get(comparison, key));
}

static const char *overall(json_t *document)
{
    return json_string_value(json_object_get(json_object_get(document, "overall"), "verdict"));
}

START_TEST(test_names)
{
    enum dwb_change change = DWB_CHANGE_FASTER;

    for (unsigned i = 0; i < DWB_N_CHANGES; i++) {
        ck_assert_int_eq(dwb_change_from_name(dwb_change_name((enum dwb_change)i), &change), 0);
        ck_assert_uint_eq((unsigned)change, i);
    }
    ck_assert_int_eq(dwb_change_from_name("not resolved", &change), -EINVAL);
    ck_assert_int_eq(dwb_change_from_name("", &change), -EINVAL);
}
END_TEST

/* slower over not_resolved over faster over same; nothing at all is no verdict. */
static const struct {
    const char *verdicts, *overall;
    int faster, slower, same, not_resolved;
} summaries[] = {
    {"", "not_resolved", 0, 0, 0, 0},
    {"same", "same", 0, 0, 1, 0},
    {"same same", "same", 0, 0, 2, 0},
    {"same faster", "faster", 1, 0, 1, 0},
    {"faster not_resolved same", "not_resolved", 1, 0, 1, 1},
    {"slower not_resolved faster same", "slower", 1, 1, 1, 1},
    {"same slower same", "slower", 0, 1, 2, 0},
    {"no_such_verdict", "not_resolved", 0, 0, 0, 1},
};

START_TEST(test_summaries)
{
    json_t *document = document_of(summaries[_i].verdicts);
    json_t *counts = json_object_get(document, "overall");

    ck_assert_str_eq(overall(document), summaries[_i].overall);
    ck_assert_int_eq(json_integer_value(json_object_get(counts, "faster")), summaries[_i].faster);
    ck_assert_int_eq(json_integer_value(json_object_get(counts, "slower")), summaries[_i].slower);
    ck_assert_int_eq(json_integer_value(json_object_get(counts, "same")), summaries[_i].same);
    ck_assert_int_eq(json_integer_value(json_object_get(counts, "not_resolved")),
                     summaries[_i].not_resolved);
    json_decref(document);
}
END_TEST

START_TEST(test_confirmed)
{
    json_t *first = document_of("same slower"), *second = document_of("same slower");
    json_t *comparison = json_array_get(json_object_get(first, "comparisons"), 1);
    json_t *again = json_object_get(comparison, "second_run");

    ck_assert_ptr_null(again);
    ck_assert_int_eq(dwb_gate_confirm(first, second), 0);
    ck_assert_str_eq(member(first, 1, "verdict"), "slower");
    ck_assert_str_eq(member(first, 1, "reason"), "");
    ck_assert(json_is_true(json_object_get(comparison, "confirmed")));
    again = json_object_get(comparison, "second_run");
    ck_assert_str_eq(json_string_value(json_object_get(again, "verdict")), "slower");
    ck_assert(json_equal(json_object_get(again, "change"), json_object_get(comparison, "change")));
    ck_assert_str_eq(overall(first), "slower");
    json_decref(first);
    json_decref(second);
}
END_TEST

/* Whatever else the second run says, the alarm is off; and it never says that all is well. */
START_TEST(test_not_confirmed)
{
    static const char *const others[] = {"same same", "same faster", "same not_resolved"};
    json_t *first = document_of("same slower"), *second = document_of(others[_i]);
    json_t *comparison = json_array_get(json_object_get(first, "comparisons"), 1);

    ck_assert_int_eq(dwb_gate_confirm(first, second), 0);
    ck_assert_str_eq(member(first, 1, "verdict"), "not_resolved");
    ck_assert_ptr_nonnull(strstr(member(first, 1, "reason"), "did not confirm"));
    ck_assert(json_is_false(json_object_get(comparison, "confirmed")));
    ck_assert_ptr_nonnull(json_object_get(comparison, "second_run"));
    ck_assert_str_eq(member(first, 0, "verdict"), "same"); /* was not asked again */
    ck_assert_str_eq(overall(first), "not_resolved");
    json_decref(first);
    json_decref(second);
}
END_TEST

/* The second run is of other layers, or of the same layer's other operation. */
START_TEST(test_missing_in_the_second)
{
    json_t *first = document_of("slower slower"), *second = document_of("slower slower");
    json_t *of_second = json_object_get(second, "comparisons");

    json_object_set_new(json_array_get(of_second, 0), "operation", json_string("pointwise"));
    json_array_remove(of_second, 1);
    ck_assert_int_eq(dwb_gate_confirm(first, second), 0);
    for (size_t i = 0; i < 2; i++) {
        json_t *comparison = json_array_get(json_object_get(first, "comparisons"), i);

        ck_assert_str_eq(member(first, i, "verdict"), "not_resolved");
        ck_assert(json_is_false(json_object_get(comparison, "confirmed")));
        ck_assert_ptr_null(json_object_get(comparison, "second_run"));
    }
    json_decref(first);
    json_decref(second);
}
END_TEST

/* A second run raises nothing of its own, and what was not slower stays as it is. */
START_TEST(test_only_alarms_are_touched)
{
    json_t *first = document_of("same faster not_resolved"), *before = json_deep_copy(first);
    json_t *second = document_of("slower slower slower");

    ck_assert_int_eq(dwb_gate_confirm(first, second), 0);
    ck_assert(json_equal(first, before));
    json_decref(first);
    json_decref(before);
    json_decref(second);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gate_confirm");
    TCase *tests = tcase_create("gate_confirm");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_test(tests, test_names);
    tcase_add_loop_test(tests, test_summaries, 0, sizeof summaries / sizeof *summaries);
    tcase_add_test(tests, test_confirmed);
    tcase_add_loop_test(tests, test_not_confirmed, 0, 3);
    tcase_add_test(tests, test_missing_in_the_second);
    tcase_add_test(tests, test_only_alarms_are_touched);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
