/*
 * Each allocation fails once, and then each with all behind it: no parser, no route of the API
 * crashes, loses memory or says something untrue. Exit 77 under a sanitizer, whose allocator stays.
 */

#include "common/cleanup.h"
#include "common/spec.h"
#include "daemon/config.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/world.h"
#include "tests/unit/heap.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#define ALLOCATIONS_MAX 20000
#define A_LAYER                                                                                    \
    "\"layer\":{\"name\":\"a\",\"Dk\":3,\"Dx\":8,\"M\":8,\"N\":8,\"stride\":1,"                    \
    "\"padding\":\"same\",\"repeat\":1}"

/* The text is a path. */
static int target_config_file(const char *path, size_t length, struct dwb_diags *diags)
{
    struct dwb_config config;

    memset(diags, 0, sizeof(*diags));
    dwb_config_init(&config);
    return dwb_config_read(&config, path, diags);
}

static const struct input {
    dwb_target_fn *fn;
    const char *text;
} inputs[] = {
    {dwb_target_spec, "{name: a, Dk: 3, Dx: 8, M: 8, N: 8, backends: [native, onednn]}"},
    {dwb_target_spec, "defaults: {M: 8, N: 8}\nalpha: 0.5\nresolution: 112\nlayers:\n"
                      "- {Dk: 3, Dx: 8, stride: 2}\n- {Dk: 1, Dx: 8, padding: valid}\n"},
    {dwb_target_spec, "Dk: *a\nDx: &b [1, {c: d}]\nM: 0\nM: 1\n? [k]\n: v\n"},
    {dwb_target_flag, "Dk=3,Dx=8,M=8,N=8,budget=1s"},
    {dwb_target_flag, "Dk=3,Dk=3"},
    {dwb_target_spec, "Dk: 1\nDx: 1\nM: 1\nN: 1\na: 'plugin:a.so'\nb: [kernel:mine, +1/50]\n"
                      "operations: [pointwise]\ndelta: 1%\nsimulate: false\n"},
    {dwb_target_spec, "Dk: 1\nDx: 1\nM: 1\nN: 1\nplugin: a.so\nsimulate: true\nname: \"x\\ty\"\n"
                      "geometry: 32768,8,64/49152,12,64/33554432,16,64\n"},
    {dwb_target_spec, "alpha: 0.5\nlayers: &a\n- *a\n- [1, 2, 3, 4]\nname: [x]\ndefaults: 1\n"},
    {dwb_target_flag, "Dk=1,Dx=1,M=1,N=1,a=native,b=native"},
    {target_config_file, "/dev/null"},
    {dwb_target_config, "socket: /run/a\nadmins: [1, x]\nhttp: {head_max: 8KiB}\n"},
    {dwb_target_record,
     "{\"type\":\"replicate\",\"schema\":\"dwbench.replicate/"
     "1\",\"layer\":{\"name\":\"a\",\"Dk\":3,"
     "\"Dx\":8,\"M\":8,\"N\":8,\"stride\":1,\"padding\":\"same\",\"repeat\":1},\"replicate\":0,"
     "\"cpu\":1,\"seed\":\"18446744073709551615\",\"cache\":\"warm\",\"elapsed_ns\":5,"
     "\"kernel_ns\":4,\"subjects\":[{\"operation\":\"standard\",\"backend\":\"native\","
     "\"isa\":\"avx2\",\"kernel\":\"k\",\"algorithm\":\"direct\",\"level\":\"\",\"macs_nominal\":9,"
     "\"macs_executed\":9,\"bytes\":0,\"verified\":1,\"mismatched\":0,\"worst_error\":null}],"
     "\"samples\":[[0,0,0,1,9,9,0]],\"counters\":[{\"name\":\"c\",\"event\":\"\",\"unit\":\"\","
     "\"source\":\"software\",\"reason\":\"\",\"outcome\":\"counted\",\"overhead\":3}],"
     "\"readings\":[[0,0,0,1,7]],\"environment\":{\"a\":1},\"simulation\":{\"tool\":\"t\","
     "\"note\":\"\",\"origin\":\"given\",\"geometry\":\"32768,8,64/49152,12,64/33554432,16,64\","
     "\"items\":[{\"subject\":0,\"kernel\":\"k\",\"isa\":\"avx2\",\"reason\":\"\","
     "\"counts\":[5,4,3,2,1]}]}}"},
    {dwb_target_record,
     "{\"type\":\"replicate\",\"schema\":\"dwbench.replicate/"
     "1\",\"layer\":{\"name\":\"a\",\"Dk\":3,"
     "\"Dx\":8,\"M\":8,\"N\":8,\"stride\":1,\"padding\":\"same\",\"repeat\":1},\"replicate\":0,"
     "\"cpu\":1,\"seed\":1,\"cache\":\"cold\",\"elapsed_ns\":5,"
     "\"kernel_ns\":4,\"subjects\":[{\"operation\":\"standard\",\"backend\":\"native\","
     "\"isa\":\"avx2\",\"kernel\":\"k\",\"algorithm\":\"direct\",\"level\":\"\",\"macs_nominal\":9,"
     "\"macs_executed\":9,\"bytes\":0,\"verified\":1,\"mismatched\":0,\"worst_error\":0.5,"
     "\"side\":\"b\"}],\"samples\":[],\"counters\":[{\"name\":\"c\",\"event\":\"\",\"unit\":\"\","
     "\"source\":null,\"reason\":\"r\",\"outcome\":\"no_pmu\",\"overhead\":null}],"
     "\"readings\":[],\"environment\":{},\"omissions\":[{\"operation\":\"standard\","
     "\"backend\":\"a.so\",\"reason\":\"r\"}],\"simulation\":{\"tool\":\"t\","
     "\"note\":\"\",\"origin\":\"given\",\"geometry\":\"32768,8,64/49152,12,64/33554432,16,64\","
     "\"items\":[{\"subject\":0,\"kernel\":\"k\",\"isa\":\"avx2\",\"reason\":\"r\","
     "\"counts\":null}]}}"},
    {dwb_target_request,
     "{" A_LAYER ",\"isa\":\"avx2\",\"cache\":\"cold\",\"slice_ns\":5000000,"
     "\"seed\":\"18446744073709551615\",\"replicate\":7,\"cpu\":null,\"simulate\":true,"
     "\"backends\":\"native\",\"plugin\":\"a.so\",\"plugin_dir\":\"/\","
     "\"geometry\":\"32768,8,64/49152,12,64/33554432,16,64\"}"},
    {dwb_target_request,
     "{" A_LAYER ",\"a\":\"native\",\"b\":\"kernel:mine,+1/50\",\"operations\":\"standard\"}"},
    {dwb_target_request, "{\"layer\":[{\"Dk\":3}],\"isa\":1,\"cpu\":[1],\"x\":\"a long text\"}"},
};

START_TEST(parsers)
{
    static struct dwb_diags diags;
    const struct input *input = &inputs[_i];
    int expected = input->fn(input->text, strlen(input->text), &diags);
    unsigned long n = 0;

    dwb_target_memory_may_fail = true;
    for (int all = 0; all < 2; all++) {
        bool failed = true;

        for (n = 1; failed && n < ALLOCATIONS_MAX; n++) {
            size_t before = heap_blocks();

            heap_fail_at(n, all);
            int r = input->fn(input->text, strlen(input->text), &diags);
            failed = heap_has_failed();
            heap_fail_at(0, false);
            ck_assert_msg(r == expected || (failed && (r == -ENOMEM || r == -EINVAL)),
                          "allocation %lu: %d", n, r);
            ck_assert_msg(heap_blocks() == before, "allocation %lu: %zu blocks are lost", n,
                          heap_blocks() - before);
        }
        ck_assert_uint_gt(n, 2);
        ck_assert_uint_lt(n, ALLOCATIONS_MAX);
    }
}
END_TEST

#define HEAD "HTTP/1.1\r\nHost: l\r\n"

static const char *const requests[] = {
    "GET /healthz " HEAD "\r\n",
    "GET /metrics " HEAD "\r\n",
    "GET /metrics " HEAD "Accept: application/openmetrics-text\r\n\r\n",
    "GET /v1/info " HEAD "\r\n",
    "GET /v1/jobs?limit=1 " HEAD "\r\n",
    "GET /v1/jobs?limit=0 " HEAD "\r\n",
    "GET /v1/jobs/{JOB} " HEAD "\r\n",
    "GET /v1/jobs/{JOB}/events " HEAD "\r\n",
    "GET /v1/jobs/{JOB}/result " HEAD "\r\n",
    "GET /v1/jobs/{DONE}/events " HEAD "\r\n",
    "GET /v1/jobs/{DONE}/result " HEAD "\r\n",
    "GET /nowhere " HEAD "\r\n",
    "PUT /v1/jobs " HEAD "\r\n",
    "GET /healthz " HEAD "Host: m\r\n\r\n",
    "POST /v1/jobs " HEAD "Content-Length: 1\r\n\r\nx",
    "POST /v1/jobs " HEAD "Content-Length: 9999999\r\n\r\nx",
    "DELETE /v1/jobs/{DONE} " HEAD "\r\n",
    "DELETE /v1/jobs/{JOB} " HEAD "\r\n",
    "POST /v1/jobs " HEAD "Idempotency-Key: k\r\nContent-Length: 27\r\n\r\n"
    "{\"Dk\":3,\"Dx\":8,\"M\":8,\"N\":8}",
    "POST /v1/jobs " HEAD "Transfer-Encoding: chunked\r\n\r\n1b\r\n"
    "{\"Dk\":3,\"Dx\":8,\"M\":8,\"N\":8}\r\n0\r\n\r\n",
};

static unsigned long fail_at;

static void arm(void)
{
    heap_fail_at(fail_at, false);
}

/* An answer is whole or there is none. */
START_TEST(routes)
{
    char text[4096];
    const char *answer;
    bool failed = true;
    size_t n;

    signal(SIGPIPE, SIG_IGN);
    dwb_world_stall_ns = 200000000;
    for (fail_at = 1; failed && fail_at < ALLOCATIONS_MAX; fail_at++) {
        if (fail_at % 40 == 1) { /* fresh: jobs have come */
            dwb_world_close();
            dwb_world_open();
        }
        n = dwb_world_fill_in(requests[_i], strlen(requests[_i]), text, sizeof(text));
        n = dwb_world_exchange(text, n, arm, &answer);
        failed = heap_has_failed();
        heap_fail_at(0, false);
        ck_assert_msg(n == 0 || (n > 12 && memcmp(answer, "HTTP/1.1 ", 9) == 0),
                      "allocation %lu: %.*s", fail_at, (int)n, answer);
        n = dwb_world_fill_in(requests[0], strlen(requests[0]), text, sizeof(text));
        n = dwb_world_exchange(text, n, NULL, &answer);
        ck_assert_msg(n > 12 && memcmp(answer, "HTTP/1.1 200", 12) == 0,
                      "allocation %lu: then %.*s", fail_at, (int)n, answer);
    }
    dwb_world_close();
    ck_assert_uint_gt(fail_at, 2);
    ck_assert_uint_lt(fail_at, ALLOCATIONS_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("alloc_faults");
    TCase *tests = tcase_create("alloc_faults");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    if (!heap_is_watched()) {
        puts("a sanitizer has the allocator");
        return 77;
    }
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, parsers, 0, sizeof(inputs) / sizeof(inputs[0]));
    tcase_add_loop_test(tests, routes, 0, sizeof(requests) / sizeof(requests[0]));
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
