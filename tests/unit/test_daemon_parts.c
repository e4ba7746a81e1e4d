/* The small pure parts of the daemon: ids, times, estimates, choice of the CPU, Accept, events. */

#include "daemon/clock.h"
#include "daemon/cpus.h"
#include "daemon/estimate.h"
#include "daemon/events.h"
#include "daemon/head.h"
#include "daemon/jobid.h"
#include "daemon/metrics.h"
#include "daemon/shortage.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

START_TEST(ids_sort_by_time)
{
    char a[DWB_JOBID_LENGTH + 1], b[DWB_JOBID_LENGTH + 1];

    dwb_jobid_format(0, 0, a);
    ck_assert_str_eq(a, "00000000000000000000");
    dwb_jobid_format((UINT64_C(1) << 48) - 1, UINT64_MAX, a);
    ck_assert_str_eq(a, "7zzzzzzzzzzzzzzzzzzz");
    for (uint64_t ms = 1; ms < UINT64_C(1) << 47; ms *= 3) {
        dwb_jobid_format(ms, UINT64_MAX, a);
        dwb_jobid_format(ms + 1, 0, b);
        ck_assert_str_lt(a, b);
        ck_assert(dwb_jobid_valid(a));
    }
    ck_assert_int_eq(dwb_jobid_new(a), 0);
    ck_assert_int_eq(dwb_jobid_new(b), 0);
    ck_assert_str_ne(a, b);
    ck_assert(!dwb_jobid_valid("0000000000000000000"));
    ck_assert(!dwb_jobid_valid("0000000000000000000i"));
    ck_assert(!dwb_jobid_valid("0000000000000000000U"));
    ck_assert(!dwb_jobid_valid("../../../etc/passwd0"));
}
END_TEST

START_TEST(times_are_rfc_3339)
{
    json_t *time = dwb_clock_to_json(UINT64_C(1795364738123456789));

    ck_assert_str_eq(json_string_value(time), "2026-11-22T16:25:38.123Z");
    json_decref(time);
    ck_assert(json_is_null(dwb_clock_to_json(0)));
}
END_TEST

static struct dwb_spec spec_of(struct dwb_layer *layers, size_t n)
{
    return (struct dwb_spec){
        .layers = layers,
        .n_layers = n,
        .options = {.budget_ns = UINT64_C(6000000000), .replicates = 10, .precision = 0.005}};
}

START_TEST(estimates)
{
    struct dwb_layer layers[2] = {{.name = "a",
                                   .kernel_size = 3,
                                   .input_size = 8,
                                   .in_channels = 8,
                                   .out_channels = 8,
                                   .stride = 1},
                                  {.name = "b",
                                   .kernel_size = 3,
                                   .input_size = 56,
                                   .in_channels = 128,
                                   .out_channels = 128,
                                   .stride = 1}};
    struct dwb_spec spec = spec_of(layers, 2);
    struct dwb_estimate estimate;
    uint64_t bytes;

    ck_assert_int_eq(dwb_layer_memory(&layers[1], &bytes), 0);
    dwb_estimate_of(&spec, &estimate);
    ck_assert_uint_eq(estimate.memory_layer, 1);
    ck_assert_uint_gt(estimate.memory_bytes, bytes);
    ck_assert_uint_ge(estimate.time_ns, 2 * spec.options.budget_ns);
    ck_assert_uint_le(estimate.time_ns, 10 * spec.options.budget_ns);
    ck_assert_uint_eq(dwb_estimate_slice_ns(&spec.options), 300000000);
    ck_assert_uint_gt(dwb_estimate_deadline_ns(&spec, 1, false, 1000), 1000 + 300000000);
    ck_assert_uint_gt(dwb_estimate_deadline_ns(&spec, 1, false, 0),
                      dwb_estimate_deadline_ns(&spec, 0, false, 0));
    /* Two programs: each side is measured as often as a layer has processes otherwise. */
    struct dwb_estimate of_two;
    spec.options.has_a = spec.options.has_b = true;
    spec.options.a.kind = spec.options.b.kind = DWB_SIDE_WORKER;
    dwb_estimate_of(&spec, &of_two);
    ck_assert_uint_eq(of_two.time_ns, 2 * estimate.time_ns);
    spec.options.has_a = spec.options.has_b = false;
    /* A simulation takes longer, and more memory; its deadline leaves room for a slow one. */
    bytes = estimate.memory_bytes;
    uint64_t time_ns = estimate.time_ns;
    spec.options.backends = DWB_BACKEND_NATIVE;
    spec.options.simulate = true;
    dwb_estimate_of(&spec, &estimate);
    ck_assert_uint_gt(estimate.memory_bytes, bytes);
    ck_assert_uint_gt(estimate.time_ns, time_ns);
    ck_assert_uint_gt(dwb_estimate_deadline_ns(&spec, 1, true, 0),
                      dwb_estimate_deadline_ns(&spec, 1, false, 0) + UINT64_C(600000000000));
    spec.options.simulate = false;
    layers[0].kernel_size = 11;
    layers[0].input_size = 4096;
    layers[0].in_channels = layers[0].out_channels = 16384;
    dwb_estimate_of(&spec, &estimate);
    ck_assert_uint_eq(estimate.memory_layer, 0);
    ck_assert_uint_eq(estimate.memory_bytes, INT64_MAX);
    ck_assert_uint_eq(estimate.time_ns, INT64_MAX);
    ck_assert_uint_gt(dwb_estimate_deadline_ns(&spec, 0, false, UINT64_MAX), UINT64_MAX / 2);
}
END_TEST

START_TEST(the_highest_allowed_cpu_measures)
{
    cpu_set_t allowed;
    uint32_t cpu = 99;

    CPU_ZERO(&allowed);
    ck_assert_int_eq(dwb_cpus_choose(&allowed, UINT64_MAX, &cpu), -ENODEV);
    CPU_SET(2, &allowed);
    CPU_SET(5, &allowed);
    ck_assert_int_eq(dwb_cpus_choose(&allowed, UINT64_MAX, &cpu), 0);
    ck_assert_uint_eq(cpu, 5);
    ck_assert_int_eq(dwb_cpus_choose(&allowed, 2, &cpu), 0);
    ck_assert_uint_eq(cpu, 2);
    ck_assert_int_eq(dwb_cpus_choose(&allowed, 3, &cpu), -ENODEV);
    ck_assert_int_eq(dwb_cpus_choose(&allowed, UINT64_MAX - 1, &cpu), -ENODEV);
    ck_assert_uint_eq(cpu, 2);
}
END_TEST

START_TEST(accept_headers)
{
    ck_assert(!dwb_metrics_prefers_openmetrics(NULL));
    ck_assert(!dwb_metrics_prefers_openmetrics("*/*"));
    ck_assert(dwb_metrics_prefers_openmetrics("application/openmetrics-text"));
    ck_assert(dwb_metrics_prefers_openmetrics(
        "text/plain;q=0.5, application/openmetrics-text; version=1.0.0; q=0.8"));
    ck_assert(
        !dwb_metrics_prefers_openmetrics("application/openmetrics-text;q=0.3,text/plain;q=0.4"));
    ck_assert(!dwb_metrics_prefers_openmetrics("application/openmetrics-text;q=0"));
    ck_assert(!dwb_metrics_prefers_openmetrics(",,;;q=,=;q"));
}
END_TEST

struct listener {
    struct dwb_event_sink sink; /* first */
    char text[8192];
    unsigned n_wakes;
    bool ended;
};

static void on_wake(struct dwb_event_sink *sink)
{
    ((struct listener *)sink)->n_wakes++;
}

/* Takes up to `max` bytes at a time, until there are none. */
static const char *read_all(struct listener *listener, size_t max)
{
    size_t length = strlen(listener->text), n;

    while ((n = dwb_event_sink_read(&listener->sink, listener->text + length, max)) > 0) {
        ck_assert_uint_le(n, max);
        length += n;
        ck_assert_uint_lt(length, sizeof(listener->text));
    }
    listener->text[length] = '\0';
    return listener->text;
}

static void on_end(struct dwb_event_sink *sink)
{
    ((struct listener *)sink)->ended = true;
}

START_TEST(listeners_get_the_past_and_then_the_present)
{
    struct dwb_event_log log = {0};
    struct listener early = {.sink = {.wake = on_wake, .end = on_end}};
    struct listener late = {.sink = {.wake = on_wake, .end = on_end}};
    struct listener gone = {.sink = {.wake = on_wake, .end = on_end}};

    ck_assert_int_eq(dwb_event_log_attach(&log, &early.sink), 0);
    ck_assert_int_eq(dwb_event_log_attach(&log, &gone.sink), 0);
    ck_assert_uint_eq(early.n_wakes, 0);
    dwb_event_log_add(&log, json_pack("{s:i}", "a", 1), true);
    ck_assert_str_eq(read_all(&gone, 100), "{\"a\":1}\n");
    dwb_event_sink_deinit(&gone.sink);
    dwb_event_sink_deinit(&gone.sink);
    dwb_event_log_add(&log, json_pack("{s:i}", "progress", 2), false);
    ck_assert_int_eq(dwb_event_log_attach(&log, &late.sink), 0);
    ck_assert_uint_eq(late.n_wakes, 1);
    dwb_event_log_add(&log, NULL, true); /* no memory for it */
    dwb_event_log_add(&log, json_pack("{s:i}", "b", 3), true);
    ck_assert_uint_eq(early.n_wakes, 3);
    ck_assert_str_eq(read_all(&early, 1), "{\"a\":1}\n{\"progress\":2}\n{\"b\":3}\n");
    dwb_event_log_deinit(&log);
    ck_assert(early.ended && late.ended && !gone.ended);
    ck_assert_uint_eq(gone.n_wakes, 1);
    ck_assert_ptr_null(early.sink.log);
    ck_assert_str_eq(read_all(&late, 7), "{\"a\":1}\n{\"b\":3}\n"); /* after the end, too */
    dwb_event_sink_deinit(&early.sink);
    dwb_event_sink_deinit(&late.sink);
}
END_TEST

START_TEST(a_listener_that_does_not_read_loses_what_is_not_kept)
{
    struct dwb_event_log log = {0};
    struct listener slow = {.sink = {.wake = on_wake, .end = on_end}};

    ck_assert_int_eq(dwb_event_log_attach(&log, &slow.sink), 0);
    for (int i = 0; i < 1000; i++)
        dwb_event_log_add(&log, json_pack("{s:i}", "progress", i), false);
    ck_assert_uint_le(slow.sink.n_aside_bytes, DWB_EVENT_ASIDE_MAX);
    dwb_event_log_add(&log, json_pack("{s:i}", "kept", 1), true);
    const char *text = read_all(&slow, 4000);
    ck_assert_str_eq(text + strlen(text) - 11, "{\"kept\":1}\n");
    ck_assert(strstr(text, "{\"progress\":100}\n") && !strstr(text, "{\"progress\":999}"));
    slow.text[0] = '\0';
    dwb_event_log_add(&log, json_pack("{s:i}", "progress", 1000), false);
    ck_assert_str_eq(read_all(&slow, 4000), "{\"progress\":1000}\n");
    dwb_event_sink_deinit(&slow.sink);
    dwb_event_log_deinit(&log);
}
END_TEST

START_TEST(an_event_without_an_interval_says_null)
{
    struct dwb_event_replicate replicate = {
        .layer = "x", .ok = true, .reason = "", .half_width = INFINITY};
    json_t *event = dwb_event_replicate("id", 0, &replicate);

    ck_assert(json_is_null(json_object_get(event, "half_width")));
    ck_assert(json_is_null(json_object_get(event, "at")));
    ck_assert_str_eq(json_string_value(json_object_get(event, "job")), "id");
    json_decref(event);
}
END_TEST

START_TEST(a_shortage_is_waited_out_for_a_while)
{
    struct dwb_shortage shortage = {0};
    const uint64_t begin_ns = 1000;
    uint64_t now_ns = begin_ns, wait_ns = 0, before_ns = 0;
    int n_tries = 1;

    for (; dwb_shortage_wait(&shortage, -ENOMEM, now_ns, &wait_ns); n_tries++) {
        ck_assert_uint_ge(wait_ns, DWB_SHORTAGE_WAIT_NS_MIN);
        ck_assert_uint_le(wait_ns, DWB_SHORTAGE_WAIT_NS_MAX);
        ck_assert_uint_ge(wait_ns, before_ns);
        before_ns = wait_ns;
        now_ns += wait_ns;
    }
    ck_assert_uint_ge(now_ns - begin_ns, DWB_SHORTAGE_PATIENCE_NS);
    ck_assert_uint_lt(now_ns - begin_ns, DWB_SHORTAGE_PATIENCE_NS + DWB_SHORTAGE_WAIT_NS_MAX);
    ck_assert_int_lt(n_tries, 25);
    shortage = (struct dwb_shortage){0};
    ck_assert(dwb_shortage_wait(&shortage, -EMFILE, now_ns, &wait_ns));
    ck_assert_uint_eq(wait_ns, DWB_SHORTAGE_WAIT_NS_MIN);
    ck_assert(!dwb_shortage_wait(&shortage, -EINVAL, now_ns, &wait_ns));
    ck_assert(!dwb_shortage_is(0));
    ck_assert(!dwb_shortage_is(-ENOENT));
}
END_TEST

static const struct {
    bool good;
    const char *fields[4][2]; /* name, value */
} heads[] = {
    {true, {{"Host", "l"}}},
    {true, {{"X-Tab", "a\tb\x80"}, {"!#$%&'*+-.^_`|~", ""}}},
    {true, {{"Content-Length", "1"}}},
    {true, {{"Transfer-Encoding", "CHUNKED"}}},
    {false, {{"", "x"}}},
    {false, {{"a b", "x"}}},
    {false, {{"a\x80", "x"}}},
    {false, {{"a", "x\ry"}}},
    {false, {{"a", "x\x7f"}}},
    {false, {{"Host", "l"}, {"hOST", "l"}}},
    {false, {{"Idempotency-Key", "a"}, {"Idempotency-Key", "a"}}},
    {false, {{"Content-Length", "1"}, {"Content-Length", "1"}}},
    {false, {{"Content-Length", "1"}, {"Transfer-Encoding", "chunked"}}},
    {false, {{"Transfer-Encoding", "gzip"}}},
    {false, {{"Transfer-Encoding", "chunkex"}}},
    {false, {{"Transfer-Encoding", ""}}},
};

START_TEST(heads_mean_one_thing)
{
    struct dwb_head head = {0};

    for (size_t i = 0; i < 4 && heads[_i].fields[i][0]; i++) {
        const char *name = heads[_i].fields[i][0], *value = heads[_i].fields[i][1];

        dwb_head_take(&head, name, strlen(name), value, strlen(value));
    }
    ck_assert(dwb_head_good(&head) == heads[_i].good);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("daemon_parts");
    TCase *tcase = tcase_create("daemon_parts");

    tcase_add_loop_test(tcase, heads_mean_one_thing, 0, sizeof(heads) / sizeof(heads[0]));
    tcase_add_test(tcase, ids_sort_by_time);
    tcase_add_test(tcase, times_are_rfc_3339);
    tcase_add_test(tcase, estimates);
    tcase_add_test(tcase, the_highest_allowed_cpu_measures);
    tcase_add_test(tcase, accept_headers);
    tcase_add_test(tcase, listeners_get_the_past_and_then_the_present);
    tcase_add_test(tcase, a_listener_that_does_not_read_loses_what_is_not_kept);
    tcase_add_test(tcase, an_event_without_an_interval_says_null);
    tcase_add_test(tcase, a_shortage_is_waited_out_for_a_while);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
