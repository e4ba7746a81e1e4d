/*
 * Reports as a person gets to see them, at every width, and which exit code a document stands for.
 */

#include "client/cli.h"
#include "client/doctor.h"
#include "common/record.h"
#include "client/progress.h"
#include "client/render.h"
#include "client/report.h"
#include "client/table.h"
#include "common/cleanup.h"

#include "render_fixture.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

    for (int format = DWB_FORMAT_TABLE; format <= DWB_FORMAT_HTML; format++)
        ck_assert_int_eq(dwb_render(report, (enum dwb_format)format, &terminal, out), 0);
    fclose(out);
    ck_assert(has(out_text, "no ratio: the result does not say why"));
    ck_assert(has(out_text, "CPU not known"));
    ck_assert_int_eq(dwb_report_exit(report), DWB_EXIT_INCONCLUSIVE);
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

static const struct {
    const char *reason, *text;
    enum dwb_finding_level level;
    bool has_fix;
} sandboxes[] = {
    {NULL, NULL, DWB_FINDING_OK, false}, /* a worker that does not say */
    {"", "seccomp and Landlock (version 7)", DWB_FINDING_OK, false},
    {"no Landlock: Function not implemented", "no Landlock: Function", DWB_FINDING_NOTE, true},
};

START_TEST(test_doctor_sandbox)
{
    json_t *sandbox =
        json_pack("{s:s, s:b, s:i, s:b, s:s?}", "profile", "measure", "no_new_privs", true,
                  "landlock", 7, "seccomp", true, "reason", sandboxes[_i].reason);
    json_t *info = json_pack("{s:{s:s}, s:{s:{s:o}}, s:[]}", "loop", "backend", "epoll", "machine",
                             "environment", "sandbox", sandbox, "counters");
    static struct dwb_findings findings;
    size_t n_said = 0;

    ck_assert_ptr_nonnull(info);
    findings.n = 0;
    dwb_doctor_examine(info, &findings);
    for (size_t i = 0; i < findings.n; i++) {
        const struct dwb_finding *f = &findings.items[i];

        if (strcmp(f->subject, "sandbox") != 0)
            continue;
        n_said++;
        ck_assert_msg(has(f->text, sandboxes[_i].text), "%s", f->text);
        ck_assert_int_eq(f->level, sandboxes[_i].level);
        ck_assert_int_eq(f->fix[0] != '\0', sandboxes[_i].has_fix);
    }
    ck_assert_uint_eq(n_said, sandboxes[_i].text ? 1 : 0);
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

static struct dwb_findings findings;

static void examine(json_t *info)
{
    ck_assert_ptr_nonnull(info);
    memset(&findings, 0, sizeof(findings));
    dwb_doctor_examine(info, &findings);
    json_decref(info);
}

static const struct dwb_finding *found(const char *part)
{
    for (size_t i = 0; i < findings.n; i++)
        if (has(findings.items[i].text, part))
            return &findings.items[i];
    return NULL;
}

static void examine_environment(json_t *environment)
{
    examine(json_pack("{s:{s:s}, s:{s:o}, s:[{s:s, s:n, s:s, s:s}]}", "loop", "fallback_reason",
                      "denied", "machine", "environment", environment, "counters", "name", "cycles",
                      "source", "reason", "not allowed", "outcome",
                      dwb_outcome_name(DWB_OUTCOME_PARANOID)));
}

START_TEST(test_doctor_quiet)
{
    static const char *const clocks[] = {"tsc", "arch_sys_counter", "kvm-clock", "hpet"};

    for (size_t i = 0; i < 4; i++) {
        examine_environment(json_pack("{s:s, s:s, s:i, s:s}", "governor", "performance",
                                      "clocksource", clocks[i], "perf_event_paranoid", 3,
                                      "cpus_online", "0-3"));
        ck_assert_int_eq(found("clocksource")->level, i < 3 ? DWB_FINDING_OK : DWB_FINDING_NOTE);
        ck_assert_int_eq(found("governor performance")->level, DWB_FINDING_OK);
        ck_assert_ptr_null(found("only one CPU"));
        ck_assert_ptr_nonnull(found("unknown, because io_uring"));
        ck_assert_ptr_null(found("perf_event_paranoid is 3")); /* the counter said it */
    }
}
END_TEST

START_TEST(test_doctor_disturbed)
{
    examine_environment(json_pack("{s:s, s:b, s:i, s:i, s:i, s:s, s:b}", "governor", "powersave",
                                  "boost", 1, "smt_active", 1, "steal_ticks", 7, "nmi_watchdog", 1,
                                  "cpus_online", "0", "odd", 0));
    static const char *const parts[] = {"governor is powersave", "boost is on",
                                        "sibling (not known)",   "7 ticks",
                                        "NMI watchdog",          "only one CPU"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        ck_assert_msg(found(parts[i]), "%s", parts[i]);
        ck_assert_int_eq(found(parts[i])->level, DWB_FINDING_NOTE);
    }
}
END_TEST

/* More than there is room for: a line is cut, and the findings end at their cap. */
START_TEST(test_doctor_much)
{
    json_t *counters = json_array(), *backends = json_array(), *isas = json_array();
    char name[101];

    memset(name, 'n', 100);
    name[100] = '\0';
    for (int i = 0; i < 60; i++) {
        json_array_append_new(counters,
                              json_pack("{s:s, s:s}", "name", name, "source", "hardware"));
        json_array_append_new(counters,
                              json_pack("{s:s, s:n, s:s}", "name", name, "source", "reason", "no"));
        json_array_append_new(isas, json_string(name));
        json_array_append_new(backends, json_pack("{s:s, s:b}", "name", name, "available", i % 2));
    }
    examine(json_pack("{s:{}, s:{s:{}, s:o, s:o}, s:O}", "loop", "machine", "environment", "isas",
                      isas, "backends", backends, "counters", counters));
    ck_assert_uint_eq(findings.n, DWB_FINDINGS_MAX);
    for (size_t i = 0; i < findings.n; i++)
        ck_assert_ptr_nonnull(memchr(findings.items[i].text, '\0', sizeof(findings.items[i].text)));
    examine(
        json_pack("{s:{}, s:{s:{}}, s:O}", "loop", "machine", "environment", "counters", counters));
    json_decref(counters);
    ck_assert_ptr_nonnull(found("not counted: nnn"));
    ck_assert_ptr_nonnull(found("nnn (hardware), nnn"));
    ck_assert_str_eq(dwb_finding_level_name(DWB_FINDING_OK), "ok");
    ck_assert_str_eq(dwb_finding_level_name(DWB_FINDING_PROBLEM), "problem");
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
    tcase_add_test(tcase, test_doctor_remedies);
    tcase_add_loop_test(tcase, test_doctor_sandbox, 0, sizeof(sandboxes) / sizeof(sandboxes[0]));
    tcase_add_test(tcase, test_json);
    tcase_add_test(tcase, test_wrap);
    tcase_add_test(tcase, test_progress);
    tcase_add_test(tcase, test_doctor);
    tcase_add_test(tcase, test_doctor_quiet);
    tcase_add_test(tcase, test_doctor_disturbed);
    tcase_add_test(tcase, test_doctor_much);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
