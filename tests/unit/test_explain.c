/*
 * What the line says of machines on which one thing at a time is wrong.
 */

#include "analysis/explain.h"

#include "analysis/bounds.h"

#include "synthetic.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N 5

struct story {
    struct dwb_spec *spec;
    struct dwb_record *records[N];
    struct dwb_figures figures;
    char text[900];
};

/* Times of all operations from executed rates in GFLOP/s; separable = sum * (1 + extra). */
static void set_rates(struct synthetic *s, double standard, double depthwise, double pointwise,
                      double extra)
{
    struct dwb_theory theory;

    ck_assert_int_eq(dwb_theory_of(&s->layer, &theory), 0);
    s->call_ns[SYNTHETIC_STANDARD] = 2 * (double)theory.executed.standard / standard;
    s->call_ns[SYNTHETIC_DEPTHWISE] = 2 * (double)theory.executed.depthwise / depthwise;
    s->call_ns[SYNTHETIC_POINTWISE] = 2 * (double)theory.executed.pointwise / pointwise;
    s->call_ns[SYNTHETIC_SEPARABLE] =
        (s->call_ns[SYNTHETIC_DEPTHWISE] + s->call_ns[SYNTHETIC_POINTWISE]) * (1 + extra);
}

static void tell(struct story *story, struct synthetic *s)
{
    s->sample_noise = 1e-5;
    story->spec = synthetic_spec(s);
    synthetic_records(s, 3, story->records, N);
    struct dwb_figures_input input = {story->spec, &story->spec->layers[0], story->records, N,
                                      "native"};
    ck_assert_int_eq(dwb_figures_init(&input, &story->figures), 0);
    dwb_explain_text(&story->figures, story->text, sizeof story->text);
    printf("%s\n", story->text);
}

static void forget(struct story *story)
{
    dwb_figures_deinit(&story->figures);
    synthetic_free(story->records, N);
    dwb_spec_free(story->spec);
}

static void check_says(const struct story *story, const char *words)
{
    ck_assert_msg(strstr(story->text, words) != NULL, "\"%s\" is not in \"%s\"", words,
                  story->text);
}

static void check_cause(const struct story *story, const char *cause)
{
    json_t *object = dwb_explain_to_json(&story->figures);
    const char *found = json_string_value(json_object_get(object, "cause"));

    ck_assert_str_eq(found ? found : "none", cause);
    json_decref(object);
}

START_TEST(test_parts_add_up)
{
    struct synthetic s = synthetic_quiet();
    struct story story;
    struct dwb_explain explain;
    double sum = 0;

    set_rates(&s, 110, 30, 100, 0.05);
    tell(&story, &s);
    ck_assert_int_eq(dwb_explain_of(&story.figures, &explain), 0);
    for (int i = 0; i < DWB_N_CAUSES; i++)
        sum += explain.parts[i];
    double separable = story.figures.operations[DWB_OPERATION_SEPARABLE].floor_ns;
    ck_assert_double_eq_tol(explain.theory_ns + sum, separable, 1e-9 * separable);
    ck_assert_double_eq_tol(explain.saving, explain.theory_ns / separable, 1e-12);
    forget(&story);
}
END_TEST

START_TEST(test_depthwise)
{
    struct synthetic s = synthetic_quiet();
    struct story story;

    set_rates(&s, 110, 30, 110, 0);
    tell(&story, &s);
    check_cause(&story, "depthwise");
    check_says(&story, "the depthwise is 6.4% of the MACs and 20.1% of the time, 30.0 GFLOP/s "
                       "(standard: 110)");
    check_says(&story, "; 25% of the FMA peak 120, which L2 bandwidth allows");
    forget(&story);

    s.gbps = 15; /* 3.2 MB of L2: 2.19 FLOP a byte */
    tell(&story, &s);
    check_says(&story,
               "L2 bandwidth (3.2 MB at 15.0 GB/s) allows 32.9 and holds it there: it reaches 91%");
    forget(&story);
}
END_TEST

START_TEST(test_pointwise)
{
    struct synthetic s = synthetic_quiet();
    struct story story;

    set_rates(&s, 110, 100, 50, 0);
    tell(&story, &s);
    check_cause(&story, "pointwise");
    check_says(&story, "the pointwise runs at 50.0 GFLOP/s (standard: 110)");
    check_says(&story, "; 42% of the FMA peak 120");
    forget(&story);
}
END_TEST

START_TEST(test_padding)
{
    struct synthetic s = synthetic_quiet();
    struct story story;

    s.layer = (struct dwb_layer){"dws13", 3, 7, 1024, 1024, 1, DWB_PADDING_SAME, 1};
    set_rates(&s, 110, 110, 110, 0);
    tell(&story, &s);
    check_cause(&story, "padding");
    /* Taps inside along one axis: 3 * 7 - 2 = 19 of 21. */
    check_says(&story, "the standard skips the 18.1% of its taps that fall on padding");
    forget(&story);
}
END_TEST

START_TEST(test_composition)
{
    struct synthetic s = synthetic_quiet();
    struct story story;

    set_rates(&s, 110, 110, 110, 0.2);
    tell(&story, &s);
    check_cause(&story, "composition");
    check_says(&story, "together take 20.0% longer than one by one (intermediate: 1.6 MB); the "
                       "bounds of both, one after the other, allow 120, it reaches 76%");
    forget(&story);
}
END_TEST

START_TEST(test_as_theory)
{
    struct synthetic s = synthetic_quiet();
    struct story story;

    s.layer.padding = DWB_PADDING_VALID;
    set_rates(&s, 110, 110, 110, 0);
    tell(&story, &s);
    check_cause(&story, "none");
    check_says(&story, "100.0% of the saving, as theory says");
    check_says(&story, "the standard reaches 92% of the FMA peak");
    forget(&story);
}
END_TEST

/* A slow standard makes the saving look bigger than it is, and the line says so. */
START_TEST(test_more_than_theory)
{
    struct synthetic s = synthetic_quiet();
    struct story story;

    set_rates(&s, 50, 60, 110, 0);
    tell(&story, &s);
    check_cause(&story, "pointwise");
    check_says(&story, "more than theory: the pointwise runs at 110 GFLOP/s (standard: 50.0)");
    check_says(&story, "the standard reaches 42% of the FMA peak");
    forget(&story);
}
END_TEST

START_TEST(test_no_probes)
{
    struct synthetic s = synthetic_quiet();
    struct story story;
    struct dwb_bound bound;

    s.peak_gflops = 0;
    set_rates(&s, 110, 30, 110, 0);
    tell(&story, &s);
    check_says(&story, "30.0 GFLOP/s (standard: 110)");
    ck_assert_ptr_null(strstr(story.text, "peak"));
    ck_assert_ptr_null(strstr(story.text, "bandwidth"));
    ck_assert_int_eq(dwb_bounds_of(&story.figures, DWB_OPERATION_DEPTHWISE, &bound), -ENODATA);
    json_t *object = dwb_explain_to_json(&story.figures);
    ck_assert(json_is_null(json_object_get(json_object_get(object, "bounds"), "depthwise")));
    json_decref(object);
    forget(&story);
}
END_TEST

/* Levels come from the records: caches as the environment has them, with or without a probe. */
START_TEST(test_bounds)
{
    struct synthetic s = synthetic_quiet();
    struct story story;
    struct dwb_bound bound;

    set_rates(&s, 110, 30, 110, 0);
    tell(&story, &s);
    ck_assert_int_eq(dwb_bounds_of(&story.figures, DWB_OPERATION_DEPTHWISE, &bound), 0);
    ck_assert_double_eq(bound.bytes, 4.0 * (2 * 56 * 56 * 128 + 9 * 128));
    ck_assert_str_eq(bound.level, "L2");
    ck_assert_double_eq_tol(bound.gbps, 60, 0.01);
    ck_assert(!bound.by_bandwidth); /* 2.19 * 60 > 120 */
    ck_assert_double_eq_tol(bound.gflops, 120, 0.01);
    ck_assert_double_eq_tol(bound.percent, 25, 0.01);
    ck_assert_int_eq(dwb_bounds_of(&story.figures, DWB_OPERATION_SEPARABLE, &bound), 0);
    ck_assert_double_eq_tol(bound.gflops, 120, 0.01); /* of both parts */
    ck_assert_uint_eq(story.figures.n_levels, 2);
    ck_assert_str_eq(story.figures.levels[0].name, "L1");
    ck_assert(isnan(story.figures.levels[0].read_gbps));
    forget(&story);

    s.layer.input_size = 112; /* 12.8 MB: beyond the 8 MiB of L2, and no probe further out */
    set_rates(&s, 110, 30, 110, 0);
    tell(&story, &s);
    ck_assert_int_eq(dwb_bounds_of(&story.figures, DWB_OPERATION_DEPTHWISE, &bound), 0);
    ck_assert_ptr_null(bound.level);
    ck_assert(!bound.by_bandwidth);
    ck_assert_ptr_null(strstr(story.text, "bandwidth"));
    forget(&story);
}
END_TEST

/* A short buffer gets a short line, never more. */
START_TEST(test_short_buffer)
{
    struct synthetic s = synthetic_quiet();
    struct story story;
    char buffer[32];

    tell(&story, &s);
    for (size_t size = 1; size < sizeof buffer; size++) {
        memset(buffer, 'x', sizeof buffer);
        dwb_explain_text(&story.figures, buffer, size);
        ck_assert_uint_eq(strlen(buffer), size - 1);
        ck_assert_int_eq(buffer[size], 'x');
        ck_assert_int_eq(strncmp(buffer, story.text, size - 1), 0);
    }
    forget(&story);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("explain");
    TCase *tcase = tcase_create("why");

    tcase_add_test(tcase, test_parts_add_up);
    tcase_add_test(tcase, test_depthwise);
    tcase_add_test(tcase, test_pointwise);
    tcase_add_test(tcase, test_padding);
    tcase_add_test(tcase, test_composition);
    tcase_add_test(tcase, test_as_theory);
    tcase_add_test(tcase, test_more_than_theory);
    tcase_add_test(tcase, test_no_probes);
    tcase_add_test(tcase, test_bounds);
    tcase_add_test(tcase, test_short_buffer);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
