/*
 * The worker as the supervisor sees it: the built program, a request on its standard input, lines
 * of JSON on its standard output. Its records must decode and keep what the sampler promises.
 *
 *   test_worker WORKER [WRAPPER...]      the wrapper runs it on another architecture
 */

#include "common/cleanup.h"
#include "common/record.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static char command_prefix[4096]; /* wrapper and worker, quoted for the shell */

struct output {
    char *text;
    int status;
};

/* Runs the worker; `input` may hold no single quote. */
static struct output run(const char *arguments, const char *input)
{
    struct output output = {0};
    char command[8192];
    size_t room;
    FILE *pipe, *memory = open_memstream(&output.text, &room);
    char block[4096];
    size_t n;

    snprintf(command, sizeof command, "printf '%%s' '%s' | %s %s 2>&1", input, command_prefix,
             arguments);
    pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    while ((n = fread(block, 1, sizeof block, pipe)) > 0)
        fwrite(block, 1, n, memory);
    output.status = pclose(pipe);
    fclose(memory);
    ck_assert(WIFEXITED(output.status));
    output.status = WEXITSTATUS(output.status);
    return output;
}

/* The record: the last line; those before it are progress. */
static struct dwb_record *record_of(char *text)
{
    struct dwb_record *record = NULL;
    char *save = NULL, *last = NULL;
    json_error_t error;

    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (last) {
            json_t *progress = json_loads(last, 0, &error);

            ck_assert_msg(progress, "%s", last);
            ck_assert_str_eq(json_string_value(json_object_get(progress, "type")), "progress");
            ck_assert(json_is_integer(json_object_get(progress, "done_ns")));
            json_decref(progress);
        }
        last = line;
    }
    ck_assert_ptr_nonnull(last);
    json_t *object = json_loads(last, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(object, "%s: %s", error.text, last);
    ck_assert_int_eq(dwb_record_from_json(object, &record), 0);
    json_decref(object);
    return record;
}

static int find(const struct dwb_record *record, enum dwb_operation operation)
{
    for (size_t i = 0; i < record->n_subjects; i++)
        if (record->subjects[i].operation == operation)
            return (int)i;
    return -1;
}

static void check_subjects(const struct dwb_record *record)
{
    static const enum dwb_operation operations[] = {
        DWB_OPERATION_STANDARD, DWB_OPERATION_DEPTHWISE, DWB_OPERATION_POINTWISE,
        DWB_OPERATION_SEPARABLE, DWB_OPERATION_SEPARABLE_FUSED};

    for (size_t i = 0; i < 5; i++) {
        int at = find(record, operations[i]);

        ck_assert_int_ge(at, 0);
        ck_assert_str_eq(record->subjects[at].backend, "native");
        ck_assert_uint_gt(record->subjects[at].verified, 0);
        ck_assert_uint_eq(record->subjects[at].mismatched, 0);
        ck_assert(record->subjects[at].worst_error <= 1.0);
        ck_assert_uint_gt(record->subjects[at].macs_executed, 0);
        ck_assert_uint_le(record->subjects[at].macs_executed, record->subjects[at].macs_nominal);
    }
    /* Fused or not: the same kernels, the same multiply-adds. */
    const struct dwb_subject *apart = &record->subjects[find(record, DWB_OPERATION_SEPARABLE)];
    const struct dwb_subject *fused =
        &record->subjects[find(record, DWB_OPERATION_SEPARABLE_FUSED)];
    ck_assert_str_eq(fused->algorithm, "fused");
    ck_assert_str_eq(fused->kernel, apart->kernel);
    ck_assert_str_eq(fused->isa, apart->isa);
    ck_assert_uint_eq(fused->macs_nominal, apart->macs_nominal);
    ck_assert_uint_eq(fused->macs_executed, apart->macs_executed);
    ck_assert_int_ge(find(record, DWB_OPERATION_CANARY), 0);
    ck_assert_int_ge(find(record, DWB_OPERATION_FMA_PEAK), 0);
    ck_assert_uint_gt(record->subjects[find(record, DWB_OPERATION_FMA_PEAK)].macs_executed, 0);
    for (size_t i = 0; i < record->n_subjects; i++)
        ck_assert(!record->subjects[i].level[0] == !record->subjects[i].bytes);
}

/* Each block is mirrored, and standard and separable, fused or not, run the same number of calls.
 */
static void check_samples(const struct dwb_record *record)
{
    size_t from = 0, to;
    uint32_t n_blocks = 0, n_calls = 0;

    for (; from < record->n_samples; from = to, n_blocks++) {
        for (to = from; to < record->n_samples; to++)
            if (record->samples[to].block != n_blocks)
                break;
        ck_assert_uint_gt(to, from);
        ck_assert_uint_eq((to - from) % 2, 0);
        for (size_t i = from, k = to - 1; i < k; i++, k--) {
            ck_assert_uint_eq(record->samples[i].subject, record->samples[k].subject);
            ck_assert_uint_eq(record->samples[i].half, 0);
            ck_assert_uint_eq(record->samples[k].half, 1);
        }
    }
    ck_assert_uint_ge(n_blocks, 2);
    for (size_t i = 0; i < record->n_samples; i++) {
        enum dwb_operation operation = record->subjects[record->samples[i].subject].operation;

        if (operation != DWB_OPERATION_STANDARD && operation != DWB_OPERATION_SEPARABLE &&
            operation != DWB_OPERATION_SEPARABLE_FUSED)
            continue;
        if (n_calls == 0)
            n_calls = record->samples[i].n_calls;
        ck_assert_uint_eq(record->samples[i].n_calls, n_calls);
    }
}

static void check_counters(const struct dwb_record *record)
{
    bool task_clock = false;

    for (size_t i = 0; i < record->n_counters; i++) {
        const struct dwb_counter *counter = &record->counters[i];
        size_t n_readings = 0;

        for (size_t k = 0; k < record->n_readings; k++)
            n_readings += record->readings[k].counter == i;
        if (counter->source == DWB_SOURCE_NONE)
            ck_assert_msg(counter->reason[0] != '\0', "%s", counter->name);
        else
            ck_assert_msg(n_readings > 0, "%s", counter->name);
        task_clock = task_clock || (strcmp(counter->name, "task_clock") == 0 &&
                                    counter->source == DWB_SOURCE_SOFTWARE);
    }
    ck_assert(task_clock);
}

/* All of it holds, or the reason says what does not. */
static void check_sandbox(const json_t *environment, const char *profile)
{
    const json_t *sandbox = json_object_get(environment, "sandbox");
    const json_t *landlock = json_object_get(sandbox, "landlock");
    bool whole = json_is_true(json_object_get(sandbox, "no_new_privs")) &&
                 json_is_true(json_object_get(sandbox, "seccomp")) && json_is_integer(landlock);
    const char *reason = json_string_value(json_object_get(sandbox, "reason"));

    ck_assert_str_eq(json_string_value(json_object_get(sandbox, "profile")), profile);
    ck_assert(json_is_integer(landlock) || json_is_null(landlock));
    ck_assert_ptr_nonnull(reason);
    ck_assert_msg(whole == (reason[0] == '\0'), "%s", reason);
}

static void check_record(const struct dwb_record *record)
{
    check_subjects(record);
    check_samples(record);
    check_counters(record);
    ck_assert_uint_gt(record->kernel_ns, 0);
    ck_assert_uint_gt(record->elapsed_ns, record->kernel_ns);
    ck_assert(json_is_object(json_object_get(record->environment, "during")));
}

START_TEST(test_request)
{
    struct output output =
        run("", "{\"layer\":{\"name\":\"tiny\",\"Dk\":3,\"Dx\":7,\"M\":8,\"N\":5,\"stride\":2,"
                "\"padding\":\"same\",\"repeat\":1,\"Dy\":4},\"slice_ns\":20000000,"
                "\"seed\":9,\"replicate\":3,\"isa\":\"auto\",\"cache\":\"warm\"}");
    DWB_CLEANUP(dwb_record_freep) struct dwb_record *record = NULL;

    ck_assert_msg(output.status == 0, "%d: %s", output.status, output.text);
    record = record_of(output.text);
    check_record(record);
    check_sandbox(record->environment, "measure");
    ck_assert_str_eq(record->layer.name, "tiny");
    ck_assert_uint_eq(record->replicate, 3);
    ck_assert_uint_eq(record->seed, 9);
    free(output.text);
}
END_TEST

static const char *const flags[] = {
    "--layer Dk=3,Dx=6,M=3,N=17 --slice 20ms",
    "--layer Dk=1,Dx=1,M=1,N=1 --slice 5ms --isa portable",
    "--layer Dk=5,Dx=9,M=33,N=7,stride=3,padding=valid --slice 5ms --cache cold",
    /* The only one that LeakSanitizer can look at (measure/sandbox.c). */
    "--layer Dk=3,Dx=6,M=3,N=17 --slice 5ms --no-sandbox",
};

START_TEST(test_flags)
{
    struct output output = run(flags[_i], "");
    DWB_CLEANUP(dwb_record_freep) struct dwb_record *record = NULL;

    ck_assert_msg(output.status == 0, "%d: %s", output.status, output.text);
    record = record_of(output.text);
    check_record(record);
    check_sandbox(record->environment, strstr(flags[_i], "--no-sandbox") ? "off" : "measure");
    if (record->cache == DWB_CACHE_COLD)
        for (size_t i = 0; i < record->n_samples; i++)
            if (record->subjects[record->samples[i].subject].verified)
                ck_assert_uint_eq(record->samples[i].n_calls, 1);
    if (_i == 1)
        ck_assert_str_eq(record->subjects[0].isa, "portable");
    free(output.text);
}
END_TEST

/* Shapes that others' libraries take, and some that they may refuse. */
static const char *const peers[] = {
    "--layer Dk=3,Dx=14,M=32,N=16 --slice 20ms",
    "--layer Dk=5,Dx=9,M=8,N=24,stride=2 --slice 20ms --cache cold",
    "--layer Dk=3,Dx=10,M=16,N=16,stride=2,padding=valid --slice 20ms --isa portable",
    "--layer Dk=1,Dx=7,M=24,N=8 --slice 20ms --isa avx2",
    "--layer Dk=3,Dx=14,M=16,N=16 --slice 20ms --a onednn --b xnnpack",
    "--layer Dk=3,Dx=14,M=16,N=16 --slice 20ms --a native,separable --b xnnpack,fused",
};

static int shape_of_peers;

static struct output run_peers(const char *more)
{
    char arguments[256];

    snprintf(arguments, sizeof arguments, "%s%s %s", peers[shape_of_peers],
             strstr(peers[shape_of_peers], "--a ") ? "" : " --backend native,onednn,xnnpack", more);
    return run(arguments, "");
}

/* The sandbox changes nothing of what is measured: the same kernels, as right as without it, or the
 * same refusal. */
START_TEST(test_peers)
{
    shape_of_peers = _i;
    struct output inside = run_peers(""), outside = run_peers("--no-sandbox");
    DWB_CLEANUP(dwb_record_freep) struct dwb_record *a = NULL, *b = NULL;

    ck_assert_msg(inside.status == outside.status, "%s%s", inside.text, outside.text);
    if (inside.status == 0) {
        a = record_of(inside.text);
        b = record_of(outside.text);
        ck_assert_uint_eq(a->n_subjects, b->n_subjects);
        for (size_t i = 0; i < a->n_subjects; i++) {
            ck_assert_str_eq(a->subjects[i].kernel, b->subjects[i].kernel);
            ck_assert_str_eq(a->subjects[i].backend, b->subjects[i].backend);
            ck_assert_uint_eq(b->subjects[i].mismatched, 0);
        }
    } else {
        ck_assert_int_eq(inside.status, 1);
        ck_assert_str_eq(inside.text, outside.text);
    }
    free(inside.text);
    free(outside.text);
}
END_TEST

#if defined(__x86_64__)
#define FOREIGN_ISA "neon"
#else
#define FOREIGN_ISA "avx2"
#endif

static const struct {
    const char *arguments, *input;
    int status;
    const char *text;
} failures[] = {
    {"", "", 2, "empty"},
    {"", "{\"layer\":{}}", 2, "layer"},
    {"--layer Dk=0,Dx=6,M=3,N=17", "", 2, "Dk"},
    {"--layer Dk=7,Dx=6,M=3,N=17,padding=valid", "", 2, "Dk"},
    {"--slice 5ms", "", 2, "--layer"},
    {"--no-sandbox", "", 2, "empty"},
    {"--no-sandbox --slice 5ms", "", 2, "--layer"},
    {"--layer Dk=3,Dx=6,M=3,N=17 extra", "", 2, "extra"},
    {"--no-such-flag", "", 2, "no-such-flag"},
    {"--layer Dk=3,Dx=6,M=3,N=17 --isa " FOREIGN_ISA, "", 1, "lacks it"},
    {"--layer Dk=3,Dx=6,M=3,N=17 --cpu 65000", "", 1, "cpu 65000"},
    {"--simulated-call native --layer Dk=3,Dx=6,M=3,N=17", "", 2, "not BACKEND:OPERATION"},
    {"--simulated-call native:fold --layer Dk=3,Dx=6,M=3,N=17", "", 2, "not BACKEND:OPERATION"},
    {"--simulated-call nobody:depthwise --layer Dk=3,Dx=6,M=3,N=17", "", 1, "nobody"},
    {"--help", "", 0, "--layer"},
    {"--version", "", 0, "dwbench-worker "},
};

START_TEST(test_failures)
{
    struct output output = run(failures[_i].arguments, failures[_i].input);

    ck_assert_msg(output.status == failures[_i].status, "%s: %d: %s", failures[_i].arguments,
                  output.status, output.text);
    ck_assert_msg(strstr(output.text, failures[_i].text), "%s: %s", failures[_i].arguments,
                  output.text);
    free(output.text);
}
END_TEST

START_TEST(test_probe)
{
    struct output output = run("--probe", "");
    json_error_t error;
    json_t *probe, *counters, *isas;

    ck_assert_msg(output.status == 0, "%s", output.text);
    probe = json_loads(output.text, 0, &error);
    ck_assert_msg(probe, "%s: %s", error.text, output.text);
    ck_assert_str_eq(json_string_value(json_object_get(probe, "type")), "probe");
    isas = json_object_get(probe, "isas");
    ck_assert_str_eq(json_string_value(json_array_get(isas, 0)), "portable");
    ck_assert(json_is_string(json_object_get(probe, "isa_best")));
    ck_assert_uint_gt(json_array_size(json_object_get(probe, "kernels")), 3);
    counters = json_object_get(probe, "counters");
    ck_assert_uint_eq(json_array_size(counters), 14);
    for (size_t i = 0; i < 14; i++) {
        json_t *counter = json_array_get(counters, i);
        json_t *source = json_object_get(counter, "source");
        const char *reason = json_string_value(json_object_get(counter, "reason"));

        ck_assert(json_is_string(source) || (json_is_null(source) && reason[0] != '\0'));
    }
    check_sandbox(json_object_get(probe, "environment"), "measure");
    json_decref(probe);
    free(output.text);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("worker");
    TCase *tests = tcase_create("worker");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    if (argc < 2)
        return EXIT_FAILURE;
    for (int i = 2; i < argc; i++)
        snprintf(command_prefix + strlen(command_prefix),
                 sizeof command_prefix - strlen(command_prefix), "'%s' ", argv[i]);
    snprintf(command_prefix + strlen(command_prefix),
             sizeof command_prefix - strlen(command_prefix), "'%s'", argv[1]);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_request);
    tcase_add_loop_test(tests, test_flags, 0, sizeof flags / sizeof flags[0]);
    tcase_add_loop_test(tests, test_peers, 0, sizeof peers / sizeof peers[0]);
    tcase_add_loop_test(tests, test_failures, 0, sizeof failures / sizeof failures[0]);
    tcase_add_test(tests, test_probe);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
