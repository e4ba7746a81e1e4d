/*
 * Reports and comparisons as JUnit XML, Markdown and HTML. Here: the pieces that must be in them.
 * With `--dump DIRECTORY` every document is written there in every format, for
 * check_render_formats.py, which reads them with real parsers.
 */

#include "client/compared.h"
#include "client/markup.h"
#include "common/cleanup.h"

#include "render_fixture.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Markup of every language here, controls, no UTF-8 (0xff), no character of XML (U+FFFE), UTF-8. */
#define HOSTILE "<b>&\"'|`\n\x01\xff\xef\xbf\xbeµ]]>"

typedef int comparison_renderer(const json_t *document, FILE *out);

static void set_hostile(json_t *object, const char *key)
{
    ck_assert_ptr_nonnull(object);
    ck_assert_int_eq(json_object_set_new_nocheck(object, key, json_string_nocheck(HOSTILE)), 0);
}

/* A suite of which everything that is text comes from an enemy. */
static json_t *hostile_suite(void)
{
    json_t *document = load("suite"), *results = json_object_get(document, "results"), *entry;
    json_t *environment = json_object_get(document, "environment");
    size_t i;

    set_hostile(json_object_get(document, "job"), "name");
    set_hostile(json_object_get(environment, "cpu"), "model");
    set_hostile(environment, HOSTILE);
    json_array_foreach(results, i, entry)
    {
        json_t *standard = json_object_get(json_object_get(entry, "operations"), "standard");

        set_hostile(json_object_get(entry, "layer"), "name");
        set_hostile(entry, "why");
        set_hostile(entry, "isa");
        set_hostile(entry, "backend");
        set_hostile(standard, "kernel");
        json_array_append_new(json_object_get(entry, "verdict_reasons"),
                              json_string_nocheck(HOSTILE));
    }
    set_hostile(json_array_get(results, 0), "verdict");
    return document;
}

static json_t *hostile_gate(void)
{
    json_t *document = load("gate"), *entry;
    size_t i;

    json_array_foreach(json_object_get(document, "comparisons"), i, entry)
    {
        set_hostile(entry, "layer");
        set_hostile(entry, "operation");
        set_hostile(entry, "backend");
        set_hostile(entry, "reason");
        if (json_object_get(entry, "a")) {
            set_hostile(json_object_get(entry, "a"), "what");
            set_hostile(json_object_get(entry, "a"), "kernel");
        }
    }
    set_hostile(json_object_get(document, "a"), "name");
    set_hostile(json_object_get(document, "overall"), "verdict");
    set_hostile(json_object_get(document, "machine"), "reason");
    set_hostile(json_array_get(json_object_get(document, "differences"), 0), "member");
    return document;
}

/* Takes the document; the text is to be freed. */
static char *render_comparison(json_t *document, comparison_renderer *renderer)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(renderer(document, out), 0);
    ck_assert_int_eq(fclose(out), 0);
    json_decref(document);
    return text;
}

START_TEST(test_junit)
{
    dwb_cleanup_free char *suite = render("suite", DWB_FORMAT_JUNIT, 80, false);
    dwb_cleanup_free char *wrong = render("wrong", DWB_FORMAT_JUNIT, 80, false);
    dwb_cleanup_free char *partial = render("partial", DWB_FORMAT_JUNIT, 80, false);

    ck_assert(has(suite, "<testsuites name=\"mobilenet_v1\" tests=\"9\" failures=\"0\" "
                         "errors=\"0\" skipped=\"2\""));
    ck_assert(has(suite, "<testcase name=\"dws3\" classname=\"mobilenet_v1.native\" time=\"0.0"));
    ck_assert(has(suite, "<skipped message=\"unstable: the floor of depthwise was reproduced"));
    ck_assert(has(suite, "<skipped message=\"contaminated: 62 % of the samples were dropped"));
    ck_assert(has(suite, "<property name=\"ratio_theory\" value=\"0.1"));
    ck_assert(!has(suite, "<failure"));
    ck_assert(has(wrong, "<failure type=\"outputs\" message=\"outputs wrong: 3 of 2560 positions"));
    ck_assert(has(wrong, "failures=\"1\""));
    ck_assert(has(partial, "<skipped message=\"no ratio: 2 replicates, 3 are needed; unstable: "));
    ck_assert(!has(partial, "nan"));
}
END_TEST

/* From the start of the job to its end, to the millisecond. */
START_TEST(test_junit_time)
{
    dwb_cleanup_free char *text = render("layer", DWB_FORMAT_JUNIT, 80, false);
    DWB_CLEANUP(dwb_report_freep) struct dwb_report *report = report_of(load("layer"));
    dwb_cleanup_free char *without = NULL;

    ck_assert(has(text, "skipped=\"0\" time=\"4.445\""));
    ck_assert(has(text, "timestamp=\"2026-11-22T17:30:57\""));
    json_object_set_new(json_object_get(report->document, "job"), "started_at", json_null());
    without = render_report(report, DWB_FORMAT_JUNIT, 80, false);
    ck_assert(has(without, "errors=\"0\" skipped=\"0\">"));
    ck_assert(!has(without, "timestamp"));
}
END_TEST

START_TEST(test_markdown)
{
    dwb_cleanup_free char *layer = render("layer", DWB_FORMAT_MARKDOWN, 80, false);
    dwb_cleanup_free char *suite = render("suite", DWB_FORMAT_MARKDOWN, 80, false);
    dwb_cleanup_free char *wrong = render("wrong", DWB_FORMAT_MARKDOWN, 80, false);
    dwb_cleanup_free char *partial = render("partial", DWB_FORMAT_MARKDOWN, 80, false);

    ck_assert(has(layer, "\n| dws3 | 0.1317 ±0.4% | 0.1189 | 90% | stable | the depthwise is 7.1"));
    ck_assert(has(layer, "\nMachine: AMD EPYC 9R14, avx512, peak 118 GFLOP/s measured, Linux "));
    ck_assert(
        has(layer, "| dws3 | 56 128x128 k3 s1 | 7920.7 | 1043.0 | - | 114 | 66 | 111 | 97 |"));
    ck_assert(has(layer, "\n- dws3: held by: std compute (97%), dw compute (56%), pw compute"));
    ck_assert(has(layer, "<details>\n<summary>GFLOP/s, % of peak, reasons</summary>\n\n|"));
    ck_assert(!has(layer, "| total"));
    ck_assert(has(suite, "\n| dws7 x5 | "));
    ck_assert(has(suite, "\n| total, 13 layers | 0.1"));
    ck_assert(has(suite, "\n- dws5, unstable: the floor of depthwise was reproduced"));
    ck_assert(has(wrong, "| WRONG | OUTPUTS WRONG: a kernel&#39;s results differ"));
    ck_assert(has(partial, "| none | - | 0.2361 | - | unstable | no ratio: 2 replicates, 3 are"));
}
END_TEST

START_TEST(test_html)
{
    dwb_cleanup_free char *suite = render("suite", DWB_FORMAT_HTML, 80, false);
    dwb_cleanup_free char *partial = render("partial", DWB_FORMAT_HTML, 80, false);

    ck_assert(has(suite, "<th scope=\"row\">dws7 x5</th>"));
    ck_assert(has(suite, "<td class=\"bad\">contaminated</td>"));
    ck_assert(has(suite, "<td class=\"warn\">unstable</td>"));
    ck_assert(has(suite, "<div>unstable: the floor of depthwise was reproduced"));
    ck_assert(has(suite, "<div>held by: std compute (97%), dw compute ("));
    ck_assert(has(suite, "<div>GFLOP/s (% of peak): std 118 (100), dw 47 (40), pw 108 (92)</div>"));
    ck_assert(has(suite, "<th scope=\"row\">cpu.model</th><td class=\"value\">AMD EPYC 9R14</td>"));
    ck_assert(has(suite, "prefers-color-scheme: dark"));
    ck_assert(has(partial, "aria-label=\"measured -, theory 0.2361\""));
    ck_assert(!has(partial, "nan"));
}
END_TEST

/* A peer's row says how its times are to ours, and whose it is; in the table as well. */
START_TEST(test_peer)
{
    static const char want[] = "its time / native&#39;s: standard 1.250 ±2.0%, depthwise 0.900, "
                               "pointwise -, separable -";
    json_t *document = load("layer");
    json_t *entry = json_array_get(json_object_get(document, "results"), 0);

    json_object_set_new(entry, "backend", json_string("onednn"));
    json_object_set_new(entry, "native_speedup",
                        json_pack("{s:{s:f, s:f}, s:{s:f, s:n}}", "standard", "floor", 1.25,
                                  "half_width", 0.02, "depthwise", "floor", 0.9, "half_width"));
    DWB_CLEANUP(dwb_report_freep) struct dwb_report *report = report_of(document);
    dwb_cleanup_free char *table = render_report(report, DWB_FORMAT_TABLE, 200, false);
    dwb_cleanup_free char *junit = render_report(report, DWB_FORMAT_JUNIT, 80, false);
    dwb_cleanup_free char *markdown = render_report(report, DWB_FORMAT_MARKDOWN, 80, false);
    dwb_cleanup_free char *html = render_report(report, DWB_FORMAT_HTML, 80, false);
    ck_assert(
        has(table, "its time / native's: standard 1.250 ±2.0%, depthwise 0.900, pointwise -"));
    ck_assert(has(junit, "<testcase name=\"dws3\" classname=\"dws3.onednn\""));
    ck_assert(has(markdown, "| dws3 onednn | 0.1317"));
    ck_assert(has(markdown, want));
    ck_assert(has(html, want));
}
END_TEST

/* The bars are to one scale: the widest thing on the page is as wide as the room for it. */
START_TEST(test_html_scale)
{
    static const char entry[] =
        "{\"schema\": \"dwbench.result/1\", \"results\": [{\"theory\": {\"ratio\": 0.125}, "
        "\"ratio\": {\"time\": {\"floor\": 0.5, \"ci_low\": 0.25, \"ci_high\": 1}}}]}";
    DWB_CLEANUP(dwb_report_freep)
    struct dwb_report *report = report_of(json_loads(entry, 0, NULL));
    dwb_cleanup_free char *text = render_report(report, DWB_FORMAT_HTML, 80, false);

    ck_assert(has(text, "y=\"2\" width=\"119.00\""));
    ck_assert(has(text, "x1=\"59.50\" x2=\"238.00\""));
    ck_assert(has(text, "y=\"12\" width=\"29.75\""));
}
END_TEST

START_TEST(test_comparison_junit)
{
    dwb_cleanup_free char *text = render_comparison(load("gate"), dwb_render_comparison_junit);

    ck_assert(has(text, "<testsuite name=\"dwbench gate\" tests=\"5\" failures=\"1\" errors=\"0\" "
                        "skipped=\"2\">"));
    ck_assert(has(text,
                  "<failure type=\"slower\" message=\"2.10% slower, interval +1.80% to "
                  "+2.40% (confidence 99.67%), up to ±0.5% counts as the same\">2.10% slower, "));
    ck_assert(
        has(text,
            "<skipped message=\"3 processes, 5 are needed\">3 processes, 5 are needed</skipped>"));
    ck_assert(
        has(text, "<skipped message=\"verdict `from the future&#39; is not known here\">verdict"));
    ck_assert(has(text, "<testcase name=\"dws3 depthwise\" classname=\"gate.native\" "
                        "time=\"0.000100050\">"));
    ck_assert(has(text, "<property name=\"confirmed\" value=\"true\"/>"));
    ck_assert(has(text, "<property name=\"difference.cpu.microcode\" value=\"0x1 -&gt; 0x2\"/>"));
    ck_assert(!has(text, "nan"));
}
END_TEST

START_TEST(test_comparison_markdown)
{
    dwb_cleanup_free char *text = render_comparison(load("gate"), dwb_render_comparison_markdown);

    ck_assert(has(text, "\nOverall slower. branch (06dcm4v1s3kq7x2a9w1f) beside main "
                        "(06dcm4v1s3kq7x2a9w0e), 5 comparisons: 1 slower, 1 faster, 1 the same, 2 "
                        "not resolved.\n"));
    ck_assert(has(text, "| dws3 | depthwise | native | +2.10% | +1.80% to +2.40% | ±0.5% | slower "
                        "|  |\n"));
    ck_assert(has(text, "| dws4 | pointwise | native | -4.00% | "));
    ck_assert(has(text, "| dws6 | standard | native | - | - | ±0.5% | not resolved | 3 processes"));
    ck_assert(has(text, "| cpu.microcode | 0x1 | 0x2 |\n"));
    ck_assert(has(text, "| not known |\n"));
    ck_assert(has(text, "\nMachine: drift +1.23%; the canary got slower\n"));
}
END_TEST

/* Zero is in the middle at 120; the scale ends at 1.05 times the widest reach, here 4.3 %. */
START_TEST(test_comparison_html)
{
    dwb_cleanup_free char *text = render_comparison(load("gate"), dwb_render_comparison_html);

    ck_assert(has(text, "the scale ends at ±4.51%"));
    ck_assert(has(text, "class=\"band\" fill=\"#ccc\" x=\"106.71\" y=\"0\" width=\"26.58\""));
    ck_assert(has(text, "class=\"bad\" fill=\"#2166ac\" x=\"167.84\" y=\"6\" width=\"15.95\""));
    ck_assert(has(text, "class=\"good\" fill=\"#2166ac\" x=\"5.71\""));
    ck_assert(has(text, "<td class=\"warn\">not resolved</td>"));
    ck_assert(has(text, "<div>3 processes, 5 are needed</div>"));
    ck_assert(has(text, "<div>b: native:avx2, f32_nhwc_dwconv_k3s1__avx2_c8, floor 100050.0 ns"));
    ck_assert(has(text, "<div>confidence 99.67%, processes 40, pairs 1200, dropped 1.0%, confirm"));
    ck_assert(has(text, "drift +1.23%; the canary got slower"));
    ck_assert(!has(text, "nan"));
}
END_TEST

/* The other schema, and what may be missing. */
START_TEST(test_comparison_least)
{
    static const char least[] =
        "{\"schema\": \"dwbench.compare/1\", \"comparisons\": [{}, 7, null]}";
    comparison_renderer *const renderers[] = {
        dwb_render_comparison_junit, dwb_render_comparison_markdown, dwb_render_comparison_html};

    for (size_t i = 0; i < 3; i++) {
        dwb_cleanup_free char *text = render_comparison(json_loads(least, 0, NULL), renderers[i]);

        ck_assert(has(text, "dwbench compare"));
        ck_assert(has(text, "the document does not say why"));
        ck_assert(!has(text, "nan") && !has(text, "(null)") && !has(text, "differs") &&
                  !has(text, "Differences"));
    }
}
END_TEST

/* Of two jobs the change is the code's, which the verdict is about, in every format. */
START_TEST(test_comparison_of_jobs)
{
    static const char jobs[] =
        "{\"schema\": \"dwbench.compare/1\", \"comparisons\": [{\"layer\": \"dws3\", \"change\": "
        "{\"raw\": 0.07, \"code\": 0.1, \"median\": 0.02}, \"verdict\": \"slower\"}]}";
    comparison_renderer *const renderers[] = {
        dwb_render_comparison_junit, dwb_render_comparison_markdown, dwb_render_comparison_html};

    for (size_t i = 0; i < 3; i++) {
        dwb_cleanup_free char *text = render_comparison(json_loads(jobs, 0, NULL), renderers[i]);

        ck_assert(has(text, "10.00%"));
        ck_assert(!has(text, "2.00%") && !has(text, "7.00%"));
    }
}
END_TEST

START_TEST(test_not_a_comparison)
{
    static const char *const texts[] = {"{}", "{\"schema\": \"dwbench.gate/1\"}",
                                        "{\"schema\": \"dwbench.result/1\", \"comparisons\": []}",
                                        "{\"schema\": 7, \"comparisons\": []}",
                                        "{\"schema\": \"dwbench.compare/1\", \"comparisons\": {}}"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_t *document = json_loads(texts[i], 0, NULL);

        ck_assert_ptr_nonnull(document);
        ck_assert_int_eq(dwb_render_comparison_junit(document, stderr), -EINVAL);
        ck_assert_int_eq(dwb_render_comparison_markdown(document, stderr), -EINVAL);
        ck_assert_int_eq(dwb_render_comparison_html(document, stderr), -EINVAL);
        json_decref(document);
    }
}
END_TEST

static void check_markup(void (*markup)(FILE *, const char *), const char *text, const char *want)
{
    dwb_cleanup_free char *got = NULL;
    size_t n;
    FILE *out = open_memstream(&got, &n);

    markup(out, text);
    fclose(out);
    ck_assert_str_eq(got, want);
}

START_TEST(test_markup)
{
    check_markup(dwb_markup_xml, HOSTILE,
                 "&lt;b&gt;&amp;&quot;&#39;|`\\x0a\\x01\\xff\\xef\\xbf\\xbeµ]]&gt;");
    check_markup(dwb_markup_markdown, HOSTILE,
                 "&lt;b&gt;&amp;&quot;&#39;\\|\\`\\\\x0a\\\\x01\\\\xff\xef\xbf\xbeµ\\]\\]&gt;");
    check_markup(dwb_markup_xml, "a\xe2\x82", "a\\xe2\\x82"); /* cut short at the end */
    check_markup(dwb_markup_xml, "\x80\x80\x80\x80\x80µ", "\\x80\\x80\\x80\\x80\\x80µ");
    check_markup(dwb_markup_xml, "\xed\xa0\x80|\xc0\xaf", "\\xed\\xa0\\x80|\\xc0\\xaf");
    check_markup(dwb_markup_xml, "𝛼 \xef\xbf\xbf", "𝛼 \\xef\\xbf\\xbf");
    check_markup(dwb_markup_markdown, "[x](y) *a* _b_ ~c~ #1 $2$ ![i]",
                 "\\[x\\](y) \\*a\\* \\_b\\_ \\~c\\~ \\#1 \\$2\\$ \\!\\[i\\]");
}
END_TEST

static const char *directory; /* of --dump */

static void dump(const char *name, const char *extension, char *text)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s.%s", directory, name, extension);
    dwb_cleanup_file FILE *out = fopen(path, "we");
    ck_assert_ptr_nonnull(out);
    ck_assert_int_ge(fputs(text, out), 0);
    free(text);
}

/* A test, because what loads and renders asserts. */
START_TEST(test_dump)
{
    static const char *const names[] = {"suite", "layer", "partial", "wrong", "hostile"};

    for (size_t i = 0; i < 5; i++) {
        DWB_CLEANUP(dwb_report_freep)
        struct dwb_report *report = report_of(i == 4 ? hostile_suite() : load(names[i]));

        dump(names[i], "xml", render_report(report, DWB_FORMAT_JUNIT, 80, false));
        dump(names[i], "md", render_report(report, DWB_FORMAT_MARKDOWN, 80, false));
        dump(names[i], "html", render_report(report, DWB_FORMAT_HTML, 80, false));
    }
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "hostile_gate" : "gate";
        json_t *document = i ? hostile_gate() : load("gate");

        dump(name, "xml", render_comparison(json_incref(document), dwb_render_comparison_junit));
        dump(name, "md", render_comparison(json_incref(document), dwb_render_comparison_markdown));
        dump(name, "html", render_comparison(document, dwb_render_comparison_html));
    }
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, test_junit);
    tcase_add_test(tests, test_junit_time);
    tcase_add_test(tests, test_markdown);
    tcase_add_test(tests, test_html);
    tcase_add_test(tests, test_peer);
    tcase_add_test(tests, test_html_scale);
    tcase_add_test(tests, test_comparison_junit);
    tcase_add_test(tests, test_comparison_of_jobs);
    tcase_add_test(tests, test_comparison_markdown);
    tcase_add_test(tests, test_comparison_html);
    tcase_add_test(tests, test_comparison_least);
    tcase_add_test(tests, test_not_a_comparison);
    tcase_add_test(tests, test_markup);
}

int main(int argc, char **argv)
{
    Suite *suite = suite_create("render_formats");
    TCase *tests = tcase_create("render_formats");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    directory = argc == 3 && strcmp(argv[1], "--dump") == 0 ? argv[2] : NULL;
    if (directory)
        tcase_add_test(tests, test_dump);
    else
        add_tests(tests);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
