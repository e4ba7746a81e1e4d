/* The text of /metrics at its limits: what is not known, what must be escaped, what is full. */

#include "common/cleanup.h"
#include "daemon/metrics.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct dwb_metrics *metrics;

static void setup(void)
{
    ck_assert_int_eq(dwb_metrics_new(&metrics), 0);
}

static void teardown(void)
{
    dwb_metrics_free(metrics);
    dwb_metrics_free(NULL);
}

static char *render(const json_t *counters, int fallback_errno, bool openmetrics)
{
    struct dwb_metrics_view view = {.loop_backend = "epoll",
                                    .loop_fallback_errno = fallback_errno,
                                    .counters = counters,
                                    .version = "1"};
    char *text = NULL;
    size_t n = 0;

    ck_assert_int_eq(dwb_metrics_render(metrics, &view, openmetrics, &text, &n), 0);
    ck_assert_uint_eq(strlen(text), n);
    ck_assert(!strstr(text, "(null)"));
    return text;
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;

    for (const char *at = text; (at = strstr(at, part)); at++)
        n++;
    return n;
}

START_TEST(test_labels)
{
    dwb_metrics_set_ratio(metrics, "a \"suite\" of \\", "a\nlayer", 0.25, 0.125);
    dwb_metrics_set_ratio(metrics, "none", "measured", NAN, 0.5);
    dwb_cleanup_free char *text = render(NULL, 0, false);

    ck_assert_ptr_nonnull(strstr(text, "suite=\"a \\\"suite\\\" of \\\\\""));
    ck_assert_ptr_nonnull(strstr(text, "layer=\"a\\nlayer\""));
    ck_assert_ptr_nonnull(strstr(text, "layer=\"measured\"} 0.5")); /* of theory */
    ck_assert_uint_eq(count(text, "layer=\"measured\""), 1);
    ck_assert(!strstr(text, "# EOF"));
}
END_TEST

START_TEST(test_ratios)
{
    char layer[32];

    for (int i = 0; i < 5000; i++) {
        snprintf(layer, sizeof(layer), "l%d", i);
        dwb_metrics_set_ratio(metrics, i % 2 ? "odd" : "even", layer, 0.5, 0.5);
    }
    dwb_metrics_set_ratio(metrics, "even", "l0", 0.75, 0.5);
    dwb_metrics_set_ratio(metrics, "odd", "l0", 0.9, 0.5); /* no room */
    dwb_cleanup_free char *text = render(NULL, 0, true);

    ck_assert_ptr_nonnull(strstr(text, "layer=\"l0\"} 0.75"));
    ck_assert_ptr_null(strstr(text, "0.9"));
    ck_assert_uint_lt(count(text, "layer=\"l"), 2 * 5000);
    ck_assert_ptr_nonnull(strstr(text, "# EOF"));
}
END_TEST

START_TEST(test_requests)
{
    static const char *const routes[] = {"/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i",
                                         "/j", "/k", "/l", "/m", "/n", "/o", "/p", "/q", "/r",
                                         "/s", "/t", "/u", "/v", "/w", "/x", "/y", "/z"};

    for (unsigned status = 200; status < 260; status++)
        for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
            dwb_metrics_count_request(metrics, routes[i], i % 2 ? "GET" : "BREW", status,
                                      (uint64_t)i * i * 1000000000);
    dwb_cleanup_free char *text = render(NULL, 0, false);

    ck_assert_ptr_nonnull(strstr(text, "/a"));
    ck_assert(!strstr(text, "BREW"));
    ck_assert_ptr_nonnull(strstr(text, "le=\"+Inf\""));
}
END_TEST

START_TEST(test_counters)
{
    json_t *counters = json_pack("[{s:s, s:s, s:s}, {s:s, s:n, s:s}, {}, s, {s:s}]", "name",
                                 "cycles", "source", "pmu", "outcome", "counted", "name", "flops",
                                 "source", "outcome", "no_pmu", "text", "name", "odd");

    for (int i = 0; i < 80; i++)
        json_array_append_new(counters, json_pack("{s:s, s:s, s:s}", "name", "one more", "source",
                                                  "pmu", "outcome", "counted"));
    dwb_cleanup_free char *text = render(counters, -EPERM, false);
    dwb_cleanup_free char *unknown = render(json_null(), -100000, false);

    ck_assert_ptr_nonnull(strstr(text, "cycles"));
    ck_assert_ptr_nonnull(strstr(text, "dwbench_loop_fallback{error=\"EPERM\"} 1"));
    ck_assert_ptr_nonnull(strstr(unknown, "dwbench_loop_fallback{error=\"unknown\"} 1"));
    ck_assert_uint_lt(count(text, "one more"), 2 * 80);
    json_decref(counters);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tests = tcase_create("metrics");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_labels);
    tcase_add_test(tests, test_ratios);
    tcase_add_test(tests, test_requests);
    tcase_add_test(tests, test_counters);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
