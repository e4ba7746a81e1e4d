/*
 * Bounds of a machine that is made up: 100 GFLOP/s, caches of 32 KiB, 1 MiB and 16 MiB, and round
 * bandwidths. Each layer is picked for the level that it ends in.
 */

#include "analysis/bounds.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct dwb_level_figures machine[] = {{"L1", 300, 400, 32 << 10},
                                                   {"L2", 200, 100, 1 << 20},
                                                   {"L3", 50, 80, 16 << 20},
                                                   {"DRAM", 20, 10, NAN}};

static struct dwb_figures figures;
static struct dwb_spec spec;
static struct dwb_layer layer;
static struct dwb_subject subjects[DWB_FIGURES_N_OPERATIONS];
static struct dwb_bound bound;

/* Every operation at one nanosecond a multiply-add: 2 GFLOP/s. */
static void make(uint32_t dk, uint32_t dx, uint32_t m, uint32_t n, uint32_t stride)
{
    struct dwb_theory theory;

    layer = (struct dwb_layer){"made up", dk, dx, m, n, stride, DWB_PADDING_SAME, 1};
    spec = (struct dwb_spec){.n_layers = 1};
    figures = (struct dwb_figures){.input = {.spec = &spec, .layer = &layer}};
    ck_assert_int_eq(dwb_theory_of(&layer, &theory), 0);
    const uint64_t executed[] = {theory.executed.standard, theory.executed.depthwise,
                                 theory.executed.pointwise, theory.executed.separable,
                                 theory.executed.separable};
    for (size_t i = 0; i < DWB_FIGURES_N_OPERATIONS; i++) {
        subjects[i] = (struct dwb_subject){.operation = i, .macs_executed = executed[i]};
        figures.operations[i] = (struct dwb_operation_figures){.subject = &subjects[i],
                                                               .floor_ns = (double)executed[i],
                                                               .gflops_executed = 2,
                                                               .peak_gflops = 100};
    }
    memcpy(figures.levels, machine, sizeof machine);
    figures.n_levels = sizeof machine / sizeof machine[0];
}

static void compute(enum dwb_operation operation)
{
    ck_assert_int_eq(dwb_bounds_of(&figures, operation, &bound), 0);
}

#define ck_near(value, truth) ck_assert_double_eq_tol(value, truth, 1e-9 * (truth))

START_TEST(test_compute)
{
    make(3, 14, 64, 64, 1);
    compute(DWB_OPERATION_STANDARD);
    ck_assert_str_eq(dwb_bounds_holder(&bound), "compute");
    ck_assert_str_eq(bound.level, "L2");
    ck_near(bound.bytes, 4.0 * (14 * 14 * 64 + 9 * 64 * 64 + 14 * 14 * 64));
    ck_near(bound.flops_per_byte, 2.0 * 64 * 64 * 40 * 40 / bound.bytes);
    ck_near(bound.gbps, 200);
    ck_near(bound.attained_gbps, bound.bytes / figures.operations[DWB_OPERATION_STANDARD].floor_ns);
    ck_near(bound.gflops, 100);
    ck_near(bound.ns, 2.0 * 64 * 64 * 40 * 40 / 100);
    ck_near(bound.percent, 2);
}
END_TEST

/* The better of read and triad, whichever it is: L1 by its triad, L2 by its reads. */
START_TEST(test_level)
{
    static const struct {
        uint32_t dx, m;
        const char *level;
        double gbps;
    } cases[] = {
        {14, 16, "L1", 400},  /* 25.7 kB */
        {14, 32, "L2", 200},  /* 51.3 kB, nothing of it in L1 */
        {14, 256, "L2", 200}, /* 410.6 kB */
        {56, 128, "L3", 80},  /* 3.2 MB, nothing of it in L2 */
    };

    make(3, cases[_i].dx, cases[_i].m, 64, 1);
    for (size_t i = 0; i < DWB_FIGURES_N_OPERATIONS; i++)
        figures.operations[i].peak_gflops = 1e6;
    compute(DWB_OPERATION_DEPTHWISE);
    ck_assert(bound.by_bandwidth);
    ck_assert_str_eq(dwb_bounds_holder(&bound), cases[_i].level);
    ck_near(bound.gbps, cases[_i].gbps);
    ck_near(bound.ns, bound.bytes / cases[_i].gbps);
    ck_near(bound.gflops, bound.flops_per_byte * bound.gbps);
}
END_TEST

/* 1,012,736 bytes in 1 MiB: 0.966 of it, so (1.5 - 0.966) / 0.75 hits and the rest is from L3. */
START_TEST(test_nearly_full)
{
    make(3, 28, 256, 512, 2);
    figures.operations[DWB_OPERATION_DEPTHWISE].peak_gflops = 1e6;
    compute(DWB_OPERATION_DEPTHWISE);
    double kept = (1.5 - bound.bytes / (1 << 20)) / 0.75;
    ck_assert_double_eq(bound.bytes, 1012736);
    ck_near(bound.ns, bound.bytes * (kept / 200 + (1 - kept) / 80));
    ck_assert_str_eq(bound.level, "L3"); /* 29 % of the bytes, but just the longer of the two */
}
END_TEST

/* Of 25.7 MB the last cache can have kept its 16 MiB. */
START_TEST(test_beyond_last)
{
    make(3, 112, 256, 64, 1);
    figures.operations[DWB_OPERATION_DEPTHWISE].peak_gflops = 1e6;
    compute(DWB_OPERATION_DEPTHWISE);
    double inside = 16 << 20;
    ck_near(bound.ns, inside / 80 + (bound.bytes - inside) / 20);
    ck_assert_str_eq(bound.level, "DRAM");
}
END_TEST

START_TEST(test_separable)
{
    struct dwb_bound parts[2];

    make(3, 56, 128, 128, 1);
    for (size_t i = 0; i < DWB_FIGURES_N_OPERATIONS; i++)
        figures.operations[i].peak_gflops = 1000;
    compute(DWB_OPERATION_DEPTHWISE);
    parts[0] = bound;
    compute(DWB_OPERATION_POINTWISE);
    parts[1] = bound;
    ck_assert(parts[0].by_bandwidth && !parts[1].by_bandwidth);
    compute(DWB_OPERATION_SEPARABLE);
    ck_near(bound.ns, parts[0].ns + parts[1].ns);
    ck_near(bound.bytes, parts[0].bytes + parts[1].bytes);
    ck_assert_str_eq(dwb_bounds_holder(&bound), "compute"); /* the pointwise, 103 of 143 us */

    double map = 4.0 * 56 * 56 * 128, weights = 4.0 * (9 * 128 + 128 * 128);
    ck_near(bound.bytes, 4 * map + weights);
    compute(DWB_OPERATION_SEPARABLE_FUSED);
    ck_near(bound.bytes, 2 * map + weights);
    ck_near(bound.gflops, 1000); /* the multiply-adds hide the traffic of both */

    figures.operations[DWB_OPERATION_POINTWISE].peak_gflops = 1e6;
    compute(DWB_OPERATION_SEPARABLE);
    ck_assert_str_eq(dwb_bounds_holder(&bound), "L3");
    figures.operations[DWB_OPERATION_POINTWISE].subject = NULL;
    ck_assert_int_eq(dwb_bounds_of(&figures, DWB_OPERATION_SEPARABLE, &bound), -ENODATA);
    ck_assert_int_eq(dwb_bounds_of(&figures, DWB_OPERATION_SEPARABLE_FUSED, &bound), 0);
}
END_TEST

/* Cold, all comes from DRAM; but what the depthwise has just written is where it left it. */
START_TEST(test_cold)
{
    make(3, 14, 256, 256, 1);
    for (size_t i = 0; i < DWB_FIGURES_N_OPERATIONS; i++)
        figures.operations[i].peak_gflops = 1e6;
    spec.options.cache = DWB_CACHE_COLD;
    double map = 4.0 * 14 * 14 * 256;
    compute(DWB_OPERATION_POINTWISE);
    ck_near(bound.ns, (2 * map + 4 * 256 * 256) / 20);
    compute(DWB_OPERATION_SEPARABLE);
    ck_near(bound.ns, (3 * map + 4 * (9 * 256 + 256 * 256)) / 20 + map / 200);
    ck_assert_str_eq(dwb_bounds_holder(&bound), "DRAM");
}
END_TEST

/* Only what a tap falls on crosses: 1x1 with stride 3 reads 19 of 56 rows and columns. */
START_TEST(test_input_extent)
{
    make(1, 56, 16, 16, 3);
    ck_assert_double_eq(dwb_bounds_bytes(&layer, DWB_OPERATION_DEPTHWISE),
                        4.0 * (2 * 19 * 19 * 16 + 16));
    make(3, 56, 16, 16, 3); /* 19 outputs, a column of padding: 56 of 57 */
    ck_assert_double_eq(dwb_bounds_bytes(&layer, DWB_OPERATION_DEPTHWISE),
                        4.0 * (56 * 56 * 16 + 9 * 16 + 19 * 19 * 16));
    layer.padding = DWB_PADDING_VALID; /* 18 outputs: 54 of 56 */
    ck_assert_double_eq(dwb_bounds_bytes(&layer, DWB_OPERATION_DEPTHWISE),
                        4.0 * (54 * 54 * 16 + 9 * 16 + 18 * 18 * 16));
    ck_assert_double_eq(dwb_bounds_bytes(&layer, DWB_OPERATION_CANARY), 0);
}
END_TEST

/* What is not known holds nothing: an L3 without a probe is not the DRAM behind it. */
START_TEST(test_unknown)
{
    make(3, 56, 128, 128, 1);
    figures.levels[2].read_gbps = figures.levels[2].triad_gbps = NAN;
    compute(DWB_OPERATION_DEPTHWISE);
    ck_assert_str_eq(dwb_bounds_holder(&bound), "compute");
    ck_assert_ptr_null(bound.level);
    ck_assert(isnan(bound.gbps));
    ck_assert_double_gt(bound.attained_gbps, 0);
    figures.operations[DWB_OPERATION_DEPTHWISE].peak_gflops = NAN;
    ck_assert_int_eq(dwb_bounds_of(&figures, DWB_OPERATION_DEPTHWISE, &bound), -ENODATA);

    make(3, 56, 128, 128, 1); /* a library that does not say its ISA */
    figures.operations[DWB_OPERATION_DEPTHWISE].peak_gflops = NAN;
    compute(DWB_OPERATION_DEPTHWISE);
    ck_assert_str_eq(dwb_bounds_holder(&bound), "L3");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bounds");
    TCase *tcase = tcase_create("bounds");

    tcase_add_test(tcase, test_compute);
    tcase_add_loop_test(tcase, test_level, 0, 4);
    tcase_add_test(tcase, test_nearly_full);
    tcase_add_test(tcase, test_beyond_last);
    tcase_add_test(tcase, test_separable);
    tcase_add_test(tcase, test_cold);
    tcase_add_test(tcase, test_input_extent);
    tcase_add_test(tcase, test_unknown);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
