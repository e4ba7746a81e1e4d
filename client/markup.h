#pragma once

/*
 * Text from outside (names, reasons, what a machine says of itself) inside of a document in another
 * language. Control characters and what is not UTF-8 become \xNN first, as dwb_escape writes them;
 * all other UTF-8 is kept. What is left has no newline, so it stays in its line and its cell.
 */

#include <stdio.h>

/* Fit for text and for quoted attribute values, of XML 1.0 and of HTML. */
void dwb_markup_xml(FILE *out, const char *text);

/* Fit for GitHub-flavoured Markdown: shown as it is in a paragraph, a list item or a table's cell.
 */
void dwb_markup_markdown(FILE *out, const char *text);
