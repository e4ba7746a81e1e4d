#include "render_fixture.h"

#include "common/cleanup.h"

#include <check.h>
#include <string.h>

json_t *load(const char *name)
{
    json_error_t error;
    char path[512];
    json_t *document;

    snprintf(path, sizeof(path), "%s/%s.json", DWB_TEST_DATA, name);
    document = json_load_file(path, 0, &error);
    ck_assert_msg(document != NULL, "%s:%d: %s", path, error.line, error.text);
    return document;
}

struct dwb_report *report_of(json_t *document)
{
    struct dwb_report *report = NULL;

    ck_assert_int_eq(dwb_report_new(document, &report), 0);
    json_decref(document);
    return report;
}

char *render_report(const struct dwb_report *report, enum dwb_format format, unsigned columns,
                    bool colour)
{
    struct dwb_terminal terminal = {.columns = columns, .colour = colour, .utf8 = true};
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(dwb_render(report, format, &terminal, out), 0);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

char *render(const char *name, enum dwb_format format, unsigned columns, bool colour)
{
    DWB_CLEANUP(dwb_report_freep) struct dwb_report *report = report_of(load(name));

    return render_report(report, format, columns, colour);
}

bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

void check_widths(const char *text, unsigned columns)
{
    dwb_cleanup_free char *copy = strdup(text);
    char *rest = NULL;

    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        ck_assert_msg(dwb_terminal_width(line) <= columns, "%zu > %u columns: %s",
                      dwb_terminal_width(line), columns, line);
        ck_assert_msg(line[strlen(line) - 1] != ' ', "blanks at the end: %s|", line);
    }
}
