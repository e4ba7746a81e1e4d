#include "client/markup.h"

#include "common/diag.h"

#include <stdbool.h>
#include <string.h>

#define PIECE_MAX 20 /* four bytes as \xNN each, and what dwb_escape keeps free for its dots */

static bool continues(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/*
 * The next character, escaped, in piece; returns where the one after it begins. A byte goes with up
 * to three that continue it: that is a whole character, or nothing that is valid.
 */
static const char *next_piece(const char *text, char piece[PIECE_MAX])
{
    size_t n = 1;

    while (n < 4 && continues(text[n]))
        n++;
    dwb_escape(piece, PIECE_MAX, text, n);
    return text + n;
}

static const char *entity(char c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void dwb_markup_xml(FILE *out, const char *text)
{
    char piece[PIECE_MAX];

    while (*text) {
        text = next_piece(text, piece);
        /* U+FFFE and U+FFFF are UTF-8, and no characters of XML. */
        if (strcmp(piece, "\xef\xbf\xbe") == 0 || strcmp(piece, "\xef\xbf\xbf") == 0) {
            fprintf(out, "\\xef\\xbf\\x%02x", (unsigned char)piece[2]);
            continue;
        }
        for (const char *at = piece; *at; at++)
            if (entity(*at))
                fputs(entity(*at), out);
            else
                fputc(*at, out);
    }
}

void dwb_markup_markdown(FILE *out, const char *text)
{
    char piece[PIECE_MAX];

    while (*text) {
        text = next_piece(text, piece);
        for (const char *at = piece; *at; at++) {
            if (entity(*at)) { /* a backslash would not hold in the raw HTML around a table */
                fputs(entity(*at), out);
                continue;
            }
            if (strchr("\\`*_[]|~#$!", *at))
                fputc('\\', out);
            fputc(*at, out);
        }
    }
}
