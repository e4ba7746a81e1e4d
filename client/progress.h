#pragma once

/*
 * Progress on stderr: one line that is drawn again on a terminal, plain lines otherwise (at most
 * one in ten seconds or ten per cent, so that a log stays readable). Pure display: it is told what
 * happened and asks nobody.
 */

#include "client/terminal.h"

#include <stdint.h>

#define DWB_PROGRESS_NAME_MAX 64

struct dwb_progress_bar {
    struct dwb_terminal terminal;
    FILE *out;
    bool quiet;
    bool drawn;     /* the terminal's line holds a bar */
    char state[32]; /* "queued", "measuring" */
    char layer[DWB_PROGRESS_NAME_MAX];
    uint64_t replicates_done;
    uint64_t replicates_min, replicates_max; /* of the job: it stops when it is precise enough */
    double fraction;                         /* 0..1 */
    double start_fraction;                   /* when the clock of the ETA was started */
    uint64_t start_ns;                       /* 0 = not yet */
    uint64_t printed_ns;                     /* plain lines: when and where the last one was */
    double printed_fraction;
};

void dwb_progress_init(struct dwb_progress_bar *bar, FILE *out, int fd, bool quiet);

/* After any change of the fields above; now_ns is CLOCK_MONOTONIC. */
void dwb_progress_update(struct dwb_progress_bar *bar, uint64_t now_ns);

/* Seconds left at the pace so far; negative while that is a guess. */
double dwb_progress_eta_s(const struct dwb_progress_bar *bar, uint64_t now_ns);

/* A line that stays, above the bar. */
void dwb_progress_say(struct dwb_progress_bar *bar, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Takes the bar off the terminal. */
void dwb_progress_end(struct dwb_progress_bar *bar);
