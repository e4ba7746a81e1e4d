/*
 * Documents in, specifications or findings out: what is accepted means what it says, what is not is
 * refused with its place, all findings at once; and the limits hold.
 */

#include "common/cleanup.h"
#include "common/spec.h"
#include "common/yaml.h"

#include "spec_fixture.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

START_TEST(test_layer_file)
{
    DWB_CLEANUP(dwb_spec_freep)
    struct dwb_spec *spec = parse("name: dws3  # a comment\nDk: 3\nDx: 56\nM: 128\nN: 256\n"
                                  "stride: 2\npadding: valid\nbudget: 2s\nisa: avx2\n");

    ck_assert_ptr_nonnull(spec);
    ck_assert_str_eq(spec->name, "dws3");
    ck_assert(!spec->is_suite);
    ck_assert_uint_eq(spec->n_layers, 1);
    ck_assert_uint_eq(spec->layers[0].kernel_size, 3);
    ck_assert_uint_eq(spec->layers[0].input_size, 56);
    ck_assert_uint_eq(spec->layers[0].in_channels, 128);
    ck_assert_uint_eq(spec->layers[0].out_channels, 256);
    ck_assert_uint_eq(spec->layers[0].stride, 2);
    ck_assert_int_eq(spec->layers[0].padding, DWB_PADDING_VALID);
    ck_assert_uint_eq(spec->options.budget_ns, 2000000000);
    ck_assert_int_eq(spec->options.isa, DWB_ISA_AVX2);
    ck_assert_uint_eq(spec->options.replicates, DWB_SPEC_REPLICATES_DEFAULT);
}
END_TEST

START_TEST(test_json_and_long_keys)
{
    DWB_CLEANUP(dwb_spec_freep)
    struct dwb_spec *spec = parse("{\"kernel_size\": 5, \"input_size\": 28, \"in_channels\": 72, "
                                  "\"out_channels\": 40, \"precision\": \"1%\"}");

    ck_assert_ptr_nonnull(spec);
    ck_assert_str_eq(spec->name, "k5s1_28x72to40");
    ck_assert_double_eq_tol(spec->options.precision, 0.01, 1e-12);
}
END_TEST

START_TEST(test_backends)
{
    static const char *const wrong[] = {"mkl", "'native,native'", "[]",
                                        "''",  "'native,'",       "[native, [onednn]]"};
    char text[96];

    for (int list = 0; list < 2; list++) {
        DWB_CLEANUP(dwb_spec_freep)
        struct dwb_spec *spec =
            parse(list ? "{Dk: 1, Dx: 1, M: 1, N: 1, backends: [xnnpack, native]}"
                       : "{Dk: 1, Dx: 1, M: 1, N: 1, backends: 'native,xnnpack'}");

        ck_assert_ptr_nonnull(spec);
        ck_assert_uint_eq(spec->options.backends, DWB_BACKEND_NATIVE | DWB_BACKEND_XNNPACK);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), "{Dk: 1, Dx: 1, M: 1, N: 1, backends: %s}", wrong[i]);
        ck_assert_ptr_null(parse(text));
        ck_assert_uint_eq(diags->n, 1);
    }
}
END_TEST

START_TEST(test_plugin)
{
    static const char *const wrong[] = {
        "mine",         "'.so'",      "./mine.so",   "/tmp/mine.so",
        "'mine.so,'",   "''",         "'a.so,a.so'", "[a.so,b.so,c.so]",
        "'.hidden.so'", "'mi ne.so'", "mine.so.1",   "[a.so, [b.so]]"};
    char text[128], name[80];

    for (int list = 0; list < 2; list++) {
        DWB_CLEANUP(dwb_spec_freep)
        struct dwb_spec *spec = parse(list ? "{Dk: 1, Dx: 1, M: 1, N: 1, plugin: [a.so, b-2.so]}"
                                           : "{Dk: 1, Dx: 1, M: 1, N: 1, plugin: 'a.so,b-2.so'}");
        char backend[DWB_BACKEND_NAME_MAX];

        ck_assert_ptr_nonnull(spec);
        ck_assert_uint_eq(spec->options.plugins.n, 2);
        dwb_plugin_backend_name(spec->options.plugins.items[1], backend);
        ck_assert_str_eq(backend, "plugin:b-2");
        json_t *document = dwb_spec_to_json(spec);
        ck_assert_str_eq(json_string_value(json_object_get(document, "plugin")), "a.so,b-2.so");
        json_decref(document);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), "{Dk: 1, Dx: 1, M: 1, N: 1, plugin: %s}", wrong[i]);
        ck_assert_msg(parse(text) == NULL, "%s was taken", wrong[i]);
        ck_assert_uint_eq(diags->n, 1);
    }
    snprintf(name, sizeof(name), "%048d.so", 0); /* the longest, and one more */
    ck_assert(dwb_plugin_name_valid(name));
    snprintf(name, sizeof(name), "%049d.so", 0);
    ck_assert(!dwb_plugin_name_valid(name));
}
END_TEST

START_TEST(test_simulate)
{
    static const char *const wrong[] = {"simulate: yes", "simulate: 1", "simulate: [true]",
                                        "geometry: 1", "geometry: '32768,8,64'"};
    char text[128];
    DWB_CLEANUP(dwb_spec_freep)
    struct dwb_spec *spec = parse("{Dk: 1, Dx: 1, M: 1, N: 1, simulate: true, geometry: "
                                  "'32768,8,64/49152,12,64/33554432,16,64'}");

    ck_assert_ptr_nonnull(spec);
    ck_assert(spec->options.simulate);
    ck_assert_str_eq(spec->options.geometry, "32768,8,64/49152,12,64/33554432,16,64");
    json_t *canonical = dwb_spec_to_json(spec);
    ck_assert(json_is_true(json_object_get(canonical, "simulate")));
    ck_assert_str_eq(json_string_value(json_object_get(canonical, "geometry")),
                     spec->options.geometry);
    json_decref(canonical);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), "{Dk: 1, Dx: 1, M: 1, N: 1, %s}", wrong[i]);
        ck_assert_msg(parse(text) == NULL, "%s", text);
        ck_assert_uint_eq(diags->n, 1);
    }
}
END_TEST

START_TEST(test_suite_file)
{
    DWB_CLEANUP(dwb_spec_freep)
    struct dwb_spec *spec =
        parse("name: net\nalpha: 0.75\nresolution: 192\ndefaults: {Dk: 3, padding: same}\n"
              "layers:\n  - {name: a, Dx: 112, M: 32, N: 64}\n"
              "  - {name: b, Dx: 14, M: 512, N: 512, repeat: 5}\n  - {Dk: 1, Dx: 7, M: 1, N: 1}\n");

    ck_assert_ptr_nonnull(spec);
    ck_assert(spec->is_suite);
    ck_assert_uint_eq(spec->n_layers, 3);
    ck_assert_uint_eq(spec->layers[0].input_size, 96);
    ck_assert_uint_eq(spec->layers[0].in_channels, 24);
    ck_assert_uint_eq(spec->layers[0].out_channels, 48);
    ck_assert_uint_eq(spec->layers[1].input_size, 12);
    ck_assert_uint_eq(spec->layers[1].repeat, 5);
    ck_assert_uint_eq(spec->layers[2].in_channels, 1);
    ck_assert_uint_eq(spec->layers[2].kernel_size, 1);
    ck_assert_uint_eq(spec->declared[0].in_channels, 32);
}
END_TEST

static void check_round_trip(const char *text)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *first = parse(text);
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *second = NULL;
    json_t *once, *twice;
    char *dump;

    ck_assert_ptr_nonnull(first);
    once = dwb_spec_to_json(first);
    dump = json_dumps(once, 0);
    second = parse(dump);
    ck_assert_ptr_nonnull(second);
    twice = dwb_spec_to_json(second);
    ck_assert(json_equal(once, twice));
    ck_assert_uint_eq(first->n_layers, second->n_layers);
    ck_assert_mem_eq(first->layers, second->layers, first->n_layers * sizeof(*first->layers));
    free(dump);
    json_decref(once);
    json_decref(twice);
}

START_TEST(test_canonical_round_trip)
{
    check_round_trip("{Dk: 3, Dx: 56, M: 128, N: 128, seed: 9223372036854775807, cache: cold}");
    check_round_trip(
        "{name: s, alpha: 0.3, resolution: 160, network_resolution: 256, budget: 1.5m,"
        " precision: 0.7%, replicates: 3,"
        " layers: [{Dk: 3, Dx: 56, M: 33, N: 7}, {name: x, Dk: 5, Dx: 9, M: 1, N: 1}]}");
}
END_TEST

START_TEST(test_every_finding_at_once)
{
    ck_assert_ptr_null(parse("Dk: 12\nDx: -4\nM: 0\nN: 99999999999999999999999\ncolour: red\n"
                             "stride: 1.5\npadding: half\nisa: sse2\nbudget: 6\n"));
    ck_assert_uint_eq(diags->n, 9);
    ck_assert(found(1, 5, "Dk", "from 1 to 11"));
    ck_assert(found(2, 5, "Dx", "from 1 to 4096"));
    ck_assert(found(3, 4, "M", "from 1 to 16384"));
    ck_assert(found(4, 4, "N", "from 1 to 16384"));
    ck_assert(found(5, 1, "colour", "not a known key"));
    ck_assert(found(6, 9, "stride", "from 1 to 4"));
    ck_assert(found(7, 10, "padding", "same or valid"));
    ck_assert(found(8, 6, "isa", "portable"));
    ck_assert(found(9, 9, "budget", "with its unit"));
}
END_TEST

START_TEST(test_kind_findings)
{
    ck_assert_ptr_null(parse("dk: 3\nDx: 8\nM: 8\nN: 8\n"));
    ck_assert(found(1, 1, "dk", "did you mean Dk?"));
    ck_assert(found(1, 1, "Dk", "is missing"));

    ck_assert_ptr_null(parse("Dk: 3\nDx: 8\nM: 8\nN: 8\nkernel_size: 3\n"));
    ck_assert(found(5, 1, "kernel_size", "says the same as 'Dk' at line 1"));

    ck_assert_ptr_null(parse("Dk: 5\nDx: 3\nM: 8\nN: 8\npadding: valid\n"));
    ck_assert(found(1, 1, "k5s1_3x8to8_valid", "leaves no output"));

    ck_assert_ptr_null(parse("Dk: [3]\nDx: '8'\nM: {a: 1}\nN: 8\n"));
    ck_assert(found(1, 5, "Dk", "single value"));
    ck_assert(found(2, 5, "Dx", "without quotes"));
    ck_assert(found(3, 4, "M", "single value"));

    ck_assert_ptr_null(
        parse("layers:\n- {Dk: 3, Dx: 8, M: 8, N: 8}\n- {Dk: 3, Dx: 8, M: 8}\n- 7\n"));
    ck_assert(found(3, 3, "layers[1].N", "is missing"));
    ck_assert(found(4, 3, "layers[2].", "must be a mapping"));

    ck_assert_ptr_null(parse("layers: []\n"));
    ck_assert(found(1, 9, "layers", "1 to 256"));

    ck_assert_ptr_null(parse("layers: [{name: a, Dk: 1, Dx: 1, M: 1, N: 1}, "
                             "{name: a, Dk: 1, Dx: 2, M: 1, N: 1}]"));
    ck_assert(found(1, 47, "layers[1].name", "another layer's name"));

    ck_assert_ptr_null(parse("Dk: 3\nDx: 4096\nM: 16384\nN: 1\n"));
    ck_assert(found(1, 1, "k3s1_4096x16384to1", "too large"));

    ck_assert_ptr_null(parse("Dk: 3\nDx: 8\nM: 8\nN: 8\nalpha: 0.5\n"));
    ck_assert(found(5, 8, "alpha", "for suites"));
}
END_TEST

/* Every one of these is refused with at least one finding, and none crashes or hangs. */
static const char *const hostile[] = {
    "",
    " ",
    "\n",
    "---\n",
    "3",
    "[]",
    "null",
    "~",
    "{",
    "}",
    "[",
    "a: b: c",
    "\t",
    "{a: 1",
    "- - - -",
    "Dk: &x 3\nDx: *x\nM: 1\nN: 1\n",
    "Dk: !!int 3\nDx: 1\nM: 1\nN: 1\n",
    "Dk: 3\nDk: 3\nDx: 1\nM: 1\nN: 1\n",
    "Dk: .nan\nDx: 1\nM: 1\nN: 1\n",
    "Dk: .inf\nDx: 1\nM: 1\nN: 1\n",
    "Dk: 0x3\nDx: 1\nM: 1\nN: 1\n",
    "Dk: 3\n---\nDk: 3\n",
    "Dk: +3\nDx: 1\nM: 1\nN: 1\n",
    "Dk: 3 4\nDx: 1\nM: 1\nN: 1\n",
    "Dk: 1e0\nDx: 1\nM: 1\nN: 1\n",
    "Dk: \"3\"\nDx: 1\nM: 1\nN: 1\n",
    "<<: {Dk: 3}\nDx: 1\nM: 1\nN: 1\n",
    "? [a]\n: 3\n",
    "%YAML 9.9\n---\nDk: 3\n",
    "Dk: 3\nDx: 1\nM: 1\nN: 1\nname: \"a\\0b\"\n",
    "Dk: 3\nDx: 1\nM: 1\nN: 1\nname: ../../etc/passwd\n",
    "Dk: 3\nDx: 1\nM: 1\nN: 1\nname: ''\n",
    "Dk: 3\nDx: 1\nM: 1\nN: 1\nbudget: -1s\n",
    "Dk: 3\nDx: 1\nM: 1\nN: 1\nbudget: nan s\n",
    "Dk: 3\nDx: 1\nM: 1\nN: 1\nprecision: inf\n",
    "Dk: 3\nDx: 1\nM: 1\nN: 1\nbudget: 0x1p9s\n",
    "Dk: 3\nDx: 1\nM: 1\nN: 1\nbudget: 1.2.3s\n",
    "Dk: 3\nDx: 1\nM: 1\nN: 1\nseed: -1\n",
    "Dk: 3\nDx: 1\nM: 1\nN: 1\nseed: 9223372036854775808\n",
    "\xff\xfe",
    "Dk: \xc3\x28\n",
    "Dk: 3\nDx: 1\nM: 1\nN: 1\n\x01: 2\n",
    "layers: 3\n",
    "layers: {a: 1}\n",
    "layers: [{Dk: 1, Dx: 1, M: 1, N: 1}]\nalpha: 0\n",
    "layers: [{Dk: 1, Dx: 1, M: 16384, N: 1}]\nalpha: 4\n",
    "layers: [{Dk: 1, Dx: 4096, M: 1, N: 1}]\nresolution: 4096\n",
    "layers: [{Dk: 1, Dx: 1, M: 1, N: 1}]\ndefaults: 3\n",
    "layers: [{Dk: 1, Dx: 1, M: 1, N: 1, isa: avx2}]\n",
    "layers: [{Dk: 1, Dx: 1, M: 1, N: 1}]\ndefaults: {name: x}\n",
};

START_TEST(test_hostile)
{
    ck_assert_ptr_null(parse(hostile[_i]));
    ck_assert_uint_gt(diags->n, 0);
    ck_assert_str_ne(diags->items[0].message, "");
}
END_TEST

START_TEST(test_limits)
{
    char *large = malloc(DWB_YAML_BYTES_MAX + 2);
    char deep[2 * DWB_YAML_DEPTH_MAX + 8] = "";
    struct dwb_spec *spec = NULL;

    ck_assert_ptr_nonnull(large);
    memset(large, ' ', DWB_YAML_BYTES_MAX + 1);
    memcpy(large, "Dk: 3", 5);
    ck_assert_int_eq(dwb_spec_parse(large, DWB_YAML_BYTES_MAX + 1, diags, &spec), -EINVAL);
    ck_assert(strstr(diags->items[0].message, "65536"));

    for (int i = 0; i <= DWB_YAML_DEPTH_MAX; i++)
        strcat(deep, "[");
    ck_assert_ptr_null(parse(deep));
    ck_assert(strstr(diags->items[0].message, "deeper than 16"));

    memset(large, 0, DWB_YAML_BYTES_MAX + 1);
    strcpy(large, "[");
    for (int i = 0; i < DWB_YAML_EVENTS_MAX; i++)
        memcpy(large + 1 + 2 * i, "1,", 2);
    ck_assert_ptr_null(parse(large));
    ck_assert(strstr(diags->items[0].message, "more than 4096"));
    free(large);
}
END_TEST

START_TEST(test_findings_are_capped)
{
    char text[4096] = "";

    for (int i = 0; i < DWB_DIAGS_MAX + 10; i++)
        sprintf(text + strlen(text), "unknown%d: 1\n", i);
    ck_assert_ptr_null(parse(text));
    ck_assert_uint_eq(diags->n, DWB_DIAGS_MAX);
    ck_assert_uint_eq(diags->n_dropped, 10 + 4); /* and the four missing fields */
}
END_TEST

START_TEST(test_flag)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = NULL;
    static const char *const wrong[] = {"",
                                        "Dk",
                                        "Dk=3,",
                                        "Dk=3,Dx=5,M=1,N=1,N=2",
                                        "Dk=3}, x: {a=1",
                                        "Dk=3,Dx=5,M=1",
                                        "=3",
                                        "Dk==3,Dx=5,M=1,N=1"};

    ck_assert_int_eq(
        dwb_spec_parse_flag("Dk=3,Dx=56,M=128,N=128,stride=2,budget=1s,name=mine", diags, &spec),
        0);
    ck_assert_str_eq(spec->name, "mine");
    ck_assert_uint_eq(spec->layers[0].stride, 2);
    ck_assert_uint_eq(spec->options.budget_ns, 1000000000);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct dwb_spec *none = NULL;

        memset(diags, 0, sizeof(*diags));
        ck_assert_int_eq(dwb_spec_parse_flag(wrong[i], diags, &none), -EINVAL);
        ck_assert_uint_gt(diags->n, 0);
    }
}
END_TEST

START_TEST(test_set)
{
    DWB_CLEANUP(dwb_spec_freep)
    struct dwb_spec *spec = parse("layers: [{Dk: 3, Dx: 56, M: 100, N: 10}]");

    ck_assert_int_eq(dwb_spec_set(spec, "alpha", "0.5", diags), 0);
    ck_assert_uint_eq(spec->layers[0].in_channels, 50);
    ck_assert_int_eq(dwb_spec_set(spec, "alpha", "25%", diags), 0);
    ck_assert_uint_eq(spec->layers[0].in_channels, 25);
    ck_assert_int_eq(dwb_spec_set(spec, "alpha", "x", diags), -EINVAL);
    ck_assert_int_eq(dwb_spec_set(spec, "name", "x", diags), -EINVAL);
    ck_assert_uint_eq(diags->n, 2);
    ck_assert_int_eq(dwb_spec_set(spec, "precision", "2%", diags), 0);
    ck_assert_int_eq(dwb_spec_set(spec, "precision", "99%", diags), -EINVAL); /* not taken back */
    ck_assert(spec->options.precision_given);
    ck_assert_int_eq(dwb_spec_set(spec, "a", "native", diags), 0);
    ck_assert_int_eq(dwb_spec_set(spec, "a", "x", diags), -EINVAL);
    ck_assert(spec->options.has_a);
    ck_assert_double_eq_tol(spec->options.precision, 0.02, 1e-12);
}
END_TEST

START_TEST(test_key_of_what_has_no_keys)
{
    DWB_CLEANUP(dwb_yaml_freep) struct dwb_yaml_node *root = NULL;

    ck_assert_int_eq(dwb_yaml_parse("[a]", 3, diags, &root), 0);
    ck_assert_ptr_null(dwb_yaml_get(root, "a"));
}
END_TEST

START_TEST(test_escape)
{
    char buffer[16];

    dwb_escape(buffer, sizeof(buffer), "a\nb\x1b[", 5);
    ck_assert_str_eq(buffer, "a\\x0ab\\x1b[");
    dwb_escape(buffer, sizeof(buffer), "caf\xc3\xa9", 5);
    ck_assert_str_eq(buffer, "caf\xc3\xa9");
    dwb_escape(buffer, sizeof(buffer), "\xe2\x80\xae", 3); /* right-to-left override */
    ck_assert_str_eq(buffer, "\\xe2\\x80\\xae");
    dwb_escape(buffer, sizeof(buffer), "0123456789abcdef0", 17);
    ck_assert_str_eq(buffer, "0123456789ab...");
    dwb_escape(buffer, sizeof(buffer), "0123456789abcde", 15);
    ck_assert_str_eq(buffer, "0123456789abcde");
    dwb_escape(buffer, 1, "abc", 3);
    ck_assert_str_eq(buffer, "");
}
END_TEST

START_TEST(test_units)
{
    uint64_t ns;
    double fraction;
    static const char *const wrong[] = {"", "s", "5", "1 s", "-1s", "inf", "1e3s", "0x1s", "1..s"};

    ck_assert_int_eq(dwb_duration_parse("1.5m", &ns), 0);
    ck_assert_uint_eq(ns, UINT64_C(90000000000));
    ck_assert_int_eq(dwb_duration_parse("250us", &ns), 0);
    ck_assert_uint_eq(ns, 250000);
    ck_assert_int_eq(dwb_duration_parse("99999999999999999h", &ns), -ERANGE);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_int_lt(dwb_duration_parse(wrong[i], &ns), 0);
    ck_assert_int_eq(dwb_fraction_parse("0.5%", &fraction), 0);
    ck_assert_double_eq_tol(fraction, 0.005, 1e-15);
    ck_assert_int_eq(dwb_fraction_parse("nan", &fraction), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spec");
    TCase *tests = tcase_create("spec");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_layer_file);
    tcase_add_test(tests, test_json_and_long_keys);
    tcase_add_test(tests, test_backends);
    tcase_add_test(tests, test_plugin);
    tcase_add_test(tests, test_simulate);
    tcase_add_test(tests, test_suite_file);
    tcase_add_test(tests, test_canonical_round_trip);
    tcase_add_test(tests, test_every_finding_at_once);
    tcase_add_test(tests, test_kind_findings);
    tcase_add_loop_test(tests, test_hostile, 0, sizeof(hostile) / sizeof(hostile[0]));
    tcase_add_test(tests, test_limits);
    tcase_add_test(tests, test_findings_are_capped);
    tcase_add_test(tests, test_flag);
    tcase_add_test(tests, test_set);
    tcase_add_test(tests, test_key_of_what_has_no_keys);
    tcase_add_test(tests, test_escape);
    tcase_add_test(tests, test_units);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
