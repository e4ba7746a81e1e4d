/*
 * Documents that compare two sides: what the whole of the options allows, the defaults that depend
 * on it, and the canonical form.
 */

#include "common/cleanup.h"
#include "common/spec.h"

#include "spec_fixture.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LAYER "Dk: 1\nDx: 1\nM: 1\nN: 1\n"

START_TEST(test_sides)
{
    DWB_CLEANUP(dwb_spec_freep)
    struct dwb_spec *spec = parse(LAYER "a: native,avx2\nb: [kernel:mine, +1/50]\n"
                                        "operations: [pointwise, separable]\n"
                                        "delta: 1%\n");

    ck_assert_ptr_nonnull(spec);
    ck_assert(dwb_spec_compares(spec));
    ck_assert(!dwb_spec_compares_workers(spec));
    ck_assert_int_eq(spec->options.a.kind, DWB_SIDE_NATIVE);
    ck_assert_int_eq(spec->options.a.isa, DWB_ISA_AVX2);
    ck_assert_int_eq(spec->options.b.kind, DWB_SIDE_KERNEL);
    ck_assert_str_eq(spec->options.b.name, "mine");
    ck_assert_uint_eq(spec->options.b.extra_every, 50);
    ck_assert_uint_eq(spec->options.operations,
                      1u << DWB_OPERATION_POINTWISE | 1u << DWB_OPERATION_SEPARABLE);
    ck_assert_double_eq_tol(spec->options.delta, 0.01, 1e-12);
    ck_assert_double_eq_tol(spec->options.precision, 0.005, 1e-12); /* half of delta */
    ck_assert_uint_eq(spec->options.replicates, DWB_SPEC_GATE_REPLICATES);
    ck_assert_uint_eq(dwb_spec_processes(spec), DWB_SPEC_GATE_REPLICATES);
}
END_TEST

START_TEST(test_side_defaults)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *plain = parse(LAYER "delta: 2%\n");
    DWB_CLEANUP(dwb_spec_freep)
    struct dwb_spec *gate = parse(LAYER "a: worker:a\nb: worker:b\n");
    DWB_CLEANUP(dwb_spec_freep)
    struct dwb_spec *given =
        parse(LAYER "replicates: 7\na: native\nprecision: 3%\nb: native\ndelta: 2%\n");
    DWB_CLEANUP(dwb_spec_freep)
    struct dwb_spec *least = parse(LAYER "a: native\nb: native\ndelta: 0.01%\n");

    ck_assert(!dwb_spec_compares(plain));
    ck_assert_uint_eq(plain->options.replicates, DWB_SPEC_REPLICATES_DEFAULT);
    ck_assert_double_eq(plain->options.precision, DWB_SPEC_PRECISION_DEFAULT);
    ck_assert(dwb_spec_compares_workers(gate));
    ck_assert_double_eq(gate->options.delta, DWB_SPEC_DELTA_DEFAULT);
    ck_assert_double_eq(gate->options.precision, DWB_SPEC_DELTA_DEFAULT / 2);
    ck_assert_uint_eq(dwb_spec_processes(gate), 2 * DWB_SPEC_GATE_REPLICATES);
    ck_assert_uint_eq(gate->options.operations, 1u << DWB_OPERATION_STANDARD |
                                                    1u << DWB_OPERATION_DEPTHWISE |
                                                    1u << DWB_OPERATION_POINTWISE);
    ck_assert_uint_eq(given->options.replicates, 7);
    ck_assert_double_eq_tol(given->options.precision, 0.03, 1e-12);
    /* Half of the least delta is no precision that a document may ask for. */
    ck_assert_double_eq_tol(least->options.precision, 0.0001, 1e-12);
}
END_TEST

/* As dwbenchctl gate does it: a suite, then flags, then the check. */
START_TEST(test_sides_by_flags)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = parse(LAYER);

    ck_assert_uint_eq(spec->options.replicates, DWB_SPEC_REPLICATES_DEFAULT);
    ck_assert_int_eq(dwb_spec_set(spec, "a", "native", diags), 0);
    ck_assert_int_eq(dwb_spec_check(spec, diags), -EINVAL);
    ck_assert(found(0, 0, "b", "two sides"));
    ck_assert_int_eq(dwb_spec_set(spec, "b", "nonsense", diags), -EINVAL);
    ck_assert(found(0, 0, "b", "nonsense"));
    ck_assert_int_eq(dwb_spec_set(spec, "operations", "canary", diags), -EINVAL);
    ck_assert_int_eq(dwb_spec_set(spec, "delta", "0", diags), -EINVAL);
    ck_assert(found(0, 0, "delta", "0.01%"));
    ck_assert_int_eq(dwb_spec_set(spec, "b", "onednn", diags), 0);
    ck_assert_int_eq(dwb_spec_check(spec, diags), 0);
    ck_assert_uint_eq(spec->options.replicates, DWB_SPEC_GATE_REPLICATES);
    ck_assert_double_eq(spec->options.precision, DWB_SPEC_DELTA_DEFAULT / 2);
}
END_TEST

static const struct {
    const char *text, *field, *part;
} bad_sides[] = {
    {"a: native\n", "b", "two sides"},
    {"b: native\n", "a", "two sides"},
    {"a: separable\nb: native\n", "b", "form"},
    {"a: native\nb: fused\n", "a", "form"},
    {"a: worker:a\nb: native\n", "b", "worker"},
    {"a: onednn\nb: worker:b\n", "a", "worker"},
    {"a: worker:a,avx2\nb: worker:b\n", "a", "isa"},
    {"a: worker:a\nb: worker:b,portable\n", "b", "isa"},
    {"a: worker:a\nb: worker:b,+1/5\n", "b", "plant"},
    {"a: native\nb: native\nsimulate: true\n", "simulate", "ratio"},
    {"a: native\nb: native,+1/5\ncache: cold\n", "cache", "warm"},
    {"a: native,+1/5\nb: native\ncache: cold\n", "cache", "warm"},
    {"a: native\nb: native\nbackends: onednn\n", "backends", "names its backends"},
    {"a: plugin:mine\nb: native\n", "a", "mine.so"},
    {"a: native\nb: plugin:mine\n", "b", "mine.so"},
};

START_TEST(test_bad_sides)
{
    char text[160];

    snprintf(text, sizeof(text), LAYER "%s", bad_sides[_i].text);
    ck_assert_ptr_null(parse(text));
    ck_assert_uint_eq(diags->n, 1);
    ck_assert(found(0, 0, bad_sides[_i].field, bad_sides[_i].part));
}
END_TEST

static const struct {
    const char *text, *field;
} bad_side_values[] = {
    {"a: ''\nb: native\n", "a"},
    {"a: worker:/bin/true\nb: worker:b\n", "a"},
    {"a: [native, [avx2]]\nb: native\n", "a"},
    {"a: []\nb: native\n", "a"},
    {"a: {native: 1}\nb: native\n", "a"},
    {"a: native\nb: native\noperations: []\n", "operations"},
    {"a: native\nb: native\noperations: [read]\n", "operations"},
    {"a: native\nb: native\ndelta: 51%\n", "delta"},
    {"a: native\nb: native\ndelta: x\n", "delta"},
};

START_TEST(test_bad_side_values)
{
    char text[160];

    snprintf(text, sizeof(text), LAYER "%s", bad_side_values[_i].text);
    ck_assert_ptr_null(parse(text));
    ck_assert_uint_eq(diags->n, 1);
    ck_assert_str_eq(diags->items[0].field, bad_side_values[_i].field);
    ck_assert_uint_ge(diags->items[0].line, 5);
}
END_TEST

static const char *const round_trips[] = {
    "a: native\nb: onednn,avx2\n",
    "a: worker:a,standard\nb: worker:b,separable\nreplicates: 3\n",
    "a: kernel:f32_nhwc_x,+1/1000\nb: xnnpack\ndelta: 0.01%\noperations: separable_fused\n",
    "a: plugin:mine.so,depthwise\nb: fused\nprecision: 2%\ncache: cold\n",
};

/* What the store keeps is parsed again by the next daemon: it must mean the same, to the byte. */
START_TEST(test_sides_round_trip)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = NULL, *again = NULL;
    char text[160];

    snprintf(text, sizeof(text), LAYER "%s", round_trips[_i]);
    spec = parse(text);
    ck_assert_ptr_nonnull(spec);
    json_t *document = dwb_spec_to_json(spec);
    dwb_cleanup_free char *first = json_dumps(document, JSON_COMPACT);
    again = parse(first);
    ck_assert_msg(again != NULL, "%s", first);
    json_t *document_again = dwb_spec_to_json(again);
    dwb_cleanup_free char *second = json_dumps(document_again, JSON_COMPACT);
    ck_assert_str_eq(first, second);
    ck_assert_uint_eq(again->options.replicates, spec->options.replicates);
    ck_assert_double_eq(again->options.precision, spec->options.precision);
    ck_assert_double_eq(again->options.delta, spec->options.delta);
    ck_assert_uint_eq(again->options.operations, spec->options.operations);
    json_decref(document);
    json_decref(document_again);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spec_sides");
    TCase *tests = tcase_create("spec_sides");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_sides);
    tcase_add_test(tests, test_side_defaults);
    tcase_add_test(tests, test_sides_by_flags);
    tcase_add_loop_test(tests, test_bad_sides, 0, sizeof(bad_sides) / sizeof(bad_sides[0]));
    tcase_add_loop_test(tests, test_bad_side_values, 0,
                        sizeof(bad_side_values) / sizeof(bad_side_values[0]));
    tcase_add_loop_test(tests, test_sides_round_trip, 0,
                        sizeof(round_trips) / sizeof(round_trips[0]));
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
