#include "spec_fixture.h"

#include <check.h>
#include <string.h>

struct dwb_diags *diags;

void setup(void)
{
    diags = dwb_diags_new();
    ck_assert_ptr_nonnull(diags);
}

void teardown(void)
{
    dwb_diags_free(diags);
}

struct dwb_spec *parse(const char *text)
{
    struct dwb_spec *spec = NULL;

    memset(diags, 0, sizeof(*diags));
    if (dwb_spec_parse(text, strlen(text), diags, &spec) < 0)
        ck_assert_ptr_null(spec);
    else
        ck_assert_uint_eq(diags->n, 0);
    return spec;
}

bool found(unsigned line, unsigned column, const char *field, const char *part)
{
    for (size_t i = 0; i < diags->n; i++) {
        const struct dwb_diag *diag = &diags->items[i];

        if (diag->line == line && diag->column == column && strcmp(diag->field, field) == 0 &&
            strstr(diag->message, part))
            return true;
    }
    dwb_diags_print(diags, "document", stderr);
    return false;
}
