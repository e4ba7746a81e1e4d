#include "client/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_INDENT 4

struct cell {
    enum dwb_style style;
    char text[DWB_TABLE_CELL_MAX];
    char *note; /* of a row's first cell */
};

struct dwb_table {
    size_t n_columns;
    unsigned right_aligned;
    struct cell *cells;
    size_t n_cells, n_allocated;
};

struct dwb_table *dwb_table_new(size_t n_columns, unsigned right_aligned)
{
    struct dwb_table *table = calloc(1, sizeof(*table));

    if (table) {
        table->n_columns = n_columns;
        table->right_aligned = right_aligned;
    }
    return table;
}

void dwb_table_free(struct dwb_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i].note);
    free(table->cells);
    free(table);
}

int dwb_table_add(struct dwb_table *table, enum dwb_style style, const char *format, ...)
{
    struct cell *cell;
    va_list args;

    if (table->n_cells == table->n_allocated) {
        size_t wanted = 2 * table->n_allocated + 64;
        struct cell *grown = realloc(table->cells, wanted * sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        table->cells = grown;
        table->n_allocated = wanted;
    }
    cell = &table->cells[table->n_cells++];
    *cell = (struct cell){.style = style};
    va_start(args, format);
    vsnprintf(cell->text, sizeof(cell->text), format, args);
    va_end(args);
    return 0;
}

int dwb_table_note(struct dwb_table *table, const char *text)
{
    struct cell *first = &table->cells[(table->n_cells - 1) / table->n_columns * table->n_columns];
    char *note = NULL;

    if (asprintf(&note, "%s%s%s", first->note ? first->note : "", first->note ? "\n" : "", text) <
        0)
        return -ENOMEM;
    free(first->note);
    first->note = note;
    return 0;
}

static size_t column_width(const struct dwb_table *table, size_t column)
{
    size_t widest = 0;

    for (size_t i = column; i < table->n_cells; i += table->n_columns) {
        size_t width = dwb_terminal_width(table->cells[i].text);
        if (width > widest)
            widest = width;
    }
    return widest;
}

size_t dwb_table_width(const struct dwb_table *table, unsigned gap)
{
    size_t width = 0;

    for (size_t column = 0; column < table->n_columns; column++)
        width += column_width(table, column) + (column ? gap : 0);
    return width;
}

/* `last`: nothing follows in this row, so no blanks are needed after the text. */
static void print_cell(const struct dwb_table *table, const struct cell *cell, size_t column,
                       size_t width, bool last, const struct dwb_terminal *terminal, FILE *out)
{
    static const char *const codes[] = {"", "\033[1m", "\033[32m", "\033[33m", "\033[31m"};
    size_t padding = width - dwb_terminal_width(cell->text);
    bool right = (table->right_aligned >> column) & 1;
    bool styled = terminal->colour && cell->style != DWB_STYLE_PLAIN && cell->text[0];

    if (right)
        fprintf(out, "%*s", (int)padding, "");
    fprintf(out, "%s%s%s", styled ? codes[cell->style] : "", cell->text, styled ? "\033[0m" : "");
    if (!right && !last)
        fprintf(out, "%*s", (int)padding, "");
}

/* A note's lines are wrapped one by one. */
static void print_note(char *note, const struct dwb_terminal *terminal, FILE *out)
{
    for (char *line = note, *end; line; line = end) {
        end = strchr(line, '\n');
        if (end)
            *end = '\0';
        if (line[0])
            dwb_terminal_wrap(out, line, NOTE_INDENT, terminal->columns);
        if (end)
            *end++ = '\n'; /* as it was */
    }
}

void dwb_table_print(const struct dwb_table *table, const struct dwb_terminal *terminal,
                     unsigned gap, FILE *out)
{
    size_t widths[DWB_TABLE_COLUMNS_MAX] = {0};

    for (size_t column = 0; column < table->n_columns; column++)
        widths[column] = column_width(table, column);
    for (size_t row = 0; row + table->n_columns <= table->n_cells; row += table->n_columns) {
        size_t n_used = table->n_columns;

        while (n_used > 1 && !table->cells[row + n_used - 1].text[0])
            n_used--;
        for (size_t column = 0; column < n_used; column++) {
            if (column)
                fprintf(out, "%*s", (int)gap, "");
            print_cell(table, &table->cells[row + column], column, widths[column],
                       column + 1 == n_used, terminal, out);
        }
        fputc('\n', out);
        if (table->cells[row].note)
            print_note(table->cells[row].note, terminal, out);
    }
}
