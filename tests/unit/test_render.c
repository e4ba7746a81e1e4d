/*
 * Reports from stored documents (tests/unit/data: the members of real ones, the figures made up so
 * that each case is there): what a person and a program get to see, at every
 * width, and which exit code a document stands for.
 */

#include "client/cli.h"
#include "client/doctor.h"
#include "common/record.h"
#include "client/progress.h"
#include "client/render.h"
#include "client/report.h"
#include "client/table.h"
#include "common/cleanup.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *load(const char *name)
{
    json_error_t error;
    char path[512];
    json_t *document;

    snprintf(path, sizeof(path), "%s/%s.json", DWB_TEST_DATA, name);
    document = json_load_file(path, 0, &error);
    ck_assert_msg(document != NULL, "%s:%d: %s", path, error.line, error.text);
    return document;
}

static struct dwb_report *report_of(json_t *document)
{
    struct dwb_report *report = NULL;

    ck_assert_int_eq(dwb_report_new(document, &report), 0);
    json_decref(document);
    return report;
}

static char *render(const char *name, enum dwb_format format, unsigned columns, bool colour)
{
    DWB_CLEANUP(dwb_report_freep) struct dwb_report *report = report_of(load(name));
    struct dwb_terminal terminal = {.columns = columns, .colour = colour, .utf8 = true};
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(dwb_render(report, format, &terminal, out), 0);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* The line that begins with a word, without its newline, in a buffer of the caller. */
static const char *line_of(const char *text, const char *word, char *buffer, size_t size)
{
    size_t n_word = strlen(word);

    for (const char *at = text; *at; at += strcspn(at, "\n") + (strchr(at, '\n') != NULL))
        if (strncmp(at, word, n_word) == 0 && at[n_word] == ' ') {
            snprintf(buffer, size, "%.*s", (int)strcspn(at, "\n"), at);
            return buffer;
        }
    ck_abort_msg("no line for %s in:\n%s", word, text);
    return NULL;
}

static void check_widths(const char *text, unsigned columns)
{
    dwb_cleanup_free char *copy = strdup(text);
    char *rest = NULL;

    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        ck_assert_msg(dwb_terminal_width(line) <= columns, "%zu > %u columns: %s",
                      dwb_terminal_width(line), columns, line);
        ck_assert_msg(line[strlen(line) - 1] != ' ', "blanks at the end: %s|", line);
    }
}

/* Figures that must be there at any width, as a row or under it. */
START_TEST(test_table_widths)
{
    static const unsigned columns[] = {80, 100, 120, 200};
    static const char *const names[] = {"suite", "layer", "partial", "wrong"};

    for (size_t w = 0; w < 4; w++)
        for (size_t i = 0; i < 4; i++) {
            dwb_cleanup_free char *text = render(names[i], DWB_FORMAT_TABLE, columns[w], false);

            check_widths(text, columns[w]);
            ck_assert(has(text, "not counted: cycles, instructions, flops, cache_misses"));
            ck_assert(!has(text, "ipc")); /* derived: its reason is that of its inputs */
            ck_assert(has(text, "AMD EPYC 9R14"));
            ck_assert(has(text, "peak 118 GFLOP/s"));
            ck_assert(!has(text, "nan") && !has(text, "inf"));
        }
}
END_TEST

START_TEST(test_table_full_row)
{
    dwb_cleanup_free char *text = render("layer", DWB_FORMAT_TABLE, 120, false);
    char row[256];

    line_of(text, "dws3", row, sizeof(row));
    ck_assert_str_eq(row, "dws3   56 128x128 k3 s1    7920.7     1043.0  0.1317 ±0.4%  0.1189     "
                          "90%     114   66  111   97  56  94  stable");
    ck_assert(has(text, "    the depthwise is 7.1 % of the multiply-adds"));
    ck_assert(has(text, "    held by: std compute (97%), dw compute (56%), pw compute (94%)"));
    ck_assert(!has(text, "total ")); /* one layer is its own total */
}
END_TEST

START_TEST(test_table_narrow_keeps_all)
{
    dwb_cleanup_free char *text = render("suite", DWB_FORMAT_TABLE, 80, false);
    char row[256];

    line_of(text, "dws13", row, sizeof(row));
    ck_assert(has(row, "contaminated"));
    ck_assert(has(row, "0.1523 ±0.4%"));
    ck_assert(has(row, "74%"));
    ck_assert(
        has(text,
            "    7 1024x1024 k3 s1; GFLOP/s (% of peak): std 118 (100), dw 47 (40), pw 108 (92)") ||
        has(text,
            "    7 1024x1024 k3 s1; GFLOP/s (% of peak): std 118 (100), dw 47 (40), pw 108\n"));
}
END_TEST

/* The suite's totals weigh a layer by its repeat; recomputed here from the document alone. */
START_TEST(test_totals)
{
    DWB_CLEANUP(dwb_report_freep) struct dwb_report *report = report_of(load("suite"));
    double standard = 0, separable = 0, separable_macs = 0, standard_macs = 0;
    struct dwb_report_totals totals;
    json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(report->document, "results"), i, entry)
    {
        double repeat, standard_floor, separable_floor, a, b;

        ck_assert_int_eq(json_unpack(entry, "{s:{s:F}, s:{s:{s:{s:F}}, s:{s:{s:F}}}, s:{s:F, s:F}}",
                                     "layer", "repeat", &repeat, "operations", "standard",
                                     "time_ns", "floor", &standard_floor, "separable", "time_ns",
                                     "floor", &separable_floor, "theory", "standard_macs", &a,
                                     "separable_macs", &b),
                         0);
        standard += repeat * standard_floor;
        separable += repeat * separable_floor;
        standard_macs += repeat * a;
        separable_macs += repeat * b;
    }
    ck_assert(dwb_report_totals_of(report, &totals));
    ck_assert_uint_eq(totals.n_layers, 13);
    ck_assert_double_eq_tol(totals.ratio, separable / standard, 1e-12);
    ck_assert_double_eq_tol(totals.theory, separable_macs / standard_macs, 1e-12);
    ck_assert_double_eq_tol(totals.saving_delivered, totals.theory / totals.ratio, 1e-12);
    ck_assert_double_eq_tol(totals.percent_of_peak[DWB_REPORT_STANDARD],
                            100 * totals.gflops[DWB_REPORT_STANDARD] / 118, 1e-6);
}
END_TEST

START_TEST(test_table_suite)
{
    dwb_cleanup_free char *text = render("suite", DWB_FORMAT_TABLE, 120, false);
    char row[256];

    ck_assert(has(line_of(text, "total", row, sizeof(row)), "13 layers"));
    ck_assert(has(line_of(text, "dws7", row, sizeof(row)), "dws7 x5"));
    ck_assert(has(text, "    unstable: the floor of depthwise was reproduced"));
    ck_assert(has(text, "    contaminated: 62 % of the samples were dropped"));
}
END_TEST

/* What was not measured is a dash with its reason, never a zero, and it leaves no totals. */
START_TEST(test_table_partial)
{
    dwb_cleanup_free char *text = render("partial", DWB_FORMAT_TABLE, 120, false);
    char row[256];

    line_of(text, "none", row, sizeof(row));
    ck_assert_str_eq(row,
                     "none   7 8x8 k3 s1              -          -             -  0.2361       "
                     "-       -    -    -    -   -   -  unstable");
    ck_assert(has(text, "    no ratio: 2 replicates, 3 are needed"));
    ck_assert(!has(text, "\ntotal"));
}
END_TEST

START_TEST(test_table_wrong)
{
    dwb_cleanup_free char *text = render("wrong", DWB_FORMAT_TABLE, 120, false);
    char row[256];

    ck_assert(has(line_of(text, "dws3", row, sizeof(row)), "WRONG"));
    ck_assert(has(text, "OUTPUTS WRONG"));
    ck_assert(!has(text, "\033"));
}
END_TEST

START_TEST(test_table_colour)
{
    dwb_cleanup_free char *plain = render("suite", DWB_FORMAT_TABLE, 120, false);
    dwb_cleanup_free char *colour = render("suite", DWB_FORMAT_TABLE, 120, true);
    size_t n = 0;

    ck_assert(has(colour, "\033[33munstable\033[0m"));
    /* Without its escapes the coloured text is the plain one: no meaning is in the colour alone. */
    for (char *at = colour; *at; at++) {
        if (*at == '\033')
            at += strcspn(at, "m");
        else
            colour[n++] = *at;
    }
    colour[n] = '\0';
    ck_assert_str_eq(colour, plain);
}
END_TEST

START_TEST(test_exit_codes)
{
    static const struct {
        const char *name;
        int code;
    } cases[] = {{"suite", DWB_EXIT_OK},
                 {"layer", DWB_EXIT_OK},
                 {"wrong", DWB_EXIT_FAILED},
                 {"partial", DWB_EXIT_INCONCLUSIVE}};

    for (size_t i = 0; i < 4; i++) {
        DWB_CLEANUP(dwb_report_freep) struct dwb_report *report = report_of(load(cases[i].name));
        ck_assert_msg(dwb_report_exit(report) == cases[i].code, "%s", cases[i].name);
    }
}
END_TEST

START_TEST(test_not_a_document)
{
    static const char *const texts[] = {
        "{}", "{\"schema\": \"dwbench.result/1\"}", "{\"schema\": \"other/1\", \"results\": []}",
        "{\"schema\": 7, \"results\": []}", "{\"schema\": \"dwbench.result/1\", \"results\": {}}"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct dwb_report *report = NULL;
        json_t *document = json_loads(texts[i], 0, NULL);

        ck_assert_ptr_nonnull(document);
        ck_assert_int_eq(dwb_report_new(document, &report), -EINVAL);
        ck_assert_ptr_null(report);
        json_decref(document);
    }
}
END_TEST

/* Entries that lack members, or have others in their place, are blanks, not crashes. */
START_TEST(test_odd_entries)
{
    static const char text[] =
        "{\"schema\": \"dwbench.result/1\", \"environment\": null, \"results\": [{}, 7, null, "
        "{\"layer\": {\"name\": 3, \"Dx\": \"x\"}, \"operations\": [], \"ratio\": {\"time\": 1}, "
        "\"verdict_reasons\": [1, null], \"why\": \"\"}]}";
    DWB_CLEANUP(dwb_report_freep)
    struct dwb_report *report = report_of(json_loads(text, 0, NULL));
    struct dwb_terminal terminal = {.columns = 80};
    dwb_cleanup_free char *out_text = NULL;
    size_t n;
    FILE *out = open_memstream(&out_text, &n);

    for (int format = DWB_FORMAT_TABLE; format <= DWB_FORMAT_CSV; format++)
        ck_assert_int_eq(dwb_render(report, (enum dwb_format)format, &terminal, out), 0);
    fclose(out);
    ck_assert(has(out_text, "no ratio: the result does not say why"));
    ck_assert(has(out_text, "CPU not known"));
    ck_assert_int_eq(dwb_report_exit(report), DWB_EXIT_INCONCLUSIVE);
}
END_TEST

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
    ck_assert_str_eq(header[n - 1], "ratio_llc_misses");
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
    struct dwb_terminal terminal = {.columns = 80, .utf8 = true};
    dwb_cleanup_free char *table = NULL, *csv = NULL;
    static char header[CSV_FIELDS_MAX][512], row[CSV_FIELDS_MAX][512];
    const char *at;
    size_t n, size;

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
    FILE *out = open_memstream(&table, &size);
    ck_assert_int_eq(dwb_render(report, DWB_FORMAT_TABLE, &terminal, out), 0);
    fclose(out);
    ck_assert(has(table, "fused: 0.1136 ±0.1%, 105% of the saving\n"));
    ck_assert(has(table, "fused L2 (81%)\n"));
    check_widths(table, 80);

    out = open_memstream(&csv, &size);
    ck_assert_int_eq(dwb_render(report, DWB_FORMAT_CSV, &terminal, out), 0);
    fclose(out);
    at = csv;
    n = csv_fields(&at, header);
    ck_assert_uint_eq(csv_fields(&at, row), n);
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
    struct dwb_terminal terminal = {.columns = 80, .utf8 = true};
    dwb_cleanup_free char *table = NULL, *csv = NULL;
    static char header[CSV_FIELDS_MAX][512], row[CSV_FIELDS_MAX][512];
    const char *at;
    size_t n, size;

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
    FILE *out = open_memstream(&table, &size);
    ck_assert_int_eq(dwb_render(report, DWB_FORMAT_TABLE, &terminal, out), 0);
    fclose(out);
    ck_assert(has(table, "130.0M"));
    ck_assert(has(table, "0.1232"));
    ck_assert(has(table, "simulated, not measured: one cold call by valgrind-3.19.0, callgrind"));
    ck_assert(has(table, "SIGILL"));
    check_widths(table, 80);

    out = open_memstream(&csv, &size);
    ck_assert_int_eq(dwb_render(report, DWB_FORMAT_CSV, &terminal, out), 0);
    fclose(out);
    at = csv;
    n = csv_fields(&at, header);
    ck_assert_uint_eq(csv_fields(&at, row), n);
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
    struct dwb_terminal terminal = {.columns = 200, .utf8 = true};
    dwb_cleanup_free char *table = NULL, *csv = NULL;
    static char header[CSV_FIELDS_MAX][512], row[CSV_FIELDS_MAX][512];
    const char *at;
    size_t n, size;

    ck_assert(!has(without, "counted, separable"));
    json_object_set_new(standard, "counters",
                        json_pack("{s:{s:f}, s:{s:f}, s:{s:f}}", "instructions", "value",
                                  134582513.0, "ipc", "value", 3.456, "flops_over_analytic",
                                  "value", 1.0004));
    json_object_set_new(json_object_get(entry, "ratio"), "instructions",
                        json_pack("{s:f}", "value", 0.134));
    DWB_CLEANUP(dwb_report_freep) struct dwb_report *report = report_of(document);
    FILE *out = open_memstream(&table, &size);
    ck_assert_int_eq(dwb_render(report, DWB_FORMAT_TABLE, &terminal, out), 0);
    fclose(out);
    ck_assert(has(table, "counted, separable / standard: instructions 0.1340 (theory "));
    ck_assert(has(table, "IPC std 3.46"));
    ck_assert(has(table, "FLOPs counted / executed: 1.0004"));

    out = open_memstream(&csv, &size);
    ck_assert_int_eq(dwb_render(report, DWB_FORMAT_CSV, &terminal, out), 0);
    fclose(out);
    at = csv;
    n = csv_fields(&at, header);
    ck_assert_uint_eq(csv_fields(&at, row), n);
    ck_assert_str_eq(row[84], ""); /* cycles were not counted */
    ck_assert_str_eq(row[85], "134582513");
    ck_assert_str_eq(row[n - 4], "0.134");
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

START_TEST(test_json)
{
    dwb_cleanup_free char *text = render("layer", DWB_FORMAT_JSON, 80, false);
    json_t *again = json_loads(text, 0, NULL), *document = load("layer");

    ck_assert(json_equal(again, document));
    json_decref(again);
    json_decref(document);
}
END_TEST

START_TEST(test_wrap)
{
    dwb_cleanup_free char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    dwb_terminal_wrap(out, "one two three averyveryverylongword µµµµ x", 2, 12);
    fclose(out);
    ck_assert_str_eq(text, "  one two\n  three\n  averyveryverylongword\n  µµµµ x\n");
}
END_TEST

static char *progress_text(bool interactive, bool quiet)
{
    struct dwb_progress_bar bar;
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    dwb_progress_init(&bar, out, -1, quiet);
    bar.terminal = (struct dwb_terminal){.interactive = interactive, .columns = 100};
    snprintf(bar.state, sizeof(bar.state), "measuring");
    snprintf(bar.layer, sizeof(bar.layer), "dws3");
    bar.replicates_min = 100;
    bar.replicates_max = 200;
    for (unsigned i = 0; i <= 100; i++) {
        bar.replicates_done = i;
        bar.fraction = i / 100.0;
        dwb_progress_update(&bar, 1000000000 + i * UINT64_C(100000000));
        if (i == 50 && !quiet)
            ck_assert_double_eq_tol(dwb_progress_eta_s(&bar, UINT64_C(6000000000)), 5, 1e-9);
    }
    dwb_progress_say(&bar, "a line\033[31m");
    dwb_progress_end(&bar);
    fclose(out);
    return text;
}

START_TEST(test_progress)
{
    dwb_cleanup_free char *plain = progress_text(false, false);
    dwb_cleanup_free char *drawn = progress_text(true, false);
    dwb_cleanup_free char *quiet = progress_text(true, true);
    size_t n_lines = 0;

    for (const char *at = plain; (at = strchr(at, '\n')); at++)
        n_lines++;
    ck_assert_uint_ge(n_lines, 10); /* a line each ten per cent, and the said one */
    ck_assert_uint_le(n_lines, 13);
    ck_assert(!has(plain, "\r") && !has(plain, "\033"));
    ck_assert(has(plain, "50 of 100-200 replicates   50%  ETA 0:05  dws3\n"));
    ck_assert(has(drawn, "\r\033[K[###############...............] 50 of 100-200 replicates"));
    ck_assert(has(plain, "a line\\x1b[31m")); /* escaped: it came from outside */
    ck_assert_str_eq(quiet, "");
}
END_TEST

START_TEST(test_doctor)
{
    json_t *info = json_pack(
        "{s:{s:s, s:s}, s:{s:{s:s}, s:[s,s], s:s, s:{s:i, s:i, s:n, s:b, s:s, s:[f]}}, "
        "s:[{s:s, s:n, s:s}, {s:s, s:n, s:s}, {s:s, s:s, s:s}]}",
        "loop", "backend", "epoll", "fallback_reason", "Operation not permitted", "machine", "cpu",
        "model", "Test CPU", "isas", "portable", "avx2", "isa_best", "avx2", "environment",
        "perf_event_paranoid", 3, "smt_active", 1, "governor", "boost", 0, "clocksource", "tsc",
        "load", 3.5, "counters", "name", "cycles", "source", "reason", "no PMU", "name", "flops",
        "source", "reason", "no PMU", "name", "task_clock", "source", "software", "reason", "");
    static struct dwb_findings findings;
    bool paranoid = false, grouped = false, fallback = false, load = false;

    ck_assert_ptr_nonnull(info);
    findings.n = 0;
    dwb_doctor_examine(info, &findings);
    for (size_t i = 0; i < findings.n; i++) {
        const struct dwb_finding *f = &findings.items[i];

        ck_assert_int_ne(f->level, DWB_FINDING_PROBLEM);
        paranoid |= has(f->fix, "sysctl kernel.perf_event_paranoid=2") &&
                    has(f->text, "perf_event_paranoid is 3");
        grouped |= strcmp(f->text, "not counted: cycles, flops: no PMU") == 0;
        fallback |= has(f->text, "epoll") && has(f->text, "Operation not permitted");
        load |= has(f->text, "load 3.50");
        ck_assert(!has(f->text, "boost is on"));
    }
    ck_assert(paranoid && grouped && fallback && load);
    json_object_set_new(info, "machine", json_null());
    json_object_set_new(info, "machine_error", json_string("dwbench-worker: not found"));
    findings.n = 0;
    dwb_doctor_examine(info, &findings);
    ck_assert_int_eq(findings.items[findings.n - 1].level, DWB_FINDING_PROBLEM);
    ck_assert(has(findings.items[findings.n - 1].text, "not found"));
    json_decref(info);
}
END_TEST

/* Each outcome that is no success has a remedy of its own, but for the one that may be anything. */
START_TEST(test_doctor_remedies)
{
    for (unsigned k = DWB_OUTCOME_COUNTED; k < DWB_N_OUTCOMES; k++) {
        bool counts = k == DWB_OUTCOME_COUNTED, found = false;
        json_t *info = json_pack("{s:{s:s}, s:{s:{}}, s:[{s:s, s:s?, s:s, s:s}]}", "loop",
                                 "backend", "epoll", "machine", "environment", "counters", "name",
                                 "cycles", "source", counts ? "hardware" : NULL, "reason",
                                 "because", "outcome", dwb_outcome_name((enum dwb_outcome)k));
        static struct dwb_findings findings;

        ck_assert_ptr_nonnull(info);
        findings.n = 0;
        dwb_doctor_examine(info, &findings);
        for (size_t i = 0; i < findings.n; i++) {
            if (!has(findings.items[i].text, "not counted: cycles: because"))
                continue;
            found = true;
            ck_assert_int_eq(findings.items[i].fix[0] == '\0', k == DWB_OUTCOME_FAILED);
        }
        ck_assert_int_eq(found, !counts);
        json_decref(info);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("render");
    TCase *tcase = tcase_create("report");
    SRunner *runner;
    int n_failed;

    tcase_add_test(tcase, test_table_widths);
    tcase_add_test(tcase, test_table_full_row);
    tcase_add_test(tcase, test_table_narrow_keeps_all);
    tcase_add_test(tcase, test_totals);
    tcase_add_test(tcase, test_table_suite);
    tcase_add_test(tcase, test_table_partial);
    tcase_add_test(tcase, test_table_wrong);
    tcase_add_test(tcase, test_table_colour);
    tcase_add_test(tcase, test_exit_codes);
    tcase_add_test(tcase, test_not_a_document);
    tcase_add_test(tcase, test_odd_entries);
    tcase_add_test(tcase, test_csv);
    tcase_add_test(tcase, test_fused);
    tcase_add_test(tcase, test_simulated);
    tcase_add_test(tcase, test_counted);
    tcase_add_test(tcase, test_doctor_remedies);
    tcase_add_test(tcase, test_csv_field);
    tcase_add_test(tcase, test_json);
    tcase_add_test(tcase, test_wrap);
    tcase_add_test(tcase, test_progress);
    tcase_add_test(tcase, test_doctor);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
