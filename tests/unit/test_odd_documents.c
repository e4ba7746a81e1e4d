/*
 * Documents as another version or a broken daemon might send them: from one that is whole, each
 * member in turn is left out or becomes something else. Whatever a report is made of it, no null
 * pointer is printed, no not-a-number, and what is not taken is refused; a comparison of such
 * documents is made or refused, and its own report is printed the same way.
 */

#include "analysis/compare.h"
#include "analysis/environment.h"
#include "analysis/gate.h"
#include "client/comparison.h"
#include "client/doctor.h"
#include "client/render.h"
#include "client/render_comparison.h"
#include "common/cleanup.h"
#include "tests/unmarked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATHS_MAX  220
#define DEPTH_MAX  12
#define ARRAY_SEEN 1 /* items of an array that are changed */

struct place { /* a member of an object, or an item of an array */
    json_t *parent;
    char *key; /* NULL = an item */
    size_t index;
};

static struct place places[PATHS_MAX];
static size_t n_places;

static void collect(json_t *value, unsigned depth)
{
    const char *key;
    json_t *member;
    size_t i;

    if (depth == DEPTH_MAX)
        return;
    json_object_foreach(value, key, member)
    {
        if (n_places < PATHS_MAX)
            places[n_places++] = (struct place){value, strdup(key), 0};
        collect(member, depth + 1);
    }
    json_array_foreach(value, i, member)
    {
        if (i >= ARRAY_SEEN)
            break;
        if (n_places < PATHS_MAX)
            places[n_places++] = (struct place){value, NULL, i};
        collect(member, depth + 1);
    }
}

static json_t *replacement(int kind)
{
    switch (kind) {
    case 0:
        return json_null();
    case 1:
        return json_string("");
    case 2:
        return json_string("odd \xc2\xb5 <&> \"text\"\n");
    case 3:
        return json_integer(-3);
    case 4:
        return json_object();
    default:
        return json_pack("[{s:n}, s, i, n]", "a", "b", 1);
    }
}

#define N_KINDS 6 /* and one more: left out */

typedef void use_fn(json_t *document);

/* Calls `use` with the document, changed in one place. */
static void with_each_change(json_t *document, use_fn *use)
{
    n_places = 0;
    collect(document, 0);
    ck_assert_uint_gt(n_places, 10);
    for (size_t i = 0; i < n_places; i++)
        for (int kind = 0; kind <= N_KINDS; kind++) {
            struct place *at = &places[i];
            json_t *before = json_incref(at->key ? json_object_get(at->parent, at->key)
                                                 : json_array_get(at->parent, at->index));

            if (kind == N_KINDS && at->key)
                json_object_del(at->parent, at->key);
            else if (at->key)
                json_object_set_new(at->parent, at->key, replacement(kind));
            else
                json_array_set_new(at->parent, at->index, replacement(kind % N_KINDS));
            use(document);
            if (at->key)
                json_object_set_new(at->parent, at->key, before);
            else
                json_array_set_new(at->parent, at->index, before);
        }
    for (size_t i = 0; i < n_places; i++)
        free(places[i].key);
}

static void check_text(char *text, size_t n, int r)
{
    ck_assert_msg(r == 0 || r == -EINVAL, "%d", r);
    ck_assert_msg(r == 0 || n == 0, "refused, and written all the same: %s", text);
    ck_assert_msg(!strstr(text, "(null)"), "%s", text);
    for (const char *at = text; (at = strstr(at, "nan")); at++)
        ck_assert_msg((at > text && at[-1] >= 'a' && at[-1] <= 'z') ||
                          (at[3] >= 'a' && at[3] <= 'z'),
                      "%.80s", at > text + 40 ? at - 40 : text);
    free(text);
}

static const struct dwb_terminal terminals[] = {
    {.columns = 80, .utf8 = true},
    {.columns = 200, .utf8 = true, .colour = true},
};

static void report(json_t *document)
{
    for (enum dwb_format format = DWB_FORMAT_TABLE; format <= DWB_FORMAT_HTML; format++) {
        DWB_CLEANUP(dwb_report_freep) struct dwb_report *report = NULL;
        char *text = NULL;
        size_t n;
        FILE *out = open_memstream(&text, &n);
        int r = dwb_report_new(document, &report);

        if (r == 0) {
            dwb_report_exit(report);
            r = dwb_render(report, format, &terminals[format == DWB_FORMAT_TABLE], out);
        }
        fclose(out);
        check_text(text, n, r);
    }
}

static void environment(json_t *document)
{
    for (enum dwb_format format = DWB_FORMAT_TABLE; format <= DWB_FORMAT_CSV; format++) {
        char *text = NULL;
        size_t n;
        FILE *out = open_memstream(&text, &n);
        int r = dwb_render_environment(document, format, &terminals[0], out);

        fclose(out);
        check_text(text, n, r);
    }
}

static void comparison(json_t *document)
{
    static int (*const renderers[])(const json_t *document, FILE *out) = {
        dwb_render_comparison_junit, dwb_render_comparison_markdown, dwb_render_comparison_html};

    for (size_t i = 0; i < 5; i++) {
        char *text = NULL;
        size_t n;
        FILE *out = open_memstream(&text, &n);
        int r = i < 2 ? dwb_render_comparison(document, &terminals[i], out)
                      : renderers[i - 2](document, out);

        fclose(out);
        check_text(text, n, r);
    }
    int code = dwb_comparison_exit(document);
    ck_assert(code == DWB_EXIT_OK || code == DWB_EXIT_REGRESSION || code == DWB_EXIT_INCONCLUSIVE);
}

static json_t *other; /* whole */

static void compare(json_t *document)
{
    json_t *pair[] = {document, other};

    for (size_t i = 0; i < 2; i++) {
        json_t *made = NULL, *history = json_array();
        struct dwb_compare_input input = {
            .a = pair[i], .b = pair[1 - i], .history = history, .force = true};

        for (size_t k = 0; k < 6; k++)
            json_array_append(history, pair[k % 2]);
        int r = dwb_compare(&input, &made);
        ck_assert_msg(r == 0 || r == -EINVAL || r == -EXDEV, "%d", r);
        if (r == 0)
            comparison(made);
        json_decref(made);
        json_decref(history);
    }
}

static void confirm(json_t *document)
{
    json_t *first = json_deep_copy(other);

    int r = dwb_gate_confirm(first, document);
    ck_assert_msg(r == 0 || r == -ENOMEM, "%d", r); /* -ENOMEM: it cannot be copied from either */
    if (r == 0)
        comparison(first);
    json_decref(first);
    first = json_deep_copy(document);
    if (dwb_gate_confirm(first, other) == 0)
        comparison(first);
    json_decref(first);
}

static void examine(json_t *document)
{
    static struct dwb_findings findings;

    memset(&findings, 0, sizeof(findings));
    dwb_doctor_examine(document, &findings);
    ck_assert_uint_gt(findings.n, 0);
    for (size_t i = 0; i < findings.n; i++) {
        ck_assert_ptr_nonnull(findings.items[i].subject);
        ck_assert_msg(!strstr(findings.items[i].text, "(null)"), "%s", findings.items[i].text);
    }
}

static json_t *load(const char *name)
{
    char path[512];
    json_t *document;

    snprintf(path, sizeof(path), "%s/%s.json", DWB_TEST_DATA, name);
    document = json_load_file(path, 0, NULL);
    ck_assert_msg(document != NULL, "%s", path);
    return document;
}

static const struct {
    const char *name, *member;
    use_fn *use;
} cases[] = {
    {"suite", NULL, report},    {"wrong", NULL, report},
    {"layer", NULL, report},    {"suite", "environment", environment},
    {"gate", NULL, comparison}, {"layer", NULL, compare},
    {"gate", NULL, confirm},    {"info", NULL, examine},
};

START_TEST(odd_documents)
{
    json_t *document = load(cases[_i].name);

    other = load(cases[_i].name);
    with_each_change(cases[_i].member ? json_object_get(document, cases[_i].member) : document,
                     cases[_i].use);
    ck_assert_msg(json_equal(document, other), "changes were not undone");
    json_decref(document);
    json_decref(other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("odd_documents");
    TCase *tests = tcase_create("odd_documents");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, odd_documents, 0, sizeof(cases) / sizeof(cases[0]));
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
