/*
 * Figures of a layer with both separable forms: which is the better one, what it saves, and the
 * samples that standard, separable and fused lose together.
 */

#include "analysis/figures.h"

#include "synthetic.h"

#include <check.h>
#include <math.h>
#include <string.h>

enum { N = 10 };

static struct dwb_record *records[N];
static struct dwb_spec *spec;
static struct dwb_figures figures;

/* The pointwise's samples stand for the fused form. */
static void make(double fused_ns)
{
    struct synthetic s = synthetic_quiet();

    s.call_ns[SYNTHETIC_POINTWISE] = fused_ns;
    spec = synthetic_spec(&s);
    synthetic_records(&s, 7, records, N);
    for (size_t i = 0; i < N; i++)
        records[i]->subjects[SYNTHETIC_POINTWISE].operation = DWB_OPERATION_SEPARABLE_FUSED;
}

static void compute(void)
{
    const struct dwb_figures_input input = {
        .spec = spec,
        .layer = &spec->layers[0],
        .records = records,
        .n_records = N,
        .backend = "native",
    };

    ck_assert_int_eq(dwb_figures_init(&input, &figures), 0);
}

static void teardown(void)
{
    dwb_figures_deinit(&figures);
    synthetic_free(records, N);
    dwb_spec_free(spec);
}

#define ck_near(value, truth) ck_assert_double_eq_tol(value, truth, 2e-3 * (truth))

START_TEST(test_faster)
{
    make(0.95e6);
    compute();
    ck_assert_int_eq(figures.best_separable, DWB_OPERATION_SEPARABLE_FUSED);
    ck_near(figures.saving_delivered, figures.theory.ratio / SYNTHETIC_RATIO);
    ck_near(figures.saving_delivered_best, figures.theory.ratio / (0.95 / 8));
}
END_TEST

START_TEST(test_slower)
{
    make(1.25e6);
    compute();
    ck_near(figures.ratio_fused.floor, 1.25 / 8);
    ck_assert_int_eq(figures.best_separable, DWB_OPERATION_SEPARABLE);
    ck_assert_double_eq(figures.saving_delivered_best, figures.saving_delivered);
}
END_TEST

/* All samples of one form were dropped: the other is the better one, whichever it is. */
START_TEST(test_one_left)
{
    static const enum dwb_operation left[] = {DWB_OPERATION_SEPARABLE,
                                              DWB_OPERATION_SEPARABLE_FUSED};
    const uint32_t lost = _i == 0 ? SYNTHETIC_POINTWISE : SYNTHETIC_SEPARABLE;

    make(0.95e6);
    for (size_t i = 0; i < N; i++)
        strcpy(records[i]->subjects[lost].backend, "nobody");
    compute();
    ck_assert_int_eq(figures.best_separable, left[_i]);
    ck_near(figures.saving_delivered_best, figures.theory.ratio / ((_i == 0 ? 1.15 : 0.95) / 8));
    ck_assert_int_eq(isnan(figures.saving_delivered), _i == 1);
}
END_TEST

/* A flag on any of the three forms drops the samples of all three in that block and half. */
START_TEST(test_dropped_together)
{
    static const uint32_t flagged[] = {SYNTHETIC_STANDARD, SYNTHETIC_POINTWISE,
                                       SYNTHETIC_SEPARABLE};
    static const enum dwb_operation forms[] = {DWB_OPERATION_STANDARD, DWB_OPERATION_SEPARABLE,
                                               DWB_OPERATION_SEPARABLE_FUSED};

    make(0.95e6);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < records[i]->n_samples; k++) {
            struct dwb_sample *sample = &records[i]->samples[k];
            if (sample->subject == flagged[_i] && sample->block == 3 && sample->half == 1)
                sample->flags = DWB_SAMPLE_SWITCHED;
        }
    compute();
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(figures.operations[forms[i]].series.n_dropped, N);
    ck_assert_uint_eq(figures.operations[DWB_OPERATION_DEPTHWISE].series.n_dropped, 0);
    ck_assert_double_eq_tol(figures.dropped_share, 1.0 / 30, 1e-9);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fused");
    TCase *tcase = tcase_create("fused");

    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, test_faster);
    tcase_add_test(tcase, test_slower);
    tcase_add_loop_test(tcase, test_one_left, 0, 2);
    tcase_add_loop_test(tcase, test_dropped_together, 0, 3);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? 1 : 0;
}
