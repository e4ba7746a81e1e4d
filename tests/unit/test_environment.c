/* The environment record and the questions to the machine under it. */

#include "measure/environment.h"

#include "measure/machine.h"
#include "measure/probes.h"

#include <check.h>
#include <ctype.h>
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct dwb_environment_options this_machine = {
    .root = "", .seed = 5, .fp_control = 0x9fc0};

/* Members that are null, each once with a reason, and no reason for one that is not. */
static void check_unreadable(const json_t *environment)
{
    json_t *unreadable = json_object_get(environment, "unreadable"), *value, *member;
    const char *key, *name;
    size_t n = 0;

    json_object_foreach((json_t *)environment, key, value)
    {
        n += json_is_null(value);
        ck_assert(!json_is_null(value) || json_object_get(unreadable, key));
        if (!json_is_object(value) || value == unreadable)
            continue;
        json_object_foreach(value, name, member)
        {
            char path[300];

            snprintf(path, sizeof path, "%s.%s", key, name);
            n += json_is_null(member);
            ck_assert_msg(!json_is_null(member) || json_object_get(unreadable, path), "%s", path);
        }
    }
    ck_assert_uint_eq(json_object_size(unreadable), n);
    json_object_foreach(unreadable, key, value)
    {
        ck_assert_msg(json_string_length(value) > 0, "%s", key);
    }
}

START_TEST(test_members)
{
    static const char *const keys[] = {
        "cpu",
        "hypervisor",
        "caches",
        "memory_bytes",
        "kernel",
        "clocksource",
        "smt_active",
        "smt_siblings",
        "aslr",
        "perf_event_paranoid",
        "nmi_watchdog",
        "thp",
        "governor",
        "boost",
        "mitigations",
        "build",
        "libraries",
        "seed",
        "mxcsr",
        "fpcr",
        "load",
        "steal_ticks",
        "cpus_isolated",
        "during",
        "unreadable",
        "frequency_driver",
        "aslr_of_process",
        "counter_window_ns",
        "numa_nodes",
        "cpus_online",
        "memory_available_bytes",
        "frequency_khz_max",
        "sandbox",
    };
    static const char *const library_keys[] = {"glibc", "libpfm4", "jansson", "onednn", "xnnpack"};
    static const char *const cpu_keys[] = {"model",    "vendor", "family",    "model_number",
                                           "stepping", "flags",  "microcode", "pinned"};
    json_t *environment = dwb_environment_new(&this_machine);
    json_t *cpu = json_object_get(environment, "cpu");

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) /* null, but never left out */
        ck_assert_msg(json_object_get(environment, keys[i]), "%s", keys[i]);
    for (size_t i = 0; i < sizeof cpu_keys / sizeof cpu_keys[0]; i++)
        ck_assert_msg(json_object_get(cpu, cpu_keys[i]), "cpu.%s", cpu_keys[i]);
    for (size_t i = 0; i < sizeof library_keys / sizeof library_keys[0]; i++)
        ck_assert_msg(json_object_get(json_object_get(environment, "libraries"), library_keys[i]),
                      "libraries.%s", library_keys[i]);
    check_unreadable(environment);
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
    json_t *environment = dwb_environment_new(&this_machine);
    json_t *build = json_object_get(environment, "build");
    const char *id = json_string_value(json_object_get(build, "build_id"));
    const char *pfm =
        json_string_value(json_object_get(json_object_get(environment, "libraries"), "libpfm4"));

    ck_assert_ptr_nonnull(id); /* the linker is told to write one */
    ck_assert_uint_eq(strlen(id), 40);
    for (size_t i = 0; i < 40; i++)
        ck_assert(isxdigit((unsigned char)id[i]));
    ck_assert_ptr_nonnull(json_string_value(json_object_get(build, "flags")));
    ck_assert(strstr(json_string_value(json_object_get(build, "kernel_flags")),
                     "reference: -O3 -ffp-contract=off"));
    ck_assert_ptr_nonnull(json_string_value(json_object_get(build, "compiler")));
    ck_assert_int_eq(pfm[0], '4');
    json_decref(environment);
}
END_TEST

START_TEST(test_finish)
{
    struct dwb_environment_files files;
    json_t *environment = dwb_environment_new(&this_machine);
    json_t *during;

    ck_assert(json_is_null(json_object_get(environment, "during")));
    dwb_environment_files_init(&files);
    ck_assert_int_eq(dwb_environment_finish(environment, &this_machine, &files), 0);
    dwb_environment_files_deinit(&files);
    during = json_object_get(environment, "during");
    ck_assert(json_is_integer(json_object_get(during, "involuntary_switches")));
    ck_assert_int_gt(json_integer_value(json_object_get(during, "memory_peak_bytes")), 0);
    ck_assert_ptr_nonnull(json_object_get(during, "steal_ticks"));
    check_unreadable(environment);
    dwb_environment_set(environment, "counter_window_ns", json_integer(70));
    ck_assert_int_eq(json_integer_value(json_object_get(environment, "counter_window_ns")), 70);
    check_unreadable(environment);
    ck_assert(json_is_array(json_object_get(during, "load_after")));
    json_decref(environment);
}
END_TEST

/* Where /proc is not to be had, its members are null and the others are there. */
START_TEST(test_finish_without_files)
{
    const struct dwb_environment_files none = {.stat_fd = -1, .loadavg_fd = -1};
    json_t *environment = dwb_environment_new(&this_machine);
    json_t *during;

    ck_assert_int_eq(dwb_environment_finish(environment, &this_machine, &none), 0);
    during = json_object_get(environment, "during");
    ck_assert(json_is_null(json_object_get(during, "steal_ticks")));
    ck_assert(json_is_null(json_object_get(during, "load_after")));
    ck_assert_int_gt(json_integer_value(json_object_get(during, "memory_peak_bytes")), 0);
    check_unreadable(environment);
    json_decref(environment);
}
END_TEST

/* ---- a machine of files ---- */

static char root[] = "/tmp/dwb-test-root-XXXXXX";

static void make_root(void)
{
    strcpy(root, "/tmp/dwb-test-root-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_root(void)
{
    nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put_file(const char *path, const char *text)
{
    char full[512];
    FILE *file;

    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = full + strlen(root); (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        ck_assert(mkdir(full, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    file = fopen(full, "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

#define CPU "/sys/devices/system/cpu"

static const struct { /* a member that this file fills */
    const char *path, *text, *member, *expected;
} readable[] = {
    {"/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n", "clocksource",
     "\"tsc\""},
    {CPU "/smt/active", "1\n", "smt_active", "1"},
    {CPU "/cpu3/topology/thread_siblings_list", "3,7\n", "smt_siblings", "\"3,7\""},
    {CPU "/cpu3/cpufreq/scaling_governor", "powersave\n", "governor", "\"powersave\""},
    {CPU "/cpu3/cpufreq/scaling_driver", "amd-pstate-epp\n", "frequency_driver",
     "\"amd-pstate-epp\""},
    {CPU "/cpu3/cpufreq/cpuinfo_max_freq", "3700000\n", "frequency_khz_max", "\"3700000\""},
    {CPU "/cpufreq/boost", "1\n", "boost", "true"},
    {CPU "/cpu3/cpufreq/boost", "0\n", "boost", "false"},
    {CPU "/intel_pstate/no_turbo", "1\n", "boost", "false"},
    {CPU "/intel_pstate/no_turbo", "0\n", "boost", "true"},
    {CPU "/vulnerabilities/meltdown", "Mitigation: PTI\n", "mitigations",
     "{\"meltdown\": \"Mitigation: PTI\"}"},
    {CPU "/isolated", "2-3\n", "cpus_isolated", "\"2-3\""},
    {CPU "/isolated", "\n", "cpus_isolated", "\"\""}, /* none is, which is an answer */
    {"/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n", "thp",
     "\"madvise\""},
    {"/sys/kernel/mm/transparent_hugepage/enabled", "never\n", "thp", "\"never\""},
    {"/sys/kernel/mm/transparent_hugepage/enabled", "[never\n", "thp", "\"[never\""},
    {"/proc/sys/kernel/randomize_va_space", "2\n", "aslr", "2"},
    {"/proc/sys/kernel/perf_event_paranoid", "-1\n", "perf_event_paranoid", "-1"},
    {"/proc/sys/kernel/nmi_watchdog", "0\n", "nmi_watchdog", "0"},
    {"/proc/loadavg", "0.5 0.25 0.125 1/200 4242\n", "load", "[0.5, 0.25, 0.125]"},
    {"/proc/meminfo", "MemTotal:  2048 kB\nMemFree: 4 kB\n", "memory_bytes", "2097152"},
    {"/proc/stat", "cpu  1 2 3 4 5 6 7 99 0 0\ncpu3 1 2 3 4 5 6 7 42 0 0\n", "steal_ticks", "42"},
#if defined(__x86_64__)
    {"/proc/cpuinfo", "processor\t: 0\nmodel\t\t: 207\nmicrocode\t: 0xa401\n", "cpu.microcode",
     "\"0xa401\""},
    {"/proc/cpuinfo", "model name\t: Some CPU\nmodel\t\t: 207\n", "cpu.model", "\"Some CPU\""},
    {"/proc/cpuinfo", "model name\t: Some CPU\nmodel\t\t: 207\n", "cpu.model_number", "207"},
    {"/proc/cpuinfo", "stepping\t: 2\n", "cpu.stepping", "2"},
    {"/proc/cpuinfo", "flags\t\t: fma avx2\n", "cpu.flags", "[\"fma\", \"avx2\"]"},
#endif
};

static const json_t *member_of(const json_t *environment, const char *path)
{
    const char *dot = strchr(path, '.');
    char first[64];

    snprintf(first, sizeof first, "%.*s", dot ? (int)(dot - path) : (int)strlen(path), path);
    environment = json_object_get(environment, first);
    return dot ? json_object_get(environment, dot + 1) : environment;
}

/* Each file on an otherwise empty machine: its member has its value, all others are still there. */
START_TEST(test_file)
{
    const struct dwb_environment_options options = {.root = root, .cpu = 3};
    json_t *environment;
    char *value;

    put_file(readable[_i].path, readable[_i].text);
    environment = dwb_environment_new(&options);
    value = json_dumps(member_of(environment, readable[_i].member), JSON_ENCODE_ANY);
    ck_assert_ptr_nonnull(value);
    ck_assert_str_eq(value, readable[_i].expected);
    check_unreadable(environment);
    free(value);
    json_decref(environment);
}
END_TEST

static const struct { /* what makes a member unreadable, and the words for it */
    const char *path, *text, *member, *words;
} spoiled[] = {
    {NULL, NULL, "governor", "scaling_governor: No such file or directory"},
    {NULL, NULL, "boost", "no frequency driver tells"},
    {NULL, NULL, "mitigations", "vulnerabilities: No such file or directory"},
    {NULL, NULL, "caches", "cpu3/cache: tells of none"},
    {NULL, NULL, "libraries.onednn", "not loaded"},
    {CPU "/online", "\n", "cpus_online", "online: is empty"},
    {CPU "/smt/active", "on\n", "smt_active", "active: is not a number"},
    {"/proc/meminfo", "MemFree: 4 kB\n", "memory_bytes", "has no MemTotal"},
    {"/proc/loadavg", "busy\n", "load", "is not three numbers"},
    {"/proc/stat", "cpu0 1 2 3 4 5 6 7 42 0 0\n", "steal_ticks", "has no steal of cpu3"},
    {"/proc/cpuinfo", "processor\t: 0\n", "cpu.microcode", "has no microcode"},
    {"/proc/sys/kernel/nmi_watchdog", "99999999999999999999\n", "nmi_watchdog", "not a number"},
    {"/proc/meminfo", "odd\nMemFree: many kB\n", "memory_bytes", "has no MemTotal"},
#if defined(__x86_64__)
    {"/proc/cpuinfo", "cpu family\t: six\n", "cpu.family", "cpu family is not a number"},
    {"/proc/cpuinfo", "microcode\t:\n", "cpu.microcode", "has no microcode"},
#endif
};

START_TEST(test_file_missing)
{
    const struct dwb_environment_options options = {.root = root, .cpu = 3};
    json_t *environment;
    const char *why;

    if (spoiled[_i].path)
        put_file(spoiled[_i].path, spoiled[_i].text);
    environment = dwb_environment_new(&options);
    ck_assert(json_is_null(member_of(environment, spoiled[_i].member)));
    why = json_string_value(
        json_object_get(json_object_get(environment, "unreadable"), spoiled[_i].member));
    ck_assert_ptr_nonnull(why);
    ck_assert_msg(strstr(why, spoiled[_i].words) != NULL, "%s", why);
    ck_assert(!strstr(why, root)); /* a path as it is on the machine */
    json_decref(environment);
}
END_TEST

/* ---- caches ---- */

static void put_cache(int index, const char *name, const char *text)
{
    char path[160];

    snprintf(path, sizeof path, CPU "/cpu3/cache/index%d/%s", index, name);
    put_file(path, text);
}

static void put_level(int index, const char *level, const char *type, const char *size)
{
    put_cache(index, "level", level);
    put_cache(index, "type", type);
    put_cache(index, "size", size);
}

/* Sizes in every unit; a level that there cannot be, and instructions above the first, are none. */
START_TEST(test_caches)
{
    struct dwb_caches caches;

    put_level(0, "1", "Data", "48K");
    put_cache(0, "coherency_line_size", "64");
    put_cache(0, "ways_of_associativity", "12");
    put_cache(0, "shared_cpu_list", "3,7-8,11-10,x");
    put_level(1, "1", "Instruction", "32K");
    put_level(2, "2", "Unified", "2M");
    put_cache(2, "shared_cpu_list", "none");
    put_level(3, "3", "Unified", "1G");
    put_level(4, "4", "Unified", "4096");
    put_level(5, "5", "Unified", "1M");
    put_level(6, "0", "Unified", "1M");
    put_level(7, "2", "Instruction", "9K");
    dwb_machine_caches(root, 3, &caches);
    ck_assert_uint_eq(caches.levels[0].bytes, 48 << 10);
    ck_assert_uint_eq(caches.levels[0].line_bytes, 64);
    ck_assert_uint_eq(caches.levels[0].ways, 12);
    ck_assert_uint_eq(caches.levels[0].n_sharing, 3); /* 3, 7 and 8: what is odd is nobody */
    ck_assert_uint_eq(caches.instruction.bytes, 32 << 10);
    ck_assert_uint_eq(caches.levels[1].bytes, 2 << 20);
    ck_assert_uint_eq(caches.levels[1].line_bytes, 0); /* not told */
    ck_assert_uint_eq(caches.levels[1].n_sharing, 0);
    ck_assert_uint_eq(caches.levels[2].bytes, 1 << 30);
    ck_assert_uint_eq(caches.levels[3].bytes, 4096);
}
END_TEST

/* Files of which a part is missing tell of no cache. */
START_TEST(test_caches_in_part)
{
    struct dwb_caches caches;

    put_cache(0, "level", "1");
    put_cache(1, "level", "2");
    put_cache(1, "type", "Unified");
    dwb_machine_caches(root, 3, &caches);
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(caches.levels[i].bytes, 0);
    ck_assert_uint_eq(caches.instruction.bytes, 0);
}
END_TEST

/* A directory can be opened and not be read; a descriptor that is none cannot be either. */
START_TEST(test_unreadable_kinds)
{
    char text[16];
    uint64_t ticks = 42;
    int64_t value = 42;

    ck_assert_int_eq(dwb_machine_read(root, text, sizeof text), -EISDIR);
    ck_assert_int_eq(dwb_machine_steal(-1, 0, &ticks), -EBADF);
    put_file("/huge", "99999999999999999999\n");
    char path[sizeof root + 8];
    snprintf(path, sizeof path, "%s/huge", root);
    ck_assert_int_eq(dwb_machine_read_int(path, &value), -ENODATA);
    put_file("/proc/stat", "cpu  1\ncpu3 1 2 3\n");
    snprintf(path, sizeof path, "%s/proc", root);
    char stat[sizeof root + 16];
    snprintf(stat, sizeof stat, "%s/stat", path);
    FILE *file = fopen(stat, "re");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(dwb_machine_steal(fileno(file), 3, &ticks), -ENODATA); /* an old kernel's */
    fclose(file);
    ck_assert_uint_eq(ticks, 42);
    ck_assert_int_eq(value, 42);
}
END_TEST

START_TEST(test_backends)
{
    json_t *environment;

    environment = dwb_environment_new(&this_machine);
    dwb_environment_set_library(environment, 1, "3.1.0");
    check_unreadable(environment);
    ck_assert_str_eq(json_string_value(member_of(environment, "libraries.onednn")), "3.1.0");
    ck_assert(json_is_null(member_of(environment, "libraries.xnnpack")));
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
    TCase *files = tcase_create("files");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_test(tests, test_members);
    tcase_add_test(tests, test_build_and_libraries);
    tcase_add_test(tests, test_finish);
    tcase_add_test(tests, test_finish_without_files);
    tcase_add_test(tests, test_list);
    tcase_add_test(tests, test_unreadable);
    tcase_add_loop_test(tests, test_probe_sizes, 0, sizeof sizes / sizeof sizes[0]);
    tcase_add_test(tests, test_backends);
    tcase_add_checked_fixture(files, make_root, remove_root);
    tcase_add_test(files, test_caches);
    tcase_add_test(files, test_caches_in_part);
    tcase_add_test(files, test_unreadable_kinds);
    tcase_add_loop_test(files, test_file, 0, sizeof readable / sizeof readable[0]);
    tcase_add_loop_test(files, test_file_missing, 0, sizeof spoiled / sizeof spoiled[0]);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, files);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
