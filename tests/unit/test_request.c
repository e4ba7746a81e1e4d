/* The worker's request: what is taken, and that everything else is refused with its name. */

#include "measure/request.h"

#include "common/cleanup.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LAYER                                                                                      \
    "\"layer\":{\"name\":\"a\",\"Dk\":3,\"Dx\":56,\"M\":128,\"N\":64,\"stride\":2,"                \
    "\"padding\":\"same\",\"repeat\":1,\"Dy\":28}"

static int parse(const char *text, struct dwb_diags *diags, struct dwb_request *ret_request)
{
    return dwb_request_parse(text, strlen(text), diags, ret_request);
}

START_TEST(test_full)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    struct dwb_request request;

    ck_assert_int_eq(parse("{" LAYER ",\"isa\":\"avx2\",\"cache\":\"cold\",\"slice_ns\":5000000,"
                           "\"seed\":\"18446744073709551615\",\"replicate\":7,\"cpu\":1,"
                           "\"simulate\":true,\"plugin\":\"a.so,b.so\",\"plugin_dir\":\"/tmp\","
                           "\"geometry\":\"32768,8,64/49152,12,64/33554432,16,64\"}",
                           diags, &request),
                     0);
    ck_assert_str_eq(request.layer.name, "a");
    ck_assert_uint_eq(request.layer.out_channels, 64);
    ck_assert_uint_eq(request.layer.stride, 2);
    ck_assert_int_eq(request.isa, DWB_ISA_AVX2);
    ck_assert_int_eq(request.cache, DWB_CACHE_COLD);
    ck_assert_uint_eq(request.slice_ns, 5000000);
    ck_assert_uint_eq(request.seed, UINT64_MAX);
    ck_assert_uint_eq(request.replicate, 7);
    ck_assert_uint_eq(request.cpu, 1);
    ck_assert(request.simulate);
    ck_assert_uint_eq(request.plugins.n, 2);
    ck_assert_str_eq(request.plugins.items[1], "b.so");
    ck_assert_str_eq(request.plugin_dir, "/tmp");
    ck_assert_str_eq(request.geometry, "32768,8,64/49152,12,64/33554432,16,64");
}
END_TEST

START_TEST(test_defaults)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    struct dwb_request request;

    ck_assert_int_eq(parse("{" LAYER ",\"cpu\":null}\n", diags, &request), 0);
    ck_assert_int_eq(request.isa, DWB_ISA_AUTO);
    ck_assert_int_eq(request.cache, DWB_CACHE_WARM);
    ck_assert_uint_eq(request.slice_ns, DWB_REQUEST_SLICE_DEFAULT_NS);
    ck_assert_uint_eq(request.seed, 1);
    ck_assert_uint_eq(request.cpu, DWB_REQUEST_CPU_ANY);
    ck_assert(!request.simulate);
    ck_assert_str_eq(request.geometry, "");
}
END_TEST

START_TEST(test_sides)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    struct dwb_request request;

    ck_assert_int_eq(parse("{" LAYER "}", diags, &request), 0);
    ck_assert(!request.compares);
    ck_assert_int_eq(parse("{" LAYER ",\"operations\":\"standard\"}", diags, &request), 0);
    ck_assert(!request.compares);
    ck_assert_int_eq(
        parse("{" LAYER ",\"a\":\"native,avx2\",\"b\":\"kernel:mine,+1/50\"}", diags, &request), 0);
    ck_assert(request.compares);
    ck_assert_int_eq(request.a.isa, DWB_ISA_AVX2);
    ck_assert_int_eq(request.b.kind, DWB_SIDE_KERNEL);
    ck_assert_str_eq(request.b.name, "mine");
    ck_assert_uint_eq(request.b.extra_every, 50);
    ck_assert_uint_eq(request.operations, 1u << DWB_OPERATION_STANDARD |
                                              1u << DWB_OPERATION_DEPTHWISE |
                                              1u << DWB_OPERATION_POINTWISE);
    ck_assert_int_eq(parse("{" LAYER ",\"operations\":\"separable,separable_fused\","
                           "\"b\":\"native\",\"a\":\"onednn\"}",
                           diags, &request),
                     0);
    ck_assert_uint_eq(request.operations,
                      1u << DWB_OPERATION_SEPARABLE | 1u << DWB_OPERATION_SEPARABLE_FUSED);
    ck_assert_int_eq(request.a.kind, DWB_SIDE_ONEDNN);
    ck_assert_int_eq(parse("{" LAYER ",\"a\":\"native\",\"b\":\"plugin:x.so\","
                           "\"plugin\":\"x.so\",\"plugin_dir\":\"/tmp\"}",
                           diags, &request),
                     0);
    ck_assert_str_eq(request.b.name, "x.so");
}
END_TEST

static const struct {
    const char *text, *field;
} bad[] = {
    {"{" LAYER ",\"a\":\"native\"}", "b"},
    {"{" LAYER ",\"b\":\"native\"}", "a"},
    {"{" LAYER ",\"a\":\"\",\"b\":\"native\"}", "a"},
    {"{" LAYER ",\"a\":1,\"b\":\"native\"}", "a"},
    {"{" LAYER ",\"a\":\"native\",\"b\":[\"native\"]}", "b"},
    {"{" LAYER ",\"a\":\"native\",\"b\":\"separable\"}", "a"},
    {"{" LAYER ",\"a\":\"worker:a\",\"b\":\"worker:b\"}", "a"},
    {"{" LAYER ",\"a\":\"native\",\"b\":\"worker:b\"}", "a"},
    {"{" LAYER ",\"a\":\"native\",\"b\":\"native,+1/2\",\"cache\":\"cold\"}", "cache"},
    {"{" LAYER ",\"a\":\"native\",\"b\":\"native\",\"simulate\":true}", "simulate"},
    {"{" LAYER ",\"a\":\"plugin:x.so\",\"b\":\"native\",\"plugin_dir\":\"/tmp\"}", "a"},
    {"{" LAYER ",\"a\":\"native\",\"b\":\"plugin:x.so\",\"plugin\":\"y.so\","
     "\"plugin_dir\":\"/tmp\"}",
     "b"},
    {"{" LAYER ",\"operations\":\"\"}", "operations"},
    {"{" LAYER ",\"operations\":\"canary\"}", "operations"},
    {"{" LAYER ",\"operations\":7}", "operations"},
    {"{" LAYER ",\"c\":\"native\"}", "c"},
    {"", ""},
    {"{", ""},
    {"[]", ""},
    {"{}", "layer"},
    {"{\"layer\":3}", "layer"},
    {"{\"layer\":{\"Dk\":3}}", "layer"},
    {"{" LAYER ",\"isa\":\"sse\"}", "isa"},
    {"{" LAYER ",\"isa\":1}", "isa"},
    {"{" LAYER ",\"cache\":\"hot\"}", "cache"},
    {"{" LAYER ",\"slice_ns\":0}", "slice_ns"},
    {"{" LAYER ",\"slice_ns\":-1}", "slice_ns"},
    {"{" LAYER ",\"slice_ns\":1.5}", "slice_ns"},
    {"{" LAYER ",\"slice_ns\":9223372036854775807}", "slice_ns"},
    {"{" LAYER ",\"seed\":\"x\"}", "seed"},
    {"{" LAYER ",\"seed\":-1}", "seed"},
    {"{" LAYER ",\"replicate\":4294967296}", "replicate"},
    {"{" LAYER ",\"cpu\":70000}", "cpu"},
    {"{" LAYER ",\"cpu\":\"0\"}", "cpu"},
    {"{" LAYER ",\"slice\":1}", "slice"},
    {"{" LAYER ",\"simulate\":\"true\"}", "simulate"},
    {"{" LAYER ",\"simulate\":1}", "simulate"},
    {"{" LAYER ",\"geometry\":null}", "geometry"},
    {"{" LAYER ",\"geometry\":\"32768,8,64\"}", "geometry"},
    {"{" LAYER ",\"plugin\":\"a.so\"}", "plugin"}, /* and where is it? */
    {"{" LAYER ",\"plugin\":\"../a.so\",\"plugin_dir\":\"/tmp\"}", "plugin"},
    {"{" LAYER ",\"plugin\":7,\"plugin_dir\":\"/tmp\"}", "plugin"},
    {"{" LAYER ",\"plugin_dir\":\"\"}", "plugin_dir"},
    {"{" LAYER "," LAYER "}", ""},
    {"{" LAYER "} trailing", ""},
    {"{\"layer\":{\"name\":\"a\",\"Dk\":5,\"Dx\":3,\"M\":1,\"N\":1,\"stride\":1,"
     "\"padding\":\"valid\",\"repeat\":1,\"Dy\":0}}",
     "layer"},
    {"{\"layer\":{\"name\":\"a\",\"Dk\":3,\"Dx\":4096,\"M\":16384,\"N\":1,\"stride\":1,"
     "\"padding\":\"same\",\"repeat\":1,\"Dy\":4096}}",
     "layer"},
};

START_TEST(test_bad)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    struct dwb_request request = {.seed = 77};

    ck_assert_int_eq(parse(bad[_i].text, diags, &request), -EINVAL);
    ck_assert_uint_eq(request.seed, 77); /* untouched */
    ck_assert_uint_ge(diags->n, 1);
    ck_assert_str_eq(diags->items[0].field, bad[_i].field);
}
END_TEST

START_TEST(test_all_findings)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    struct dwb_request request;

    ck_assert_int_eq(parse("{" LAYER ",\"isa\":1,\"cpu\":-1,\"x\":0}", diags, &request), -EINVAL);
    ck_assert_uint_eq(diags->n, 3);
}
END_TEST

START_TEST(test_flags)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    struct dwb_request request;

    dwb_request_init(&request);
    ck_assert_int_eq(dwb_request_check(&request, diags), -EINVAL); /* no layer yet */
    ck_assert_int_eq(dwb_request_set(&request, "layer", "Dk=3,Dx=7,M=8,N=9", diags), 0);
    ck_assert_int_eq(dwb_request_set(&request, "isa", "portable", diags), 0);
    ck_assert_int_eq(dwb_request_set(&request, "slice", "20ms", diags), 0);
    ck_assert_int_eq(dwb_request_set(&request, "cpu", "0", diags), 0);
    ck_assert_int_eq(dwb_request_set(&request, "replicate", "3", diags), 0);
    ck_assert_int_eq(dwb_request_check(&request, diags), 0);
    ck_assert_uint_eq(request.layer.out_channels, 9);
    ck_assert_uint_eq(request.slice_ns, 20000000);
    ck_assert_uint_eq(request.replicate, 3);
    diags->n = 0;
    ck_assert_int_eq(dwb_request_set(&request, "a", "separable", diags), 0);
    ck_assert_int_eq(dwb_request_check(&request, diags), -EINVAL);
    ck_assert_str_eq(diags->items[0].field, "b");
    ck_assert_int_eq(dwb_request_set(&request, "b", "fused", diags), 0);
    ck_assert_int_eq(dwb_request_set(&request, "operations", "pointwise", diags), 0);
    ck_assert_int_eq(dwb_request_check(&request, diags), 0);
    ck_assert(request.compares);
    ck_assert_int_eq(request.b.form, DWB_OPERATION_SEPARABLE_FUSED);
    ck_assert_uint_eq(request.operations, 1u << DWB_OPERATION_POINTWISE);
    ck_assert_int_eq(dwb_request_set(&request, "a", "x", diags), -EINVAL);
    ck_assert_int_eq(dwb_request_set(&request, "operations", "x", diags), -EINVAL);
    ck_assert_str_eq(diags->items[1].field, "a");
    ck_assert_str_eq(diags->items[2].field, "operations");
    diags->n = 0;
    ck_assert_int_eq(dwb_request_set(&request, "slice", "0s", diags), -EINVAL);
    ck_assert_int_eq(dwb_request_set(&request, "slice", "2h", diags), -EINVAL);
    ck_assert_int_eq(dwb_request_set(&request, "cpu", "-1", diags), -EINVAL);
    ck_assert_int_eq(dwb_request_set(&request, "seed", " 1", diags), -EINVAL);
    ck_assert_int_eq(dwb_request_set(&request, "seed", "1x", diags), -EINVAL);
    ck_assert_uint_eq(diags->n, 5);
    ck_assert_str_eq(diags->items[2].field, "cpu");
}
END_TEST

/* What a person types, and what else they may. */
static const struct {
    const char *flag, *good, *bad;
} typed[] = {
    {"layer", "Dk=3,Dx=7,M=8,N=9", "Dk=3"},
    {"isa", "avx2", "sse"},
    {"cache", "cold", "hot"},
    {"backend", "native,onednn", "mkl"},
    {"plugin", "a.so", "a"},
    {"plugin-dir", "/", "/proc/version"},
    {"geometry", "32768,8,64/49152,12,64/33554432,16,64", "32768"},
    {"slice", "1h", "1"},
    {"seed", "18446744073709551615", "18446744073709551616"},
    {"cpu", "65535", "65536"},
    {"replicate", "4294967295", "4294967296"},
    {"operations", "standard", "canary"},
    {"a", "native", ""},
    {"b", "kernel:mine", "kernel:"},
};

START_TEST(test_typed)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    struct dwb_request request;

    dwb_request_init(&request);
    ck_assert_int_eq(dwb_request_set(&request, typed[_i].flag, typed[_i].good, diags), 0);
    ck_assert_uint_eq(diags->n, 0);
    ck_assert_int_eq(dwb_request_set(&request, typed[_i].flag, typed[_i].bad, diags), -EINVAL);
    ck_assert_uint_ge(diags->n, 1);
    ck_assert(!request.simulate);
    ck_assert_int_eq(dwb_request_set(&request, "simulate", NULL, diags), 0);
    ck_assert(request.simulate);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("request");
    TCase *tests = tcase_create("request");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_test(tests, test_full);
    tcase_add_test(tests, test_defaults);
    tcase_add_test(tests, test_sides);
    tcase_add_loop_test(tests, test_bad, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(tests, test_all_findings);
    tcase_add_test(tests, test_flags);
    tcase_add_loop_test(tests, test_typed, 0, sizeof typed / sizeof typed[0]);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
