/*
 * Figures at their edges: cut at every length, rows that say more or less than usual, terminals of
 * odd sizes, and streams that take nothing. What does not fit is cut, and what is shown is true.
 */

#include "client/compared.h"
#include "client/figures.h"
#include "client/progress.h"
#include "client/render_comparison.h"
#include "client/table.h"
#include "common/cleanup.h"
#include "render_fixture.h"
#include "tests/unmarked.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TEXT_MAX 4096

/* ---- cut ---- */

static struct dwb_report *report;
static struct dwb_compared *compared;

/* A report with a row that has everything, and a comparison with all of a sentence. */
static void open_documents(void)
{
    json_t *entry, *gate = load("gate");

    report = report_of(load("layer"));
    entry = (json_t *)(uintptr_t)report->rows[0].entry;
    ck_assert_int_eq(
        json_object_set_new(entry, "native_speedup",
                            json_pack("{s:{s:f, s:f}, s:{s:f}, s:n}", "standard", "floor", 1.25,
                                      "half_width", 0.004, "depthwise", "floor", 0.5, "pointwise")),
        0);
    report->rows[0].backend = "onednn";
    report->rows[0].repeat = 3;
    report->rows[0].padding = "valid";
    ck_assert_int_eq(dwb_compared_new(gate, &compared), 0);
    json_decref(gate);
    compared->rows[0].change = -0.02;
    compared->rows[0].change_low = -0.03;
    compared->rows[0].change_high = -0.01;
    compared->rows[0].confidence = 0.99;
    compared->rows[0].delta = 0.01;
}

static void close_documents(void)
{
    dwb_report_free(report);
    dwb_compared_free(compared);
}

static const char *rates(char *buffer, size_t size)
{
    return dwb_figure_rates(report->rows[0].operations, buffer, size);
}

static const char *bounds(char *buffer, size_t size)
{
    return dwb_figure_bounds(&report->rows[0], buffer, size);
}

static const char *speedup(char *buffer, size_t size)
{
    return dwb_figure_speedup(&report->rows[0], false, buffer, size);
}

static const char *layer(char *buffer, size_t size)
{
    return dwb_figure_layer(&report->rows[0], buffer, size);
}

static const char *shape(char *buffer, size_t size)
{
    return dwb_figure_shape(&report->rows[0], buffer, size);
}

static const char *reasons(char *buffer, size_t size)
{
    json_t *array = json_pack("[s, n, s, i, s]", "one", "two", 3, "and the last");

    dwb_figure_reasons(array, buffer, size);
    json_decref(array);
    return buffer;
}

static const char *machine(char *buffer, size_t size)
{
    return dwb_figure_machine(report, buffer, size);
}

static const char *kernels(char *buffer, size_t size)
{
    return dwb_figure_kernels(report, buffer, size);
}

static const char *value(char *buffer, size_t size)
{
    json_t *object = json_pack("{s:s, s:[i, i, b]}", "model", "a name with several words", "caches",
                               32768, 1048576, 1);

    dwb_figure_value(object, buffer, size);
    json_decref(object);
    return buffer;
}

static const char *sentence(char *buffer, size_t size)
{
    return dwb_compared_sentence(compared, buffer, size);
}

static const char *change(char *buffer, size_t size)
{
    return dwb_compared_change(&compared->rows[0], buffer, size);
}

static const struct {
    const char *(*write)(char *buffer, size_t size);
    const char *end; /* of the whole text */
} figures[] = {
    {rates, "pw 111 (94)"},
    {bounds, "separable compute (89%)"},
    {speedup, "depthwise 0.500, pointwise -, separable -"},
    {layer, " x3 onednn"},
    {shape, "k3 s1 valid"},
    {reasons, "one; two; and the last"},
    {machine, ""},
    {kernels, ""},
    {value, "\"model\":\"a name with several words\"}"},
    {sentence, "not resolved."},
    {change, "2.00% faster, interval -3.00% to -1.00% (confidence 99%), up to ±1% counts as the "
             "same"},
};

/* At every size: as much of the whole text as there is room for, and nothing behind it. */
START_TEST(test_cut)
{
    char whole[TEXT_MAX], cut[TEXT_MAX];

    ck_assert_ptr_eq(figures[_i].write(whole, sizeof(whole)), whole);
    size_t n = strlen(whole), n_end = strlen(figures[_i].end);
    ck_assert_msg(n > 10 && n >= n_end && strcmp(whole + n - n_end, figures[_i].end) == 0, "%s",
                  whole);
    for (size_t size = 1; size <= n + 2; size++) {
        memset(cut, '#', sizeof(cut));
        ck_assert_ptr_eq(figures[_i].write(cut, size), cut);
        ck_assert_ptr_nonnull(memchr(cut, '\0', size));
        ck_assert_msg(strncmp(cut, whole, strlen(cut)) == 0, "%zu: %s", size, cut);
        ck_assert_int_eq(cut[size], '#');
    }
}
END_TEST

/* ---- figures ---- */

START_TEST(test_ratio)
{
    static const struct {
        double ratio, half_width;
        const char *text;
    } cases[] = {
        {0.5, 0.0004, "0.5000 +-0.04%"},
        {0.5, 0.004, "0.5000 +-0.4%"},
        {0.5, 1, "0.5000 +-100%"},
        {0.5, 1.01, "0.5000 +->100%"},
        {0.5, NAN, "0.5000"},
        {0.5, INFINITY, NULL},
        {NAN, 0.1, "-"},
        {NAN, 2, "-"},
    };
    char text[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_str_eq(
            dwb_figure_ratio(cases[i].ratio, cases[i].half_width, false, text, sizeof(text)),
            cases[i].text ? cases[i].text : "0.5000 +->100%");
}
END_TEST

/* Milliseconds from a tenth of a second on: one unit for the whole report. */
START_TEST(test_time_unit)
{
    struct dwb_time_unit unit = dwb_figure_time_unit(report, false);
    char text[32];

    ck_assert_str_eq(unit.name, "us");
    ck_assert_str_eq(dwb_figure_time_unit(report, true).name, "µs");
    ck_assert_str_eq(dwb_figure_time(9990, unit, text, sizeof(text)), "9.99");
    report->rows[0].operations[DWB_REPORT_STANDARD].floor_ns = 1e8;
    unit = dwb_figure_time_unit(report, true);
    ck_assert_str_eq(unit.name, "ms");
    ck_assert_str_eq(dwb_figure_time(1e8, unit, text, sizeof(text)), "100.0");
}
END_TEST

START_TEST(test_no_rows)
{
    char text[256];

    report->n_rows = 0;
    ck_assert_msg(strstr(machine(text, sizeof(text)), "ISA not known, peak not measured"), "%s",
                  text);
    ck_assert_str_eq(kernels(text, sizeof(text)),
                     "standard 0 kinds, depthwise 0 kinds, pointwise 0 kinds");
    ck_assert_int_eq(dwb_report_exit(report), DWB_EXIT_INCONCLUSIVE);
    report->n_rows = 1;
}
END_TEST

START_TEST(test_why)
{
    struct dwb_report_row row = {.ratio = NAN, .why = "2 replicates; no ratio yet"};
    char text[256];

    ck_assert_str_eq(dwb_figure_why(&row, text, sizeof(text)), row.why); /* it is said already */
    row.why = "the depthwise";
    ck_assert_str_eq(dwb_figure_why(&row, text, sizeof(text)),
                     "no ratio: the result does not say why");
    row.ratio = 0.5;
    ck_assert_str_eq(dwb_figure_why(&row, text, sizeof(text)), "the depthwise");
}
END_TEST

START_TEST(test_compared)
{
    struct dwb_compared_row *row = &compared->rows[0];
    char text[256];

    row->change_high = NAN;
    ck_assert_str_eq(change(text, sizeof(text)),
                     "2.00% faster (confidence 99%), up to ±1% counts as the same");
    row->delta = row->confidence = NAN;
    ck_assert_str_eq(change(text, sizeof(text)), "2.00% faster");
    row->reason = NULL;
    row->verdict = DWB_COMPARED_NOT_RESOLVED;
    row->verdict_text = "not_resolved"; /* known, and without a reason */
    ck_assert_str_eq(dwb_compared_reason(row, text, sizeof(text)), "the document does not say why");
    row->verdict_text = "odd";
    ck_assert_str_eq(dwb_compared_reason(row, text, sizeof(text)),
                     "verdict `odd' is not known here");
}
END_TEST

/* ---- what a report has where it was measured ---- */

static char *render_row(enum dwb_format format)
{
    return render_report(report, format, 200, false);
}

START_TEST(test_fused)
{
    struct dwb_report_row *row = &report->rows[0];

    row->ratio_fused = 0.12;
    row->fused_half_width = 0.01;
    dwb_cleanup_free char *table = render_row(DWB_FORMAT_TABLE);
    dwb_cleanup_free char *html = render_row(DWB_FORMAT_HTML);
    ck_assert_msg(has(table, "fused: 0.1200 ±1.0%, 99% of the saving"), "%s", table);
    ck_assert(has(html, "0.1200 ±1.0%"));
    row->theory = NAN; /* of what it cannot be told how much it saves */
    dwb_cleanup_free char *blank = render_row(DWB_FORMAT_TABLE);
    ck_assert(!has(blank, "fused:"));
}
END_TEST

START_TEST(test_counted)
{
    struct dwb_report_row *row = &report->rows[0];

    row->counter_ratio[DWB_REPORT_CYCLES] = 0.13;
    row->flops_over_analytic = 1.0001;
    row->ipc[DWB_REPORT_STANDARD] = row->ipc[DWB_REPORT_SEPARABLE] = 2.5;
    dwb_cleanup_free char *whole = render_row(DWB_FORMAT_TABLE);
    ck_assert_msg(has(whole, "counted, separable / standard: cycles 0.1300 (theory 0.1189); IPC "
                             "std 2.50, separable 2.50; FLOPs counted / executed: 1.0001"),
                  "%s", whole);
    row->theory = row->ipc[DWB_REPORT_STANDARD] = row->flops_over_analytic = NAN;
    dwb_cleanup_free char *less = render_row(DWB_FORMAT_TABLE);
    ck_assert_msg(has(less, "counted, separable / standard: cycles 0.1300\n"), "%s", less);
}
END_TEST

START_TEST(test_simulated)
{
    struct dwb_report_row *row = &report->rows[0];
    json_t *entry = (json_t *)(uintptr_t)row->entry;

    ck_assert_int_eq(
        json_object_set_new(
            entry, "simulation",
            json_pack("{s:s, s:s, s:s, s:{s:s, s:{s:i, s:i}, s:{s:i, s:i, s:i}, s:{s:i, s:i}}}",
                      "cache", "warm", "tool", "valgrind-3.19", "note", "a note", "geometry",
                      "origin", "given", "I1", "bytes", 32768, "ways", 8, "D1", "bytes", 32768,
                      "ways", 8, "line_bytes", 64, "LL", "bytes", 33554432, "ways", 16)),
        0);
    static const double counts[] = {1.5e12, 2.5e9, 3.5e6, 12000, 9999};
    for (size_t i = 0; i < DWB_REPORT_N_BOUNDS; i++)
        row->simulated[i][0] = counts[i];
    row->simulated_ratio[0] = 0.25;
    dwb_cleanup_free char *text = render_row(DWB_FORMAT_TABLE);
    static const char *const parts[] = {"1.5T",    "2.5G",   "3.5M",   "12.0k",
                                        "9999",    "0.2500", "onednn", "LL 32 MiB 16 ways",
                                        "; a note"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        ck_assert_msg(has(text, parts[i]), "%s: %s", parts[i], text);
}
END_TEST

/* ---- streams that take nothing ---- */

static ssize_t take_nothing(void *cookie, const char *text, size_t n)
{
    (void)cookie;
    (void)text;
    (void)n;
    return 0;
}

static FILE *open_full(void)
{
    FILE *out = fopencookie(NULL, "w", (cookie_io_functions_t){.write = take_nothing});

    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(setvbuf(out, NULL, _IONBF, 0), 0);
    return out;
}

START_TEST(test_full_stream)
{
    static int (*const renderers[])(const json_t *document, FILE *out) = {
        dwb_render_comparison_junit, dwb_render_comparison_markdown, dwb_render_comparison_html};

    for (enum dwb_format format = DWB_FORMAT_JUNIT; format <= DWB_FORMAT_HTML; format++) {
        struct dwb_terminal terminal = {.columns = 80};
        FILE *out = open_full();

        ck_assert_int_eq(dwb_render(report, format, &terminal, out), -ENOMEM);
        fclose(out);
    }
    for (size_t i = 0; i < 3; i++) {
        FILE *out = open_full();

        ck_assert_int_eq(renderers[i](compared->document, out), -ENOMEM);
        fclose(out);
    }
    FILE *out = open_full();
    ck_assert_int_eq(dwb_render_json(compared->document, out), -ENOMEM);
    fclose(out);
}
END_TEST

/* ---- terminals ---- */

/* A master side: closing it closes the terminal. */
static int open_terminal(unsigned short columns, int *ret_slave)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct winsize size = {.ws_row = 24, .ws_col = columns};

    ck_assert_int_ge(master, 0);
    ck_assert_int_eq(grantpt(master), 0);
    ck_assert_int_eq(unlockpt(master), 0);
    *ret_slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(*ret_slave, 0);
    ck_assert_int_eq(ioctl(*ret_slave, TIOCSWINSZ, &size), 0);
    return master;
}

static const struct {
    unsigned short size;
    const char *columns, *type, *no_color;
    unsigned want;
    bool colour;
} terminals[] = {
    {90, NULL, "xterm", NULL, 90, true},   {0, NULL, "xterm", "", 120, true},
    {90, "70", "xterm", "1", 70, false},   {90, "9", "dumb", NULL, 40, false},
    {90, "9000", NULL, NULL, 500, false},  {20, NULL, "xterm", NULL, 40, true},
    {90, "many", "xterm", NULL, 90, true},
};

static void set(const char *name, const char *text)
{
    ck_assert_int_eq(text ? setenv(name, text, 1) : unsetenv(name), 0);
}

START_TEST(test_terminal)
{
    struct dwb_terminal terminal;
    int slave, master = open_terminal(terminals[_i].size, &slave);

    set("COLUMNS", terminals[_i].columns);
    set("TERM", terminals[_i].type);
    set("NO_COLOR", terminals[_i].no_color);
    dwb_terminal_of(slave, &terminal);
    ck_assert(terminal.interactive);
    ck_assert_uint_eq(terminal.columns, terminals[_i].want);
    ck_assert_int_eq(terminal.colour, terminals[_i].colour);
    close(slave);
    close(master);
}
END_TEST

/* A word longer than any line goes on in the next piece; nothing of it is lost. */
START_TEST(test_long_word)
{
    char word[1400];
    dwb_cleanup_free char *text = NULL;
    size_t n, n_letters = 0;
    FILE *out = open_memstream(&text, &n);

    memset(word, 'w', sizeof(word));
    word[sizeof(word) - 1] = '\0';
    dwb_terminal_wrap(out, word, 2, 80);
    fclose(out);
    for (const char *at = text; *at; at++)
        n_letters += *at == 'w';
    ck_assert_uint_eq(n_letters, sizeof(word) - 1);
}
END_TEST

static void measure(struct dwb_progress_bar *bar, double fraction, double s)
{
    bar->fraction = fraction;
    dwb_progress_update(bar, (uint64_t)(1e9 * s));
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;

    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

/* Where it cannot be drawn over: a line a tenth or ten seconds, and none for what is no news. */
START_TEST(test_plain_progress)
{
    dwb_cleanup_free char *text = NULL;
    struct dwb_progress_bar bar;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    dwb_progress_init(&bar, out, -1, false);
    measure(&bar, 0, 1); /* it waits */
    snprintf(bar.state, sizeof(bar.state), "measuring");
    measure(&bar, 0.01, 1);
    measure(&bar, 0.02, 2);  /* the same tenth, a second on */
    measure(&bar, 0.01, 12); /* no more is done than was said */
    measure(&bar, 0.03, 13);
    measure(&bar, 0.31, 13.5);
    fflush(out);
    ck_assert_uint_eq(count(text, "\n"), 3);
    ck_assert_uint_eq(count(text, "  3%"), 1);
    ck_assert(!has(text, "]"));
    measure(&bar, 0.32, 2e6); /* 47 days are no time to tell */
    fflush(out);
    ck_assert_uint_eq(count(text, "\n"), 4);
    ck_assert(!has(strstr(text, " 32%"), "ETA"));
    measure(&bar, 1.01, 2e6 + 20);
    fclose(out);
    ck_assert_double_eq(dwb_progress_eta_s(&bar, UINT64_C(3000000000)), -1);
}
END_TEST

/* No room for a bar: the words alone, cut before the last column; done is never more than all. */
START_TEST(test_narrow_progress)
{
    static const unsigned columns[] = {40, 60, 100};

    for (size_t i = 0; i < 3; i++) {
        dwb_cleanup_free char *text = NULL;
        struct dwb_progress_bar bar;
        size_t n;
        FILE *out = open_memstream(&text, &n);

        dwb_progress_init(&bar, out, -1, false);
        bar.terminal = (struct dwb_terminal){.interactive = true, .columns = columns[i]};
        snprintf(bar.state, sizeof(bar.state), "measuring");
        bar.replicates_done = bar.replicates_max = 180;
        measure(&bar, 1.5, 1);
        fclose(out);
        ck_assert_int_eq(has(text, "[###"), columns[i] >= 60);
        ck_assert_msg(strlen(text) <= columns[i] - 1 + strlen("\r\033[K"), "%s", text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("figures");
    TCase *documents = tcase_create("documents"), *others = tcase_create("others");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(documents, open_documents, close_documents);
    tcase_add_loop_test(documents, test_cut, 0, sizeof(figures) / sizeof(figures[0]));
    tcase_add_test(documents, test_ratio);
    tcase_add_test(documents, test_time_unit);
    tcase_add_test(documents, test_no_rows);
    tcase_add_test(documents, test_why);
    tcase_add_test(documents, test_compared);
    tcase_add_test(documents, test_fused);
    tcase_add_test(documents, test_counted);
    tcase_add_test(documents, test_simulated);
    tcase_add_test(documents, test_full_stream);
    tcase_add_loop_test(others, test_terminal, 0, sizeof(terminals) / sizeof(terminals[0]));
    tcase_add_test(others, test_long_word);
    tcase_add_test(others, test_plain_progress);
    tcase_add_test(others, test_narrow_progress);
    suite_add_tcase(suite, documents);
    suite_add_tcase(suite, others);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
