/* The command line: every option, every refusal, the nearest name; and the input it points at. */

#include "client/cli.h"
#include "client/input.h"
#include "client/output.h"
#include "common/cleanup.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct dwb_verb verb_all = {
    .name = "all", .arguments = "FILE", .help = "", .options = UINT32_MAX, .max_arguments = 1};
static const struct dwb_verb verb_none = {
    .name = "none", .arguments = "JOB", .help = "", .min_arguments = 1, .max_arguments = 1};

static int parse(const struct dwb_verb *verb, struct dwb_cli *cli, const char *line)
{
    static char copy[1024];
    static char *argv[64]; /* the struct points into it */
    char *rest = NULL;
    bool done = false;
    int argc = 1;

    memset(argv, 0, sizeof(argv));
    argv[0] = (char *)verb->name;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    return dwb_cli_parse(verb, argc, argv, cli, &done);
}

START_TEST(test_options)
{
    struct dwb_cli cli;

    ck_assert_int_eq(
        parse(&verb_all, &cli,
              "-s /x --isa avx2 --cache cold --budget 1s --precision 1% --replicates 3 "
              "--seed 9 --alpha 0.5 --resolution 128 --backend native --simulate --geometry g "
              "--format csv -o f --timeout "
              "90s --plugin ./a.so --plugin b.so "
              "--quiet --wait --idempotency-key k1 --state done --limit 7 "
              "--baseline main --force suite"),
        DWB_EXIT_OK);
    ck_assert_str_eq(cli.socket, "/x");
    for (size_t i = 0; i < DWB_CLI_N_JOB_KEYS; i++)
        ck_assert_ptr_nonnull(cli.job_keys[i]);
    ck_assert_str_eq(dwb_cli_job_keys[0], "isa");
    ck_assert_str_eq(cli.job_keys[0], "avx2");
    ck_assert_str_eq(dwb_cli_job_keys[7], "resolution");
    ck_assert_str_eq(cli.job_keys[7], "128");
    ck_assert_str_eq(dwb_cli_job_keys[8], "backends");
    ck_assert_str_eq(cli.job_keys[8], "native");
    ck_assert_str_eq(dwb_cli_job_keys[9], "simulate");
    ck_assert_str_eq(cli.job_keys[9], "true");
    ck_assert_str_eq(dwb_cli_job_keys[10], "geometry");
    ck_assert_str_eq(cli.job_keys[10], "g");
    ck_assert_uint_eq(cli.n_plugins, 2);
    ck_assert_str_eq(cli.plugins[1], "b.so");
    ck_assert_int_eq(cli.format, DWB_FORMAT_CSV);
    ck_assert_str_eq(cli.output, "f");
    ck_assert_uint_eq(cli.timeout_ns, UINT64_C(90000000000));
    ck_assert(cli.quiet && cli.wait);
    ck_assert_str_eq(cli.idempotency_key, "k1");
    ck_assert_str_eq(cli.state, "done");
    ck_assert_uint_eq(cli.limit, 7);
    ck_assert_str_eq(cli.baseline, "main");
    ck_assert(cli.force);
    ck_assert_int_eq(cli.n_arguments, 1);
    ck_assert_str_eq(cli.arguments[0], "suite");
}
END_TEST

/* Reports have more formats than lists have. */
START_TEST(test_formats)
{
    static const struct dwb_verb lists = {
        .name = "lists", .arguments = "", .help = "", .options = DWB_OPTION_FORMAT};
    static const struct dwb_verb reports = {
        .name = "reports", .arguments = "", .help = "", .options = DWB_OPTION_REPORT};
    static const char *const names[] = {"table", "json", "csv", "junit", "markdown", "html"};
    char line[32];

    for (int i = DWB_FORMAT_TABLE; i <= DWB_FORMAT_HTML; i++) {
        struct dwb_cli cli;

        snprintf(line, sizeof(line), "--format %s", names[i]);
        ck_assert_int_eq(parse(&reports, &cli, line), DWB_EXIT_OK);
        ck_assert_int_eq(cli.format, i);
        ck_assert(cli.format_given);
        ck_assert_int_eq(parse(&lists, &cli, line),
                         i <= DWB_FORMAT_CSV ? DWB_EXIT_OK : DWB_EXIT_USAGE);
    }
}
END_TEST

START_TEST(test_refusals)
{
    static const char *const lines[] = {
        "--bogus",      "-x",           "--isa",         "--format xml",
        "--timeout 5",  "--timeout 0s", "--timeout abc", "--limit 0",
        "--limit 1001", "--limit -1",   "--limit 5x",    "--state odd",
        "--quiet=1",    "--force=1",    "--baseline",    "--idempotency-key \x01",
        "a b"};
    struct dwb_cli cli = {.limit = 77};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        ck_assert_msg(parse(&verb_all, &cli, lines[i]) == DWB_EXIT_USAGE, "%s", lines[i]);
    ck_assert_int_eq(parse(&verb_none, &cli, ""), DWB_EXIT_USAGE);
    ck_assert_int_eq(parse(&verb_none, &cli, "-s x job"), DWB_EXIT_USAGE); /* others have it */
    ck_assert_int_eq(parse(&verb_none, &cli, "--socket x job"), DWB_EXIT_USAGE);
    ck_assert_uint_eq(cli.limit, 77); /* untouched on failure */
    ck_assert_int_eq(parse(&verb_none, &cli, "-- -job"), DWB_EXIT_OK);
}
END_TEST

START_TEST(test_nearest)
{
    static const char *const names[] = {"run",  "submit", "status", "watch",
                                        "list", "cancel", "suites", "doctor"};
    static const char *const cases[][2] = {
        {"submti", "submit"}, {"sumbit", "submit"}, {"statsu", "status"}, {"lst", "list"},
        {"cancle", "cancel"}, {"doc", "doctor"},    {"rnu", "run"},       {"suite", "suites"},
        {"wacth", "watch"},   {"frobnicate", NULL}, {"x", NULL},          {"", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *nearest = dwb_cli_nearest(cases[i][0], names, 8);

        if (cases[i][1])
            ck_assert_msg(nearest && strcmp(nearest, cases[i][1]) == 0, "%s: %s", cases[i][0],
                          nearest ? nearest : "nothing");
        else
            ck_assert_msg(!nearest, "%s: %s", cases[i][0], nearest);
    }
}
END_TEST

static char directory[] = "/tmp/client-test-XXXXXX";

static void enter_directory(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(chdir(directory), 0);
}

static void leave_directory(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -rf %s", directory);
    ck_assert_int_eq(system(command), 0);
    strcpy(directory, "/tmp/client-test-XXXXXX");
}

static void write_file(const char *path, const char *text)
{
    dwb_cleanup_file FILE *file = fopen(path, "we");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
}

static struct dwb_spec *input(const char *line, int want)
{
    struct dwb_spec *spec = NULL;
    struct dwb_cli cli;

    ck_assert_int_eq(parse(&verb_all, &cli, line), DWB_EXIT_OK);
    ck_assert_int_eq(dwb_input_spec(&cli, &spec), want);
    return spec;
}

START_TEST(test_input)
{
    struct dwb_spec *spec;

    write_file("mine.yaml", "{Dk: 3, Dx: 8, M: 4, N: 4}\n");
    write_file("bad.yaml", "{Dk: 3, Dx: 0, M: 4}\n");
    spec = input("mine.yaml --seed 5", DWB_EXIT_OK);
    ck_assert_uint_eq(spec->layers[0].input_size, 8);
    ck_assert_uint_eq(spec->options.seed, 5);
    dwb_spec_free(spec);
    spec = input("mobilenet_v1 --alpha 0.5", DWB_EXIT_OK);
    ck_assert_uint_eq(spec->n_layers, 9);
    ck_assert_uint_eq(spec->layers[0].in_channels, 16);
    dwb_spec_free(spec);
    spec = input("mobilenet_v1.yaml", DWB_EXIT_OK);
    dwb_spec_free(spec);
    write_file("mobilenet_v1", "{Dk: 1, Dx: 5, M: 1, N: 1}\n"); /* a file comes before a suite */
    spec = input("mobilenet_v1", DWB_EXIT_OK);
    ck_assert_uint_eq(spec->n_layers, 1);
    dwb_spec_free(spec);
    ck_assert_int_eq(mkdir("example", 0700), 0); /* a directory does not */
    spec = input("example --layer Dk=1,Dx=1,M=1,N=1", DWB_EXIT_USAGE);
    spec = input("example", DWB_EXIT_OK);
    dwb_spec_free(spec);
    spec = input("--layer Dk=3,Dx=8,M=2,N=2 --isa portable", DWB_EXIT_OK);
    ck_assert_int_eq(spec->options.isa, DWB_ISA_PORTABLE);
    dwb_spec_free(spec);
    input("bad.yaml", DWB_EXIT_USAGE);
    input("nonsuch", DWB_EXIT_USAGE);
    input("nonsuch/../mobilenet_v1", DWB_EXIT_USAGE);
    input("mine.yaml --isa sse", DWB_EXIT_USAGE);
    input("--layer Dk=3", DWB_EXIT_USAGE);
    input("", DWB_EXIT_USAGE);
}
END_TEST

START_TEST(test_output)
{
    struct dwb_output output;
    struct stat status;

    /* A new file that got nothing is taken back; an old one keeps what it had. */
    ck_assert_int_eq(dwb_output_open("new", &output), DWB_EXIT_OK);
    dwb_output_close(&output);
    ck_assert_int_lt(stat("new", &status), 0);
    write_file("old", "a long old text");
    ck_assert_int_eq(dwb_output_open("old", &output), DWB_EXIT_OK);
    dwb_output_close(&output);
    ck_assert_int_eq(stat("old", &status), 0);
    ck_assert_int_eq(status.st_size, 15);
    ck_assert_int_eq(dwb_output_open("old", &output), DWB_EXIT_OK);
    ck_assert_int_eq(dwb_output_write(&output, "short", 5), DWB_EXIT_OK);
    dwb_output_close(&output);
    ck_assert_int_eq(stat("old", &status), 0);
    ck_assert_int_eq(status.st_size, 5);
    ck_assert_int_eq(dwb_output_open("no/such/directory", &output), DWB_EXIT_USAGE);
    ck_assert_int_eq(dwb_output_open("/dev/full", &output), DWB_EXIT_OK);
    ck_assert_int_eq(dwb_output_write(&output, "x", 1), DWB_EXIT_USAGE);
    dwb_output_close(&output);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli");
    TCase *options = tcase_create("options"), *files = tcase_create("files");
    SRunner *runner;
    int n_failed;

    tcase_add_test(options, test_options);
    tcase_add_test(options, test_formats);
    tcase_add_test(options, test_refusals);
    tcase_add_test(options, test_nearest);
    tcase_add_checked_fixture(files, enter_directory, leave_directory);
    tcase_add_test(files, test_input);
    tcase_add_test(files, test_output);
    suite_add_tcase(suite, options);
    suite_add_tcase(suite, files);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
