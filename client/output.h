#pragma once

/*
 * Where the result goes: standard output, or the file of -o. The file is opened before the work
 * begins, so that a wrong path costs no measurement, and written only when there is something to
 * write: an older file stays as it is until then, and a new one is removed when nothing came.
 */

#include <stdbool.h>
#include <stdio.h>

struct dwb_output {
    const char *path; /* NULL = standard output */
    int fd;
    bool created; /* by us, and still empty */
};

/* All of these return an exit code, see client/cli.h. */
int dwb_output_open(const char *path, struct dwb_output *ret_output);
int dwb_output_write(struct dwb_output *output, const char *text, size_t n);
/* Closes a stream of dwb_memstream_open, which may be NULL, and writes what *text has then; r < 0
 * or a text that is not whole is told as no memory. */
int dwb_output_write_stream(struct dwb_output *output, FILE *stream, int r, char *const *text,
                            const size_t *n);
void dwb_output_close(struct dwb_output *output);
