/*
 * The shipped suites against the papers they come from: MobileNetV1's Tables 3, 4, 6 and 7 (Howard
 * et al. 2017), rounded as printed, and the layer counts of V2 and V3-Large. What is under test is
 * the suite files, common/spec (alpha, resolution, repeat) and common/theory together: no constant
 * of these tables is in the code.
 */

#include "common/paths.h"
#include "common/spec.h"
#include "common/theory.h"
#include "common/cleanup.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct dwb_spec *load(const char *name, const char *alpha, const char *resolution)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    dwb_cleanup_file FILE *file = NULL;
    struct dwb_spec *spec = NULL;
    char directory[4096], path[4200], text[8192];
    size_t n;
    int r;

    ck_assert_int_eq(dwb_paths_data("suites", directory, sizeof(directory)), 0);
    snprintf(path, sizeof(path), "%s/%s.yaml", directory, name);
    file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s", path);
    n = fread(text, 1, sizeof(text), file);
    ck_assert(feof(file));
    r = dwb_spec_parse(text, n, diags, &spec);
    if (r < 0)
        dwb_diags_print(diags, path, stderr);
    ck_assert_int_eq(r, 0);
    if (alpha)
        ck_assert_int_eq(dwb_spec_set(spec, "alpha", alpha, diags), 0);
    if (resolution)
        ck_assert_int_eq(dwb_spec_set(spec, "resolution", resolution, diags), 0);
    return spec;
}

struct totals {
    double standard_macs, separable_macs; /* millions */
    double standard_parameters, separable_parameters;
    unsigned n_layers; /* repeats counted */
};

static struct totals totals_of(const struct dwb_spec *spec)
{
    struct totals t = {0};

    for (size_t i = 0; i < spec->n_layers; i++) {
        const struct dwb_layer *layer = &spec->layers[i];
        struct dwb_theory theory;

        ck_assert_int_eq(dwb_theory_of(layer, &theory), 0);
        t.standard_macs += 1e-6 * (double)theory.nominal.standard * layer->repeat;
        t.separable_macs += 1e-6 * (double)theory.nominal.separable * layer->repeat;
        t.standard_parameters += 1e-6 * (double)theory.standard_parameters * layer->repeat;
        t.separable_parameters += 1e-6 * (double)theory.separable_parameters * layer->repeat;
        t.n_layers += layer->repeat;
    }
    return t;
}

/* What a suite leaves out: the first convolution, 3x3x3 -> 32 alpha with stride 2 at the network's
 * resolution, and the classifier, 1024 alpha x 1000. Both count in the paper's totals. */
static double stem_macs(double alpha, double resolution)
{
    double output = ceil(resolution / 2);

    return 1e-6 * 3 * 3 * 3 * 32 * alpha * output * output;
}

static double stem_parameters(double alpha)
{
    return 1e-6 * 3 * 3 * 3 * 32 * alpha;
}

static double classifier(double alpha)
{
    return 1e-6 * 1024 * alpha * 1000;
}

START_TEST(test_v1_blocks)
{
    static const unsigned want[9][5] = {
        /* Dx, M, N, stride, repeat: Table 1 with the last depthwise at stride 1 */
        {112, 32, 64, 1, 1},  {112, 64, 128, 2, 1},  {56, 128, 128, 1, 1},
        {56, 128, 256, 2, 1}, {28, 256, 256, 1, 1},  {28, 256, 512, 2, 1},
        {14, 512, 512, 1, 5}, {14, 512, 1024, 2, 1}, {7, 1024, 1024, 1, 1},
    };
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = load("mobilenet_v1", NULL, NULL);

    ck_assert_str_eq(spec->name, "mobilenet_v1");
    ck_assert(spec->is_suite);
    ck_assert_uint_eq(spec->n_layers, 9);
    for (size_t i = 0; i < 9; i++) {
        const struct dwb_layer *layer = &spec->layers[i];

        ck_assert_uint_eq(layer->kernel_size, 3);
        ck_assert_int_eq(layer->padding, DWB_PADDING_SAME);
        ck_assert_uint_eq(layer->input_size, want[i][0]);
        ck_assert_uint_eq(layer->in_channels, want[i][1]);
        ck_assert_uint_eq(layer->out_channels, want[i][2]);
        ck_assert_uint_eq(layer->stride, want[i][3]);
        ck_assert_uint_eq(layer->repeat, want[i][4]);
    }
}
END_TEST

/* A network is a chain: a layer's output is the next one's input (V1 only: in V2 and V3 an
 * expansion stands between two layers, so only the sizes chain). */
static void check_chain(const char *name, bool channels)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = load(name, NULL, NULL);

    for (size_t i = 0; i + 1 < spec->n_layers; i++) {
        const struct dwb_layer *layer = &spec->layers[i], *next = &spec->layers[i + 1];

        ck_assert_msg(dwb_layer_output_size(layer) == next->input_size, "%s: %s -> %s", name,
                      layer->name, next->name);
        if (layer->repeat > 1)
            ck_assert_uint_eq(layer->stride, 1);
        if (channels)
            ck_assert_uint_eq(layer->out_channels, next->in_channels);
    }
}

START_TEST(test_chains)
{
    check_chain("mobilenet_v1", true);
    check_chain("mobilenet_v2", false);
    check_chain("mobilenet_v3_large", false);
}
END_TEST

/* Table 3: one layer, Dk 3, M 512, N 512, Dx 14, step by step. */
START_TEST(test_v1_table3)
{
    static const struct {
        const char *alpha, *resolution;
        double macs, parameters; /* as printed */
    } rows[] = {
        {NULL, NULL, 52.3, 0.27},
        {"0.75", NULL, 29.6, 0.15},
        {"0.75", "160", 15.1, 0.15}, /* rho = 160/224 = 0.714 */
    };

    for (size_t i = 0; i < 3; i++) {
        DWB_CLEANUP(dwb_spec_freep)
        struct dwb_spec *spec = load("mobilenet_v1", rows[i].alpha, rows[i].resolution);
        struct dwb_theory theory;

        ck_assert_str_eq(spec->layers[6].name, "dws7");
        ck_assert_int_eq(dwb_theory_of(&spec->layers[6], &theory), 0);
        ck_assert_double_eq_tol(1e-6 * (double)theory.nominal.separable, rows[i].macs, 0.05);
        ck_assert_double_eq_tol(1e-6 * (double)theory.separable_parameters, rows[i].parameters,
                                0.005);
        if (i == 0) {
            ck_assert_double_eq_tol(1e-6 * (double)theory.nominal.standard, 462, 0.5);
            ck_assert_double_eq_tol(1e-6 * (double)theory.standard_parameters, 2.36, 0.005);
            ck_assert_double_eq_tol(theory.ratio, 1.0 / 512 + 1.0 / 9, 1e-12);
        }
    }
}
END_TEST

/*
 * Table 4: the whole network, full convolutions against separable ones. Of its figures only the
 * 4866 M leave the classifier's million multiply-adds out; the 569 M and both parameter counts have
 * it.
 */
START_TEST(test_v1_table4)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = load("mobilenet_v1", NULL, NULL);
    struct totals t = totals_of(spec);
    double parameters = stem_parameters(1) + classifier(1);

    ck_assert_uint_eq(t.n_layers, 13);
    ck_assert_double_eq_tol(t.standard_macs + stem_macs(1, 224), 4866, 0.5);
    ck_assert_double_eq_tol(t.standard_parameters + parameters, 29.3, 0.05);
    ck_assert_double_eq_tol(t.separable_macs + stem_macs(1, 224) + classifier(1), 569, 0.5);
    ck_assert_double_eq_tol(t.separable_parameters + parameters, 4.2, 0.05);
}
END_TEST

/* Table 2's share of the first convolution is misprinted as 1.19 %; it is 1.91 %. */
START_TEST(test_v1_table2_stem)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = load("mobilenet_v1", NULL, NULL);
    double all = totals_of(spec).separable_macs + stem_macs(1, 224) + classifier(1);

    ck_assert_double_eq_tol(100 * stem_macs(1, 224) / all, 1.91, 0.005);
}
END_TEST

START_TEST(test_v1_table6_alpha)
{
    static const struct {
        const char *text;
        double alpha, macs, parameters;
    } rows[] = {
        {"1.0", 1, 569, 4.2},
        {"0.75", 0.75, 325, 2.6},
        {"0.5", 0.5, 149, 1.3},
        {"0.25", 0.25, 41, 0.5},
    };

    for (size_t i = 0; i < 4; i++) {
        DWB_CLEANUP(dwb_spec_freep)
        struct dwb_spec *spec = load("mobilenet_v1", rows[i].text, NULL);
        struct totals t = totals_of(spec);

        ck_assert_double_eq_tol(t.separable_macs + stem_macs(rows[i].alpha, 224) +
                                    classifier(rows[i].alpha),
                                rows[i].macs, 0.51);
        ck_assert_double_eq_tol(t.separable_parameters + stem_parameters(rows[i].alpha) +
                                    classifier(rows[i].alpha),
                                rows[i].parameters, 0.051);
    }
}
END_TEST

START_TEST(test_v1_table7_resolution)
{
    static const struct {
        const char *text;
        double resolution, macs;
    } rows[] = {{"224", 224, 569}, {"192", 192, 418}, {"160", 160, 290}, {"128", 128, 186}};

    for (size_t i = 0; i < 4; i++) {
        DWB_CLEANUP(dwb_spec_freep)
        struct dwb_spec *spec = load("mobilenet_v1", NULL, rows[i].text);
        struct totals t = totals_of(spec);

        ck_assert_double_eq_tol(t.separable_macs + stem_macs(1, rows[i].resolution) + classifier(1),
                                rows[i].macs, 0.7); /* the table cuts 290.7 to 290 */
        /* Resolution does not touch the weights. */
        ck_assert_double_eq_tol(t.separable_parameters + stem_parameters(1) + classifier(1), 4.2,
                                0.05);
    }
}
END_TEST

/*
 * V2: 17 bottlenecks. Adding the expansions, the first convolution, the last 1x1 (320 -> 1280 at
 * 7x7) and the classifier gives the 300 M multiply-adds and 3.4 M parameters of the paper's
 * Table 4. An expansion runs at the block's input size, from the width the block before left.
 */
START_TEST(test_v2_totals)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = load("mobilenet_v2", NULL, NULL);
    struct totals t = totals_of(spec);
    double macs = t.separable_macs, parameters = t.separable_parameters;

    ck_assert_uint_eq(t.n_layers, 17);
    for (size_t i = 1; i < spec->n_layers; i++) { /* the first has t = 1: no expansion */
        const struct dwb_layer *layer = &spec->layers[i];

        for (uint32_t k = 0; k < layer->repeat; k++) {
            uint32_t in = k == 0 ? spec->layers[i - 1].out_channels : layer->out_channels;
            ck_assert_uint_eq(layer->in_channels, 6 * in);
            parameters += 1e-6 * in * layer->in_channels;
            macs += 1e-6 * in * layer->in_channels * layer->input_size * layer->input_size;
        }
    }
    macs += stem_macs(1, 224) + 1e-6 * 320 * 1280 * 7 * 7 + 1e-6 * 1280 * 1000;
    parameters += stem_parameters(1) + 1e-6 * 320 * 1280 + 1e-6 * 1280 * 1000;
    ck_assert_double_eq_tol(macs, 300, 5);
    ck_assert_double_eq_tol(parameters, 3.4, 0.1);
}
END_TEST

/* V3-Large: 15 bottlenecks. With its stem (3 -> 16), the expansions, the 160 -> 960 at 7x7 and the
 * two layers of the head (960 -> 1280 -> 1000) it is the 219 M multiply-adds of the paper's Table
 * 3, less what the squeeze-and-excite layers take (a few hundred thousand). */
START_TEST(test_v3_large_totals)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = load("mobilenet_v3_large", NULL, NULL);
    struct totals t = totals_of(spec);
    double macs = t.separable_macs;

    ck_assert_uint_eq(t.n_layers, 15);
    for (size_t i = 0; i < spec->n_layers; i++) {
        const struct dwb_layer *layer = &spec->layers[i];

        for (uint32_t k = 0; k < layer->repeat; k++) {
            uint32_t in = k > 0 ? layer->out_channels : i ? spec->layers[i - 1].out_channels : 16;
            if (i > 0) /* the first bottleneck does not expand */
                macs += 1e-6 * in * layer->in_channels * layer->input_size * layer->input_size;
        }
    }
    macs += stem_macs(0.5, 224) + 1e-6 * 160 * 960 * 7 * 7 + 1e-6 * 960 * 1280 + 1e-6 * 1280 * 1000;
    ck_assert_double_eq_tol(macs, 217, 3);
}
END_TEST

START_TEST(test_example)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = load("example", NULL, NULL);
    struct dwb_theory theory;

    ck_assert(!spec->is_suite);
    ck_assert_uint_eq(spec->n_layers, 1);
    ck_assert_str_eq(spec->layers[0].name, "dws3");
    ck_assert_int_eq(dwb_theory_of(&spec->layers[0], &theory), 0);
    ck_assert_uint_eq(theory.nominal.standard, UINT64_C(9) * 128 * 128 * 56 * 56);
    ck_assert_double_eq_tol(theory.ratio, 1.0 / 128 + 1.0 / 9, 1e-12);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("suites");
    TCase *tcase = tcase_create("papers");
    SRunner *runner;
    int n_failed;

    tcase_add_test(tcase, test_v1_blocks);
    tcase_add_test(tcase, test_chains);
    tcase_add_test(tcase, test_v1_table3);
    tcase_add_test(tcase, test_v1_table4);
    tcase_add_test(tcase, test_v1_table2_stem);
    tcase_add_test(tcase, test_v1_table6_alpha);
    tcase_add_test(tcase, test_v1_table7_resolution);
    tcase_add_test(tcase, test_v2_totals);
    tcase_add_test(tcase, test_v3_large_totals);
    tcase_add_test(tcase, test_example);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
