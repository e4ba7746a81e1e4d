/*
 * The comparison of two sides from made-up records: every verdict and why, what is dropped, how
 * programs are paired, the document, and the confirmation. How often it errs: test_gate_coverage.c.
 *
 * With --dump DIR every document is written there: check_gate_schema.py validates them.
 */

#include "analysis/figures.h"
#include "analysis/gate.h"
#include "analysis/stats.h"
#include "common/cleanup.h"

#include "gate_fixture.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_MAX 40
#define N     10

static const char *dump_directory;

struct job {
    struct gate_machine machine;
    struct dwb_spec *spec;
    struct dwb_record *records[N_MAX];
    uint32_t layer_of[N_MAX];
    size_t n;
    json_t *document;
};

static struct job job;

static void setup(void)
{
    job = (struct job){.machine = gate_quiet()};
}

static void teardown(void)
{
    json_decref(job.document);
    gate_free(job.records, job.n);
    dwb_spec_free(job.spec);
}

static void dump(const json_t *document, const char *name)
{
    char path[512];

    if (!dump_directory)
        return;
    snprintf(path, sizeof path, "%s/%s.json", dump_directory, name);
    ck_assert_int_eq(json_dump_file(document, path, JSON_INDENT(1)), 0);
}

static json_t *build(const char *name)
{
    json_t *about = json_pack("{s:s, s:s}", "id", "j1", "name", name);
    json_t *document = NULL;

    ck_assert_int_eq(dwb_result_build(job.spec, about, job.records, job.layer_of, job.n, &document),
                     0);
    json_decref(about);
    dump(document, name);
    return document;
}

static void record_all(size_t n)
{
    job.n = n;
    gate_records(&job.machine, job.spec, 42, job.records, n);
}

/* n processes of job.machine, and the document of them, of the layer's depthwise convolution. */
static void measure(size_t n, const char *name)
{
    if (!job.spec)
        job.spec = job.machine.programs ? gate_spec("worker:a", "worker:b", "depthwise", 1)
                                        : gate_spec("native,avx2", "native,avx512", "depthwise", 1);
    record_all(n);
    job.document = build(name);
}

static json_t *comparison(size_t i)
{
    json_t *item = json_array_get(json_object_get(job.document, "comparisons"), i);

    ck_assert_msg(item != NULL, "there is no comparison %zu", i);
    return item;
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    ck_assert_msg(value != NULL, "no text %s", key);
    return value;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    ck_assert_msg(json_is_number(value), "%s is no number", key);
    return json_number_value(value);
}

static double change(const char *key)
{
    return number(json_object_get(comparison(0), "change"), key);
}

static void expect(const char *verdict, const char *reason)
{
    const char *why = text(comparison(0), "reason");

    ck_assert_str_eq(text(comparison(0), "verdict"), verdict);
    ck_assert_str_eq(text(json_object_get(job.document, "overall"), "verdict"), verdict);
    if (!reason)
        ck_assert_str_eq(why, "");
    else
        ck_assert_msg(strstr(why, reason) != NULL, "%s", why);
}

/* ---- verdicts ---- */

START_TEST(test_slower)
{
    job.machine.change = 0.03;
    job.machine.process_noise = 0.001;
    measure(N, "slower");
    expect("slower", NULL);
    ck_assert_double_eq_tol(change("median"), 0.03, 0.002);
    ck_assert_double_le(change("ci_low"), change("median"));
    ck_assert_double_ge(change("ci_high"), change("median"));
    const json_t *a = json_object_get(comparison(0), "a"), *b = json_object_get(comparison(0), "b");
    ck_assert_str_eq(text(a, "what"), "native,avx2");
    ck_assert_str_eq(text(b, "what"), "native,avx512");
    ck_assert_str_eq(text(b, "kernel"), "depthwise_b");
    ck_assert_double_eq(number(a, "floor_ns"), 1e5);
    ck_assert_double_eq(number(a, "median_ns"), 1e5);
    ck_assert_double_gt(number(b, "floor_ns"), 1.02e5);
    ck_assert_double_eq(number(comparison(0), "processes"), N);
    ck_assert_double_eq(number(comparison(0), "pairs"), N * 2 * job.machine.n_blocks);
    ck_assert_double_eq(number(comparison(0), "dropped_share"), 0);
    ck_assert_str_eq(text(comparison(0), "method"), "paired log-ratios within a process");
    ck_assert(json_is_null(json_object_get(comparison(0), "confirmed")));
    ck_assert_str_eq(text(job.document, "schema"), DWB_GATE_SCHEMA);
    ck_assert_str_eq(text(json_object_get(job.document, "a"), "what"), "native,avx2");
    ck_assert_double_eq(number(json_object_get(job.document, "overall"), "slower"), 1);
}
END_TEST

START_TEST(test_faster)
{
    job.machine.change = -0.03;
    job.machine.process_noise = 0.001;
    measure(N, "faster");
    expect("faster", NULL);
    ck_assert_double_eq_tol(change("median"), -0.03, 0.002);
}
END_TEST

START_TEST(test_same)
{
    job.machine.change = 0.002; /* below delta: it does not matter */
    measure(N, "same");
    expect("same", NULL);
    ck_assert_double_eq_tol(change("median"), 0.002, 1e-6);
}
END_TEST

/* The interval has both 0 and delta inside of it. */
START_TEST(test_straddling)
{
    job.machine.change = 0.003;
    job.machine.process_noise = 0.01;
    measure(N, "straddling");
    expect("not_resolved", "neither surely within");
    ck_assert_double_lt(change("ci_low"), 0.005);
    ck_assert_double_gt(change("ci_high"), 0.005);
}
END_TEST

/* Surely above 0, but not surely beyond delta: that is no alarm. */
START_TEST(test_on_the_edge)
{
    job.machine.change = 0.005;
    job.machine.process_noise = 0.0005;
    measure(N, "edge");
    expect("not_resolved", "neither surely within");
    ck_assert_double_gt(change("ci_low"), 0);
}
END_TEST

START_TEST(test_too_few_processes)
{
    job.machine.change = 0.5;
    measure(DWB_STATS_PROCESSES_MIN - 1, "few");
    expect("not_resolved", "no interval: it takes");
    ck_assert_double_eq_tol(change("median"), 0.5, 1e-6);
    ck_assert(json_is_null(json_object_get(json_object_get(comparison(0), "change"), "ci_low")));
    teardown();
    job.spec = NULL;
    measure(DWB_STATS_PROCESSES_MIN, "enough");
    expect("slower", NULL);
}
END_TEST

START_TEST(test_contaminated)
{
    job.machine.change = 0.5;
    job.machine.flagged_share = 0.4; /* of samples: of pairs that is two in three */
    measure(N, "contaminated");
    expect("not_resolved", "the machine was busy");
    ck_assert_double_gt(number(comparison(0), "dropped_share"), DWB_FIGURES_CONTAMINATED);
}
END_TEST

/* Everything was dropped: then there is no figure, and the reason is the machine's. */
START_TEST(test_nothing_kept)
{
    job.machine.flagged_share = 1;
    measure(N, "nothing");
    expect("not_resolved", "100% of the samples were dropped");
    ck_assert(json_is_null(json_object_get(json_object_get(comparison(0), "change"), "median")));
    ck_assert(json_is_null(json_object_get(json_object_get(comparison(0), "a"), "floor_ns")));
    ck_assert_double_eq(number(comparison(0), "dropped_share"), 1);
}
END_TEST

START_TEST(test_no_record)
{
    job.spec = gate_spec("native", "onednn", "standard,pointwise", 1);
    measure(0, "none");
    expect("not_resolved", "there are 0");
    ck_assert_uint_eq(json_array_size(json_object_get(job.document, "comparisons")), 2);
    ck_assert_str_eq(text(comparison(0), "operation"), "standard"); /* what was asked for */
    ck_assert_str_eq(text(comparison(1), "operation"), "pointwise");
}
END_TEST

/* ---- what is robust ---- */

/* The machine gets slower all the time, by 1 % from sample to sample: a b b a sees nothing of it.
 */
START_TEST(test_drift_cancels)
{
    job.machine.drift = 0.01;
    measure(N, "drift");
    expect("same", NULL);
    ck_assert_double_eq_tol(change("median"), 0, 1e-4);
    ck_assert_double_lt(change("ci_high"), 0.001);
}
END_TEST

/* In one process of four b is 20 % slower for as long as it lives. */
START_TEST(test_one_noisy_process_in_four)
{
    uint64_t state = 7;
    struct gate_machine slow = job.machine;

    slow.change = 0.2;
    job.spec = gate_spec("native", "native", "depthwise", 1);
    job.n = N_MAX;
    for (uint32_t i = 0; i < N_MAX; i++)
        job.records[i] = gate_record(i % 4 == 1 ? &slow : &job.machine, job.spec, i, &state);
    job.document = build("noisy");
    expect("same", NULL);
    ck_assert_double_eq_tol(change("median"), 0, 1e-9);
}
END_TEST

/* A flag on one side takes the other side's sample of that half with it, and no more than that. */
START_TEST(test_a_flag_drops_its_pair)
{
    job.spec = gate_spec("native", "native", "depthwise", 1);
    record_all(N);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < job.records[i]->n_samples; k++) {
            struct dwb_sample *sample = &job.records[i]->samples[k];
            bool hit = sample->block < 5 && sample->half == 1;

            if (hit && sample->subject == 0)
                sample->flags = DWB_SAMPLE_STOLEN; /* its time is fine: it goes all the same */
            if (hit && sample->subject == 1)
                sample->wall_ns *= 10; /* not flagged: goes with the other */
            if (sample->subject == 2)
                sample->flags = DWB_SAMPLE_GAP; /* the canary: of no pair */
        }
    job.document = build("flags");
    expect("same", NULL);
    ck_assert_double_eq(number(comparison(0), "pairs"), N * (2 * 20 - 5));
    ck_assert_double_eq_tol(number(comparison(0), "dropped_share"), 5.0 / 40, 1e-12);
    ck_assert_double_eq(change("ci_high"), 0);
    ck_assert_double_eq(number(json_object_get(comparison(0), "b"), "median_ns"), 1e5);
}
END_TEST

/* One process of which nothing is kept is no process of the comparison. */
START_TEST(test_a_process_without_a_pair)
{
    job.spec = gate_spec("native", "native", "depthwise", 1);
    record_all(N);
    for (size_t k = 0; k < job.records[3]->n_samples; k++)
        job.records[3]->samples[k].flags = DWB_SAMPLE_SWITCHED;
    job.document = build("process_gone");
    expect("same", NULL);
    ck_assert_double_eq(number(comparison(0), "processes"), N - 1);
}
END_TEST

/* Records in any order give the same bytes. */
START_TEST(test_determinism)
{
    job.machine.sample_noise = 0.05;
    job.machine.process_noise = 0.02;
    job.machine.operations = 7;
    for (int programs = 0; programs < 2; programs++) {
        char *bytes[2];

        job.machine.programs = programs;
        job.spec = programs ? gate_spec("worker:a", "worker:b", NULL, 1)
                            : gate_spec("native", "onednn", NULL, 1);
        record_all(N);
        for (size_t turn = 0; turn < 2; turn++) {
            json_t *document = build(programs ? "programs_order" : "order");

            bytes[turn] = json_dumps(document, JSON_COMPACT);
            json_decref(document);
            for (size_t i = 0; i < N / 2; i++) { /* from behind, the second time */
                struct dwb_record *swap = job.records[i];

                job.records[i] = job.records[N - 1 - i];
                job.records[N - 1 - i] = swap;
            }
        }
        ck_assert_str_eq(bytes[0], bytes[1]);
        free(bytes[0]);
        free(bytes[1]);
        gate_free(job.records, job.n);
        dwb_spec_free(job.spec);
        job.spec = NULL;
        job.n = 0;
    }
}
END_TEST

/* ---- what is compared ---- */

START_TEST(test_operations)
{
    job.spec = gate_spec("native", "xnnpack", "standard,pointwise,separable,separable_fused", 1);
    /* XNNPACK has no fused form: the workers time three of the four. */
    job.machine.operations = 1u << DWB_OPERATION_STANDARD | 1u << DWB_OPERATION_POINTWISE |
                             1u << DWB_OPERATION_SEPARABLE;
    measure(N, "operations");
    ck_assert_uint_eq(json_array_size(json_object_get(job.document, "comparisons")), 3);
    ck_assert_str_eq(text(comparison(0), "operation"), "standard");
    ck_assert_str_eq(text(comparison(1), "operation"), "pointwise");
    ck_assert_str_eq(text(comparison(2), "operation"), "separable");
    for (size_t i = 0; i < 3; i++)
        ck_assert_str_eq(text(comparison(i), "verdict"), "same");
}
END_TEST

/* Bonferroni over all that was asked for: layers times operations. */
START_TEST(test_confidence)
{
    static const struct {
        const char *operations;
        size_t n_layers, n;
    } jobs[] = {{"depthwise", 1, 1}, {NULL, 1, 3}, {NULL, 4, 12}};

    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        job.spec = gate_spec("native", "native", jobs[i].operations, jobs[i].n_layers);
        job.document = build("confidence");
        ck_assert_uint_eq(json_array_size(json_object_get(job.document, "comparisons")), jobs[i].n);
        ck_assert_double_eq_tol(number(comparison(0), "confidence"),
                                1 - DWB_FIGURES_ALPHA / (double)jobs[i].n, 1e-12);
        json_decref(job.document);
        dwb_spec_free(job.spec);
    }
    job.spec = gate_spec("standard", "separable", NULL, 2); /* a form is one operation */
    job.document = build("confidence_forms");
    ck_assert_double_eq_tol(number(comparison(0), "confidence"), 1 - DWB_FIGURES_ALPHA / 2, 1e-12);
}
END_TEST

START_TEST(test_forms)
{
    job.machine.has_forms = true;
    job.machine.form_a = DWB_OPERATION_STANDARD;
    job.machine.form_b = DWB_OPERATION_SEPARABLE;
    job.machine.change = -0.85;
    for (int programs = 0; programs < 2; programs++) {
        job.machine.programs = programs;
        job.spec = programs ? gate_spec("worker:a,standard", "worker:b,separable", NULL, 1)
                            : gate_spec("standard", "onednn,separable", NULL, 1);
        measure(N, programs ? "forms_of_programs" : "forms");
        ck_assert_uint_eq(json_array_size(json_object_get(job.document, "comparisons")), 1);
        ck_assert_str_eq(text(comparison(0), "operation"), "standard to separable");
        ck_assert_double_eq_tol(change("median"), -0.85, 1e-6);
        expect("faster", NULL);
        if (programs)
            break;
        teardown();
        job.document = NULL;
    }
}
END_TEST

/* ---- two programs ---- */

START_TEST(test_sides_of_programs)
{
    static const char order[] = "abbaabbaabba";

    for (uint32_t i = 0; order[i]; i++)
        ck_assert_int_eq(dwb_gate_side_of(i), order[i]);
}
END_TEST

START_TEST(test_programs)
{
    job.machine.programs = true;
    job.machine.change = 0.04;
    measure(2 * N, "programs");
    expect("slower", NULL);
    ck_assert_double_eq_tol(change("median"), 0.04, 1e-6);
    ck_assert_double_eq(number(comparison(0), "processes"), N);
    ck_assert_double_eq(number(comparison(0), "pairs"), N);
    ck_assert_str_eq(text(comparison(0), "method"), "floors of neighbouring processes");
    const json_t *a = json_object_get(comparison(0), "a"), *b = json_object_get(comparison(0), "b");
    ck_assert_double_eq(number(a, "median_ns"), 1e5);
    ck_assert_double_eq_tol(number(b, "median_ns"), 1.04e5, 1);
    ck_assert_str_eq(text(b, "what"), "worker:b");
}
END_TEST

/* A process that is not there leaves its neighbour alone; others are not paired in its place. */
START_TEST(test_programs_with_a_gap)
{
    job.machine.programs = true;
    job.spec = gate_spec("worker:a", "worker:b", "depthwise", 1);
    record_all(2 * N);
    dwb_record_free(job.records[2]);
    dwb_record_free(job.records[7]);
    memmove(job.records + 7, job.records + 8, (2 * N - 8) * sizeof *job.records);
    memmove(job.records + 2, job.records + 3, (2 * N - 4) * sizeof *job.records);
    job.n -= 2;
    job.document = build("programs_gap");
    expect("same", NULL);
    ck_assert_double_eq(number(comparison(0), "processes"), N - 2);
}
END_TEST

/* An operation that one program does not have is left out, not waited for. */
START_TEST(test_programs_lack_an_operation)
{
    double half_width;

    job.machine.programs = true;
    job.machine.operations = 1u << DWB_OPERATION_DEPTHWISE | 1u << DWB_OPERATION_SEPARABLE_FUSED;
    job.spec = gate_spec("worker:a", "worker:b", "depthwise,separable_fused", 1);
    record_all(2 * N);
    for (uint32_t i = 0; i < 2 * N; i++)
        if (dwb_gate_side_of(i) == 'b') /* an older one: what it calls fused is no such thing */
            job.records[i]->subjects[1].operation = DWB_OPERATION_CANARY;
    job.document = build("programs_lack");
    ck_assert_uint_eq(json_array_size(json_object_get(job.document, "comparisons")), 1);
    ck_assert_str_eq(text(comparison(0), "operation"), "depthwise");
    expect("same", NULL);
    ck_assert_int_eq(dwb_gate_half_width(job.spec, job.records, job.n, &half_width), 0);
    ck_assert_double_lt(half_width, 0.001);
}
END_TEST

/* The machine was busy whenever b ran. */
START_TEST(test_programs_contaminated_on_one_side)
{
    job.machine.programs = true;
    job.machine.change = 0.1;
    job.spec = gate_spec("worker:a", "worker:b", "depthwise", 1);
    record_all(2 * N);
    for (uint32_t i = 0; i < 2 * N; i++)
        for (size_t k = 0; dwb_gate_side_of(i) == 'b' && k < job.records[i]->n_samples; k++)
            if (job.records[i]->samples[k].block > 0)
                job.records[i]->samples[k].flags = DWB_SAMPLE_GAP;
    job.document = build("programs_contaminated");
    expect("not_resolved", "the machine was busy");
    ck_assert_double_eq_tol(number(comparison(0), "dropped_share"), 0.95, 1e-9);
}
END_TEST

/* ---- a second run ---- */

START_TEST(test_second_run)
{
    job.machine.change = 0.03;
    measure(N, "first");
    json_t *alone = job.document;
    for (int confirmed = 0; confirmed < 2; confirmed++) {
        json_t *first = json_deep_copy(alone), *second;

        gate_free(job.records, job.n);
        job.machine.change = confirmed ? 0.03 : 0;
        measure(N, "second");
        second = job.document;
        ck_assert_int_eq(dwb_gate_confirm(first, second), 0);
        dump(first, confirmed ? "confirmed" : "unconfirmed");
        job.document = first;
        expect(confirmed ? "slower" : "not_resolved", confirmed ? NULL : "did not confirm");
        ck_assert_double_eq_tol(change("median"), 0.03, 1e-6); /* of the first run */
        json_decref(first);
        json_decref(second);
    }
    job.document = alone;
}
END_TEST

/* ---- precision ---- */

START_TEST(test_half_width)
{
    struct dwb_progress progress;
    double few, many;

    job.machine.operations = 7;
    job.machine.process_noise = 0.01;
    job.spec = gate_spec("native", "native", NULL, 1);
    record_all(N_MAX);
    ck_assert_int_eq(dwb_result_progress(job.spec, job.records, 0, &progress), 0);
    ck_assert(isinf(progress.half_width));
    ck_assert_int_eq(dwb_gate_half_width(job.spec, job.records, 2, &few), 0);
    ck_assert(isinf(few));
    ck_assert_int_eq(dwb_gate_half_width(job.spec, job.records, N, &few), 0);
    ck_assert_int_eq(dwb_gate_half_width(job.spec, job.records, N_MAX, &many), 0);
    ck_assert_double_lt(many, few);
    ck_assert_int_eq(dwb_result_progress(job.spec, job.records, N_MAX, &progress), 0);
    ck_assert_double_eq(progress.half_width, many);
    ck_assert_uint_eq(progress.n_replicates, N_MAX);
    job.document = build("half_width");
    double widest = 0;
    for (size_t i = 0; i < 3; i++) {
        const json_t *c = json_object_get(comparison(i), "change");

        widest = fmax(widest, (number(c, "ci_high") - number(c, "ci_low")) / 2);
    }
    ck_assert_double_eq_tol(many, widest, 1e-12); /* the widest of them decides */
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("gate");
    TCase *tests = tcase_create("gate");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    if (argc == 3 && strcmp(argv[1], "--dump") == 0)
        dump_directory = argv[2];
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_slower);
    tcase_add_test(tests, test_faster);
    tcase_add_test(tests, test_same);
    tcase_add_test(tests, test_straddling);
    tcase_add_test(tests, test_on_the_edge);
    tcase_add_test(tests, test_too_few_processes);
    tcase_add_test(tests, test_contaminated);
    tcase_add_test(tests, test_nothing_kept);
    tcase_add_test(tests, test_no_record);
    tcase_add_test(tests, test_drift_cancels);
    tcase_add_test(tests, test_one_noisy_process_in_four);
    tcase_add_test(tests, test_a_flag_drops_its_pair);
    tcase_add_test(tests, test_a_process_without_a_pair);
    tcase_add_test(tests, test_determinism);
    tcase_add_test(tests, test_operations);
    tcase_add_test(tests, test_confidence);
    tcase_add_test(tests, test_forms);
    tcase_add_test(tests, test_sides_of_programs);
    tcase_add_test(tests, test_programs);
    tcase_add_test(tests, test_programs_with_a_gap);
    tcase_add_test(tests, test_programs_lack_an_operation);
    tcase_add_test(tests, test_programs_contaminated_on_one_side);
    tcase_add_test(tests, test_second_run);
    tcase_add_test(tests, test_half_width);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
