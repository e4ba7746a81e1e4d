/*
 * Comparing jobs: every verdict and what leads to it, every refusal, the machine told apart from
 * the code, the history's fences, and that one input gives one document. Documents are written
 * here, except in the last test, where they are built from records of machines whose truth is
 * known.
 */

#include "tests/unit/result_fixture.h"

#include "analysis/compare.h"
#include "common/cleanup.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N_HISTORY 9

static json_t *operation(double ns)
{
    return json_pack("{s:s, s:s, s:s, s:{s:f, s:f, s:f, s:f}}", "kernel", "k", "isa", "avx2",
                     "reason", "", "time_ns", "floor", ns, "median", 1.02 * ns, "ci_low",
                     1.019 * ns, "ci_high", 1.021 * ns);
}

/* A job of one layer: standard 800 us, depthwise as given, pointwise 95 us, separable the sum. */
static json_t *job(const char *id, double depthwise_ns)
{
    json_t *entry = json_pack(
        "{s:{s:s, s:i, s:i, s:i, s:i, s:i, s:s}, s:s, s:s, s:s, s:i, s:s, s:[], s:{s:f, s:{s:f}},"
        " s:{s:b}, s:{s:o, s:o, s:o, s:o}}",
        "layer", "name", "dws3", "Dk", 3, "Dx", 56, "M", 128, "N", 128, "stride", 1, "padding",
        "same", "backend", "native", "isa", "avx2", "cache", "warm", "threads", 1, "verdict",
        "stable", "verdict_reasons", "machine", "peak_gflops", 100.0, "canary", "floor_ns", 3000.0,
        "verification", "ok", 1, "operations", "standard", operation(800000), "depthwise",
        operation(depthwise_ns), "pointwise", operation(95000), "separable",
        operation(depthwise_ns + 95000));
    json_t *document =
        json_pack("{s:s, s:{s:s, s:s}, s:{s:{s:s, s:s, s:i, s:s}, s:[f, f]}, s:[o]}", "schema",
                  "dwbench.result/1", "job", "id", id, "name", "dws3", "environment", "cpu",
                  "model", "Zen 5", "vendor", "AuthenticAMD", "stepping", 1, "microcode", "0x1",
                  "load", 0.5, 0.5, "results", entry);

    ck_assert_ptr_nonnull(document);
    return document;
}

/* Sets the member at "a.b.0.c". */
static json_t *with(json_t *document, const char *path, json_t *value)
{
    const char *dot = strrchr(path, '.');
    dwb_cleanup_free char *parent = strndup(path, (size_t)(dot - path));

    ck_assert_int_eq(json_object_set_new(at(document, parent), dot + 1, value), 0);
    return document;
}

/* The whole machine slower by a factor: times, and what tells it. */
static json_t *drifted(json_t *document, double factor)
{
    static const char *const names[] = {"standard", "depthwise", "pointwise", "separable"};
    static const char *const members[] = {"floor", "median", "ci_low", "ci_high"};
    char path[96];

    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 4; k++) {
            snprintf(path, sizeof(path), "results.0.operations.%s.time_ns.%s", names[i],
                     members[k]);
            with(document, path, json_real(factor * number(document, path)));
        }
    with(document, "results.0.machine.canary.floor_ns", json_real(3000 * factor));
    return with(document, "results.0.machine.peak_gflops", json_real(100 / factor));
}

/* Takes all three. */
static int compare(json_t *a, json_t *b, json_t *history, bool force, json_t **ret_document)
{
    struct dwb_compare_input input = {.a = a, .b = b, .history = history, .force = force};
    int r = dwb_compare(&input, ret_document);

    json_decref(a);
    json_decref(b);
    json_decref(history);
    return r;
}

static json_t *compared_with(json_t *a, json_t *b, json_t *history)
{
    json_t *document = NULL;

    ck_assert_int_eq(compare(a, b, history, false, &document), 0);
    ck_assert_str_eq(text(document, "schema"), "dwbench.compare/1");
    return document;
}

static json_t *compared(json_t *a, json_t *b)
{
    return compared_with(a, b, NULL);
}

/* The verdict of the depthwise, which is the second row; takes the document. */
static void check_depthwise(json_t *document, const char *verdict, const char *reason)
{
    ck_assert_str_eq(text(document, "comparisons.1.operation"), "depthwise");
    ck_assert_msg(strcmp(text(document, "comparisons.1.verdict"), verdict) == 0, "%s: %s",
                  text(document, "comparisons.1.verdict"), text(document, "comparisons.1.reason"));
    ck_assert_msg(strstr(text(document, "comparisons.1.reason"), reason) &&
                      !reason[0] == !text(document, "comparisons.1.reason")[0],
                  "%s", text(document, "comparisons.1.reason"));
    json_decref(document);
}

START_TEST(test_same)
{
    json_t *document = compared(job("a", 20000), job("b", 20000));

    ck_assert_uint_eq(json_array_size(at(document, "comparisons")), 4);
    ck_assert_str_eq(text(document, "comparisons.0.a.what"), "a");
    ck_assert_str_eq(text(document, "comparisons.0.layer"), "dws3");
    ck_assert_str_eq(text(document, "comparisons.0.backend"), "native");
    ck_assert_str_eq(text(document, "comparisons.0.method"), "intervals");
    ck_assert_double_eq(number(document, "comparisons.0.change.raw"), 0);
    ck_assert_double_eq(number(document, "comparisons.0.delta"), 0.005);
    ck_assert_double_eq(number(document, "comparisons.0.absolute_floor_ns"), 100);
    ck_assert(is_null(document, "comparisons.0.history.limit_ns"));
    ck_assert(json_is_false(at(document, "forced")));
    ck_assert_str_eq(text(document, "overall.verdict"), "same");
    ck_assert_double_eq(number(document, "overall.same"), 4);
    json_decref(document);
    check_depthwise(compared(job("a", 20000), job("b", 20090)), "same", "");
}
END_TEST

START_TEST(test_slower_and_faster)
{
    json_t *document = compared(job("a", 20000), job("b", 22000));

    ck_assert_double_eq_tol(number(document, "comparisons.1.change.code"), 0.1, 1e-12);
    ck_assert_double_eq_tol(number(document, "comparisons.1.change.median"), 0.1, 1e-12);
    ck_assert_double_gt(number(document, "comparisons.1.change.ci_low"), 0.097);
    ck_assert_double_lt(number(document, "comparisons.1.change.ci_high"), 0.103);
    ck_assert_str_eq(text(document, "overall.verdict"), "slower");
    ck_assert_double_eq(number(document, "overall.slower"), 2);
    check_depthwise(document, "slower", "");
    document = compared(job("a", 22000), job("b", 20000));
    ck_assert_str_eq(text(document, "overall.verdict"), "faster");
    check_depthwise(document, "faster", "");
}
END_TEST

START_TEST(test_absolute_floor)
{
    check_depthwise(compared(job("a", 1000), job("b", 1090)), "same", "absolute floor of 100 ns");
    check_depthwise(compared(job("a", 1000), job("b", 1110)), "slower", "");
}
END_TEST

START_TEST(test_intervals)
{
    static const char path[] = "results.0.operations.depthwise.time_ns.";
    char low[64], high[64];

    snprintf(low, sizeof(low), "%sci_low", path);
    snprintf(high, sizeof(high), "%sci_high", path);
    check_depthwise(compared(job("a", 20000), with(job("b", 22000), low, json_real(20400))),
                    "not_resolved", "overlap");
    /* The median's interval is clearly below where the floor is above. */
    check_depthwise(compared(job("a", 20000), with(with(job("b", 22000), low, json_real(15000)),
                                                   high, json_real(16000))),
                    "not_resolved", "floors say +10.00 %");
    check_depthwise(
        compared(job("a", 20000), with(with(job("b", 22000), low, json_null()), high, json_null())),
        "not_resolved", "fewer than 4 processes");
}
END_TEST

START_TEST(test_own_verdicts)
{
    static const char *const verdicts[] = {"unstable", "contaminated"};
    json_t *document;

    for (size_t i = 0; i < 2; i++) {
        json_t *b = with(job("b", 22000), "results.0.verdict", json_string(verdicts[i]));

        with(b, "results.0.verdict_reasons", json_pack("[s]", "two floors only"));
        document = compared(job("a", 20000), b);
        ck_assert_str_eq(text(document, "overall.verdict"), "not_resolved");
        check_depthwise(document, "not_resolved", "two floors only");
    }
    check_depthwise(compared(with(job("a", 20000), "results.0.verdict", json_string("unstable")),
                             job("b", 22000)),
                    "not_resolved", "a is unstable");
    check_depthwise(
        compared(job("a", 20000), with(job("b", 22000), "results.0.verification.ok", json_false())),
        "not_resolved", "outputs of b were wrong");
    json_t *b = with(job("b", 22000), "results.0.operations.depthwise.time_ns.floor", json_null());
    with(b, "results.0.operations.depthwise.reason", json_string("all samples dropped"));
    document = compared(job("a", 20000), b);
    ck_assert(is_null(document, "comparisons.1.change.raw"));
    ck_assert(is_null(document, "comparisons.1.b.floor_ns"));
    check_depthwise(document, "not_resolved", "all samples dropped");
}
END_TEST

START_TEST(test_fused)
{
    json_t *a = with(job("a", 20000), "results.0.operations.separable_fused", operation(9e4));
    json_t *document = compared(json_incref(a), job("b", 20000));

    ck_assert_uint_eq(json_array_size(at(document, "comparisons")), 4); /* not where one lacks it */
    json_decref(document);
    document = compared(
        a, with(job("b", 20000), "results.0.operations.separable_fused", operation(9.9e4)));
    ck_assert_str_eq(text(document, "comparisons.4.operation"), "separable_fused");
    ck_assert_str_eq(text(document, "comparisons.4.verdict"), "slower");
    json_decref(document);
}
END_TEST

/* ---- the machine ---- */

START_TEST(test_drift_taken_off)
{
    json_t *document = compared(job("a", 20000), drifted(job("b", 20000), 1.08));

    ck_assert_double_eq_tol(number(document, "machine.drift"), 0.08, 1e-9);
    ck_assert_double_eq_tol(number(document, "machine.canary_change"), 0.08, 1e-9);
    ck_assert_double_eq_tol(number(document, "machine.peak_change"), 1 / 1.08 - 1, 1e-9);
    ck_assert(json_is_true(at(document, "machine.agrees")));
    ck_assert_double_eq_tol(number(document, "comparisons.1.change.raw"), 0.08, 1e-9);
    ck_assert_double_eq_tol(number(document, "comparisons.1.change.code"), 0, 1e-9);
    ck_assert_str_eq(text(document, "overall.verdict"), "same");
    json_decref(document);
    document = compared(job("a", 20000), drifted(job("b", 22000), 1.08));
    ck_assert_double_eq_tol(number(document, "comparisons.1.change.raw"), 0.188, 1e-9);
    ck_assert_double_eq_tol(number(document, "comparisons.1.change.code"), 0.1, 1e-9);
    ck_assert_str_eq(text(document, "comparisons.0.verdict"), "same");
    check_depthwise(document, "slower", "");
    /* A machine that got faster hides a slower code. */
    check_depthwise(compared(job("a", 20000), drifted(job("b", 22000), 1 / 1.1)), "slower", "");
}
END_TEST

START_TEST(test_probes_disagree)
{
    json_t *document =
        compared(job("a", 20000),
                 with(job("b", 20000), "results.0.machine.canary.floor_ns", json_real(3100)));

    ck_assert(json_is_false(at(document, "machine.agrees")));
    ck_assert(is_null(document, "machine.drift"));
    ck_assert(is_null(document, "comparisons.1.change.code"));
    ck_assert_str_eq(text(document, "overall.verdict"), "not_resolved");
    check_depthwise(document, "not_resolved", "canary takes +3.3 % of time");
}
END_TEST

START_TEST(test_probe_alone)
{
    static const char peak[] = "results.0.machine.peak_gflops";
    static const char canary[] = "results.0.machine.canary.floor_ns";
    json_t *document = compared(
        job("a", 20000), with(with(job("b", 20000), peak, json_null()), canary, json_real(3015)));

    ck_assert_double_eq_tol(number(document, "machine.drift"), 0.005, 1e-9);
    ck_assert(is_null(document, "machine.peak_change"));
    check_depthwise(document, "same", "");
    check_depthwise(compared(job("a", 20000), with(with(job("b", 20000), peak, json_null()), canary,
                                                   json_real(3200))),
                    "not_resolved", "to confirm it");
    check_depthwise(compared(with(job("a", 20000), canary, json_null()),
                             with(job("b", 20000), peak, json_real(100.1))),
                    "same", "");
    check_depthwise(compared(with(job("a", 20000), canary, json_null()),
                             with(job("b", 20000), peak, json_null())),
                    "not_resolved", "neither a canary nor");
}
END_TEST

/* ---- history ---- */

/* Skewed as times are: most close together, a tail above. */
static json_t *skewed_history(void)
{
    static const double ns[N_HISTORY] = {20300, 20000, 21500, 20020, 20040,
                                         20010, 20600, 20030, 20100};
    json_t *history = json_array();
    char id[16];

    for (int i = 0; i < N_HISTORY; i++) {
        snprintf(id, sizeof(id), "h%d", i);
        json_array_append_new(history, job(id, ns[i]));
    }
    return history;
}

START_TEST(test_history)
{
    json_t *document = compared_with(job("a", 20000), job("b", 21000), skewed_history());

    /* Sorted 20000 20010 20020 20030 20040 20100 20300 20600 21500: hinges 20020 and 20300. */
    ck_assert_double_eq(number(document, "comparisons.1.history.n"), N_HISTORY);
    ck_assert_double_eq_tol(number(document, "comparisons.1.history.q1_ns"), 20020, 1e-6);
    ck_assert_double_eq_tol(number(document, "comparisons.1.history.q3_ns"), 20300, 1e-6);
    ck_assert_double_eq_tol(number(document, "comparisons.1.history.limit_ns"), 21140, 1e-6);
    ck_assert_double_eq_tol(number(document, "comparisons.1.history.low_limit_ns"), 19180, 1e-6);
    ck_assert_str_eq(text(document, "comparisons.1.method"), "history, Q3 + 3 IQR of 9 jobs");
    ck_assert_str_eq(text(document, "comparisons.0.verdict"), "same");
    /* The intervals do not overlap at all, and yet this is what the jobs do by themselves. */
    ck_assert_double_gt(number(document, "comparisons.1.change.ci_low"), 0.04);
    check_depthwise(document, "not_resolved", "the baseline's own jobs differ by");
    check_depthwise(compared_with(job("a", 20000), job("b", 21150), skewed_history()), "slower",
                    "");
    check_depthwise(compared_with(job("a", 20000), job("b", 19200), skewed_history()),
                    "not_resolved", "differ by");
    check_depthwise(compared_with(job("a", 20000), job("b", 19170), skewed_history()), "faster",
                    "");
}
END_TEST

/* Past the fence of a history without any scatter, but too little to matter. */
START_TEST(test_history_floors)
{
    json_t *history = json_array(), *small = json_array();

    for (int i = 0; i < 5; i++) {
        json_array_append_new(history, job("h", 20000));
        json_array_append_new(small, job("h", 1000));
    }
    check_depthwise(compared_with(job("a", 20000), job("b", 20099), json_incref(history)), "same",
                    "");
    check_depthwise(compared_with(job("a", 20000), job("b", 20201), history), "slower", "");
    check_depthwise(compared_with(job("a", 1000), job("b", 1099), small), "same", "absolute floor");
}
END_TEST

START_TEST(test_history_of_comparable_jobs)
{
    json_t *history = skewed_history(), *document;

    /* Of nine four may stay: one unstable, another CPU, another shape, no result, b itself. */
    with(history, "0.results", json_array());
    json_object_set_new(at(history, "1.environment.cpu"), "stepping", json_integer(2));
    json_object_set_new(at(history, "2.results.0"), "verdict", json_string("unstable"));
    json_object_set_new(at(history, "3.results.0.layer"), "M", json_integer(64));
    json_object_set_new(at(history, "4.job"), "id", json_string("b"));
    document = compared_with(job("a", 20000), job("b", 21000), json_deep_copy(history));
    ck_assert_double_eq(number(document, "comparisons.1.history.n"), 4);
    ck_assert(is_null(document, "comparisons.1.history.q3_ns"));
    ck_assert_str_eq(text(document, "comparisons.1.method"), "intervals");
    check_depthwise(document, "slower", "");
    /* One whose machine cannot be told from its code is left out too. */
    json_object_set_new(at(history, "5.results.0.machine.canary"), "floor_ns", json_real(3300));
    document = compared_with(job("a", 20000), job("b", 21000), history);
    ck_assert_double_eq(number(document, "comparisons.1.history.n"), 3);
    json_decref(document);
}
END_TEST

/* A history measured on a machine that was slower: its floors come to b's machine first. */
START_TEST(test_history_drift)
{
    json_t *history = skewed_history(), *document, *earlier;
    size_t i;

    json_array_foreach(history, i, earlier) drifted(earlier, 1.2);
    document = compared_with(job("a", 20000), job("b", 21150), history);
    ck_assert_double_eq_tol(number(document, "comparisons.1.history.limit_ns"), 21140, 1e-6);
    check_depthwise(document, "slower", "");
}
END_TEST

/* ---- refusals ---- */

START_TEST(test_refusals)
{
    static const struct {
        const char *path, *member;
    } cases[] = {
        {"environment.cpu.model", "cpu.model"},
        {"environment.cpu.vendor", "cpu.vendor"},
        {"environment.cpu.stepping", "cpu.stepping"},
        {"results.0.isa", "dws3.native.isa"},
        {"results.0.operations.pointwise.isa", "dws3.native.pointwise.isa"},
        {"results.0.cache", "dws3.native.cache"},
        {"results.0.threads", "dws3.native.threads"},
        {"results.0.layer.Dk", "dws3.native.Dk"},
        {"results.0.layer.Dx", "dws3.native.Dx"},
        {"results.0.layer.M", "dws3.native.M"},
        {"results.0.layer.N", "dws3.native.N"},
        {"results.0.layer.stride", "dws3.native.stride"},
        {"results.0.layer.padding", "dws3.native.padding"},
        {"results.0.backend", "dws3.native"},
        {"results.0.layer.name", "dws3.native"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *b = with(job("b", 20000), cases[i].path, json_string("another"));
        json_t *document = NULL;

        ck_assert_msg(compare(job("a", 20000), json_incref(b), NULL, false, &document) == -EXDEV,
                      "%s", cases[i].path);
        ck_assert_ptr_null(document);
        ck_assert_int_eq(compare(job("a", 20000), b, NULL, true, &document), 0);
        ck_assert(json_is_true(at(document, "forced")));
        ck_assert_str_eq(text(document, "obstacles.0.member"), cases[i].member);
        json_decref(document);
    }
}
END_TEST

/* Nothing in common: forced, there is a document, and it resolves nothing. */
START_TEST(test_nothing_in_common)
{
    json_t *document = NULL;

    ck_assert_int_eq(compare(job("a", 20000),
                             with(job("b", 20000), "results.0.layer.name", json_string("x")), NULL,
                             true, &document),
                     0);
    ck_assert_uint_eq(json_array_size(at(document, "comparisons")), 0);
    ck_assert_uint_eq(json_array_size(at(document, "obstacles")), 2);
    ck_assert_str_eq(text(document, "overall.verdict"), "not_resolved");
    json_decref(document);
}
END_TEST

START_TEST(test_no_result)
{
    json_t *document = NULL;
    json_t *odd = with(job("b", 20000), "job.id", json_null());

    ck_assert_int_eq(compare(job("a", 20000), json_object(), NULL, false, &document), -EINVAL);
    ck_assert_int_eq(compare(json_array(), job("b", 20000), NULL, true, &document), -EINVAL);
    json_object_set_new(odd, "schema", json_string("dwbench.result/2"));
    ck_assert_int_eq(compare(job("a", 20000), odd, NULL, false, &document), -EINVAL);
    ck_assert_ptr_null(document);
}
END_TEST

/* ---- the rest ---- */

START_TEST(test_repeated_layers)
{
    json_t *a = job("a", 20000), *b = job("b", 22000), *document;

    json_array_append_new(at(a, "results"), json_deep_copy(at(a, "results.0")));
    json_array_append_new(at(b, "results"), json_deep_copy(at(b, "results.0")));
    with(b, "results.1.operations.depthwise", operation(20000));
    document = compared(a, b);
    ck_assert_uint_eq(json_array_size(at(document, "comparisons")), 8);
    ck_assert_str_eq(text(document, "comparisons.1.verdict"), "slower");
    ck_assert_str_eq(text(document, "comparisons.5.verdict"), "same");
    json_decref(document);
}
END_TEST

START_TEST(test_deterministic)
{
    char *texts[2];

    for (size_t i = 0; i < 2; i++) {
        json_t *document =
            compared_with(job("a", 20000), drifted(job("b", 21150), 1.01), skewed_history());

        texts[i] = json_dumps(document, 0);
        json_decref(document);
    }
    ck_assert_str_eq(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
}
END_TEST

START_TEST(test_differences)
{
    json_t *document = compared(
        job("a", 20000), with(job("b", 20000), "environment.cpu.microcode", json_string("0x9")));
    ck_assert_str_eq(text(document, "differences.0.member"), "cpu.microcode");
    ck_assert_str_eq(text(document, "differences.0.b"), "0x9");
    json_decref(document);
}
END_TEST

/* Documents as they are built, of a machine that got 6 % slower and a depthwise 10 % slower on top.
 */
START_TEST(test_built)
{
    struct synthetic before = synthetic_quiet(), after = before;
    struct job jobs[2];
    json_t *documents[2], *document;

    for (size_t i = 0; i <= SYNTHETIC_CANARY; i++)
        after.call_ns[i] *= 1.06;
    after.call_ns[SYNTHETIC_DEPTHWISE] *= 1.1;
    after.peak_gflops /= 1.06;
    jobs[0] = make_job(&before, 10);
    jobs[1] = make_job(&after, 10);
    for (size_t i = 0; i < 2; i++) {
        documents[i] = build(&jobs[i], i ? "after" : "before");
        free_job(&jobs[i]);
    }
    document = compared(documents[0], documents[1]);
    ck_assert_double_eq_tol(number(document, "machine.drift"), 0.06, 0.002);
    ck_assert_str_eq(text(document, "comparisons.0.verdict"), "same");
    ck_assert_str_eq(text(document, "comparisons.2.verdict"), "same");
    ck_assert_double_eq(number(document, "overall.slower"), 1);
    check_depthwise(document, "slower", "");
}
END_TEST

/* A trimmed document is a fraction of the whole, and compares the same. */
START_TEST(test_trim)
{
    struct synthetic before = synthetic_quiet(), after = before;
    struct job jobs[2];
    json_t *documents[2], *history = json_array();
    char *texts[2];
    size_t whole, trimmed;

    after.call_ns[SYNTHETIC_DEPTHWISE] *= 1.1;
    for (size_t i = 0; i < 2; i++) {
        jobs[i] = make_job(i ? &after : &before, 10);
        documents[i] = build(&jobs[i], i ? "after" : "before");
        free_job(&jobs[i]);
    }
    json_object_set_new(at(documents[1], "job"), "id", json_string("j2"));
    for (int i = 0; i < 6; i++) {
        json_t *earlier = json_deep_copy(documents[0]);

        json_object_set_new(at(earlier, "job"), "id", json_sprintf("h%d", i));
        json_array_append_new(history, earlier);
    }
    whole = json_dumpb(at(history, "0"), NULL, 0, 0);
    for (size_t i = 0; i < 2; i++) {
        json_t *document = compared_with(json_incref(documents[0]), json_incref(documents[1]),
                                         json_incref(history)),
               *earlier;
        size_t k;

        ck_assert_double_eq(number(document, "comparisons.1.history.n"), 6);
        texts[i] = json_dumps(document, 0);
        json_decref(document);
        json_array_foreach(history, k, earlier) dwb_compare_trim(earlier);
    }
    trimmed = json_dumpb(at(history, "0"), NULL, 0, 0);
    ck_assert_msg(4 * trimmed < whole, "%zu of %zu bytes", trimmed, whole);
    ck_assert_str_eq(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
    json_decref(history);
    json_decref(documents[0]);
    json_decref(documents[1]);
    dwb_compare_trim(NULL);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, test_same);
    tcase_add_test(tests, test_slower_and_faster);
    tcase_add_test(tests, test_absolute_floor);
    tcase_add_test(tests, test_intervals);
    tcase_add_test(tests, test_own_verdicts);
    tcase_add_test(tests, test_fused);
    tcase_add_test(tests, test_drift_taken_off);
    tcase_add_test(tests, test_probes_disagree);
    tcase_add_test(tests, test_probe_alone);
    tcase_add_test(tests, test_history);
    tcase_add_test(tests, test_history_floors);
    tcase_add_test(tests, test_history_of_comparable_jobs);
    tcase_add_test(tests, test_history_drift);
    tcase_add_test(tests, test_refusals);
    tcase_add_test(tests, test_nothing_in_common);
    tcase_add_test(tests, test_no_result);
    tcase_add_test(tests, test_repeated_layers);
    tcase_add_test(tests, test_deterministic);
    tcase_add_test(tests, test_differences);
    tcase_add_test(tests, test_built);
    tcase_add_test(tests, test_trim);
}

int main(int argc, char **argv)
{
    return result_main(argc, argv, "compare", add_tests);
}
