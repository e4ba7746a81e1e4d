/*
 * Plugins: which files may be loaded, what is said of those that are not in order, and that the
 * kernels of one that is give the reference's outputs. What a crash does to a process is for the
 * integration tests. argv: the directory of the bad plugins.
 */

#include "kernels/backends/plugin.h"

#include "common/cleanup.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *built;
static char directory[64]; /* of copies, whose rights are the test's business */
static char error[DWB_BACKEND_ERROR_MAX];

static void path_of(const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", directory, name);
}

static void write_file(const char *name, const void *bytes, size_t n)
{
    char path[256];

    path_of(name, path);
    dwb_cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fchmod(fd, 0755), 0);
    ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
}

static void take(const char *name)
{
    static char bytes[1 << 20];
    char path[4200];
    size_t n;

    snprintf(path, sizeof(path), "%s/%s", built, name);
    dwb_cleanup_file FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    n = fread(bytes, 1, sizeof(bytes), file);
    ck_assert_uint_lt(n, sizeof(bytes));
    write_file(name, bytes, n);
}

static void setup(void)
{
    snprintf(directory, sizeof(directory), "/tmp/dwbench-plugin-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    error[0] = '\0';
}

static void teardown(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", directory);
    ck_assert_int_eq(system(command), 0);
}

static const struct {
    const char *name, *text;
} refused[] = {
    {"wrong_abi.so", "speaks version 99 of the interface, and this dwbench version 1"},
    {"no_table.so", "returned NULL"},
    {"no_symbol.so", "has no function dwbench_plugin"},
    {"small_table.so", "sizeof(struct dwbench_plugin)"},
    {"no_kernels.so", "lists 0 kernels"},
    {"null_kernel.so", "a NULL in place of kernel 1 of 3"},
    {"small_kernel.so", "sizeof(struct dwbench_kernel)"},
    {"bad_op.so", "op 3 for kernel 0"},
    {"bad_name.so", "a name for kernel 0"},
    {"bad_isa.so", "an isa for its kernel slow_standard"},
    {"bad_version.so", "a name or a version"},
    {"twice.so", "two standard kernels named same"},
    {"no_run.so", "no run() for its kernel slow_standard"},
    {"half_pack.so", "only one of pack() and packed_bytes()"},
};

START_TEST(test_refused)
{
    const struct dwb_backend *backend = NULL;

    take(refused[_i].name);
    ck_assert_int_eq(dwb_plugin_load(directory, refused[_i].name, error, &backend), -ELIBBAD);
    ck_assert_ptr_null(backend);
    ck_assert_msg(strstr(error, refused[_i].text) && strstr(error, refused[_i].name), "%s", error);
}
END_TEST

static void expect_check(const char *name, int r, const char *text)
{
    ck_assert_int_eq(dwb_plugin_check(directory, name, error), r);
    ck_assert_msg(strstr(error, text) != NULL, "%s", error);
}

START_TEST(test_files)
{
    static const unsigned char other_machine[64] = {0x7f, 'E', 'L',      'F',         2,
                                                    1,    1,   [16] = 3, [18] = 0xf3, [19] = 0};
    char path[256];
    json_t *list;

    take("good.so");
    ck_assert_int_eq(dwb_plugin_check(directory, "good.so", error), 0);
    expect_check("none.so", -ENOENT, "there is no none.so");
    write_file("text.so", "int main;", 9);
    expect_check("text.so", -EINVAL, "not an ELF file");
    write_file("riscv.so", other_machine, sizeof(other_machine));
    expect_check("riscv.so", -EINVAL, "another machine");
    path_of("link.so", path);
    ck_assert_int_eq(symlink("good.so", path), 0);
    expect_check("link.so", -EINVAL, "symbolic link");
    path_of("folder.so", path);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    expect_check("folder.so", -EINVAL, "not a file");
    ck_assert_int_eq(dwb_plugins_list(directory, error, &list), 0);
    ck_assert_uint_eq(json_array_size(list), 5);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 1), "name")),
                     "good.so");
    ck_assert(json_is_true(json_object_get(json_array_get(list, 1), "available")));
    ck_assert(json_is_false(json_object_get(json_array_get(list, 0), "available")));
    json_decref(list);
}
END_TEST

START_TEST(test_rights)
{
    const struct dwb_backend *backend;
    char path[256];
    json_t *list;

    take("good.so");
    path_of("good.so", path);
    ck_assert_int_eq(chmod(path, 0775), 0);
    expect_check("good.so", -EACCES, "good.so is writable by others");
    ck_assert_int_eq(dwb_plugin_load(directory, "good.so", error, &backend), -EACCES);
    ck_assert_int_eq(chmod(path, 0757), 0);
    expect_check("good.so", -EACCES, "chmod go-w");
    ck_assert_int_eq(chmod(path, 0755), 0);
    ck_assert_int_eq(dwb_plugin_check(directory, "good.so", error), 0);
    ck_assert_int_eq(chmod(directory, 0777), 0);
    expect_check("good.so", -EACCES, "the directory of plugins is writable by others");
    ck_assert_int_eq(dwb_plugins_list(directory, error, &list), -EACCES);
    ck_assert_int_eq(chmod(directory, 0700), 0);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(path, 1, 1), 0);
        expect_check("good.so", -EACCES, "belongs to another user (uid 1)");
    }
}
END_TEST

#define SIDE     5
#define CHANNELS 3

static float input[SIDE * SIDE * CHANNELS + DWB_BACKEND_SLACK], output[SIDE * SIDE * 4];
static float weights[9 * CHANNELS * 4];

static struct dwb_backend_conv conv_of(enum dwb_kernel_op op)
{
    const struct dwb_layer layer = {"l", 3, SIDE, CHANNELS, 4, 1, DWB_PADDING_SAME, 1};
    struct dwb_backend_conv conv = {
        .op = op, .isa = DWB_ISA_AUTO, .input = input, .weights = weights, .output = output};

    dwb_conv_of_layer(&layer, op, &conv.conv);
    return conv;
}

/* Adapted, packed and run, each operation gives what the oracle says. */
START_TEST(test_runs)
{
    struct dwb_backend_conv conv = conv_of((enum dwb_kernel_op)_i);
    struct dwb_backend_ready *ready;
    const struct dwb_backend *backend;
    char version[64];

    for (size_t i = 0; i < sizeof(input) / sizeof(input[0]); i++)
        input[i] = (float)(i % 7) - 3;
    for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++)
        weights[i] = (float)(i % 5) - 2;
    take("good.so");
    ck_assert_int_eq(dwb_plugin_load(directory, "good.so", error, &backend), 0);
    ck_assert_str_eq(backend->name, "plugin:good");
    backend->version(backend, version, sizeof(version));
    ck_assert_str_eq(version, "bad 0.1");
    ck_assert_int_eq(backend->prepare(backend, &conv, error, &ready), 0);
    ck_assert_int_eq(ready->isa, DWB_ISA_PORTABLE);
    ck_assert_int_eq(strncmp(ready->kernel, "slow_", 5), 0);
    ready->run(ready);
    for (uint32_t i = 0; i < SIDE * SIDE * conv.conv.out_channels; i++) {
        uint32_t pixel = i / conv.conv.out_channels;
        double magnitude;

        ck_assert_double_eq_tol(output[i],
                                dwb_oracle(conv.op, &conv.conv, input, weights, pixel / SIDE,
                                           pixel % SIDE, i % conv.conv.out_channels, &magnitude),
                                1e-4);
    }
    ready->release(ready);
}
END_TEST

static void expect_lack(const char *name, enum dwb_isa isa, const char *text)
{
    struct dwb_backend_conv conv = conv_of(DWB_KERNEL_STANDARD);
    struct dwb_backend_ready *ready = NULL;
    const struct dwb_backend *backend;

    conv.isa = isa;
    take(name);
    ck_assert_int_eq(dwb_plugin_load(directory, name, error, &backend), 0);
    ck_assert_int_eq(backend->prepare(backend, &conv, error, &ready), -ENOSYS);
    ck_assert_ptr_null(ready);
    ck_assert_str_eq(error, text);
}

START_TEST(test_lacks)
{
    expect_lack("only_depthwise.so", DWB_ISA_AUTO, "the plugin has no standard kernel");
    expect_lack("picky.so", DWB_ISA_AUTO, "the plugin's standard kernels do not take this layer");
    expect_lack("good.so", DWB_ISA_NEON, "the plugin has no standard kernel of isa neon");
}
END_TEST

START_TEST(test_sizes)
{
    static const struct {
        const char *name, *text;
        int r;
    } cases[] = {{"huge_pack.so", "asks for 1855425871872 bytes in packed_bytes()", -ENOMEM},
                 {"no_bytes.so", "has packed_bytes() return 0", -ELIBBAD}};
    struct dwb_backend_conv conv = conv_of(DWB_KERNEL_STANDARD);

    for (size_t i = 0; i < 2; i++) {
        struct dwb_backend_ready *ready = NULL;
        const struct dwb_backend *backend;

        take(cases[i].name);
        ck_assert_int_eq(dwb_plugin_load(directory, cases[i].name, error, &backend), 0);
        ck_assert_int_eq(backend->prepare(backend, &conv, error, &ready), cases[i].r);
        ck_assert_msg(strstr(error, cases[i].text) != NULL, "%s", error);
        ck_assert_ptr_null(ready);
    }
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("plugin");
    TCase *tests = tcase_create("plugin");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    if (argc < 2)
        return EXIT_FAILURE;
    built = argv[1];
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_refused, 0, sizeof(refused) / sizeof(refused[0]));
    tcase_add_test(tests, test_files);
    tcase_add_test(tests, test_rights);
    tcase_add_loop_test(tests, test_runs, DWB_KERNEL_STANDARD, DWB_KERNEL_POINTWISE + 1);
    tcase_add_test(tests, test_lacks);
    tcase_add_test(tests, test_sizes);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
