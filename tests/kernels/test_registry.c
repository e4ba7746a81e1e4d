/*
 * What surrounds the kernels: the list and the choice from it, geometry and counts, the oracle and
 * the reference against a second, independent computation, probes and switches.
 */

#include "common/cleanup.h"
#include "common/theory.h"
#include "kernels/kernels.h"
#include "kernels/separable.h"
#include "tests/unmarked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALL_FLAGS = DWB_CPU_AVX2 | DWB_CPU_AVX512 | DWB_CPU_NEON };

static struct dwb_layer layer_of(uint32_t k, uint32_t s, uint32_t size, uint32_t m, uint32_t n,
                                 enum dwb_padding padding)
{
    return (struct dwb_layer){.kernel_size = k,
                              .stride = s,
                              .input_size = size,
                              .in_channels = m,
                              .out_channels = n,
                              .padding = padding,
                              .repeat = 1};
}

static struct dwb_conv conv_of(enum dwb_kernel_op op, uint32_t k, uint32_t s, uint32_t size,
                               uint32_t m, uint32_t n)
{
    const struct dwb_layer layer = layer_of(k, s, size, m, n, DWB_PADDING_SAME);
    struct dwb_conv conv;

    dwb_conv_of_layer(&layer, op, &conv);
    return conv;
}

START_TEST(test_list)
{
    static const enum dwb_isa isas[] = {
        DWB_ISA_PORTABLE,
#if defined(__x86_64__)
        DWB_ISA_AVX2,
        DWB_ISA_AVX512,
#elif defined(__aarch64__)
        DWB_ISA_NEON,
#endif
    };
    size_t n;
    const struct dwb_kernel *const *kernels = dwb_kernels(&n);

    for (size_t i = 0; i < n; i++) {
        ck_assert_ptr_eq(dwb_kernel_by_name(kernels[i]->name), kernels[i]);
        ck_assert_ptr_nonnull(strstr(kernels[i]->name, "f32_nhwc_"));
        if (strcmp(kernels[i]->algorithm, "reference"))
            ck_assert_ptr_nonnull(strstr(kernels[i]->name, dwb_isa_name(kernels[i]->isa)));
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(kernels[i]->name, kernels[j]->name);
    }
    ck_assert_ptr_null(dwb_kernel_by_name("f32_nhwc_conv__none"));
    for (size_t i = 0; i < sizeof(isas) / sizeof(isas[0]); i++)
        for (int op = 0; op < 3; op++)
            for (uint32_t k = 1; k <= DWB_KERNEL_SIZE_MAX; k++) {
                const struct dwb_conv conv = conv_of((enum dwb_kernel_op)op, k, 1, 14, 20, 20);
                const struct dwb_kernel *kernel =
                    dwb_kernel_select(ALL_FLAGS, isas[i], (enum dwb_kernel_op)op, &conv);
                ck_assert_ptr_nonnull(kernel);
                ck_assert_int_eq(kernel->isa, isas[i]);
                ck_assert_int_eq(kernel->op, op);
            }
}
END_TEST

START_TEST(test_select)
{
    const struct dwb_conv conv = conv_of(DWB_KERNEL_STANDARD, 3, 1, 56, 128, 128);
    const struct dwb_kernel *kernel =
        dwb_kernel_select(0, DWB_ISA_AUTO, DWB_KERNEL_STANDARD, &conv);

    ck_assert_int_eq(kernel->isa, DWB_ISA_PORTABLE);
    ck_assert_str_eq(kernel->algorithm, "direct"); /* never the reference */
    /* What the CPU lacks is refused, not replaced. */
    ck_assert_ptr_null(dwb_kernel_select(0, DWB_ISA_AVX2, DWB_KERNEL_STANDARD, &conv));
    ck_assert_ptr_null(dwb_kernel_select(0, DWB_ISA_AVX512, DWB_KERNEL_STANDARD, &conv));
    ck_assert_ptr_null(dwb_kernel_select(0, DWB_ISA_NEON, DWB_KERNEL_STANDARD, &conv));
    ck_assert_ptr_null(dwb_kernel_select(DWB_CPU_AVX2, DWB_ISA_AVX512, DWB_KERNEL_STANDARD, &conv));
    kernel = dwb_kernel_select(ALL_FLAGS, DWB_ISA_PORTABLE, DWB_KERNEL_STANDARD, &conv);
    ck_assert_int_eq(kernel->isa, DWB_ISA_PORTABLE);
#if defined(__x86_64__)
    kernel = dwb_kernel_select(DWB_CPU_AVX2, DWB_ISA_AUTO, DWB_KERNEL_STANDARD, &conv);
    ck_assert_int_eq(kernel->isa, DWB_ISA_AVX2);
    kernel =
        dwb_kernel_select(DWB_CPU_AVX2 | DWB_CPU_AVX512, DWB_ISA_AUTO, DWB_KERNEL_STANDARD, &conv);
    ck_assert_int_eq(kernel->isa, DWB_ISA_AVX512);
    kernel =
        dwb_kernel_select(DWB_CPU_AVX2 | DWB_CPU_AVX512, DWB_ISA_AVX2, DWB_KERNEL_STANDARD, &conv);
    ck_assert_int_eq(kernel->isa, DWB_ISA_AVX2);
    ck_assert_ptr_null(dwb_kernel_select(ALL_FLAGS, DWB_ISA_NEON, DWB_KERNEL_STANDARD, &conv));
#elif defined(__aarch64__)
    kernel = dwb_kernel_select(DWB_CPU_NEON, DWB_ISA_AUTO, DWB_KERNEL_STANDARD, &conv);
    ck_assert_int_eq(kernel->isa, DWB_ISA_NEON);
    ck_assert_ptr_null(dwb_kernel_select(ALL_FLAGS, DWB_ISA_AVX2, DWB_KERNEL_STANDARD, &conv));
#endif
}
END_TEST

/* A kernel made for a shape is taken for it, and only for it. */
START_TEST(test_select_shape)
{
    const uint32_t flags = dwb_cpu_flags();
    const enum dwb_isa isa = dwb_cpu_best_isa(flags);

    for (uint32_t k = 1; k <= DWB_KERNEL_SIZE_MAX; k++)
        for (uint32_t s = 1; s <= DWB_STRIDE_MAX; s++) {
            const struct dwb_conv conv = conv_of(DWB_KERNEL_DEPTHWISE, k, s, 14, 20, 20);
            const struct dwb_kernel *kernel =
                dwb_kernel_select(flags, isa, DWB_KERNEL_DEPTHWISE, &conv);
            const bool special =
                isa != DWB_ISA_PORTABLE &&
                (k == 3 || k == 5 ? s <= 3 : (k == 1 || k == 7 || k == 11) && s == 1);
            ck_assert_ptr_nonnull(kernel);
            ck_assert_int_eq(kernel->supports != NULL, special);
            ck_assert(!kernel->supports || kernel->supports(&conv));
        }
}
END_TEST

/* The fused form is that of the two kernels selected for the layer, for every ISA of the build and
 * none that it lacks; its multiply-adds are theirs. */
START_TEST(test_select_separable)
{
    for (enum dwb_isa isa = DWB_ISA_AUTO; isa <= DWB_ISA_NEON; isa++)
        for (uint32_t k = 1; k <= DWB_KERNEL_SIZE_MAX; k++)
            for (uint32_t s = 1; s <= DWB_STRIDE_MAX; s++) {
                const struct dwb_layer layer = layer_of(k, s, 14, 20, 24, DWB_PADDING_SAME);
                const uint32_t flags = isa == DWB_ISA_AUTO ? dwb_cpu_flags() : ALL_FLAGS;
                struct dwb_separable separable = {0};
                struct dwb_theory theory;
                struct dwb_conv depthwise, pointwise;
                dwb_conv_of_layer(&layer, DWB_KERNEL_DEPTHWISE, &depthwise);
                dwb_conv_of_layer(&layer, DWB_KERNEL_POINTWISE, &pointwise);
                const struct dwb_kernel *kernel =
                    dwb_kernel_select(flags, isa, DWB_KERNEL_DEPTHWISE, &depthwise);
                ck_assert_int_eq(dwb_separable_select(flags, isa, &layer, &separable),
                                 kernel != NULL);
                ck_assert_ptr_eq(separable.depthwise_kernel, kernel);
                ck_assert_ptr_eq(separable.pointwise_kernel,
                                 dwb_kernel_select(flags, isa, DWB_KERNEL_POINTWISE, &pointwise));
                if (!kernel)
                    continue;
                ck_assert_int_eq(memcmp(&separable.depthwise, &depthwise, sizeof(depthwise)), 0);
                ck_assert_int_eq(memcmp(&separable.pointwise, &pointwise, sizeof(pointwise)), 0);
                ck_assert_int_eq(dwb_theory_of(&layer, &theory), 0);
                ck_assert_uint_eq(dwb_separable_macs_executed(&separable),
                                  theory.executed.separable);
            }
}
END_TEST

START_TEST(test_flags)
{
    char text[64];

    dwb_cpu_flags_text(DWB_CPU_AVX2 | DWB_CPU_AVX512, text, sizeof(text));
    ck_assert_str_eq(text, "avx2,avx512");
    dwb_cpu_flags_text(DWB_CPU_NEON, text, sizeof(text));
    ck_assert_str_eq(text, "neon");
    dwb_cpu_flags_text(0, text, sizeof(text));
    ck_assert_str_eq(text, "");
    dwb_cpu_flags_text(ALL_FLAGS, text, 8); /* cut, never past the end */
    ck_assert_str_eq(text, "avx2,av");
    dwb_cpu_flags_text(ALL_FLAGS, text, 0);
    ck_assert_str_eq(text, "avx2,av"); /* no room, not even for an end */
    ck_assert_int_eq(dwb_cpu_best_isa(0), DWB_ISA_PORTABLE);
    ck_assert_int_eq(dwb_cpu_best_isa(DWB_CPU_AVX2), DWB_ISA_AVX2);
    ck_assert_int_eq(dwb_cpu_best_isa(DWB_CPU_AVX2 | DWB_CPU_AVX512), DWB_ISA_AVX512);
    ck_assert_int_eq(dwb_cpu_best_isa(DWB_CPU_NEON), DWB_ISA_NEON);
#if defined(__x86_64__)
    /* The compiler's run-time library reads CPUID and XCR0 by its own code. */
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    ck_assert_int_eq(!!(dwb_cpu_flags() & DWB_CPU_AVX2), avx2);
    ck_assert_int_eq(!!(dwb_cpu_flags() & DWB_CPU_AVX512), avx2 && avx512);
#elif defined(__aarch64__)
    ck_assert_int_eq(dwb_cpu_flags(), DWB_CPU_NEON);
#endif
}
END_TEST

START_TEST(test_geometry)
{
    const struct dwb_layer layer = layer_of(3, 2, 15, 5, 7, DWB_PADDING_SAME);
    struct dwb_conv conv;

    dwb_conv_of_layer(&layer, DWB_KERNEL_STANDARD, &conv);
    ck_assert_uint_eq(conv.output_size, 8);
    ck_assert_uint_eq(conv.pad_before, 1);
    ck_assert_uint_eq(conv.out_channels, 7);
    dwb_conv_of_layer(&layer, DWB_KERNEL_DEPTHWISE, &conv);
    ck_assert_uint_eq(conv.in_channels, 5);
    ck_assert_uint_eq(conv.out_channels, 5);
    dwb_conv_of_layer(&layer, DWB_KERNEL_POINTWISE, &conv);
    ck_assert_uint_eq(conv.kernel_size, 1);
    ck_assert_uint_eq(conv.stride, 1);
    ck_assert_uint_eq(conv.pad_before, 0);
    ck_assert_uint_eq(conv.input_size, 8);
    ck_assert_uint_eq(conv.output_size, 8);
    ck_assert_uint_eq(conv.out_channels, 7);
}
END_TEST

/* Counted one by one, padding left out. */
static uint64_t count_taps(const struct dwb_conv *conv)
{
    uint64_t n = 0;

    for (int64_t y = 0; y < conv->output_size; y++)
        for (int64_t x = 0; x < conv->output_size; x++)
            for (int64_t ky = 0; ky < conv->kernel_size; ky++)
                for (int64_t kx = 0; kx < conv->kernel_size; kx++) {
                    const int64_t row = y * conv->stride + ky - conv->pad_before;
                    const int64_t column = x * conv->stride + kx - conv->pad_before;
                    n += row >= 0 && row < conv->input_size && column >= 0 &&
                         column < conv->input_size;
                }
    return n;
}

START_TEST(test_macs)
{
    const struct dwb_kernel *const kernels[] = {
        dwb_kernel_by_name("f32_nhwc_conv__portable_4x8"),
        dwb_kernel_by_name("f32_nhwc_dwconv__portable_8c4"),
        dwb_kernel_by_name("f32_nhwc_pwconv__portable_4x8"),
    };
    static const uint32_t sizes[] = {1, 2, 3, 5, 7, 13, 14};

    for (uint32_t k = 1; k <= DWB_KERNEL_SIZE_MAX; k++)
        for (uint32_t s = 1; s <= DWB_STRIDE_MAX; s++)
            for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
                for (int padding = 0; padding < 2; padding++) {
                    const struct dwb_layer layer =
                        layer_of(k, s, sizes[i], 6, 10, (enum dwb_padding)padding);
                    struct dwb_theory theory;
                    struct dwb_conv conv;
                    if (dwb_theory_of(&layer, &theory) < 0)
                        continue;
                    const uint64_t expected[] = {theory.executed.standard,
                                                 theory.executed.depthwise,
                                                 theory.executed.pointwise};
                    for (int op = 0; op < 3; op++) {
                        dwb_conv_of_layer(&layer, (enum dwb_kernel_op)op, &conv);
                        const uint64_t macs = dwb_kernel_macs_executed(kernels[op], &conv);
                        ck_assert_uint_eq(macs, count_taps(&conv) *
                                                    (op == DWB_KERNEL_DEPTHWISE ? 6 : 60));
                        ck_assert_uint_eq(macs, expected[op]);
                    }
                    struct dwb_kernel padded = *kernels[0];
                    padded.skips_padding = false;
                    dwb_conv_of_layer(&layer, DWB_KERNEL_STANDARD, &conv);
                    ck_assert_uint_eq(dwb_kernel_macs_executed(&padded, &conv),
                                      theory.nominal.standard);
                }
}
END_TEST

/*
 * The second computation: scatter instead of gather. Each input element is multiplied into every
 * output it reaches; no window, no clipping of taps. Small integers, so every sum is exact.
 */
static void scatter(enum dwb_kernel_op op, const struct dwb_conv *c, const float *input,
                    const float *weights, double *output)
{
    const size_t m_count = c->in_channels, n_count = c->out_channels;

    for (int64_t row = 0; row < c->input_size; row++)
        for (int64_t column = 0; column < c->input_size; column++)
            for (int64_t ky = 0; ky < c->kernel_size; ky++)
                for (int64_t kx = 0; kx < c->kernel_size; kx++) {
                    const int64_t y = row + c->pad_before - ky, x = column + c->pad_before - kx;
                    if (y < 0 || x < 0 || y % c->stride || x % c->stride ||
                        y / c->stride >= c->output_size || x / c->stride >= c->output_size)
                        continue;
                    const float *in = input + (size_t)(row * c->input_size + column) * m_count;
                    const size_t tap = (size_t)(ky * c->kernel_size + kx);
                    double *out =
                        output + (size_t)(y / c->stride * c->output_size + x / c->stride) * n_count;
                    for (size_t m = 0; m < m_count; m++) {
                        if (op == DWB_KERNEL_DEPTHWISE) {
                            out[m] += (double)in[m] * weights[tap * m_count + m];
                            continue;
                        }
                        for (size_t n = 0; n < n_count; n++)
                            out[n] += (double)in[m] * weights[(tap * m_count + m) * n_count + n];
                    }
                }
}

static float *integers(size_t n, int range)
{
    float *values = malloc((n + 1) * sizeof(float));

    ck_assert_ptr_nonnull(values);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(rand() % (2 * range + 1) - range);
    return values;
}

static void check_oracle(enum dwb_kernel_op op, const struct dwb_conv *conv)
{
    static const char *const names[] = {"f32_nhwc_conv__reference", "f32_nhwc_dwconv__reference",
                                        "f32_nhwc_pwconv__reference"};
    const struct dwb_kernel *reference = dwb_kernel_by_name(names[op]);
    const size_t n_in = (size_t)conv->input_size * conv->input_size * conv->in_channels;
    const size_t n_out = (size_t)conv->output_size * conv->output_size * conv->out_channels;
    const size_t n_weights = (size_t)conv->kernel_size * conv->kernel_size * conv->in_channels *
                             (op == DWB_KERNEL_DEPTHWISE ? 1 : conv->out_channels);
    dwb_cleanup_free float *input = integers(n_in, 9), *weights = integers(n_weights, 9);
    dwb_cleanup_free float *output = integers(n_out, 0);
    dwb_cleanup_free double *expected = calloc(n_out + 1, sizeof(double));
    dwb_cleanup_free float *packed = malloc(reference->packed_bytes(conv) + sizeof(float));
    size_t i = 0;

    ck_assert(expected && packed);
    scatter(op, conv, input, weights, expected);
    reference->pack(conv, weights, packed);
    const struct dwb_kernel_args args = {conv, input, packed, output, NULL};
    reference->run(&args);
    for (uint32_t y = 0; y < conv->output_size; y++)
        for (uint32_t x = 0; x < conv->output_size; x++)
            for (uint32_t n = 0; n < conv->out_channels; n++, i++) {
                double magnitude = -1;
                const double sum = dwb_oracle(op, conv, input, weights, y, x, n, &magnitude);
                ck_assert_double_eq(sum, expected[i]);
                ck_assert_double_eq(output[i], expected[i]);
                ck_assert(magnitude >= fabs(sum) && magnitude <= 81.0 * conv->kernel_size *
                                                                     conv->kernel_size *
                                                                     conv->in_channels);
            }
}

START_TEST(test_oracle)
{
    static const uint32_t sizes[] = {1, 2, 5, 7};

    srand(1);
    for (uint32_t k = 1; k <= DWB_KERNEL_SIZE_MAX; k++)
        for (uint32_t s = 1; s <= DWB_STRIDE_MAX; s++)
            for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
                for (int padding = 0; padding < 2; padding++) {
                    const struct dwb_layer layer =
                        layer_of(k, s, sizes[i], 3, 4, (enum dwb_padding)padding);
                    if (dwb_layer_output_size(&layer) == 0)
                        continue;
                    for (int op = 0; op < 3; op++) {
                        struct dwb_conv conv;
                        dwb_conv_of_layer(&layer, (enum dwb_kernel_op)op, &conv);
                        check_oracle((enum dwb_kernel_op)op, &conv);
                    }
                }
}
END_TEST

/* 1 * 2 - 3 * 4 over two input channels: the magnitude adds what the sum cancels. */
START_TEST(test_magnitude)
{
    const struct dwb_conv conv = conv_of(DWB_KERNEL_POINTWISE, 1, 1, 1, 2, 1);
    const float input[] = {1, -3}, weights[] = {2, 4};
    double magnitude;

    ck_assert_double_eq(
        dwb_oracle(DWB_KERNEL_POINTWISE, &conv, input, weights, 0, 0, 0, &magnitude), -10);
    ck_assert_double_eq(magnitude, 14);
}
END_TEST

START_TEST(test_probes)
{
    const uint32_t flags = dwb_cpu_flags();
    static const struct {
        enum dwb_isa isa;
        uint32_t flag;
    } isas[] = {{DWB_ISA_PORTABLE, 0},
                {DWB_ISA_AVX2, DWB_CPU_AVX2},
                {DWB_ISA_AVX512, DWB_CPU_AVX512},
                {DWB_ISA_NEON, DWB_CPU_NEON}};
    float a[1003], b[1003], c[1003];

    for (size_t i = 0; i < sizeof(isas) / sizeof(isas[0]); i++) {
        dwb_fma_peak_fn *peak = dwb_fma_peak(isas[i].isa);
        dwb_read_fn *read = dwb_read_probe(isas[i].isa);
        dwb_triad_fn *triad = dwb_triad_probe(isas[i].isa);
        ck_assert_int_eq(peak != NULL, dwb_fma_peak_macs(isas[i].isa) > 0);
        ck_assert(!peak == !read && !peak == !triad);
        if ((isas[i].flag & flags) != isas[i].flag || !peak)
            continue;
        /* Four lanes add 2^-40, 2^-42, ... a step in every chain: no chain, no step is left out. */
        const double chains =
            (double)dwb_fma_peak_macs(isas[i].isa) / (isas[i].isa == DWB_ISA_AVX512 ? 16
                                                      : isas[i].isa == DWB_ISA_AVX2 ? 8
                                                                                    : 4);
        const double step = 0x1p-40 + 0x1p-42 + 0x1p-44 + 0x1p-46;
        ck_assert_double_eq_tol(peak(1000), 1000 * chains * step, 1e-3 * 1000 * chains * step);
        for (size_t n = 0; n <= 1000; n += n < 300 ? 1 : 97) {
            for (size_t j = 0; j < 1003; j++) {
                a[j] = -1;
                b[j] = (float)j;
                c[j] = (float)(3 * j + 1);
            }
            triad(a + 1, b + 1, c + 1, 0.5f, n);
            ck_assert_float_eq(a[0], -1);
            ck_assert_float_eq(a[n + 1], -1);
            for (size_t j = 1; j <= n; j++)
                ck_assert_float_eq(a[j], b[j] + 0.5f * c[j]);
            const float before = read(b + 1, n);
            for (size_t j = 1; j <= n; j += 1 + n / 7) {
                b[j] += 1000;
                ck_assert_float_ne(read(b + 1, n), before); /* depends on every element */
                b[j] -= 1000;
            }
        }
    }
}
END_TEST

/* A subnormal product and a subnormal operand are zero once the mode is set. */
START_TEST(test_fp_mode)
{
    volatile float small = 0x1p-100f, subnormal = 0x1p-130f, large = 0x1p20f;

    const uint64_t mode = dwb_fp_mode_set();
#if defined(__x86_64__)
    ck_assert_uint_eq(mode & 0x8040, 0x8040);
#elif defined(__aarch64__)
    ck_assert_uint_eq(mode & (1 << 24), 1 << 24);
#endif
    ck_assert_uint_eq(dwb_fp_mode_set(), mode);
    ck_assert_float_eq(small * 0x1p-40f, 0);
    ck_assert_float_eq(subnormal * large, 0);
}
END_TEST

/* Flushing keeps the data (that it evicts is for the benches to see). */
START_TEST(test_cache_flush)
{
    unsigned char bytes[1000];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 7);
    dwb_cache_flush(bytes + 3, sizeof(bytes) - 7);
    dwb_cache_flush(bytes, 0);
    for (size_t i = 0; i < sizeof(bytes); i++)
        ck_assert_uint_eq(bytes[i], (unsigned char)(i * 7));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("registry");
    TCase *tcase = tcase_create("registry");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, test_list);
    tcase_add_test(tcase, test_select);
    tcase_add_test(tcase, test_select_shape);
    tcase_add_test(tcase, test_select_separable);
    tcase_add_test(tcase, test_flags);
    tcase_add_test(tcase, test_geometry);
    tcase_add_test(tcase, test_macs);
    tcase_add_test(tcase, test_oracle);
    tcase_add_test(tcase, test_magnitude);
    tcase_add_test(tcase, test_probes);
    tcase_add_test(tcase, test_fp_mode);
    tcase_add_test(tcase, test_cache_flush);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? 1 : 0;
}
