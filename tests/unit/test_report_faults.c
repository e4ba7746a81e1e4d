/*
 * From records to what a person reads, while memory fails: each allocation once, and then each with
 * all behind it. Whatever says that it worked gave what it gives with memory enough, byte by byte,
 * or says where it did not; nothing crashes and nothing is lost. Documents: where jansson itself
 * keeps a failure to itself the daemon watches its allocations (daemon/json_memory.h), so here a
 * document that came out may have less in it, but not more and nothing else. Exit 77 under a
 * sanitizer, whose allocator stays.
 */

#include "analysis/compare.h"
#include "analysis/environment.h"
#include "analysis/gate.h"
#include "analysis/result.h"
#include "client/compared.h"
#include "client/render.h"
#include "client/render_comparison.h"
#include "common/cleanup.h"
#include "tests/unmarked.h"
#include "tests/unit/gate_fixture.h"
#include "tests/unit/heap.h"
#include "tests/unit/result_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALLOCATIONS_MAX 100000
#define RUNS_MAX        700 /* a longer chain is tried at as many places of it */
#define TEXT_MAX        (1u << 20)

struct inputs { /* made once, with memory */
    struct job job;
    struct dwb_spec *gate_spec;
    struct dwb_record *gate_records[8];
    uint32_t gate_layer_of[8];
    json_t *about, *before, *after, *history, *gate, *gate_again, *comparison, *suite;
};

static struct inputs inputs;
static char text_out[TEXT_MAX], text_wanted[TEXT_MAX];

/* ---- documents ---- */

static int build_result(json_t **ret_document)
{
    const struct job *own = &inputs.job;

    return dwb_result_build(own->spec, inputs.about, own->records, own->layer_of, own->n,
                            ret_document);
}

static int build_gate(json_t **ret_document)
{
    return dwb_result_build(inputs.gate_spec, inputs.about, inputs.gate_records,
                            inputs.gate_layer_of, 8, ret_document);
}

static int compare(json_t **ret_document)
{
    struct dwb_compare_input input = {
        .a = inputs.before, .b = inputs.after, .history = inputs.history, .force = true};

    return dwb_compare(&input, ret_document);
}

static int merge_environments(json_t **ret_document)
{
    *ret_document = dwb_environment_merge(inputs.job.records, inputs.job.n);
    return *ret_document ? 0 : -ENOMEM;
}

static int diff_environments(json_t **ret_document)
{
    *ret_document = dwb_environment_diff(json_object_get(inputs.before, "environment"),
                                         json_object_get(inputs.suite, "environment"));
    return *ret_document ? 0 : -ENOMEM;
}

static int confirm(json_t **ret_document)
{
    json_t *first = json_deep_copy(inputs.gate);
    int r = first ? dwb_gate_confirm(first, inputs.gate_again) : -ENOMEM;

    if (r == 0)
        *ret_document = first;
    else
        json_decref(first);
    return r;
}

static int judge_progress(json_t **ret_document)
{
    struct dwb_progress progress;
    int r = dwb_result_progress(inputs.job.spec, inputs.job.records, inputs.job.n, &progress);

    if (r == 0)
        r = dwb_result_progress(inputs.gate_spec, inputs.gate_records, 8, &progress);
    *ret_document = r == 0 ? json_true() : NULL;
    return r;
}

static int (*const makers[])(json_t **ret_document) = {
    build_result,      build_gate, compare,        merge_environments,
    diff_environments, confirm,    judge_progress,
};

/* Whether everything in `part` is in `whole`. A reason may be that memory ran short. */
static bool is_part_of(const json_t *part, const json_t *whole)
{
    const char *key;
    json_t *value;
    size_t i, k = 0;

    if (json_is_object(part) && json_is_object(whole)) {
        json_object_foreach(
            (json_t *)(uintptr_t)part, key,
            value) if (!is_part_of(value, json_object_get(whole, key))) return false;
        return true;
    }
    if (json_is_array(part) && json_is_array(whole)) {
        json_array_foreach(part, i, value)
        {
            while (k < json_array_size(whole) && !is_part_of(value, json_array_get(whole, k)))
                k++;
            if (k++ == json_array_size(whole))
                return false;
        }
        return true;
    }
    return json_is_null(part) || json_equal(part, whole);
}

static size_t count_allocations(int (*maker)(json_t **ret_document), json_t **ret_whole)
{
    size_t low = 1, high = ALLOCATIONS_MAX;

    *ret_whole = NULL;
    ck_assert_int_eq(maker(ret_whole), 0);
    while (low < high) { /* the least number that is not reached */
        size_t middle = (low + high) / 2;
        json_t *document = NULL;

        heap_fail_at(middle, false);
        if (maker(&document) == 0)
            json_decref(document);
        bool failed = heap_has_failed();
        heap_fail_at(0, false);
        if (failed)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

START_TEST(documents)
{
    json_t *whole;
    size_t n = count_allocations(makers[_i], &whole), step = 1 + n / RUNS_MAX;

    ck_assert_uint_gt(n, 2);
    ck_assert_uint_lt(n, ALLOCATIONS_MAX - 1);
    for (int all = 0; all < 2; all++)
        for (size_t at_allocation = 1; at_allocation <= n; at_allocation += step) {
            size_t before = heap_blocks();
            json_t *document = NULL;

            heap_fail_at(at_allocation, all);
            int r = makers[_i](&document);
            heap_fail_at(0, false);
            ck_assert_msg(r == 0 || r == -ENOMEM, "allocation %zu: %d", at_allocation, r);
            if (r == 0) {
                ck_assert_msg(is_part_of(document, whole), "allocation %zu: another document",
                              at_allocation);
                json_decref(document);
            }
            ck_assert_msg(heap_blocks() == before, "allocation %zu: %zu blocks are lost",
                          at_allocation, heap_blocks() - before);
        }
    json_decref(whole);
}
END_TEST

/* ---- texts ---- */

typedef int renderer(FILE *out);

static int render_as(enum dwb_format format, const json_t *document, FILE *out)
{
    struct dwb_terminal terminal = {.columns = 100, .colour = true, .utf8 = true};
    DWB_CLEANUP(dwb_report_freep) struct dwb_report *report = NULL;
    int r = dwb_report_new(document, &report);

    return r < 0 ? r : dwb_render(report, format, &terminal, out);
}

#define RENDERER(name_, format_, document_)                                                        \
    static int name_(FILE *out)                                                                    \
    {                                                                                              \
        return render_as(format_, document_, out);                                                 \
    }

RENDERER(table, DWB_FORMAT_TABLE, inputs.suite)
RENDERER(table_of_peers, DWB_FORMAT_TABLE, inputs.before)
RENDERER(json, DWB_FORMAT_JSON, inputs.suite)
RENDERER(csv, DWB_FORMAT_CSV, inputs.suite)
RENDERER(junit, DWB_FORMAT_JUNIT, inputs.suite)
RENDERER(markdown, DWB_FORMAT_MARKDOWN, inputs.suite)
RENDERER(html, DWB_FORMAT_HTML, inputs.suite)

static int comparison_junit(FILE *out)
{
    return dwb_render_comparison_junit(inputs.comparison, out);
}

static int comparison_markdown(FILE *out)
{
    return dwb_render_comparison_markdown(inputs.comparison, out);
}

static int comparison_html(FILE *out)
{
    return dwb_render_comparison_html(inputs.gate, out);
}

static int comparison_table(FILE *out)
{
    struct dwb_terminal terminal = {.columns = 100, .colour = true, .utf8 = true};

    return dwb_render_comparison(inputs.gate, &terminal, out);
}

static int environment(FILE *out)
{
    struct dwb_terminal terminal = {.columns = 100, .utf8 = true};

    return dwb_render_environment(json_object_get(inputs.suite, "environment"), DWB_FORMAT_TABLE,
                                  &terminal, out);
}

static renderer *const renderers[] = {
    table,           table_of_peers,   json,        csv,
    junit,           markdown,         html,        comparison_junit,
    comparison_html, comparison_table, environment, comparison_markdown,
};

/* Into `text`; the stream allocates nothing once it is open. */
static int render_into(renderer *render, char *text, size_t fail_at, bool all, bool *ret_failed)
{
    static char buffer[1];
    FILE *out = fmemopen(text, TEXT_MAX, "w");

    ck_assert_ptr_nonnull(out);
    setvbuf(out, buffer, _IOFBF, sizeof(buffer));
    heap_fail_at(fail_at, all);
    int r = render(out);
    *ret_failed = heap_has_failed();
    heap_fail_at(0, false);
    ck_assert_int_eq(fclose(out), 0);
    return r;
}

/* A value that takes memory to be written may be replaced, by these words and nothing else. */
static bool says_so(const char *out)
{
    return strstr(out, "no memory for it") != NULL;
}

START_TEST(texts)
{
    renderer *render = renderers[_i];
    bool failed;
    size_t n;

    ck_assert_int_eq(render_into(render, text_wanted, 0, false, &failed), 0);
    ck_assert_uint_gt(strlen(text_wanted), 100);
    for (int all = 0; all < 2; all++) {
        failed = true;
        for (n = 1; failed && n < 3000; n++) {
            size_t before = heap_blocks();
            int r = render_into(render, text_out, n, all, &failed);

            ck_assert_msg(r == 0 || r == -ENOMEM, "allocation %zu: %d", n, r);
            if (r == 0)
                ck_assert_msg(strcmp(text_out, text_wanted) == 0 || says_so(text_out),
                              "allocation %zu: another text", n);
            ck_assert_msg(heap_blocks() == before, "allocation %zu: %zu blocks are lost", n,
                          heap_blocks() - before);
        }
        ck_assert_uint_gt(n, 2);
        ck_assert_uint_lt(n, 3000);
    }
}
END_TEST

static json_t *load_document(const char *name)
{
    char path[512];
    json_t *document;

    snprintf(path, sizeof(path), "%s/%s.json", DWB_TEST_DATA, name);
    document = json_load_file(path, 0, NULL);
    ck_assert_msg(document != NULL, "%s", path);
    return document;
}

static void make_inputs(void)
{
    struct synthetic machine = synthetic_quiet();
    struct gate_machine slower = gate_quiet();

    machine.counted = true;
    inputs.job = make_job(&machine, 4);
    for (size_t i = 0; i < inputs.job.n; i++)
        inputs.job.records[i]->environment = json_pack("{s:{s:s}, s:i, s:[f]}", "cpu", "model",
                                                       "made up", "ticks", (int)i, "load", 0.5);
    inputs.before = build(&inputs.job, "before");
    inputs.after = build(&inputs.job, "after");
    inputs.history = json_array();
    for (size_t i = 0; i < 6; i++)
        json_array_append(inputs.history, inputs.before);
    inputs.about = json_pack("{s:s, s:s}", "id", "j1", "name", "net");
    slower.change = 0.1;
    inputs.gate_spec = gate_spec("native", "native,+1/10", NULL, 1);
    gate_records(&slower, inputs.gate_spec, 7, inputs.gate_records, 8);
    ck_assert_int_eq(build_gate(&inputs.gate), 0);
    gate_free(inputs.gate_records, 8);
    slower.change = 0;
    gate_records(&slower, inputs.gate_spec, 7, inputs.gate_records, 8);
    ck_assert_int_eq(build_gate(&inputs.gate_again), 0);
    ck_assert_int_eq(compare(&inputs.comparison), 0);
    inputs.suite = load_document("suite");
}

static void free_inputs(void)
{
    json_t *all[] = {inputs.about, inputs.before,     inputs.after, inputs.history,
                     inputs.gate,  inputs.gate_again, inputs.suite, inputs.comparison};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        json_decref(all[i]);
    free_job(&inputs.job);
    gate_free(inputs.gate_records, 8);
    dwb_spec_free(inputs.gate_spec);
}

int main(void)
{
    Suite *suite = suite_create("report_faults");
    TCase *tests = tcase_create("report_faults");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    if (!heap_is_watched()) {
        puts("a sanitizer has the allocator");
        return 77;
    }
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, make_inputs, free_inputs);
    tcase_add_loop_test(tests, documents, 0, sizeof(makers) / sizeof(makers[0]));
    tcase_add_loop_test(tests, texts, 0, sizeof(renderers) / sizeof(renderers[0]));
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
