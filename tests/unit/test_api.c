/*
 * Every answer of the API, in one process: the real server, routes and store (tests/fuzz/world.h),
 * and in place of what no test can have at will (a probed machine, a disk that fails, another user,
 * a call that comes in between) functions that say what the row of a table wants. The linker puts
 * them there (--wrap).
 */

#include "daemon/api.h"
#include "daemon/problem.h"
#include "tests/fuzz/world.h"
#include "tests/unit/api_fixture.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define LAYER  "'Dk':3,'Dx':8,'M':8,'N':8"
#define NOBODY "00000000000000000000"
/* Entries that say nothing are passed over. */
#define MACHINE                                                                                    \
    "{'isas':[7,'portable','neon'],'backends':[{'name':'native','available':true,'reason':''},"    \
    "{'name':'onednn'},{'available':false},{'name':'xnnpack','available':false},"                  \
    "{'name':'strange','available':false,'reason':'r'},"                                           \
    "{'name':'onednn','available':false,'reason':'was not built in'}],"                            \
    "'counters':[{'name':'cycles','source':null,'reason':'no PMU','outcome':'no_pmu'}]}"
#define SIMULATES(is) "{'simulation':{'available':" is "}}"

/* In order: a row may stand on what an earlier one has left. */
static const struct row {
    const char *request; /* or the body of a POST of a job, with ' for " */
    const char *field;   /* of the head; NULL = none */
    unsigned status;
    const char *part; /* of the answer */
    struct api_says says;
} rows[] = {
    /* the server */
    {"GET /healthz", NULL, 200, "ok", {0}},
    {"HEAD /healthz", NULL, 200, "", {0}},
    {"DELETE /healthz", NULL, 405, "Allow: GET, HEAD", {0}},
    {"PATCH /healthz", NULL, 405, "method_not_allowed", {0}},
    {"GET /healthz", NULL, 503, "the store has failed", {.store_failed = -EIO}},
    {"GET /healthz", NULL, 503, "draining", {.draining = true}},
    {"GET /metrics", NULL, 200, "dwbench_", {0}},
    {"GET /metrics", NULL, 200, "no_pmu", {.machine = MACHINE}},
    {"GET /metrics", NULL, 500, "no memory", {.metrics = -ENOMEM}},
    {"GET /v1/info", NULL, 200, "\"machine\":null", {0}},
    {"GET /v1/info", NULL, 200, "\"isas\":[7,", {.machine = MACHINE}},
    {"GET /v1/info", NULL, 200, "it hangs", {.probe_error = "it hangs"}},
    {"GET /v1/info", NULL, 200, "io_uring is not available: ", {.fallback = -EPERM}},
    {"GET /v1/info", NULL, 200, "cannot be opened", {.plugin_dir = "/nonexistent"}},
    {"GET /v1/info", NULL, 200, "\"good.so\",\"available\":true", {.plugin_dir = "@"}},
    {"GET /healthz", "Host: m", 400, "invalid_header", {0}},
    {"GET /healthz", "Content-Length: 99999999", 413, "too_large", {0}},
    {"GET /healthz", "X: " API_9000_BYTES, 431, "head_too_large", {0}},
    {"GET /healthz", NULL, 429, "quota_conn", {.refusal = DWB_HTTP_TOO_MANY_CONNECTIONS}},
    {"GET /nowhere", NULL, 404, "there is nothing at /nowhere", {0}},
    {"GET /v1/baselines/x", NULL, 404, "not_found", {0}},
    {"POST /v1/baselines/x", NULL, 405, "GET, HEAD, PUT, DELETE", {0}},
    {"GET /v1/jobs/x/y", NULL, 404, "there is nothing at", {0}},
    {"DELETE /v1/jobs/{JOB}/events", NULL, 405, "method_not_allowed", {0}},
    {"PUT /v1/jobs/{JOB}", NULL, 405, "GET, HEAD, DELETE", {0}},
    {"PUT /v1/jobs", NULL, 405, "GET, HEAD, POST", {0}},
    {"GET /v1/jobs/short", NULL, 404, "no such job", {0}},
    {"GET /v1/jobs/OOOOOOOOOOOOOOOOOOOO", NULL, 404, "no such job", {0}},
    {"GET /v1/jobs/" NOBODY "0", NULL, 404, "no such job", {0}},

    /* jobs */
    {"GET /v1/jobs/" NOBODY, NULL, 404, "no such job", {0}},
    {"GET /v1/jobs/{JOB}", NULL, 200, "\"queue_position\":1,\"progress\":null", {0}},
    {"GET /v1/jobs/{DONE}", NULL, 200, "\"queue_position\":null", {0}},
    {"GET /v1/jobs/{JOB}", NULL, 200, "\"layers_done\":3", {.running = true}},
    {"GET /v1/jobs/{JOB}", NULL, 507, "store_full", {.get_job = -ENOSPC}},
    {"GET /v1/jobs/{JOB}", NULL, 500, "no memory", {.get_job = -ENOMEM}},
    {"GET /v1/jobs/{JOB}", NULL, 503, "store_failed", {.get_job = -EIO}},
    {"GET /v1/jobs?state=lost", NULL, 400, "state must be", {0}},
    {"GET /v1/jobs?state=done", NULL, 200, "\"next\":null", {0}},
    {"GET /v1/jobs?limit=0", NULL, 400, "limit must be", {0}},
    {"GET /v1/jobs?limit=1001", NULL, 400, "limit must be", {0}},
    {"GET /v1/jobs?limit=-1", NULL, 400, "limit must be", {0}},
    {"GET /v1/jobs?limit=x", NULL, 400, "limit must be", {0}},
    {"GET /v1/jobs?limit=5x", NULL, 400, "limit must be", {0}},
    {"GET /v1/jobs?limit=1", NULL, 200, "\"next\":\"", {0}},
    {"GET /v1/jobs?after=x", NULL, 400, "after must be", {0}},
    {"GET /v1/jobs?after={JOB}", NULL, 200, "\"jobs\":[", {0}},
    {"GET /v1/jobs", NULL, 503, "store_failed", {.list_jobs = -EIO}},
    {"GET /v1/jobs/{JOB}/result", NULL, 409, "no result yet", {0}},
    {"GET /v1/jobs/{DONE}/result", NULL, 200, "{\"schema\":\"x\"}", {0}},
    {"GET /v1/jobs/{DONE}/result", NULL, 503, "store_failed", {.get_result = -EIO}},
    {"GET /v1/jobs/{DONE}/result", NULL, 503, "store_failed", {.get_job = -EIO}},

    /* events */
    {"HEAD /v1/jobs/{JOB}/events", NULL, 200, "application/x-ndjson", {0}},
    {"GET /v1/jobs/{JOB}/events", NULL, 200, "", {.listen = -ENOENT}},
    {"GET /v1/jobs/{DONE}/events", NULL, 200, "\"result\"", {0}},
    {"GET /v1/jobs/{DONE}/events", NULL, 200, "\"layer_index\":7", {.replicates = true}},
    {"GET /v1/jobs/{DONE}/events", NULL, 503, "store_failed", {.list_replicates = {-EIO}}},
    {"GET /v1/jobs/{DONE}/events", NULL, 503, "store_failed", {.list_replicates = {0, -EIO}}},
    {"GET /v1/jobs/{DONE}/events", NULL, 503, "store_failed", {.spec = "{}"}},

    /* submitting: documents, keys, the store */
    {"{'Dk':3", NULL, 400, "1 finding in", {0}},
    {"{'Dk':0,'Dx':0,'M':8,'N':8}", NULL, 400, "2 findings in", {0}},
    {"{" LAYER "}", NULL, 503, "draining", {.draining = true}},
    {"{" LAYER "}", "Idempotency-Key: a b", 400, "visible ASCII", {0}},
    {"{" LAYER "}", "Idempotency-Key: \x80", 400, "visible ASCII", {0}},
    {"{" LAYER "}", "Idempotency-Key:", 400, "visible ASCII", {0}},
    {"{" LAYER "}", "Idempotency-Key: " API_200_BYTES, 400, "visible ASCII", {0}},
    {"{" LAYER "}", "Idempotency-Key: k", 202, "Location: /v1/jobs/", {0}},
    {"{" LAYER "}", "Idempotency-Key: k", 202, "Idempotency-Replayed: true", {0}},
    {"{" LAYER ",'stride':2}", "Idempotency-Key: k", 422, "key_reused", {0}},
    {"{" LAYER "}",
     "Idempotency-Key: k",
     202,
     "Idempotency-Replayed: true",
     {.submitted = -EEXIST, .key_comes_late = true}},
    {"{" LAYER "}", "Idempotency-Key: l", 503, "File exists", {.submitted = -EEXIST}},
    {"{" LAYER "}", NULL, 507, "store_full", {.submitted = -ENOSPC}},
    {"{" LAYER "}", NULL, 500, "no memory", {.submitted = -ENOMEM}},
    {"{" LAYER "}", NULL, 503, "store_failed", {.submitted = -EIO}},
    {"{" LAYER "}", NULL, 429, "quota_jobs", {.submit = DWB_JOBS_E_QUOTA}},
    {"{" LAYER "}", NULL, 429, "queue_full", {.submit = DWB_JOBS_E_FULL}},
    {"{" LAYER "}", NULL, 503, "draining", {.submit = DWB_JOBS_E_DRAINING}},
    {"{" LAYER "}", NULL, 422, "too_much_memory", {.memory_bytes = 1 << 20}},
    {"{" LAYER "}", NULL, 422, "too_much_time", {.job_time_ns = 1000}},

    /* submitting: what the machine has */
    {"{" LAYER ",'isa':'avx2'}", NULL, 422, "there are: portable, neon", {.machine = MACHINE}},
    {"{" LAYER ",'isa':'avx2'}", NULL, 422, "isa_not_available", {.machine = API_MANY_ISAS}},
    {"{" LAYER ",'isa':'neon'}", NULL, 202, "Location", {.machine = MACHINE}},
    {"{" LAYER ",'isa':'neon'}", NULL, 202, "Location", {0}},
    {"{" LAYER ",'backends':'onednn'}", NULL, 422, "not built in", {.machine = MACHINE}},
    {"{" LAYER ",'backends':'xnnpack'}", NULL, 202, "Location", {.machine = MACHINE}},
    {"{" LAYER ",'simulate':true}", NULL, 202, "Location", {0}},
    {"{" LAYER ",'simulate':true}", NULL, 202, "Location", {.machine = SIMULATES("true")}},
    {"{" LAYER ",'simulate':true}", NULL, 422, "cannot simul", {.machine = SIMULATES("false")}},
    {"{" LAYER ",'simulate':true}",
     NULL,
     422,
     "no Valgrind",
     {.machine = SIMULATES("false,'reason':'no Valgrind'")}},
    {"{" LAYER ",'a':'onednn','b':'native'}", NULL, 422, "\"a\"", {.machine = MACHINE}},
    {"{" LAYER ",'a':'native','b':'onednn'}", NULL, 422, "\"b\"", {.machine = MACHINE}},
    {"{" LAYER ",'a':'native','b':'native,avx2'}", NULL, 422, "\"b\"", {.machine = MACHINE}},
    {"{" LAYER ",'a':'native','b':'xnnpack'}", NULL, 202, "Location", {.machine = MACHINE}},
    {"{" LAYER ",'a':'worker:a','b':'worker:b'}", NULL, 422, "no such worker", {0}},
    {"{" LAYER ",'a':'worker:a','b':'worker:b'}", NULL, 422, "\"b\"", {.worker_a = "/bin/a"}},
    {"{" LAYER ",'a':'worker:a','b':'worker:c'}", NULL, 422, "\"b\"", {.worker_a = "/bin/a"}},

    /* submitting: plugins */
    {"{" LAYER ",'plugin':'good.so'}", NULL, 422, "plugins_off", {0}},
    {"{" LAYER ",'plugin':'good.so'}", NULL, 202, "Location", {.plugin_dir = "@"}},
    {"{" LAYER ",'plugin':'text.so'}", NULL, 422, "not an ELF file", {.plugin_dir = "@"}},
    {"{" LAYER ",'plugin':'x.so'}", NULL, 422, "there are: good.so", {.plugin_dir = "@"}},
    {"{" LAYER ",'plugin':'x.so'}", NULL, 422, "it is empty", {.plugin_dir = "@/none"}},
    {"{" LAYER ",'plugin':'x.so'}", NULL, 422, "there are: aaaa", {.plugin_dir = "@/many"}},
    {"{" LAYER ",'plugin':'x.so'}", NULL, 422, "opened", {.plugin_dir = "/nonexistent"}},

    /* cancelling */
    {"DELETE /v1/jobs/" NOBODY, NULL, 404, "no such job", {0}},
    {"DELETE /v1/jobs/{JOB}", NULL, 403, "forbidden", {.uid = 4242}},
    {"DELETE /v1/jobs/{JOB}", NULL, 403, "forbidden", {.uid = 4242, .admin = 17}},
    {"DELETE /v1/jobs/{DONE}", NULL, 409, "finished", {.uid = 4242, .admin = 4242}},
    {"DELETE /v1/jobs/{DONE}", NULL, 409, "finished", {.by_root = true, .spec = "{}"}},
    {"DELETE /v1/jobs/{JOB}", NULL, 503, "draining", {.cancel = DWB_JOBS_E_DRAINING}},
    {"DELETE /v1/jobs/{JOB}", NULL, 503, "store_failed", {.cancel = -EIO}},
    {"DELETE /v1/jobs/{JOB}", NULL, 200, "\"cancelled\"", {0}},
    {"DELETE /v1/jobs/{JOB}", NULL, 200, "\"cancelled\"", {0}},
    {"GET /v1/jobs/{JOB}/result", NULL, 409, "it has no result\"", {0}},
    {"GET /v1/jobs/{JOB}/events", NULL, 200, "\"cancelled\"", {0}},
};

/* The bytes of a request: a document becomes the POST of it. */
static size_t write_request(const struct row *row, char *text, size_t size)
{
    bool posts = row->request[0] == '{';
    char body[1024] = "";
    int n;

    if (posts)
        api_unquote(row->request, body, sizeof(body));
    n = snprintf(text, size, "%s HTTP/1.1\r\nHost: l\r\n%s%s",
                 posts ? "POST /v1/jobs" : row->request, row->field ? row->field : "",
                 row->field ? "\r\n" : "");
    if (posts)
        n += snprintf(text + n, size - (size_t)n, "Content-Length: %zu\r\n", strlen(body));
    n += snprintf(text + n, size - (size_t)n, "\r\n%s", body);
    return (size_t)n;
}

START_TEST(answers)
{
    static char text[32768], filled[32768];
    const char *answer;

    signal(SIGPIPE, SIG_IGN);
    dwb_world_stall_ns = UINT64_C(5000000000);
    dwb_world_open();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char status[32];
        size_t n = write_request(&rows[i], text, sizeof(text));

        n = dwb_world_fill_in(text, n, filled, sizeof(filled));
        api_let(&rows[i].says);
        n = dwb_world_exchange(filled, n, NULL, &answer);
        snprintf(status, sizeof(status), "HTTP/1.1 %u ", rows[i].status);
        ck_assert_msg(n > strlen(status) && memcmp(answer, status, strlen(status)) == 0 &&
                          memmem(answer, n, rows[i].part, strlen(rows[i].part)),
                      "row %zu, %s: wants %u with %s, has %.*s", i, rows[i].request, rows[i].status,
                      rows[i].part, (int)n, answer);
    }
    api_let(NULL);
    dwb_world_close();
}
END_TEST

/* Whoever still listens when the jobs go is told that it is over. */
START_TEST(a_listener_at_the_end)
{
    static const char request[] = "GET /v1/jobs/{JOB}/events HTTP/1.1\r\nHost: l\r\n\r\n";
    static const struct api_says stalls = {.stalls = true};
    char text[256];
    const char *answer;

    signal(SIGPIPE, SIG_IGN);
    dwb_world_open();
    size_t n = dwb_world_fill_in(request, strlen(request), text, sizeof(text));
    api_let(&stalls);
    n = dwb_world_exchange(text, n, NULL, &answer);
    ck_assert_ptr_nonnull(memmem(answer, n, "\"queued\"", strlen("\"queued\"")));
    dwb_world_close();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api");
    TCase *tests = tcase_create("api");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_set_timeout(tests, 60);
    tcase_add_unchecked_fixture(tests, api_make_plugins, api_remove_plugins);
    tcase_add_test(tests, answers);
    tcase_add_test(tests, a_listener_at_the_end);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
