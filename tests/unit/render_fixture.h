#pragma once

/* What the test programs of reports share: stored documents (tests/unit/data: the members of real
 * ones, the figures made up so that each case is there), and what they are rendered to. */

#include "client/render.h"
#include "client/report.h"

#include <jansson.h>
#include <stdbool.h>

json_t *load(const char *name);
/* Takes the document. */
struct dwb_report *report_of(json_t *document);
/* To be freed. */
char *render_report(const struct dwb_report *report, enum dwb_format format, unsigned columns,
                    bool colour);
char *render(const char *name, enum dwb_format format, unsigned columns, bool colour);
bool has(const char *text, const char *part);
/* No line is wider. */
void check_widths(const char *text, unsigned columns);
