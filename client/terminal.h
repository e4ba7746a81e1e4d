#pragma once

/*
 * What the person's terminal can show. Colour is never the only carrier of a meaning: the words are
 * always there.
 */

#include <stdbool.h>
#include <stdio.h>

struct dwb_terminal {
    bool interactive; /* a terminal, not a file or a pipe */
    unsigned columns; /* 120 where nobody says */
    bool colour;      /* interactive, and neither NO_COLOR nor TERM=dumb */
    bool utf8;        /* the locale's codeset */
};

/* Of the terminal behind a descriptor; looks at $COLUMNS, $NO_COLOR, $TERM and the locale. */
void dwb_terminal_of(int fd, struct dwb_terminal *ret_terminal);

/* Columns a UTF-8 text takes (its code points: nothing that is shown here is wider). */
size_t dwb_terminal_width(const char *text);

/*
 * Text broken at spaces into lines of at most `columns`, each with `indent` spaces before it. A
 * word that is longer than a line stays whole.
 */
void dwb_terminal_wrap(FILE *out, const char *text, unsigned indent, unsigned columns);
