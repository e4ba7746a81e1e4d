/*
 * The client's own steps while memory fails, each allocation once: what to measure, lists of jobs,
 * whole reports. A step that says that it worked has done all of it, or says what it left out. And
 * the plugins that a user names: which files are refused, and that what is handed on is a copy.
 * Exit 77 under a sanitizer, whose allocator stays.
 */

#include "client/comparison.h"
#include "client/http.h"
#include "client/input.h"
#include "client/job.h"
#include "client/jobs.h"
#include "client/output.h"
#include "client/plugins.h"
#include "common/cleanup.h"
#include "common/json_memory.h"
#include "tests/unit/heap.h"
#include "tests/unmarked.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALLOCATIONS_MAX 20000
#define TEXT_MAX        (1u << 20)

static char directory[64];
static json_t *document; /* that the step takes */
static char whole[TEXT_MAX], text_out[TEXT_MAX];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void enter(void)
{
    strcpy(directory, "/tmp/dwb-test-client-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(chdir(directory), 0);
}

static void leave(void)
{
    nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *path, const void *bytes, size_t n)
{
    dwb_cleanup_file FILE *file = fopen(path, "we");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, n, file), n);
}

static json_t *load(const char *name)
{
    char path[512];
    json_t *loaded;

    snprintf(path, sizeof(path), "%s/%s.json", DWB_TEST_DATA, name);
    loaded = json_load_file(path, 0, NULL);
    ck_assert_msg(loaded != NULL, "%s", path);
    return loaded;
}

/* ---- steps ---- */

static int read_spec(const char *layer, const char *argument)
{
    char *const arguments[] = {(char *)(uintptr_t)argument};
    struct dwb_cli cli = {.layer = layer, .arguments = arguments, .n_arguments = argument ? 1 : 0};
    struct dwb_spec *spec = NULL;

    cli.job_keys[0] = "avx2";
    cli.job_keys[8] = "native";
    int r = dwb_input_spec(&cli, &spec);
    if (r == DWB_EXIT_OK) {
        ck_assert_int_eq(spec->options.isa, DWB_ISA_AVX2);
        snprintf(text_out, sizeof(text_out), "%zu layers, the first of %u channels", spec->n_layers,
                 spec->layers[0].in_channels);
    }
    dwb_spec_free(spec);
    return r;
}

static int read_file(void)
{
    return read_spec(NULL, "mine.yaml");
}

static int read_flag(void)
{
    return read_spec("Dk=3,Dx=8,M=4,N=4", NULL);
}

static int read_suite(void)
{
    return read_spec(NULL, "example");
}

static int list_suites(void)
{
    char **names = NULL;
    size_t n = 0, used = 0;
    int r = dwb_input_suites(&names, &n);

    for (size_t i = 0; r == 0 && i < n; i++)
        used += (size_t)snprintf(text_out + used, sizeof(text_out) - used, "%s ", names[i]);
    if (r == 0)
        dwb_input_free_names(names, n);
    return r;
}

/* What came into the file; nothing when it is not there. */
static void read_output(void)
{
    dwb_cleanup_close int fd = open("out", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text_out, sizeof(text_out) - 1);

    ck_assert_int_ge(n, 0);
    text_out[n] = '\0';
}

static int print_jobs(enum dwb_format format)
{
    const struct dwb_cli cli = {.format = format, .output = "out"};
    int r = dwb_jobs_print(json_object_get(document, "jobs"), document, &cli);

    if (r == DWB_EXIT_OK)
        read_output();
    return r;
}

static int print_jobs_table(void)
{
    return print_jobs(DWB_FORMAT_TABLE);
}

static int print_jobs_json(void)
{
    return print_jobs(DWB_FORMAT_JSON);
}

static int print_jobs_csv(void)
{
    return print_jobs(DWB_FORMAT_CSV);
}

static int render(bool environment, enum dwb_format format)
{
    const struct dwb_cli cli = {.format = format, .environment = environment};
    dwb_cleanup_free char *text = NULL;
    int ret_exit = -1;
    size_t n = 0;
    int r = dwb_job_render(document, &cli, STDOUT_FILENO, &text, &n, &ret_exit);

    if (r != DWB_EXIT_OK)
        return r;
    ck_assert_int_ge(ret_exit, DWB_EXIT_OK);
    ck_assert_ptr_nonnull(text);
    snprintf(text_out, sizeof(text_out), "%s", text);
    return r;
}

static int render_result(void)
{
    return render(false, DWB_FORMAT_TABLE);
}

static int render_environment(void)
{
    return render(true, DWB_FORMAT_CSV);
}

static int open_client(void)
{
    struct dwb_http *http = NULL;
    int r = dwb_http_new("/nonexistent/socket", &http);

    if (r == 0)
        snprintf(text_out, sizeof(text_out), "%s", dwb_http_socket(http));
    dwb_http_free(http);
    return r;
}

static const struct {
    int (*step)(void);
    const char *document; /* NULL = a list of jobs */
} steps[] = {
    {read_file, NULL},      {read_flag, NULL},        {read_suite, NULL},
    {list_suites, NULL},    {print_jobs_table, NULL}, {print_jobs_json, NULL},
    {print_jobs_csv, NULL}, {render_result, "layer"}, {render_environment, "layer"},
    {open_client, NULL},    {render_result, "gate"},  {render_result, "suite"},
};

START_TEST(test_memory)
{
    unsigned long nth = 0, n_refused = 0;
    bool failed = true;

    put("mine.yaml", "{Dk: 3, Dx: 8, M: 4, N: 4}\n", 27);
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr)); /* it says each time why */
    ck_assert_int_eq(setvbuf(stderr, NULL, _IONBF, 0), 0);
    document = steps[_i].document
                   ? load(steps[_i].document)
                   : json_pack("{s:[{s:s, s:s, s:s, s:s, s:{s:f}}, {s:s, s:s, s:s, s:i}, {}]}",
                               "jobs", "id", "1", "name", "one", "state", "running", "created_at",
                               "2026-11-22T16:25:38.123Z", "progress", "fraction", 0.5, "id", "2",
                               "state", "failed", "reason", "why", "queue_position", 3);
    ck_assert_ptr_nonnull(document);
    ck_assert_int_eq(steps[_i].step(), DWB_EXIT_OK);
    snprintf(whole, sizeof(whole), "%s", text_out);
    ck_assert_uint_gt(strlen(whole), 10);
    while (failed) {
        size_t n_blocks = heap_blocks();

        ck_assert_uint_lt(nth, ALLOCATIONS_MAX);
        text_out[0] = '\0';
        dwb_json_memory_begin();
        heap_fail_at(++nth, false);
        int r = steps[_i].step();
        failed = heap_has_failed();
        heap_fail_at(0, false);
        ck_assert_msg(failed || r == DWB_EXIT_OK, "allocation %lu: %d", nth, r);
        ck_assert_msg(r != DWB_EXIT_OK || strcmp(text_out, whole) == 0 ||
                          strstr(text_out, "no memory for it"),
                      "allocation %lu: %.200s", nth, text_out);
        ck_assert_msg(heap_blocks() == n_blocks, "allocation %lu: lost", nth);
        n_refused += r != DWB_EXIT_OK;
    }
    ck_assert_uint_gt(n_refused, 0);
    json_decref(document);
}
END_TEST

/* ---- plugins ---- */

static void put_object(const char *path, unsigned char class, unsigned char order, uint16_t type)
{
#if defined(__x86_64__)
    Elf64_Ehdr header = {.e_ident = ELFMAG, .e_type = type, .e_machine = EM_X86_64};
#else
    Elf64_Ehdr header = {.e_ident = ELFMAG, .e_type = type, .e_machine = EM_AARCH64};
#endif

    header.e_ident[EI_CLASS] = class;
    header.e_ident[EI_DATA] = order;
    put(path, &header, sizeof(header));
}

START_TEST(test_plugins_refused)
{
    static struct dwb_plugin_files files;

    put_object("class.so", ELFCLASS32, ELFDATA2LSB, ET_DYN);
    put_object("order.so", ELFCLASS64, ELFDATA2MSB, ET_DYN);
    put_object("type.so", ELFCLASS64, ELFDATA2LSB, ET_REL);
    put("text.so", "not an object, but long enough to be the head of one: here it ends, really",
        70);
    put("short.so", "\177ELF", 4);
    static const char *const names[] = {"class.so", "order.so", "type.so",
                                        "text.so",  "short.so", "none.so"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        ck_assert_msg(dwb_plugin_files_add(&files, names[i], NULL) == DWB_EXIT_USAGE, "%s",
                      names[i]);
    ck_assert_uint_eq(files.names.n, 0);
}
END_TEST

/* As much of a shared object as is looked at. */
static void put_good(const char *path)
{
    put_object(path, ELFCLASS64, ELFDATA2LSB, ET_DYN);
}

START_TEST(test_plugins_named)
{
    static struct dwb_plugin_files files;
    const char *name = NULL;
    char long_name[64] = "a/", path[128];
    struct stat status;

    ck_assert_int_eq(mkdir("a", 0700), 0);
    ck_assert_int_eq(mkdir("b", 0700), 0);
    ck_assert_int_eq(mkdir("c", 0700), 0);
    put_good("a/mine.so");
    put_good("b/mine.so");
    put_good("c/mine.so");
    ck_assert_int_eq(dwb_plugin_files_add(&files, "a/mine.so", &name), DWB_EXIT_OK);
    ck_assert_str_eq(name, "mine.so");
    ck_assert_int_eq(dwb_plugin_files_add(&files, "./a/../a/mine.so", &name), DWB_EXIT_OK);
    ck_assert_uint_eq(files.names.n, 1); /* it is the same file */
    ck_assert_int_eq(dwb_plugin_files_add(&files, "b/mine.so", &name), DWB_EXIT_OK);
    ck_assert_str_eq(name, "mine-2.so");
    ck_assert_int_eq(dwb_plugin_files_add(&files, "c/mine.so", &name), DWB_EXIT_USAGE);
    ck_assert_int_eq(dwb_plugin_files_copy(&files, "copies"), 0);
    ck_assert_int_eq(stat("copies/mine-2.so", &status), 0);
    ck_assert_int_eq(status.st_mode & 0777, 0500);
    ck_assert_int_eq(dwb_plugin_files_copy(&files, "copies"), -EEXIST);
    ck_assert_int_eq(unlink("b/mine.so"), 0);
    ck_assert_int_eq(dwb_plugin_files_copy(&files, "again"), -ENOENT);
    files.names.n = 0;
    memset(long_name + 2, 'n', 48); /* the longest, and no room for -2 */
    strcpy(long_name + 50, ".so");
    put_good(long_name);
    ck_assert_int_eq(dwb_plugin_files_add(&files, long_name, &name), DWB_EXIT_OK);
    snprintf(path, sizeof(path), "b/%s", long_name + 2);
    put_good(path);
    ck_assert_int_eq(dwb_plugin_files_add(&files, path, &name), DWB_EXIT_USAGE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_faults");
    TCase *memory = tcase_create("memory"), *plugins = tcase_create("plugins");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    suite_add_tcase(suite, memory);
    suite_add_tcase(suite, plugins);
    if (!heap_is_watched()) {
        puts("a sanitizer has the allocator");
        return 77;
    }
    dwb_json_memory_watch(); /* as the client does */
    tcase_add_checked_fixture(memory, enter, leave);
    tcase_add_checked_fixture(plugins, enter, leave);
    tcase_set_timeout(memory, 60);
    tcase_add_loop_test(memory, test_memory, 0, sizeof(steps) / sizeof(steps[0]));
    tcase_add_test(plugins, test_plugins_refused);
    tcase_add_test(plugins, test_plugins_named);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
