/*
 * Reports as a program gets to see them: the columns of CSV, those that are empty, and what each
 * form of a layer and each source of a count adds to both table and columns.
 */

#include "common/cleanup.h"

#include "render_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define CSV_FIELDS_MAX 128

/* RFC 4180 as a reader sees it: same number of fields everywhere, quotes undone. */
static size_t csv_fields(const char **at, char fields[CSV_FIELDS_MAX][512])
{
    size_t n = 0;
    const char *p = *at;

    for (;;) {
        char *out = fields[n++];
        bool quoted = *p == '"';

        if (quoted)
            p++;
        while (*p && (quoted ? !(*p == '"' && p[1] != '"') : *p != ',' && *p != '\r')) {
            if (quoted && *p == '"')
                p++;
            *out++ = *p++;
        }
        *out = '\0';
        if (quoted)
            p++;
        if (*p++ != ',')
            break;
    }
    ck_assert_int_eq(*p, '\n');
    *at = p + 1;
    return n;
}

/* The header and the row after it; returns the fields of each. */
static size_t csv_first(const char *text, char header[CSV_FIELDS_MAX][512],
                        char row[CSV_FIELDS_MAX][512])
{
    const size_t n = csv_fields(&text, header);

    ck_assert_uint_eq(csv_fields(&text, row), n);
    return n;
}

START_TEST(test_csv)
{
    dwb_cleanup_free char *text = render("partial", DWB_FORMAT_CSV, 80, false);
    static char header[CSV_FIELDS_MAX][512], row[CSV_FIELDS_MAX][512];
    const char *at = text;
    size_t n = csv_fields(&at, header), ratio = 0;

    ck_assert_str_eq(header[0], "job");
    /* New columns come after all others: programs may count. */
    ck_assert_str_eq(header[31], "why");
    ck_assert_str_eq(header[32], "separable_fused_ns");
    ck_assert_str_eq(header[37], "best_separable");
    ck_assert_str_eq(header[38], "standard_bytes");
    ck_assert_str_eq(header[62], "separable_fused_held_by");
    ck_assert_str_eq(header[63], "standard_simulated_instructions");
    ck_assert_str_eq(header[78], "ratio_simulated_instructions");
    ck_assert_str_eq(header[83], "simulated_LL_bytes");
    ck_assert_str_eq(header[84], "standard_cycles");
    ck_assert_str_eq(header[113], "ratio_llc_misses");
    ck_assert_str_eq(header[114], "measuring_wall_ns");
    ck_assert_str_eq(header[116], "measuring_share");
    while (strcmp(header[ratio], "ratio") != 0)
        ck_assert_uint_lt(++ratio, n);
    ck_assert_uint_eq(csv_fields(&at, row), n);
    ck_assert_str_eq(row[1], "good");
    ck_assert_double_eq_tol(atof(row[ratio]), 0.1317, 0.0001);
    ck_assert(has(row[31], "of the time, 66 GFLOP/s against")); /* the comma is kept */
    ck_assert_str_eq(row[42], "compute");                       /* what holds the standard */
    ck_assert_str_eq(row[62], "");                              /* no fused form, no bound of it */
    ck_assert_str_eq(row[63], "");                              /* nothing was simulated */
    ck_assert_uint_eq(csv_fields(&at, row), n);
    ck_assert_str_eq(row[1], "none");
    ck_assert_str_eq(row[ratio], ""); /* not measured: empty, not 0 */
    ck_assert_str_eq(at, "");
}
END_TEST

/* The fused form has a line under its row, and columns; without it there is neither. */
START_TEST(test_fused)
{
    dwb_cleanup_free char *without = render("layer", DWB_FORMAT_TABLE, 120, false);
    json_t *document = load("layer");
    json_t *entry = json_array_get(json_object_get(document, "results"), 0);
    json_t *operations = json_object_get(entry, "operations");
    json_t *fused = json_deep_copy(json_object_get(operations, "separable"));
    static char header[CSV_FIELDS_MAX][512], row[CSV_FIELDS_MAX][512];

    ck_assert(!has(without, "fused"));
    json_object_set_new(json_object_get(fused, "time_ns"), "floor", json_real(900000));
    json_object_set_new(operations, "separable_fused", fused);
    json_object_set_new(entry, "ratio_fused",
                        json_pack("{s:{s:f, s:f, s:f, s:f}}", "time", "floor", 0.11363, "ci_low",
                                  0.1135, "ci_high", 0.1138, "half_width", 0.00132));
    json_object_set_new(entry, "best_separable", json_string("separable_fused"));
    json_object_set_new(
        json_object_get(json_object_get(entry, "explain"), "bounds"), "separable_fused",
        json_pack("{s:s, s:f, s:f}", "held_by", "L2", "attained_gbps", 7.5, "percent", 81.4));
    json_object_set_new(entry, "saving_delivered_best", json_real(1.0466));
    DWB_CLEANUP(dwb_report_freep) struct dwb_report *report = report_of(document);
    dwb_cleanup_free char *table = render_report(report, DWB_FORMAT_TABLE, 80, false);
    dwb_cleanup_free char *csv = render_report(report, DWB_FORMAT_CSV, 80, false);
    ck_assert(has(table, "fused: 0.1136 ±0.1%, 105% of the saving\n"));
    ck_assert(has(table, "fused L2 (81%)\n"));
    check_widths(table, 80);

    csv_first(csv, header, row);
    ck_assert_str_eq(header[32], "separable_fused_ns");
    ck_assert_str_eq(row[32], "900000");
    ck_assert_str_eq(row[33], "0.11363");
    ck_assert_str_eq(row[34], "0.1135");
    ck_assert_str_eq(row[35], "0.1138");
    ck_assert_str_eq(row[36], "1.0466");
    ck_assert_str_eq(row[37], "separable_fused");
    ck_assert_str_eq(row[60], "7.5");
    ck_assert_str_eq(row[61], "81.4");
    ck_assert_str_eq(row[62], "L2");
}
END_TEST

/* What was simulated is a table of its own, and columns of its own. */
START_TEST(test_simulated)
{
    dwb_cleanup_free char *without = render("layer", DWB_FORMAT_TABLE, 120, false);
    json_t *document = load("layer");
    json_t *entry = json_array_get(json_object_get(document, "results"), 0);
    json_t *operations = json_object_get(entry, "operations");
    static char header[CSV_FIELDS_MAX][512], row[CSV_FIELDS_MAX][512];

    ck_assert(!has(without, "simulated"));
    json_object_set_new(json_object_get(operations, "standard"), "simulated",
                        json_pack("{s:s, s:{s:{s:i}, s:{s:i}}}", "reason", "", "counters",
                                  "instructions", "value", 130004888, "l1d_misses", "value", 5274));
    json_object_set_new(
        json_object_get(operations, "separable"), "simulated",
        json_pack("{s:s, s:{}}", "reason", "valgrind was killed by SIGILL", "counters"));
    json_object_set_new(
        entry, "simulation",
        json_pack("{s:s, s:s, s:s, s:{s:s, s:{s:i, s:i}, s:{s:i, s:i, s:i}, s:{s:i, s:i}}, "
                  "s:{s:{s:f}}}",
                  "tool", "valgrind-3.19.0, callgrind", "note", "a note", "cache", "cold",
                  "geometry", "origin", "given", "I1", "bytes", 32768, "ways", 8, "D1", "bytes",
                  49152, "ways", 12, "line_bytes", 64, "LL", "bytes", 33554432, "ways", 16, "ratio",
                  "instructions", "value", 0.1232));
    DWB_CLEANUP(dwb_report_freep) struct dwb_report *report = report_of(document);
    dwb_cleanup_free char *table = render_report(report, DWB_FORMAT_TABLE, 80, false);
    dwb_cleanup_free char *csv = render_report(report, DWB_FORMAT_CSV, 80, false);
    ck_assert(has(table, "130.0M"));
    ck_assert(has(table, "0.1232"));
    ck_assert(has(table, "simulated, not measured: one cold call by valgrind-3.19.0, callgrind"));
    ck_assert(has(table, "SIGILL"));
    check_widths(table, 80);

    csv_first(csv, header, row);
    ck_assert_str_eq(row[63], "130004888");
    ck_assert_str_eq(row[64], "5274");
    ck_assert_str_eq(row[65], ""); /* not counted: empty */
    ck_assert_str_eq(row[78], "0.1232");
    ck_assert_str_eq(row[82], "49152");
}
END_TEST

/* Hardware counters: a line under the row where there are any, and columns. */
START_TEST(test_counted)
{
    dwb_cleanup_free char *without = render("layer", DWB_FORMAT_TABLE, 120, false);
    json_t *document = load("layer");
    json_t *entry = json_array_get(json_object_get(document, "results"), 0);
    json_t *standard = json_object_get(json_object_get(entry, "operations"), "standard");
    static char header[CSV_FIELDS_MAX][512], row[CSV_FIELDS_MAX][512];

    ck_assert(!has(without, "counted, separable"));
    json_object_set_new(standard, "counters",
                        json_pack("{s:{s:f}, s:{s:f}, s:{s:f}}", "instructions", "value",
                                  134582513.0, "ipc", "value", 3.456, "flops_over_analytic",
                                  "value", 1.0004));
    json_object_set_new(json_object_get(entry, "ratio"), "instructions",
                        json_pack("{s:f}", "value", 0.134));
    DWB_CLEANUP(dwb_report_freep) struct dwb_report *report = report_of(document);
    dwb_cleanup_free char *table = render_report(report, DWB_FORMAT_TABLE, 200, false);
    dwb_cleanup_free char *csv = render_report(report, DWB_FORMAT_CSV, 200, false);
    ck_assert(has(table, "counted, separable / standard: instructions 0.1340 (theory "));
    ck_assert(has(table, "IPC std 3.46"));
    ck_assert(has(table, "FLOPs counted / executed: 1.0004"));

    csv_first(csv, header, row);
    ck_assert_str_eq(row[84], ""); /* cycles were not counted */
    ck_assert_str_eq(row[85], "134582513");
    ck_assert_str_eq(row[110], "0.134");
}
END_TEST

/* How much of the time was measuring: a line of the job, columns of the row; neither without. */
START_TEST(test_measuring)
{
    json_t *document = load("layer");
    json_t *entry = json_array_get(json_object_get(document, "results"), 0);
    static char header[CSV_FIELDS_MAX][512], row[CSV_FIELDS_MAX][512];

    json_object_set_new(
        json_object_get(document, "job"), "measuring",
        json_pack("{s:f, s:f, s:f}", "wall_ns", 61.23e9, "kernel_ns", 53.9e9, "share", 0.8803));
    json_object_set_new(entry, "measuring",
                        json_pack("{s:f, s:f, s:f}", "wall_ns", 3412345678.0, "kernel_ns",
                                  3003000000.0, "share", 0.88));
    DWB_CLEANUP(dwb_report_freep) struct dwb_report *report = report_of(json_incref(document));
    dwb_cleanup_free char *table = render_report(report, DWB_FORMAT_TABLE, 80, false);
    dwb_cleanup_free char *csv = render_report(report, DWB_FORMAT_CSV, 80, false);
    ck_assert(has(table, "measuring: 88% of 61.2 s in timed calls and their warm-up"));
    check_widths(table, 80);
    csv_first(csv, header, row);
    ck_assert_str_eq(row[114], "3412345678");
    ck_assert_str_eq(row[115], "3003000000");
    ck_assert_str_eq(row[116], "0.88");

    json_object_del(json_object_get(document, "job"), "measuring");
    json_object_del(entry, "measuring");
    DWB_CLEANUP(dwb_report_freep) struct dwb_report *older = report_of(document);
    dwb_cleanup_free char *plain = render_report(older, DWB_FORMAT_TABLE, 80, false);
    dwb_cleanup_free char *empty = render_report(older, DWB_FORMAT_CSV, 80, false);
    ck_assert(!has(plain, "measuring:"));
    csv_first(empty, header, row);
    ck_assert_str_eq(row[114], "");
    ck_assert_str_eq(row[116], "");
}
END_TEST

static char *render_environment(const json_t *environment, enum dwb_format format)
{
    struct dwb_terminal terminal = {.columns = 80};
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    ck_assert_int_eq(dwb_render_environment(environment, format, &terminal, out), 0);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

/* In groups, aligned, wrapped; a null with its reason; a member that no group knows is there. */
START_TEST(test_environment)
{
    json_t *environment = json_pack(
        "{s:{s:s, s:n, s:[s, s]}, s:[{s:s, s:i}], s:{s:i, s:i}, s:{s:s, s:s, s:i}, s:n, s:n, s:b, "
        "s:s, s:{s:s, s:s}}",
        "cpu", "model", "Some CPU", "microcode", "flags", "fma", "avx2", "caches", "level", "L1",
        "bytes", 49152, "memory_available_bytes", "min", 5, "max", 7, "kernel", "first", "Linux 6",
        "last", "Linux 7", "distinct", 2, "governor", "boost", "smt_active", 1, "news",
        "control \033[31m", "unreadable", "governor", "/sys/x: No such file or directory",
        "cpu.microcode", "a, b");
    dwb_cleanup_free char *table = render_environment(environment, DWB_FORMAT_TABLE);
    dwb_cleanup_free char *csv = render_environment(environment, DWB_FORMAT_CSV);
    dwb_cleanup_free char *text = render_environment(environment, DWB_FORMAT_JSON);
    json_t *again = json_loads(text, 0, NULL);

    ck_assert(has(table, "Processor\n  cpu.model               Some CPU\n"));
    ck_assert(has(table, "  cpu.microcode           not readable (a, b)\n"));
    ck_assert(has(table, "  cpu.flags               fma avx2\n"));
    ck_assert(has(table, "  caches                  level L1, bytes 49152\n"));
    ck_assert(has(table, "  memory_available_bytes  5 to 7\n"));
    ck_assert(has(table, "CPUs\n  smt_active              yes\n"));
    ck_assert(has(table, "  governor                not readable (/sys/x: No such file or "
                         "directory)\n"));
    ck_assert(has(table, "  boost                   not readable\n"));
    ck_assert(has(table, "  kernel                  Linux 6 ... Linux 7 (2 different)\n"));
    ck_assert(has(table, "Other\n  news                    control "));
    ck_assert(!has(table, "\033") && !has(table, "unreadable") && !has(table, "Measurement"));
    check_widths(table, 80);
    ck_assert(has(csv, "member,value,reason\r\ncpu.model,Some CPU,\r\n"));
    ck_assert(has(csv, "\r\ncpu.microcode,,\"a, b\"\r\n"));
    ck_assert(json_equal(again, environment));
    json_decref(again);
    json_decref(environment);
}
END_TEST

START_TEST(test_csv_field)
{
    static const char *const cases[][2] = {{"plain", "plain"},
                                           {"", ""},
                                           {"a,b", "\"a,b\""},
                                           {"say \"x\"", "\"say \"\"x\"\"\""},
                                           {"two\nlines", "\"two\nlines\""}};

    for (size_t i = 0; i < 5; i++) {
        dwb_cleanup_free char *text = NULL;
        size_t n;
        FILE *out = open_memstream(&text, &n);

        dwb_csv_field(out, cases[i][0]);
        fclose(out);
        ck_assert_str_eq(text, cases[i][1]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("render_columns");
    TCase *tests = tcase_create("render_columns");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_test(tests, test_csv);
    tcase_add_test(tests, test_fused);
    tcase_add_test(tests, test_simulated);
    tcase_add_test(tests, test_counted);
    tcase_add_test(tests, test_measuring);
    tcase_add_test(tests, test_environment);
    tcase_add_test(tests, test_csv_field);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
