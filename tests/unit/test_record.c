/*
 * The codec of replicate records: what goes in comes out, and nothing else comes in.
 */

#include "common/record.h"

#include "common/cleanup.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <string.h>

static struct dwb_subject subjects[2] = {
    {DWB_OPERATION_STANDARD, "native", "avx2", "f32_nhwc_conv__avx2_6x16", "direct", "", 1000, 900,
     0, 256, 1, 1.5, 'b'},
    {DWB_OPERATION_TRIAD, "", "avx2", "", "", "L2", 0, 0, 4096, 0, 0, 0.0, 0},
};
static struct dwb_sample samples[2] = {
    {0, 3, 1, 7, 1234567, 1234500, DWB_SAMPLE_GAP | DWB_SAMPLE_STOLEN},
    {1, 0, 0, 1, INT64_MAX, 0, 0},
};
static struct dwb_counter counters[2] = {
    {"cycles", "", "", DWB_SOURCE_NONE, "no PMU under this hypervisor", DWB_OUTCOME_NO_PMU, false,
     0},
    {"task_clock", "PERF_COUNT_SW_TASK_CLOCK", "ns", DWB_SOURCE_SOFTWARE, "", DWB_OUTCOME_COUNTED,
     true, 37},
};
static struct dwb_reading readings[1] = {{0, 1, 2, 3, 123456789}};

static struct dwb_record sample_record(void)
{
    return (struct dwb_record){
        .layer = {"dws3", 3, 56, 128, 128, 1, DWB_PADDING_SAME, 1},
        .replicate = 4,
        .cpu = 1,
        .seed = 42,
        .cache = DWB_CACHE_WARM,
        .elapsed_ns = 5,
        .kernel_ns = 3,
        .subjects = subjects,
        .n_subjects = 2,
        .samples = samples,
        .n_samples = 2,
        .counters = counters,
        .n_counters = 2,
        .readings = readings,
        .n_readings = 1,
    };
}

static json_t *encode(const struct dwb_record *record)
{
    json_t *object = dwb_record_to_json(record);
    ck_assert_ptr_nonnull(object);
    return object;
}

START_TEST(test_round_trip)
{
    struct dwb_record record = sample_record();
    DWB_CLEANUP(dwb_record_freep) struct dwb_record *back = NULL;

    record.environment = json_pack("{s:s, s:n}", "model", "test", "governor");
    json_t *object = encode(&record);
    ck_assert_str_eq(json_string_value(json_object_get(object, "type")), "replicate");
    ck_assert_str_eq(json_string_value(json_object_get(object, "schema")), DWB_RECORD_SCHEMA);
    ck_assert_int_eq(dwb_record_from_json(object, &back), 0);
    json_t *again = encode(back);
    ck_assert(json_equal(object, again));

    ck_assert_str_eq(back->layer.name, "dws3");
    ck_assert_uint_eq(back->layer.out_channels, 128);
    ck_assert_uint_eq(back->replicate, 4);
    ck_assert_uint_eq(back->seed, 42);
    ck_assert_uint_eq(back->n_subjects, 2);
    ck_assert_int_eq(back->subjects[1].operation, DWB_OPERATION_TRIAD);
    ck_assert_int_eq(back->subjects[0].side, 'b');
    ck_assert_int_eq(back->subjects[1].side, 0);
    ck_assert_str_eq(back->subjects[1].level, "L2");
    ck_assert_uint_eq(back->subjects[0].mismatched, 1);
    ck_assert_double_eq(back->subjects[0].worst_error, 1.5);
    ck_assert_uint_eq(back->samples[0].flags, DWB_SAMPLE_GAP | DWB_SAMPLE_STOLEN);
    ck_assert_uint_eq(back->samples[1].wall_ns, INT64_MAX);
    ck_assert_int_eq(back->counters[0].source, DWB_SOURCE_NONE);
    ck_assert_str_eq(back->counters[0].reason, "no PMU under this hypervisor");
    ck_assert_int_eq(back->counters[1].source, DWB_SOURCE_SOFTWARE);
    ck_assert_uint_eq(back->readings[0].value, 123456789);
    ck_assert(json_is_null(json_object_get(back->environment, "governor")));
    json_decref(object);
    json_decref(again);
    json_decref(record.environment);
}
END_TEST

/* A member that older records do not have, and that is there only when it says something. */
START_TEST(test_omissions)
{
    struct dwb_omission omissions[] = {
        {DWB_OPERATION_STANDARD, "plugin:mine", "the plugin has no standard kernel"}};
    struct dwb_record record = sample_record();
    DWB_CLEANUP(dwb_record_freep) struct dwb_record *back = NULL;
    json_t *object = encode(&record);

    ck_assert_ptr_null(json_object_get(object, "omissions"));
    json_decref(object);
    record.omissions = omissions;
    record.n_omissions = 1;
    object = encode(&record);
    ck_assert_int_eq(dwb_record_from_json(object, &back), 0);
    ck_assert_uint_eq(back->n_omissions, 1);
    ck_assert_int_eq(back->omissions[0].operation, DWB_OPERATION_STANDARD);
    ck_assert_str_eq(back->omissions[0].backend, "plugin:mine");
    ck_assert_str_eq(back->omissions[0].reason, "the plugin has no standard kernel");
    json_decref(object);
}
END_TEST

START_TEST(test_values_past_json)
{
    struct dwb_record record = sample_record();
    struct dwb_subject nan_output = subjects[0];
    DWB_CLEANUP(dwb_record_freep) struct dwb_record *back = NULL;

    nan_output.worst_error = INFINITY;
    record.subjects = &nan_output;
    record.n_subjects = 1;
    record.n_samples = record.n_readings = 0;
    record.seed = UINT64_MAX;
    json_t *object = encode(&record);
    ck_assert_int_eq(dwb_record_from_json(object, &back), 0);
    ck_assert_uint_eq(back->seed, UINT64_MAX);
    ck_assert(isinf(back->subjects[0].worst_error));
    ck_assert(json_is_object(back->environment));
    json_decref(object);
}
END_TEST

/* The member is there in a comparison only: a record of a ratio is what it was before. */
START_TEST(test_side)
{
    struct dwb_record record = sample_record();
    DWB_CLEANUP(dwb_record_freep) struct dwb_record *back = NULL;
    json_t *object = encode(&record);
    json_t *encoded = json_object_get(object, "subjects");

    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(encoded, 0), "side")), "b");
    ck_assert_ptr_null(json_object_get(json_array_get(encoded, 1), "side"));
    json_object_set_new(json_array_get(encoded, 1), "side", json_string("a"));
    json_object_del(json_array_get(encoded, 0), "side");
    ck_assert_int_eq(dwb_record_from_json(object, &back), 0);
    ck_assert_int_eq(back->subjects[0].side, 0);
    ck_assert_int_eq(back->subjects[1].side, 'a');
    json_decref(object);
}
END_TEST

START_TEST(test_names)
{
    enum dwb_operation operation;

    for (int i = 0; i < DWB_N_OPERATIONS; i++) {
        ck_assert_int_eq(
            dwb_operation_from_name(dwb_operation_name((enum dwb_operation)i), &operation), 0);
        ck_assert_int_eq(operation, i);
    }
    operation = DWB_OPERATION_READ;
    ck_assert_int_eq(dwb_operation_from_name("winograd", &operation), -EINVAL);
    ck_assert_int_eq(operation, DWB_OPERATION_READ);
    ck_assert_ptr_null(dwb_operation_name(DWB_N_OPERATIONS));
    ck_assert_ptr_null(dwb_source_name(DWB_SOURCE_NONE));
    ck_assert_str_eq(dwb_source_name(DWB_SOURCE_HARDWARE), "hardware");
}
END_TEST

/* Each edit replaces what `path` names (a dot a level, digits index arrays) by `value`. */
static const struct {
    const char *path;
    const char *value;
} edits[] = {
    {"type", "\"progress\""},
    {"type", "null"},
    {"schema", "\"dwbench.replicate/2\""},
    {"layer", "{}"},
    {"layer", "null"},
    {"layer.Dk", "0"},
    {"layer.Dx", "\"56\""},
    {"replicate", "-1"},
    {"replicate", "4294967296"},
    {"replicate", "1.0"},
    {"cpu", "null"},
    {"seed", "-1"},
    {"seed", "\"1\""},
    {"seed", "\"18446744073709551616\""},
    {"seed", "\" 9223372036854775808\""},
    {"seed", "\"-9223372036854775809\""},
    {"seed", "\"9223372036854775808x\""},
    {"seed", "\"9223372036854775808\\u0000\""},
    {"cache", "\"hot\""},
    {"cache", "1"},
    {"elapsed_ns", "-5"},
    {"kernel_ns", "1e3"},
    {"subjects", "{}"},
    {"subjects", "[]"},
    {"subjects.0", "[]"},
    {"subjects.0", "{}"},
    {"subjects.0.operation", "\"winograd\""},
    {"subjects.0.operation", "0"},
    {"subjects.0.backend", "\"a name that is longer than the field has room for, and it has more "
                           "than most\""},
    {"subjects.0.backend", "\"na\\u0000tive\""},
    {"subjects.0.kernel", "\"\\u001b[31mred\""},
    {"subjects.0.isa", "null"},
    {"subjects.0.macs_nominal", "-1"},
    {"subjects.0.verified", "4294967296"},
    {"subjects.0.mismatched", "257"},
    {"subjects.0.worst_error", "-0.5"},
    {"subjects.0.worst_error", "\"inf\""},
    {"subjects.0.extra", "1"},
    {"subjects.0.side", "\"c\""},
    {"subjects.0.side", "\"\""},
    {"subjects.0.side", "\"ab\""},
    {"subjects.0.side", "\"A\""},
    {"subjects.0.side", "null"},
    {"subjects.0.side", "97"},
    {"subjects.1.side", "[\"a\"]"},
    {"samples", "null"},
    {"samples.0", "{}"},
    {"samples.0", "[0,3,1,7,1234567,1234500]"},
    {"samples.0", "[0,3,1,7,1234567,1234500,0,0]"},
    {"samples.0.0", "2"},
    {"samples.0.1", "4294967296"},
    {"samples.0.2", "2"},
    {"samples.0.3", "0"},
    {"samples.0.3", "4294967296"},
    {"samples.0.4", "0"},
    {"samples.0.4", "1.5"},
    {"samples.0.5", "-1"},
    {"samples.0.6", "16"},
    {"counters", "7"},
    {"counters.0.name", "\"\""},
    {"counters.0.name", "\"task_clock\""},
    {"counters.0.source", "\"guessed\""},
    {"counters.0.source", "0"},
    {"counters.0.reason", "null"},
    {"counters.1.source", "null"}, /* and has a reading */
    {"counters", "[]"},
    {"readings.0.0", "2"},
    {"readings.0.1", "0"}, /* a counter that was not counted */
    {"readings.0.1", "2"},
    {"readings.0.3", "0"},
    {"readings.0.4", "-1"},
    {"readings.0", "[0,1,2,3]"},
    {"environment", "[]"},
    {"environment", "null"},
    {"omissions", "{}"},
    {"omissions", "[7]"},
    {"omissions", "[{\"operation\":\"canary\",\"backend\":\"b\",\"reason\":\"r\"}]"},
    {"omissions", "[{\"operation\":\"standard\",\"backend\":\"\",\"reason\":\"r\"}]"},
    {"omissions", "[{\"operation\":\"standard\",\"backend\":\"b\",\"reason\":\"\"}]"},
    {"omissions", "[{\"operation\":\"standard\",\"backend\":\"b\"}]"},
    {"surplus", "1"},
};

static void edit(json_t *root, const char *path, json_t *value)
{
    char copy[64], *save = NULL;

    snprintf(copy, sizeof copy, "%s", path);
    json_t *at = root;
    for (char *step = strtok_r(copy, ".", &save); step;) {
        char *next = strtok_r(NULL, ".", &save);
        json_t *child = json_is_array(at) ? json_array_get(at, strtoul(step, NULL, 10))
                                          : json_object_get(at, step);
        if (next) {
            ck_assert_ptr_nonnull(child);
            at = child;
        } else if (json_is_array(at)) {
            ck_assert_int_eq(json_array_set_new(at, strtoul(step, NULL, 10), value), 0);
        } else {
            ck_assert_int_eq(json_object_set_new(at, step, value), 0);
        }
        step = next;
    }
}

START_TEST(test_refused)
{
    struct dwb_record record = sample_record();
    struct dwb_record *back = NULL;
    json_t *object = encode(&record);
    json_t *value = json_loads(edits[_i].value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    ck_assert_ptr_nonnull(value);
    edit(object, edits[_i].path, value);
    ck_assert_msg(dwb_record_from_json(object, &back) == -EINVAL, "%s = %s was taken",
                  edits[_i].path, edits[_i].value);
    ck_assert_ptr_null(back);
    json_decref(object);
}
END_TEST

START_TEST(test_missing_members)
{
    struct dwb_record record = sample_record();
    struct dwb_record *back = NULL;
    json_t *object = encode(&record);
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        json_t *without = json_copy(object);
        ck_assert_int_eq(json_object_del(without, key), 0);
        ck_assert_msg(dwb_record_from_json(without, &back) == -EINVAL, "%s is not needed", key);
        json_decref(without);
    }
    json_t *nothing = json_array();
    ck_assert_int_eq(dwb_record_from_json(nothing, &back), -EINVAL);
    ck_assert_int_eq(dwb_record_from_json(NULL, &back), -EINVAL);
    ck_assert_ptr_null(back);
    json_decref(nothing);
    json_decref(object);
    dwb_record_free(NULL);
}
END_TEST

/* Each is wrong in one figure; whoever reads /sys or a text asks. */
START_TEST(test_cache_shapes)
{
    static const struct dwb_cache_shape good = {32768, 8, 64}, bad[] = {
                                                                   {32768, 8, 0},
                                                                   {32768, 8, 48},
                                                                   {32768, 8, 8},
                                                                   {8388608, 8, 8192},
                                                                   {32768, 0, 64},
                                                                   {UINT64_C(1) << 30, 8192, 64},
                                                                   {UINT64_C(1) << 41, 8, 64},
                                                                   {64, 1, 64},
                                                                   {32768, 3, 64},
                                                                   {49152, 8, 64},
                                                               };

    ck_assert(dwb_cache_shape_valid(&good));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!dwb_cache_shape_valid(&bad[i]), "shape %zu", i);
}
END_TEST

START_TEST(test_names_of_numbers)
{
    ck_assert_ptr_null(dwb_source_name((enum dwb_source)(DWB_SOURCE_SIMULATED + 1)));
    ck_assert_ptr_null(dwb_outcome_name(DWB_N_OUTCOMES));
    ck_assert_str_eq(dwb_simulated_name(DWB_SIMULATED_LL_MISSES), "ll_misses");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record");
    TCase *tcase = tcase_create("codec");

    tcase_add_test(tcase, test_round_trip);
    tcase_add_test(tcase, test_omissions);
    tcase_add_test(tcase, test_values_past_json);
    tcase_add_test(tcase, test_side);
    tcase_add_test(tcase, test_names);
    tcase_add_loop_test(tcase, test_refused, 0, sizeof edits / sizeof *edits);
    tcase_add_test(tcase, test_missing_members);
    tcase_add_test(tcase, test_cache_shapes);
    tcase_add_test(tcase, test_names_of_numbers);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
