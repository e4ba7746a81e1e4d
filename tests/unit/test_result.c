/* Result documents of made-up machines: times, ratios, intervals and verdicts. */

#include "result_fixture.h"

#include "common/cleanup.h"

#include <errno.h>
#include <string.h>

static bool has_reason(json_t *entry, const char *words)
{
    size_t i;
    json_t *reason;

    json_array_foreach(at(entry, "verdict_reasons"), i,
                       reason) if (strstr(json_string_value(reason), words)) return true;
    return false;
}

START_TEST(test_quiet)
{
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, N);
    json_t *document = build(&job, "quiet"), *entry = at(document, "results.0");
    double theory = 1.0 / 128 + 1.0 / 9, ratio = SYNTHETIC_RATIO;

    ck_assert_str_eq(text(document, "schema"), DWB_RESULT_SCHEMA);
    ck_assert_str_eq(text(document, "job.id"), "j1");
    ck_assert_uint_eq(json_array_size(at(document, "results")), 1);
    ck_assert(json_equal(at(document, "ratio"), at(entry, "ratio")));
    ck_near(number(document, "theory_ratio"), theory, 1e-12);

    ck_near(number(entry, "ratio.time.floor"), ratio, 2e-3);
    ck_near(number(entry, "ratio.time.median"), ratio, 5e-3);
    ck_assert_double_le(number(entry, "ratio.time.ci_low"), ratio);
    ck_assert_double_ge(number(entry, "ratio.time.ci_high"), ratio);
    ck_near(number(entry, "ratio.time.confidence"), 0.99, 1e-12);
    ck_near(number(entry, "saving_delivered"), theory / ratio, 2e-3);
    ck_near(number(entry, "speedup"), 1 / ratio, 2e-3);
    ck_assert_str_eq(text(entry, "best_separable"), "separable");
    ck_near(number(entry, "saving_delivered_best"), theory / ratio, 2e-3);
    ck_assert_str_eq(text(entry, "verdict"), "stable");
    ck_assert_uint_eq(json_array_size(at(entry, "verdict_reasons")), 0);
    ck_assert(json_is_true(at(entry, "precision_reached")));

    ck_near(number(entry, "operations.standard.time_ns.floor"), 8e6, 1e-3);
    ck_near(number(entry, "operations.standard.time_ns.median"), 8e6 * (1 + 0.01 * M_LN2), 2e-3);
    ck_assert_double_eq(number(entry, "operations.standard.time_ns.samples"), N * 30);
    ck_assert_double_eq(number(entry, "operations.depthwise.time_ns.dropped"), 0);
    double macs = 9.0 * 128 * 128 * 56 * 56;
    double executed = 128.0 * 128 * (3 * 56 - 2) * (3 * 56 - 2);
    ck_assert_double_eq(number(entry, "theory.standard_macs"), macs);
    ck_assert_double_eq(number(entry, "theory.executed.standard_macs"), executed);
    ck_near(number(entry, "operations.standard.gflops_nominal"), 2 * macs / 8e6, 2e-3);
    ck_near(number(entry, "operations.standard.gflops_executed"), 2 * executed / 8e6, 2e-3);
    ck_near(number(entry, "operations.standard.percent_of_peak"), 2 * executed / 8e6 / 1.2, 2e-3);
    ck_near(number(entry, "machine.peak_gflops"), 120, 2e-3);
    ck_near(number(entry, "machine.bandwidth.L2.triad_gbps"), 60, 2e-3);
    ck_near(number(entry, "explain.bounds.separable.gflops"), 120, 2e-3);
    ck_assert_str_eq(text(entry, "explain.bounds.separable.held_by"), "compute");
    ck_near(number(entry, "explain.bounds.depthwise.attained_gbps"),
            4.0 * (2 * 56 * 56 * 128 + 9 * 128) / 0.2e6, 2e-3);
    ck_assert_double_eq(number(entry, "measuring.wall_ns"), N * 350e6);
    ck_assert_double_eq(number(entry, "measuring.kernel_ns"), N * 301e6);
    ck_near(number(entry, "measuring.share"), 0.86, 1e-12);
    ck_assert_double_eq(number(document, "job.measuring.wall_ns"), MEASURED_NS);
    ck_near(number(document, "job.measuring.share"), N * 301e6 / MEASURED_NS, 1e-12);
    ck_assert_double_eq(number(document, "job.measuring.replicates"), N);
    ck_assert(json_is_true(at(entry, "verification.ok")));
    ck_assert_double_eq(number(entry, "verification.positions"), N * 4 * 256);
    ck_assert(dwb_result_verified(document));
    json_decref(document);
    free_job(&job);
}
END_TEST

START_TEST(test_empty)
{
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, 0);
    json_t *document = build(&job, "empty"), *entry = at(document, "results.0");
    struct dwb_progress progress;

    ck_assert(is_null(entry, "backend"));
    ck_assert(is_null(entry, "ratio.time.floor"));
    ck_assert_str_eq(text(entry, "ratio.time.reason"), "no replicate was measured");
    ck_assert(is_null(entry, "ratio.cycles.value"));
    ck_assert(is_null(entry, "saving_delivered"));
    ck_assert(is_null(entry, "operations.standard.time_ns.floor"));
    ck_assert(is_null(entry, "operations.standard.gflops_executed"));
    ck_assert(is_null(entry, "measuring.share"));
    ck_assert_str_eq(text(entry, "measuring.reason"), "no replicate was measured");
    ck_assert(is_null(document, "job.measuring.wall_ns"));
    ck_assert(is_null(document, "job.measuring.replicates"));
    ck_assert(text(document, "job.measuring.reason")[0]);
    ck_assert(is_null(entry, "verification.ok"));
    ck_assert_str_eq(text(entry, "verdict"), "unstable");
    ck_assert_str_eq(text(entry, "why"), "no ratio: no replicate was measured");
    ck_assert_double_gt(number(entry, "theory.ratio"), 0);
    ck_assert(dwb_result_verified(document));
    json_decref(document);

    ck_assert_int_eq(dwb_result_progress(job.spec, job.records, 0, &progress), 0);
    ck_assert_uint_eq(progress.n_replicates, 0);
    ck_assert(isinf(progress.half_width));
    ck_assert(progress.verified);
    free_job(&job);
}
END_TEST

START_TEST(test_one_replicate)
{
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, 1);
    json_t *document = build(&job, "one"), *entry = at(document, "results.0");
    struct dwb_progress progress;

    ck_near(number(entry, "ratio.time.floor"), SYNTHETIC_RATIO, 5e-3);
    ck_assert(is_null(entry, "ratio.time.ci_low"));
    ck_assert(is_null(entry, "ratio.time.half_width"));
    ck_assert(is_null(entry, "ratio.time.method"));
    ck_assert_str_eq(text(entry, "ratio.time.reason"),
                     "no interval: it takes 4 processes, there are 1");
    ck_assert(is_null(entry, "operations.standard.time_ns.ci_low"));
    ck_assert_str_eq(text(entry, "verdict"), "unstable");
    ck_assert(json_is_false(at(entry, "precision_reached")));
    json_decref(document);
    ck_assert_int_eq(dwb_result_progress(job.spec, job.records, 1, &progress), 0);
    ck_assert_uint_eq(progress.n_replicates, 1);
    ck_assert(isinf(progress.half_width));
    free_job(&job);
}
END_TEST

/* A record whose worker was stopped before its first sample. */
START_TEST(test_no_samples)
{
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, 2);

    job.records[0]->n_samples = job.records[1]->n_samples = 0;
    job.records[0]->n_readings = job.records[1]->n_readings = 0;
    json_t *document = build(&job, "no_samples"), *entry = at(document, "results.0");
    ck_assert_str_eq(text(entry, "backend"), "native");
    ck_assert(is_null(entry, "ratio.time.floor"));
    ck_assert_str_eq(text(entry, "ratio.time.reason"), "standard: not measured");
    ck_assert_str_eq(text(entry, "operations.pointwise.reason"), "not measured");
    ck_assert_str_eq(text(entry, "verdict"), "unstable");
    ck_assert(is_null(entry, "machine.peak_gflops"));
    json_decref(document);
    free_job(&job);
}
END_TEST

START_TEST(test_contaminated)
{
    struct synthetic s = synthetic_quiet();

    s.flagged_share = 0.4; /* of samples; of pairs 1 - 0.6^2 */
    struct job job = make_job(&s, N);
    json_t *document = build(&job, "contaminated"), *entry = at(document, "results.0");
    ck_assert_str_eq(text(entry, "verdict"), "contaminated");
    ck_near(number(entry, "dropped_share"), 0.64, 0.1);
    ck_assert(has_reason(entry, "the machine was busy"));
    ck_near(number(entry, "ratio.time.floor"), SYNTHETIC_RATIO,
            1e-2); /* no bias from what is left */
    ck_assert_ptr_nonnull(strstr(text(entry, "why"), "contaminated"));
    json_decref(document);

    for (size_t i = 0; i < job.n; i++)
        for (size_t k = 0; k < job.records[i]->n_samples; k++)
            job.records[i]->samples[k].flags = DWB_SAMPLE_STOLEN;
    document = build(&job, "all_flagged");
    entry = at(document, "results.0");
    ck_assert_str_eq(text(entry, "verdict"), "contaminated");
    ck_assert_double_eq(number(entry, "dropped_share"), 1);
    ck_assert(is_null(entry, "ratio.time.floor"));
    ck_assert_str_eq(text(entry, "ratio.time.reason"),
                     "standard: every sample was dropped as disturbed");
    json_decref(document);
    free_job(&job);
}
END_TEST

START_TEST(test_unstable)
{
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, N);

    for (size_t i = 2; i < N; i++) /* two processes were lucky with their pages */
        for (size_t k = 0; k < job.records[i]->n_samples; k++)
            if (job.records[i]->samples[k].subject == SYNTHETIC_SEPARABLE)
                job.records[i]->samples[k].wall_ns =
                    job.records[i]->samples[k].wall_ns * (105 + i) / 100;
    json_t *document = build(&job, "unstable"), *entry = at(document, "results.0");
    ck_assert_str_eq(text(entry, "verdict"), "unstable");
    ck_assert(has_reason(entry, "the separable floor was reproduced within 1% by 2 processes"));
    ck_assert(!has_reason(entry, "the standard floor"));
    ck_assert(has_reason(entry, "not resolved"));
    ck_assert(json_is_false(at(entry, "precision_reached")));
    json_decref(document);
    free_job(&job);
}
END_TEST

START_TEST(test_different_kernels)
{
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, N);

    strcpy(job.records[4]->subjects[SYNTHETIC_DEPTHWISE].kernel, "another");
    json_t *document = build(&job, "kernels"), *entry = at(document, "results.0");
    ck_assert_str_eq(text(entry, "verdict"), "unstable");
    ck_assert(has_reason(entry, "different depthwise kernels"));
    json_decref(document);
    free_job(&job);
}
END_TEST

START_TEST(test_mismatch)
{
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, N);
    struct dwb_progress progress;

    job.records[7]->subjects[SYNTHETIC_POINTWISE].mismatched = 3;
    job.records[7]->subjects[SYNTHETIC_POINTWISE].worst_error = INFINITY;
    json_t *document = build(&job, "mismatch"), *entry = at(document, "results.0");
    ck_assert(json_is_false(at(entry, "verification.ok")));
    ck_assert_double_eq(number(entry, "verification.mismatched"), 3);
    ck_assert(is_null(entry, "verification.worst_error_ratio"));
    ck_assert(has_reason(entry, "outputs are wrong: 3 of 10240"));
    ck_assert(!dwb_result_verified(document));
    json_decref(document);
    ck_assert_int_eq(dwb_result_progress(job.spec, job.records, N, &progress), 0);
    ck_assert(!progress.verified);
    ck_assert_double_lt(progress.half_width, 0.005);
    free_job(&job);
}
END_TEST

START_TEST(test_canary)
{
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, N);

    for (size_t i = 0; i < 3; i++) /* a busy sibling, as the canary saw too */
        for (size_t k = 0; k < job.records[i]->n_samples; k++) {
            uint32_t subject = job.records[i]->samples[k].subject;
            uint64_t *ns = &job.records[i]->samples[k].wall_ns;
            *ns = subject == SYNTHETIC_CANARY     ? *ns * 14 / 10
                  : subject == SYNTHETIC_STANDARD ? *ns * 12 / 10
                                                  : *ns;
        }
    json_t *document = build(&job, "canary"), *entry = at(document, "results.0");
    ck_assert_double_eq(number(entry, "machine.canary.processes_dropped"), 3);
    ck_assert_double_eq(number(entry, "ratio.time.processes"), 7);
    ck_near(number(entry, "dropped_share"), 0.3, 1e-9);
    ck_assert_str_eq(text(entry, "ratio.time.method"), "range, stretched");
    ck_assert_str_eq(text(entry, "verdict"), "stable");
    ck_assert(has_reason(entry, "3 of 10 processes were dropped"));
    ck_assert(json_is_true(at(entry, "precision_reached")));
    json_decref(document);
    free_job(&job);
}
END_TEST

/* A pair shares its fate: what is left has as many standard as separable samples. */
START_TEST(test_pairs)
{
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, N);

    job.records[0]->samples[SYNTHETIC_STANDARD].flags = DWB_SAMPLE_GAP;
    job.records[0]->samples[SYNTHETIC_DEPTHWISE].flags = DWB_SAMPLE_MIGRATED;
    json_t *document = build(&job, "pairs"), *entry = at(document, "results.0");
    ck_assert_double_eq(number(entry, "operations.standard.time_ns.dropped"), 1);
    ck_assert_double_eq(number(entry, "operations.separable.time_ns.dropped"), 1);
    ck_assert_double_eq(number(entry, "operations.depthwise.time_ns.dropped"), 1);
    ck_assert_double_eq(number(entry, "operations.pointwise.time_ns.dropped"), 0);
    ck_near(number(entry, "dropped_share"), 1.0 / 300, 1e-9);
    json_decref(document);
    free_job(&job);
}
END_TEST

/* The same bytes whatever the order of the records, and again. */
START_TEST(test_deterministic)
{
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, N);
    json_t *document = build(&job, "again"), *shuffled;
    dwb_cleanup_free char *first = json_dumps(document, JSON_COMPACT);

    for (size_t i = 0; i < N / 2; i++) {
        struct dwb_record *record = job.records[i];
        job.records[i] = job.records[N - 1 - i];
        job.records[N - 1 - i] = record;
    }
    shuffled = build(&job, "again");
    dwb_cleanup_free char *second = json_dumps(shuffled, JSON_COMPACT);
    ck_assert_str_eq(first, second);
    json_decref(document);
    json_decref(shuffled);

    /* And through the codec, as the store keeps them. */
    for (size_t i = 0; i < N; i++) {
        json_t *object = dwb_record_to_json(job.records[i]);
        dwb_record_free(job.records[i]);
        ck_assert_int_eq(dwb_record_from_json(object, &job.records[i]), 0);
        json_decref(object);
    }
    document = build(&job, "again");
    dwb_cleanup_free char *third = json_dumps(document, JSON_COMPACT);
    ck_assert_str_eq(first, third);
    json_decref(document);
    free_job(&job);
}
END_TEST

/* Two layers, the second four times in the network and only half measured at first. */
START_TEST(test_suite)
{
    struct synthetic first = synthetic_quiet(), second = synthetic_quiet();

    second.layer = (struct dwb_layer){"dws7", 3, 14, 512, 512, 1, DWB_PADDING_SAME, 4};
    for (size_t i = 0; i <= SYNTHETIC_SEPARABLE; i++)
        second.call_ns[i] *= 2;
    struct job job = make_job(&first, 2 * N);
    free(job.spec->layers);
    job.spec->layers = calloc(2, sizeof *job.spec->layers);
    job.spec->layers[0] = first.layer;
    job.spec->layers[1] = second.layer;
    job.spec->n_layers = 2;
    job.spec->is_suite = true;
    synthetic_free(job.records + N, N);
    synthetic_records(&second, 5, job.records + N, N);
    for (size_t i = N; i < 2 * N; i++)
        job.layer_of[i] = 1;

    json_t *document = build(&job, "suite");
    ck_assert_uint_eq(json_array_size(at(document, "results")), 2);
    ck_assert_ptr_null(json_object_get(document, "ratio"));
    ck_assert_str_eq(text(document, "results.1.layer.name"), "dws7");
    ck_near(number(document, "results.1.ratio.time.confidence"), 0.995, 1e-12);
    ck_near(number(document, "totals.0.standard_ns"), 8e6 + 4 * 16e6, 2e-3);
    ck_near(number(document, "totals.0.ratio"), SYNTHETIC_RATIO, 2e-3);
    double macs = 56.0 * 56 * 128 * 128 + 4 * 14.0 * 14 * 512 * 512;
    ck_near(number(document, "totals.0.standard_macs"), 9 * macs, 1e-12);
    json_decref(document);

    size_t n = job.n;
    job.n = N;
    document = build(&job, "suite_half");
    ck_assert_uint_eq(json_array_size(at(document, "totals")), 0);
    ck_assert_double_gt(number(document, "results.0.ratio.time.floor"), 0);
    ck_assert(is_null(document, "results.1.ratio.time.floor"));
    json_decref(document);
    job.n = n;
    free_job(&job);
}
END_TEST

/* The pointwise's samples stand for a fused form, the depthwise's for a peer's separable one. */
START_TEST(test_fused)
{
    struct synthetic s = synthetic_quiet();

    s.call_ns[SYNTHETIC_DEPTHWISE] = 1.9e6;
    struct job job = make_job(&s, N);
    for (size_t i = 0; i < N; i++) {
        struct dwb_subject *subjects = job.records[i]->subjects;
        subjects[SYNTHETIC_POINTWISE].operation = DWB_OPERATION_SEPARABLE_FUSED;
        subjects[SYNTHETIC_DEPTHWISE].operation = DWB_OPERATION_SEPARABLE;
        strcpy(subjects[SYNTHETIC_DEPTHWISE].backend, "onednn");
    }
    json_t *document = build(&job, "fused"), *entry = at(document, "results.0");
    ck_near(number(entry, "operations.separable_fused.time_ns.floor"), 0.95e6, 2e-3);
    ck_near(number(entry, "ratio_fused.time.floor"), 0.95 / 8, 2e-3);
    ck_near(number(entry, "ratio.time.floor"), SYNTHETIC_RATIO, 2e-3);
    ck_assert_str_eq(text(entry, "operations.pointwise.reason"), "not measured");
    /* The saving stays that of the form through memory; the best one has names of its own. */
    double theory = number(entry, "theory.ratio");
    ck_near(number(entry, "saving_delivered"), theory / SYNTHETIC_RATIO, 2e-3);
    ck_assert_str_eq(text(entry, "best_separable"), "separable_fused");
    ck_near(number(entry, "saving_delivered_best"), theory / (0.95 / 8), 2e-3);

    entry = at(document, "results.1");
    ck_assert_str_eq(text(entry, "backend"), "onednn");
    ck_near(number(entry, "native_speedup.separable.floor"), 1.9 / 1.15, 2e-3);
    ck_near(number(entry, "native_speedup.separable_best.floor"), 1.9 / 0.95, 2e-3);
    ck_assert(is_null(entry, "best_separable")); /* it has no standard, so no ratio */
    json_decref(document);
    free_job(&job);
}
END_TEST

/* A plugin that has a depthwise and nothing else: null with its reason, and no fault of the run. */
START_TEST(test_omission)
{
    static const char plugin[] = "plugin:mine", reason[] = "the plugin has no standard kernel";
    static const enum dwb_operation lacking[] = {DWB_OPERATION_STANDARD, DWB_OPERATION_SEPARABLE};
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, N);
    struct dwb_progress progress;

    for (size_t i = 0; i < N; i++) {
        struct dwb_record *record = job.records[i];
        record->subjects[SYNTHETIC_POINTWISE].operation = DWB_OPERATION_DEPTHWISE;
        strcpy(record->subjects[SYNTHETIC_POINTWISE].backend, plugin);
        record->omissions = calloc(2, sizeof *record->omissions);
        record->n_omissions = 2;
        for (size_t k = 0; k < 2; k++) {
            record->omissions[k].operation = lacking[k];
            strcpy(record->omissions[k].backend, plugin);
            strcpy(record->omissions[k].reason, reason);
        }
    }
    json_t *document = build(&job, "omission"), *entry = at(document, "results.1");
    ck_assert_str_eq(text(entry, "backend"), plugin);
    ck_near(number(entry, "operations.depthwise.time_ns.floor"), 0.95e6, 2e-3);
    ck_assert_str_eq(text(entry, "operations.standard.reason"), reason);
    ck_assert(is_null(entry, "operations.standard.time_ns.floor"));
    ck_assert_str_eq(text(entry, "operations.pointwise.reason"), "not measured");
    ck_assert(is_null(entry, "ratio.time.floor"));
    ck_assert_str_eq(text(entry, "ratio.time.reason"),
                     "standard: the plugin has no standard kernel");
    ck_near(number(entry, "native_speedup.depthwise.floor"), 0.95 / 0.2, 2e-3);
    ck_assert_str_eq(text(entry, "native_speedup.standard.reason"),
                     "standard: the plugin has no standard kernel");
    ck_assert_str_eq(text(entry, "verdict"), "stable");
    /* The native ratio decides when the layer is known well enough, as without the plugin. */
    ck_assert_int_eq(dwb_result_progress(job.spec, job.records, N, &progress), 0);
    ck_near(progress.half_width, number(document, "results.0.ratio.time.half_width"), 1e-9);

    /* It has nothing at all for the layer: an entry says so. */
    for (size_t i = 0; i < N; i++)
        strcpy(job.records[i]->subjects[SYNTHETIC_POINTWISE].backend, "native");
    json_decref(document);
    document = build(&job, "omission_of_all");
    entry = at(document, "results.1");
    ck_assert_str_eq(text(entry, "backend"), plugin);
    ck_assert_str_eq(text(entry, "verdict"), "unstable");
    ck_assert_str_eq(text(entry, "verdict_reasons.0"),
                     "standard: the plugin has no standard kernel");
    json_decref(document);
    free_job(&job);
}
END_TEST

START_TEST(test_environment)
{
    struct synthetic s = synthetic_quiet();
    struct job job = make_job(&s, N);

    json_object_set_new(json_object_get(job.records[2]->environment, "cpu"), "stepping",
                        json_integer(2));
    json_object_set_new(job.records[3]->environment, "governor", json_string("powersave"));
    json_object_del(job.records[4]->environment, "kernel");
    json_t *document = build(&job, "environment");
    ck_assert_str_eq(text(document, "environment.cpu.model"), "made up");
    ck_assert_double_eq(number(document, "environment.cpu.stepping.min"), 1);
    ck_assert_double_eq(number(document, "environment.cpu.stepping.max"), 2);
    ck_assert_double_eq(number(document, "environment.steal_ticks.max"), N - 1);
    ck_assert_double_eq(number(document, "environment.governor.distinct"), 2);
    ck_assert(is_null(document, "environment.governor.first"));
    ck_assert_str_eq(text(document, "environment.kernel.first"), "Linux 6");
    ck_assert_double_eq(number(document, "environment.kernel.distinct"), 2);
    ck_assert(json_equal(at(document, "environment"), at(document, "results.0.environment")));
    json_decref(document);
    free_job(&job);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, test_quiet);
    tcase_add_test(tests, test_empty);
    tcase_add_test(tests, test_one_replicate);
    tcase_add_test(tests, test_no_samples);
    tcase_add_test(tests, test_contaminated);
    tcase_add_test(tests, test_unstable);
    tcase_add_test(tests, test_different_kernels);
    tcase_add_test(tests, test_mismatch);
    tcase_add_test(tests, test_canary);
    tcase_add_test(tests, test_pairs);
    tcase_add_test(tests, test_deterministic);
    tcase_add_test(tests, test_suite);
    tcase_add_test(tests, test_fused);
    tcase_add_test(tests, test_omission);
    tcase_add_test(tests, test_environment);
}

int main(int argc, char **argv)
{
    return result_main(argc, argv, "result", add);
}
