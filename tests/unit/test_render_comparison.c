/*
 * A comparison as a person sees it: of two jobs, of one that is not resolved, and of a gate, whose
 * document has the same rows and other members. The exit code each stands for.
 */

#include "client/cli.h"
#include "client/comparison.h"
#include "client/render_comparison.h"
#include "common/cleanup.h"

#include "render_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static json_t *side(const char *what, double floor_ns)
{
    return json_pack("{s:s, s:s, s:s, s:f, s:f}", "what", what, "isa", "avx2", "kernel", what,
                     "floor_ns", floor_ns, "median_ns", 1.01 * floor_ns);
}

static json_t *row(const char *operation, double b_ns, const char *verdict, const char *reason,
                   json_t *limit_ns)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:{s:f, s:f, s:f, s:f, s:f, s:f}, s:s, s:s,"
                     " s:{s:i, s:o, s:o}}",
                     "layer", "dws3", "operation", operation, "backend", "xnnpack", "a",
                     side("before", 20000), "b", side("after", b_ns), "change", "raw",
                     b_ns / 20000 - 1, "machine_drift", 0.0, "code", b_ns / 20000 - 1, "median",
                     0.0, "ci_low", b_ns / 20000 - 1.001, "ci_high", b_ns / 20000 - 0.999,
                     "verdict", verdict, "reason", reason, "history", "n", 9, "limit_ns", limit_ns,
                     "low_limit_ns", json_null());
}

static json_t *comparison(void)
{
    json_t *document = json_pack(
        "{s:s, s:{s:s, s:s}, s:{s:s}, s:b, s:[{s:s, s:n, s:[i, i]}], s:[{s:s, s:s, s:s}],"
        " s:{s:f, s:f, s:f, s:b, s:s}, s:[o, o, o], s:{s:s, s:i, s:i, s:i, s:i}}",
        "schema", "dwbench.compare/1", "a", "id", "01", "name", "net", "b", "id", "02", "forced", 1,
        "obstacles", "member", "cpu.model", "a", "b", 1, 2, "differences", "member",
        "cpu.microcode", "a", "0x1", "b", "0x2", "machine", "canary_change", 0.002, "peak_change",
        -0.003, "drift", 0.0025, "agrees", 1, "reason", "", "comparisons",
        row("standard", 22000, "slower", "", json_null()),
        row("depthwise", 20600, "not_resolved", "within what jobs differ by", json_real(21000)),
        row("pointwise", 20000, "same", "", json_null()), "overall", "verdict", "slower", "faster",
        0, "slower", 1, "same", 1, "not_resolved", 1);

    ck_assert_ptr_nonnull(document);
    return document;
}

static char *rendered(const json_t *document, unsigned columns, bool colour)
{
    struct dwb_terminal terminal = {.columns = columns, .colour = colour, .utf8 = true};
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(dwb_render_comparison(document, &terminal, out), 0);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

START_TEST(test_comparison)
{
    static const unsigned columns[] = {80, 100, 160};
    json_t *document = comparison();

    for (size_t i = 0; i < 3; i++) {
        dwb_cleanup_free char *text = rendered(document, columns[i], false);

        check_widths(text, columns[i]);
        ck_assert(has(text, "a: before\n") || has(text, "a: before, net\n"));
        ck_assert(has(text, "dws3 xnnpack"));
        ck_assert(has(text, "+10.00%"));
        ck_assert(has(text, "+9.90 .. +10.10%"));
        ck_assert(has(text, "limit 21.0"));
        ck_assert(has(text, "not resolved"));
        ck_assert(has(text, "within what jobs differ by"));
        ck_assert(has(text, "another kernel: after, was before"));
        ck_assert(has(text, "machine: +0.25% of time"));
        ck_assert(has(text, "environment: cpu.microcode: 0x2, was 0x1"));
        ck_assert(has(text, "forced, although this differs: cpu.model: [1,2], was nothing"));
        ck_assert(has(text, "\nb is slower than a: 1 slower, 1 the same, 1 not resolved.\n"));
        ck_assert(!has(text, "nan") && !has(text, "\033"));
    }
    dwb_cleanup_free char *coloured = rendered(document, 100, true);
    ck_assert(has(coloured, "\033[31mslower"));
    ck_assert_int_eq(dwb_comparison_exit(document), DWB_EXIT_REGRESSION);
    json_decref(document);
}
END_TEST

/* The machine's reason stands in every row of such a document; it is said once. */
START_TEST(test_not_resolved)
{
    static const char reason[] = "the probes disagree";
    json_t *document = comparison(), *item;
    const char *first;
    size_t i;

    json_object_set_new(document, "machine",
                        json_pack("{s:n, s:n, s:n, s:b, s:s}", "canary_change", "peak_change",
                                  "drift", "agrees", 0, "reason", reason));
    json_array_foreach(json_object_get(document, "comparisons"), i, item)
    {
        json_object_set_new(item, "reason", json_string(reason));
        json_object_set_new(item, "verdict", json_string("not_resolved"));
        json_object_set_new(json_object_get(item, "change"), "code", json_null());
    }
    json_object_set_new(json_object_get(document, "overall"), "verdict",
                        json_string("not_resolved"));
    dwb_cleanup_free char *text = rendered(document, 100, false);
    first = strstr(text, reason);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(strstr(first + 1, reason));
    ck_assert(has(text, "+10.00% raw"));
    ck_assert(has(text, "Not resolved whether b is slower than a: "));
    ck_assert_int_eq(dwb_comparison_exit(document), DWB_EXIT_INCONCLUSIVE);
    json_decref(document);
}
END_TEST

START_TEST(test_gate)
{
    json_t *document = json_pack(
        "{s:s, s:[{s:s, s:s, s:s, s:o, s:o, s:{s:f, s:f, s:f}, s:i, s:i, s:f, s:b, s:s, s:s}],"
        " s:{s:s, s:i}}",
        "schema", "dwbench.gate/1", "comparisons", "layer", "dws3", "operation", "separable",
        "backend", "native", "a", side("old", 2e8), "b", side("new", 1.9e8), "change", "median",
        -0.05, "ci_low", -0.052, "ci_high", -0.048, "processes", 10, "pairs", 400, "dropped_share",
        0.031, "confirmed", 1, "verdict", "faster", "reason", "", "overall", "verdict", "faster",
        "faster", 1);

    ck_assert_ptr_nonnull(document);
    dwb_cleanup_free char *text = rendered(document, 100, false);
    ck_assert(has(text, "ms"));
    ck_assert(has(text, "190.0  -5.00%  -5.20 .. -4.80%  faster"));
    ck_assert(has(text, "10 processes, 400 pairs, 3.1% dropped, confirmed by a second"));
    ck_assert(!has(text, "machine:") && !has(text, "environment:"));
    ck_assert(has(text, "\nb is faster than a: 1 faster.\n"));
    ck_assert_int_eq(dwb_comparison_exit(document), DWB_EXIT_OK);
    json_decref(document);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("render_comparison");
    TCase *tests = tcase_create("render_comparison");
    SRunner *runner;
    int n_failed;

    tcase_add_test(tests, test_comparison);
    tcase_add_test(tests, test_not_resolved);
    tcase_add_test(tests, test_gate);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
