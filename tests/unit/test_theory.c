/*
 * The cost model against the paper's own worked layer, against brute force over every shape of a
 * small grid, and at the edges of its arithmetic.
 */

#include "common/theory.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

static struct dwb_layer layer_of(uint32_t kernel, uint32_t size, uint32_t m, uint32_t n,
                                 uint32_t stride, enum dwb_padding padding)
{
    return (struct dwb_layer){.kernel_size = kernel,
                              .input_size = size,
                              .in_channels = m,
                              .out_channels = n,
                              .stride = stride,
                              .padding = padding,
                              .repeat = 1};
}

/* MobileNets table 3, rows 1 and 2: 462M and 52.3M multiply-adds, 2.36M and 0.27M parameters. */
START_TEST(test_paper_layer)
{
    struct dwb_layer layer = layer_of(3, 14, 512, 512, 1, DWB_PADDING_SAME);
    struct dwb_theory theory;

    ck_assert_int_eq(dwb_theory_of(&layer, &theory), 0);
    ck_assert_uint_eq(theory.nominal.standard, 462422016);
    ck_assert_uint_eq(theory.nominal.separable, 52283392);
    ck_assert_uint_eq(theory.standard_parameters, 2359296);
    ck_assert_uint_eq(theory.separable_parameters, 266752);
    ck_assert_double_eq_tol(
        theory.ratio, (double)theory.nominal.separable / (double)theory.nominal.standard, 1e-15);
    /* 40 of the 42 taps of an axis fall on the input. */
    ck_assert_uint_eq(theory.executed.depthwise, UINT64_C(40) * 40 * 512);
    ck_assert_uint_eq(theory.executed.pointwise, theory.nominal.pointwise);
}
END_TEST

static uint64_t count_taps(const struct dwb_layer *layer)
{
    int pad = (int)dwb_layer_pad_before(layer);
    uint64_t taps = 0;

    for (uint32_t y = 0; y < dwb_layer_output_size(layer); y++)
        for (uint32_t x = 0; x < dwb_layer_output_size(layer); x++)
            for (uint32_t ky = 0; ky < layer->kernel_size; ky++)
                for (uint32_t kx = 0; kx < layer->kernel_size; kx++) {
                    int iy = (int)(y * layer->stride + ky) - pad;
                    int ix = (int)(x * layer->stride + kx) - pad;
                    taps += iy >= 0 && ix >= 0 && iy < (int)layer->input_size &&
                            ix < (int)layer->input_size;
                }
    return taps;
}

START_TEST(test_executed_is_brute_force)
{
    struct dwb_theory theory;

    for (uint32_t kernel = 1; kernel <= DWB_KERNEL_SIZE_MAX; kernel++)
        for (uint32_t stride = 1; stride <= DWB_STRIDE_MAX; stride++)
            for (uint32_t size = 1; size <= 17; size++)
                for (int padding = DWB_PADDING_SAME; padding <= DWB_PADDING_VALID; padding++) {
                    struct dwb_layer layer =
                        layer_of(kernel, size, 2, 3, stride, (enum dwb_padding)padding);

                    if (dwb_layer_output_size(&layer) == 0) {
                        ck_assert_int_eq(dwb_theory_of(&layer, &theory), -EINVAL);
                        continue;
                    }
                    ck_assert_int_eq(dwb_theory_of(&layer, &theory), 0);
                    ck_assert_uint_eq(theory.executed.depthwise, 2 * count_taps(&layer));
                    ck_assert_uint_eq(theory.executed.standard, 6 * count_taps(&layer));
                }
}
END_TEST

START_TEST(test_output_size)
{
    static const struct {
        uint32_t kernel, size, stride;
        enum dwb_padding padding;
        uint32_t output, pad;
    } cases[] = {
        {3, 112, 1, DWB_PADDING_SAME, 112, 1}, {3, 112, 2, DWB_PADDING_SAME, 56, 0},
        {3, 7, 2, DWB_PADDING_SAME, 4, 1},     {5, 28, 2, DWB_PADDING_SAME, 14, 1},
        {1, 14, 1, DWB_PADDING_SAME, 14, 0},   {11, 1, 1, DWB_PADDING_SAME, 1, 5},
        {3, 14, 1, DWB_PADDING_VALID, 12, 0},  {3, 14, 2, DWB_PADDING_VALID, 6, 0},
        {3, 3, 4, DWB_PADDING_VALID, 1, 0},    {3, 2, 1, DWB_PADDING_VALID, 0, 0},
        {1, 5, 3, DWB_PADDING_SAME, 2, 0},     {2, 4, 1, DWB_PADDING_SAME, 4, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dwb_layer layer =
            layer_of(cases[i].kernel, cases[i].size, 1, 1, cases[i].stride, cases[i].padding);

        ck_assert_uint_eq(dwb_layer_output_size(&layer), cases[i].output);
        if (cases[i].output > 0)
            ck_assert_uint_eq(dwb_layer_pad_before(&layer), cases[i].pad);
    }
}
END_TEST

START_TEST(test_memory)
{
    struct dwb_layer layer = layer_of(3, 4, 2, 5, 1, DWB_PADDING_SAME);
    uint64_t bytes = 7;

    ck_assert_int_eq(dwb_layer_memory(&layer, &bytes), 0);
    /* input 32, standard weights 90 x 2, depthwise 18 x 2, pointwise 10 x 2, intermediates 32 x 2,
     * outputs 80 x 3 */
    ck_assert_uint_eq(bytes, 4 * (32 + 180 + 36 + 20 + 64 + 240));

    layer = layer_of(11, 4096, 16384, 16384, 1, DWB_PADDING_SAME);
    bytes = 7;
    ck_assert_int_eq(dwb_layer_memory(&layer, &bytes), -EOVERFLOW);
    ck_assert_uint_eq(bytes, 7);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("theory");
    TCase *tests = tcase_create("theory");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_test(tests, test_paper_layer);
    tcase_add_test(tests, test_executed_is_brute_force);
    tcase_add_test(tests, test_output_size);
    tcase_add_test(tests, test_memory);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
