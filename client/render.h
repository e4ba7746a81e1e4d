#pragma once

/*
 * A report as text: for people (table, Markdown, HTML), for programs (JSON: the document; CSV: RFC
 * 4180; JUnit XML).
 */

#include "client/cli.h"
#include "client/report.h"
#include "client/terminal.h"

#include <stdio.h>

/* 0 or -ENOMEM. */
int dwb_render(const struct dwb_report *report, enum dwb_format format,
               const struct dwb_terminal *terminal, FILE *out);

int dwb_render_table(const struct dwb_report *report, const struct dwb_terminal *terminal,
                     FILE *out);
/* The lines under the table: what was not counted, what was dropped, the machine. */
void dwb_render_footer(const struct dwb_report *report, const struct dwb_terminal *terminal,
                       FILE *out);
/* What was simulated, as a table of its own; nothing when nothing was. 0 or -ENOMEM. */
int dwb_render_simulated(const struct dwb_report *report, const struct dwb_terminal *terminal,
                         FILE *out);
int dwb_render_csv(const struct dwb_report *report, FILE *out);
int dwb_render_json(const json_t *document, FILE *out);
int dwb_render_junit(const struct dwb_report *report, FILE *out);
int dwb_render_markdown(const struct dwb_report *report, FILE *out);
int dwb_render_html(const struct dwb_report *report, FILE *out);

/*
 * A comparison document (client/compared.h), in the formats whose table is not the terminal's. 0,
 * -EINVAL when it is no such document (nothing is written then), -ENOMEM.
 */
int dwb_render_comparison_junit(const json_t *document, FILE *out);
int dwb_render_comparison_markdown(const json_t *document, FILE *out);
int dwb_render_comparison_html(const json_t *document, FILE *out);

/* The environment record alone: JSON as it is, CSV a member a line, else for people. 0, -ENOMEM. */
int dwb_render_environment(const json_t *environment, enum dwb_format format,
                           const struct dwb_terminal *terminal, FILE *out);

/* One RFC 4180 field: quoted when it must be. */
void dwb_csv_field(FILE *out, const char *text);
