#pragma once

/*
 * Text in columns: cells are added row by row, widths follow from what is in them. A row can be
 * followed by lines of free text that are wrapped to the terminal under it.
 */

#include "client/terminal.h"

#include <stddef.h>

#define DWB_TABLE_COLUMNS_MAX 16
#define DWB_TABLE_CELL_MAX    80 /* bytes, with the NUL; longer text is cut */

enum dwb_style {
    DWB_STYLE_PLAIN,
    DWB_STYLE_BOLD,
    DWB_STYLE_GOOD,
    DWB_STYLE_WARNING,
    DWB_STYLE_BAD
};

struct dwb_table;

/* n_columns <= DWB_TABLE_COLUMNS_MAX; bit i of right_aligned is column i. NULL without memory. */
struct dwb_table *dwb_table_new(size_t n_columns, unsigned right_aligned);
void dwb_table_free(struct dwb_table *table);
static inline void dwb_table_freep(struct dwb_table **table)
{
    dwb_table_free(*table);
}

/* Adds the next cell, left to right and top to bottom. 0 or -ENOMEM. */
int dwb_table_add(struct dwb_table *table, enum dwb_style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Free text under the last row. 0 or -ENOMEM. */
int dwb_table_note(struct dwb_table *table, const char *text);

/* Columns of a line with `gap` spaces between two cells. */
size_t dwb_table_width(const struct dwb_table *table, unsigned gap);

void dwb_table_print(const struct dwb_table *table, const struct dwb_terminal *terminal,
                     unsigned gap, FILE *out);
