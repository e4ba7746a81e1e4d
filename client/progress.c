#include "client/progress.h"

#include "common/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FRAME         7 /* "[] ", the last column, and the "^C" that a terminal may echo */
#define BAR_MAX       30
#define PLAIN_STEPS   10
#define PLAIN_STEP_NS UINT64_C(10000000000)

void dwb_progress_init(struct dwb_progress_bar *bar, FILE *out, int fd, bool quiet)
{
    *bar = (struct dwb_progress_bar){.out = out, .quiet = quiet, .printed_fraction = -1};
    dwb_terminal_of(fd, &bar->terminal);
}

double dwb_progress_eta_s(const struct dwb_progress_bar *bar, uint64_t now_ns)
{
    double done = bar->fraction - bar->start_fraction;

    if (!bar->start_ns || done < 0.02 || bar->fraction > 1)
        return -1;
    return 1e-9 * (double)(now_ns - bar->start_ns) * (1 - bar->fraction) / done;
}

/* "37 of 90-180 replicates  41%  ETA 1:05  dws3" */
static void describe(const struct dwb_progress_bar *bar, uint64_t now_ns, char *buffer, size_t size)
{
    double eta_s = dwb_progress_eta_s(bar, now_ns);
    char eta[32] = "";

    if (eta_s >= 0 && eta_s < 360000)
        snprintf(eta, sizeof(eta), "  ETA %u:%02u", (unsigned)(eta_s + 0.5) / 60,
                 (unsigned)(eta_s + 0.5) % 60);
    snprintf(buffer, size, "%llu of %llu-%llu replicates  %3.0f%%%s%s%s",
             (unsigned long long)bar->replicates_done, (unsigned long long)bar->replicates_min,
             (unsigned long long)bar->replicates_max, 100 * bar->fraction, eta,
             bar->layer[0] ? "  " : "", bar->layer);
}

static void draw(struct dwb_progress_bar *bar, uint64_t now_ns)
{
    char text[192], cells[BAR_MAX + 1];
    unsigned room, filled;

    describe(bar, now_ns, text, sizeof(text));
    room = bar->terminal.columns > strlen(text) + FRAME
               ? bar->terminal.columns - (unsigned)strlen(text) - FRAME
               : 0;
    room = room > BAR_MAX ? BAR_MAX : room;
    filled = (unsigned)(bar->fraction * room);
    filled = filled > room ? room : filled;
    memset(cells, '#', filled);
    memset(cells + filled, '.', room - filled);
    cells[room] = '\0';
    /* Cut, not wrapped: a line that wraps cannot be drawn over. */
    fprintf(bar->out, "\r\033[K%s%s%s%.*s", room >= 8 ? "[" : "", room >= 8 ? cells : "",
            room >= 8 ? "] " : "", (int)bar->terminal.columns - 1, text);
    fflush(bar->out);
    bar->drawn = true;
}

/* Tenths that are full; -1 before the first line. */
static int steps_of(double fraction)
{
    return fraction < 0 ? -1 : (int)(fraction * PLAIN_STEPS + 1e-9);
}

void dwb_progress_update(struct dwb_progress_bar *bar, uint64_t now_ns)
{
    char text[192];

    if (bar->quiet || strcmp(bar->state, "measuring") != 0)
        return;
    if (!bar->start_ns) {
        bar->start_ns = now_ns;
        bar->start_fraction = bar->fraction;
        bar->printed_ns = now_ns;
    }
    if (bar->terminal.interactive) {
        draw(bar, now_ns);
        return;
    }
    if (bar->fraction <= bar->printed_fraction ||
        (steps_of(bar->fraction) == steps_of(bar->printed_fraction) &&
         now_ns - bar->printed_ns < PLAIN_STEP_NS))
        return;
    bar->printed_fraction = bar->fraction;
    bar->printed_ns = now_ns;
    describe(bar, now_ns, text, sizeof(text));
    fprintf(bar->out, "%s\n", text);
    fflush(bar->out);
}

void dwb_progress_say(struct dwb_progress_bar *bar, const char *format, ...)
{
    char text[512], line[768];
    va_list args;

    if (bar->quiet)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    dwb_escape(line, sizeof(line), text, strlen(text));
    dwb_progress_end(bar);
    fprintf(bar->out, "%s\n", line);
    fflush(bar->out);
}

void dwb_progress_end(struct dwb_progress_bar *bar)
{
    if (bar->drawn)
        fputs("\r\033[K", bar->out);
    fflush(bar->out);
    bar->drawn = false;
}
