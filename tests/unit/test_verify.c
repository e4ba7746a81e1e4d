/*
 * Verification must find what is wrong: the reference kernel passes, and one element that is off, a
 * NaN, a forgotten element or a wrong tap does not. Also the inputs' promise: no subnormal numbers.
 */

#include "measure/verify.h"

#include "measure/memory.h"
#include "tests/unmarked.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct fixture {
    struct dwb_conv conv;
    enum dwb_kernel_op op;
    struct dwb_buffer input, weights, packed, output;
};

static struct fixture f;

static void make(enum dwb_kernel_op op, uint32_t size, uint32_t m, uint32_t n)
{
    const struct dwb_layer layer = {.kernel_size = 3,
                                    .input_size = size,
                                    .in_channels = m,
                                    .out_channels = n,
                                    .stride = 1,
                                    .padding = DWB_PADDING_SAME,
                                    .repeat = 1};
    struct dwb_random random = dwb_random_stream(3, 4);
    const struct dwb_kernel *kernel;
    struct dwb_kernel_args args;

    f.op = op;
    dwb_conv_of_layer(&layer, op, &f.conv);
    kernel = dwb_kernel_select(0, DWB_ISA_PORTABLE, op, &f.conv);
    ck_assert_ptr_nonnull(kernel);
    uint64_t taps = (uint64_t)f.conv.kernel_size * f.conv.kernel_size * m;
    ck_assert_int_eq(dwb_buffer_init(&f.input, (uint64_t)size * size * m * 4), 0);
    ck_assert_int_eq(dwb_buffer_init(&f.weights, taps * (op == DWB_KERNEL_DEPTHWISE ? 1 : n) * 4),
                     0);
    ck_assert_int_eq(dwb_buffer_init(&f.packed, kernel->packed_bytes(&f.conv)), 0);
    ck_assert_int_eq(dwb_buffer_init(&f.output, (uint64_t)size * size * f.conv.out_channels * 4),
                     0);
    struct dwb_buffer scratch;
    ck_assert_int_eq(
        dwb_buffer_init(&scratch, kernel->scratch_bytes ? kernel->scratch_bytes(&f.conv) : 0), 0);
    dwb_buffer_fill(&f.input, &random);
    dwb_buffer_fill(&f.weights, &random);
    dwb_buffer_poison(&f.output);
    kernel->pack(&f.conv, f.weights.data, f.packed.data);
    args = (struct dwb_kernel_args){.conv = &f.conv,
                                    .input = f.input.data,
                                    .packed = f.packed.data,
                                    .output = f.output.data,
                                    .scratch = scratch.data};
    kernel->run(&args);
    dwb_buffer_deinit(&scratch);
}

static void teardown(void)
{
    dwb_buffer_deinit(&f.input);
    dwb_buffer_deinit(&f.weights);
    dwb_buffer_deinit(&f.packed);
    dwb_buffer_deinit(&f.output);
}

static struct dwb_verification verify(void)
{
    struct dwb_verification verification = {0};
    struct dwb_random random = dwb_random_stream(5, 6);

    dwb_verify(f.op, &f.conv, f.input.data, f.weights.data, f.output.data, &random, &verification);
    return verification;
}

START_TEST(test_right)
{
    static const enum dwb_kernel_op ops[] = {DWB_KERNEL_STANDARD, DWB_KERNEL_DEPTHWISE,
                                             DWB_KERNEL_POINTWISE};
    make(ops[_i], 9, 17, 19);
    struct dwb_verification verification = verify();

    ck_assert_uint_eq(verification.n, 128);
    ck_assert_uint_eq(verification.mismatched, 0);
    ck_assert(verification.worst > 0 && verification.worst < 1);
}
END_TEST

/* A layer with few outputs is compared whole, so every single error is found. */
START_TEST(test_every_element)
{
    make(DWB_KERNEL_STANDARD, 4, 3, 7);
    ck_assert_uint_eq(verify().n, 112);
    for (size_t i = 0; i < f.output.n; i++) {
        float right = f.output.data[i];

        f.output.data[i] = right + 1e-4f;
        ck_assert_uint_eq(verify().mismatched, 1);
        ck_assert(verify().worst > 1);
        f.output.data[i] = NAN;
        ck_assert_uint_eq(verify().mismatched, 1);
        ck_assert(isinf(verify().worst));
        f.output.data[i] = right;
    }
    ck_assert_uint_eq(verify().mismatched, 0);
}
END_TEST

/* A wrong tap in a large layer: all positions see it. */
START_TEST(test_wrong_weight)
{
    make(DWB_KERNEL_DEPTHWISE, 32, 8, 8);
    for (size_t m = 0; m < 8; m++)
        f.weights.data[4 * 8 + m] += 0x1p-10f;
    struct dwb_verification verification = verify();

    ck_assert_uint_eq(verification.n, 128);
    ck_assert_uint_eq(verification.mismatched, 128);
}
END_TEST

/* Corners are always among the positions. */
START_TEST(test_corner)
{
    make(DWB_KERNEL_STANDARD, 64, 2, 4);
    f.output.data[f.output.n - 1] += 1.0f;
    ck_assert_uint_eq(verify().mismatched, 1);
    f.output.data[0] += 1.0f;
    ck_assert_uint_eq(verify().mismatched, 2);
}
END_TEST

START_TEST(test_nothing_written)
{
    make(DWB_KERNEL_POINTWISE, 16, 8, 8);
    dwb_buffer_poison(&f.output);
    ck_assert_uint_eq(verify().mismatched, verify().n);
}
END_TEST

/* A layer fused by hand: right, then one wrong tap of the depthwise, one weight of the pointwise,
 * one output. */
START_TEST(test_separable)
{
    enum { SIZE = 3, M = 5, N = 9, N_OUTPUTS = SIZE * SIZE * N };
    const struct dwb_layer layer = {.kernel_size = 3,
                                    .input_size = SIZE,
                                    .in_channels = M,
                                    .out_channels = N,
                                    .stride = 1,
                                    .padding = DWB_PADDING_SAME,
                                    .repeat = 1};
    float input[SIZE * SIZE * M], w1[9 * M], w2[M * N], output[N_OUTPUTS];
    struct dwb_random random = dwb_random_stream(7, 8);
    struct dwb_conv depthwise, pointwise;
    /* What to make wrong, and how many outputs that reaches. */
    const struct {
        float *at;
        uint32_t n;
    } wrong[] = {{&output[3], 1}, {&w2[N - 1], SIZE * SIZE}, {&w1[4 * M], N_OUTPUTS}};
    struct dwb_verification found = {0};

    dwb_conv_of_layer(&layer, DWB_KERNEL_DEPTHWISE, &depthwise);
    dwb_conv_of_layer(&layer, DWB_KERNEL_POINTWISE, &pointwise);
    for (size_t i = 0; i < sizeof input / sizeof *input; i++)
        input[i] = dwb_random_float(&random);
    for (size_t i = 0; i < sizeof w1 / sizeof *w1; i++)
        w1[i] = dwb_random_float(&random);
    for (size_t i = 0; i < sizeof w2 / sizeof *w2; i++)
        w2[i] = dwb_random_float(&random);
    for (int64_t y = 0; y < SIZE; y++)
        for (int64_t x = 0; x < SIZE; x++)
            for (int64_t n = 0; n < N; n++) {
                float sum = 0;
                for (int64_t m = 0; m < M; m++) {
                    float t = 0;
                    for (int64_t tap = 0; tap < 9; tap++) {
                        int64_t row = y + tap / 3 - 1, column = x + tap % 3 - 1;
                        if (row >= 0 && row < SIZE && column >= 0 && column < SIZE)
                            t += input[(row * SIZE + column) * M + m] * w1[tap * M + m];
                    }
                    sum += t * w2[m * N + n];
                }
                output[(y * SIZE + x) * N + n] = sum;
            }
    dwb_verify_separable(&depthwise, &pointwise, input, w1, w2, output, &random, &found);
    ck_assert_uint_eq(found.n, N_OUTPUTS);
    ck_assert_uint_eq(found.mismatched, 0);
    ck_assert(found.worst > 0 && found.worst < 1);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const float right = *wrong[i].at;
        *wrong[i].at += 0.125f;
        found = (struct dwb_verification){0};
        dwb_verify_separable(&depthwise, &pointwise, input, w1, w2, output, &random, &found);
        ck_assert_uint_eq(found.mismatched, wrong[i].n);
        *wrong[i].at = right;
    }
}
END_TEST

/* Zeroed, and as large as was asked for, whatever its pages are. */
START_TEST(test_large)
{
    struct dwb_buffer none = {.n = 1};
    size_t n = (3u << 20) / sizeof(float) + 5;

    ck_assert_int_eq(dwb_buffer_init_large(&none, 0), 0);
    ck_assert_ptr_null(none.data);
    ck_assert_int_eq(dwb_buffer_init_large(&none, UINT64_MAX), -EOVERFLOW);
    ck_assert_int_eq(dwb_buffer_init_large(&f.input, n * sizeof(float)), 0);
    ck_assert_uint_eq(f.input.n, n);
    ck_assert_uint_ge(f.input.bytes, n * sizeof(float) + DWB_BUFFER_SLACK);
    for (size_t i = 0; i < n; i++)
        ck_assert(f.input.data[i] == 0.0f);
}
END_TEST

START_TEST(test_inputs)
{
    struct dwb_random random = dwb_random_stream(1, 2);
    size_t n_negative = 0;

    for (size_t i = 0; i < 100000; i++) {
        float x = dwb_random_float(&random);

        ck_assert(fabsf(x) >= 0x1p-10f && fabsf(x) < 1.0f);
        ck_assert(isnormal(x));
        n_negative += x < 0;
    }
    ck_assert(n_negative > 49000 && n_negative < 51000);
}
END_TEST

/* It repeats itself after a number that divides no stride of a tensor. */
START_TEST(test_fill)
{
    struct dwb_random random = dwb_random_stream(1, 2), again = random;
    size_t n = 2 * DWB_BUFFER_PERIOD + 17;

    ck_assert_int_eq(dwb_buffer_init(&f.input, n * sizeof(float)), 0);
    for (size_t i = 0; i < n; i++)
        ck_assert(f.input.data[i] == 0.0f);
    dwb_buffer_fill(&f.input, &random);
    for (size_t i = 0; i < n; i++)
        ck_assert(f.input.data[i] == (i < DWB_BUFFER_PERIOD ? dwb_random_float(&again)
                                                            : f.input.data[i - DWB_BUFFER_PERIOD]));
    for (unsigned divisor = 2; divisor < 256; divisor++)
        ck_assert_uint_ne(DWB_BUFFER_PERIOD % divisor, 0);
    ck_assert_uint_gt(DWB_BUFFER_PERIOD, DWB_CHANNELS_MAX);
    ck_assert_uint_gt(DWB_BUFFER_PERIOD, DWB_INPUT_SIZE_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verify");
    TCase *tests = tcase_create("verify");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_loop_test(tests, test_right, 0, 3);
    tcase_add_test(tests, test_every_element);
    tcase_add_test(tests, test_wrong_weight);
    tcase_add_test(tests, test_corner);
    tcase_add_test(tests, test_nothing_written);
    tcase_add_test(tests, test_separable);
    tcase_add_test(tests, test_inputs);
    tcase_add_test(tests, test_fill);
    tcase_add_test(tests, test_large);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
