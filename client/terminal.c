#include "client/terminal.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_DEFAULT 120
#define COLUMNS_MIN     40
#define COLUMNS_MAX     500

void dwb_terminal_of(int fd, struct dwb_terminal *ret_terminal)
{
    struct dwb_terminal terminal = {.columns = COLUMNS_DEFAULT};
    const char *columns = getenv("COLUMNS"), *no_color = getenv("NO_COLOR");
    const char *type = getenv("TERM");
    struct winsize size = {0};
    unsigned long number;

    terminal.interactive = isatty(fd) == 1;
    if (terminal.interactive && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        terminal.columns = size.ws_col;
    number = columns ? strtoul(columns, NULL, 10) : 0;
    if (number > 0)
        terminal.columns = number > COLUMNS_MAX ? COLUMNS_MAX : (unsigned)number;
    if (terminal.columns < COLUMNS_MIN)
        terminal.columns = COLUMNS_MIN;
    terminal.colour =
        terminal.interactive && !(no_color && no_color[0]) && type && strcmp(type, "dumb") != 0;
    terminal.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    *ret_terminal = terminal;
}

size_t dwb_terminal_width(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80; /* not a continuation byte */
    return n;
}

void dwb_terminal_wrap(FILE *out, const char *text, unsigned indent, unsigned columns)
{
    unsigned used = 0;

    while (*(text += strspn(text, " \n"))) {
        size_t n = strcspn(text, " \n");
        char word[512];
        unsigned width;

        if (n >= sizeof(word))
            n = sizeof(word) - 1;
        memcpy(word, text, n);
        word[n] = '\0';
        width = (unsigned)dwb_terminal_width(word);
        if (used > 0 && used + 1 + width > columns) {
            fputc('\n', out);
            used = 0;
        }
        if (used == 0) {
            fprintf(out, "%*s", (int)indent, "");
            used = indent;
        } else {
            fputc(' ', out);
            used++;
        }
        fputs(word, out);
        used += width;
        text += n;
    }
    fputc('\n', out);
}
