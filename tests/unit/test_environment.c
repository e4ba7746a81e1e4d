/* The environment record and the questions to the machine under it. */

#include "measure/environment.h"

#include "measure/machine.h"
#include "measure/probes.h"

#include <check.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

START_TEST(test_members)
{
    static const char *const keys[] = {
        "cpu",          "hypervisor",  "caches",        "memory_bytes", "kernel",
        "clocksource",  "smt_active",  "smt_siblings",  "aslr",         "perf_event_paranoid",
        "nmi_watchdog", "thp",         "governor",      "boost",        "mitigations",
        "build",        "libraries",   "seed",          "mxcsr",        "fpcr",
        "load",         "steal_ticks", "cpus_isolated", "sandbox",      "during",
    };
    static const char *const cpu_keys[] = {"model",    "vendor", "family",    "model_number",
                                           "stepping", "flags",  "microcode", "pinned"};
    json_t *environment = dwb_environment_new(0, 5, 0x9fc0);
    json_t *cpu = json_object_get(environment, "cpu");

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) /* null, but never left out */
        ck_assert_msg(json_object_get(environment, keys[i]), "%s", keys[i]);
    for (size_t i = 0; i < sizeof cpu_keys / sizeof cpu_keys[0]; i++)
        ck_assert_msg(json_object_get(cpu, cpu_keys[i]), "cpu.%s", cpu_keys[i]);
    ck_assert_str_eq(json_string_value(json_object_get(environment, "seed")), "5");
    ck_assert(json_is_string(json_object_get(environment, "kernel")));
    ck_assert(json_is_string(json_object_get(cpu, "model")));
#if defined(__x86_64__)
    ck_assert_str_eq(json_string_value(json_object_get(environment, "mxcsr")), "0x9fc0");
    ck_assert(json_is_null(json_object_get(environment, "fpcr")));
#else
    ck_assert(json_is_null(json_object_get(environment, "mxcsr")));
#endif
    json_decref(environment);
}
END_TEST

START_TEST(test_build_and_libraries)
{
    json_t *environment = dwb_environment_new(0, 1, 0);
    json_t *build = json_object_get(environment, "build");
    const char *id = json_string_value(json_object_get(build, "build_id"));
    const char *pfm =
        json_string_value(json_object_get(json_object_get(environment, "libraries"), "libpfm4"));

    ck_assert_ptr_nonnull(id); /* the linker is told to write one */
    ck_assert_uint_eq(strlen(id), 40);
    for (size_t i = 0; i < 40; i++)
        ck_assert(isxdigit((unsigned char)id[i]));
    ck_assert_ptr_nonnull(json_string_value(json_object_get(build, "flags")));
    ck_assert_ptr_nonnull(json_string_value(json_object_get(build, "compiler")));
    ck_assert_int_eq(pfm[0], '4');
    json_decref(environment);
}
END_TEST

START_TEST(test_finish)
{
    json_t *environment = dwb_environment_new(0, 1, 0);
    struct dwb_environment_files files;
    json_t *during;

    ck_assert(json_is_null(json_object_get(environment, "during")));
    dwb_environment_files_init(&files);
    ck_assert_int_eq(dwb_environment_finish(environment, 0, &files), 0);
    dwb_environment_files_deinit(&files);
    during = json_object_get(environment, "during");
    ck_assert(json_is_integer(json_object_get(during, "involuntary_switches")));
    ck_assert_int_gt(json_integer_value(json_object_get(during, "memory_peak_bytes")), 0);
    ck_assert_ptr_nonnull(json_object_get(during, "steal_ticks"));
    ck_assert(json_is_array(json_object_get(during, "load_after")));
    json_decref(environment);
}
END_TEST

/* Where /proc is not to be had, its members are null and the others are there. */
START_TEST(test_finish_without_files)
{
    const struct dwb_environment_files none = {.stat_fd = -1, .loadavg_fd = -1};
    json_t *environment = dwb_environment_new(0, 1, 0);
    json_t *during;

    ck_assert_int_eq(dwb_environment_finish(environment, 0, &none), 0);
    during = json_object_get(environment, "during");
    ck_assert(json_is_null(json_object_get(during, "steal_ticks")));
    ck_assert(json_is_null(json_object_get(during, "load_after")));
    ck_assert_int_gt(json_integer_value(json_object_get(during, "memory_peak_bytes")), 0);
    json_decref(environment);
}
END_TEST

START_TEST(test_list)
{
    ck_assert(dwb_machine_list_has("0-3,8", 0));
    ck_assert(dwb_machine_list_has("0-3,8", 3));
    ck_assert(dwb_machine_list_has("0-3,8", 8));
    ck_assert(!dwb_machine_list_has("0-3,8", 4));
    ck_assert(!dwb_machine_list_has("0-3,8", 80));
    ck_assert(!dwb_machine_list_has("", 0));
    ck_assert(!dwb_machine_list_has("x", 0));
}
END_TEST

START_TEST(test_unreadable)
{
    char text[16] = "same";
    int64_t value = 42;

    ck_assert_int_eq(dwb_machine_read("/nonexistent", text, sizeof text), -ENOENT);
    ck_assert_str_eq(text, "same");
    ck_assert_int_eq(dwb_machine_read("/dev/null", text, sizeof text), -ENODATA);
    ck_assert_int_eq(dwb_machine_read_int("/proc/version", &value), -ENODATA);
    ck_assert_int_eq(value, 42);
}
END_TEST

#define KIB(n) (UINT64_C(1024) * (n))

/* Each working set fits its level and not the one above; what cannot be probed honestly is 0. */
static const struct {
    uint64_t l1, l2, l3;
    uint64_t expected[DWB_PROBE_LEVELS];
} sizes[] = {
    {KIB(48), KIB(2048), KIB(307200), {KIB(24), KIB(1024), KIB(8192), 0}}, /* DRAM: 600 MiB */
    {KIB(32), KIB(1024), KIB(32768), {KIB(16), KIB(512), KIB(4096), KIB(131072)}},
    {KIB(32), KIB(512), KIB(8192), {KIB(16), KIB(256), KIB(2048), KIB(32768)}},
    {KIB(32), KIB(1024), KIB(1408), {KIB(16), KIB(512), 0, KIB(5632)}}, /* L3 hardly above L2 */
    {KIB(64), KIB(512), 0, {KIB(32), KIB(256), 0, KIB(2048)}},          /* no L3 */
    {0, 0, 0, {0, 0, 0, 0}},                                            /* nothing known */
};

START_TEST(test_probe_sizes)
{
    const struct dwb_caches caches = {
        .levels = {{.bytes = sizes[_i].l1}, {.bytes = sizes[_i].l2}, {.bytes = sizes[_i].l3}}};
    uint64_t bytes[DWB_PROBE_LEVELS];

    dwb_probe_sizes(&caches, bytes);
    for (size_t i = 0; i < DWB_PROBE_LEVELS; i++)
        ck_assert_msg(bytes[i] == sizes[_i].expected[i], "level %zu: %lu, not %lu", i,
                      (unsigned long)bytes[i], (unsigned long)sizes[_i].expected[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("environment");
    TCase *tests = tcase_create("environment");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_test(tests, test_members);
    tcase_add_test(tests, test_build_and_libraries);
    tcase_add_test(tests, test_finish);
    tcase_add_test(tests, test_finish_without_files);
    tcase_add_test(tests, test_list);
    tcase_add_test(tests, test_unreadable);
    tcase_add_loop_test(tests, test_probe_sizes, 0, sizeof sizes / sizeof sizes[0]);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
