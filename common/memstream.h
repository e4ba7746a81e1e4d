#pragma once

/*
 * A stream into memory that is whole or nothing. glibc's open_memstream drops a write for which its
 * buffer cannot grow, and neither ferror nor fclose tells.
 */

#include <stddef.h>
#include <stdio.h>

/* NULL without memory. *ret_text and *ret_length are set when it is closed; both must live so long.
 */
FILE *dwb_memstream_open(char **ret_text, size_t *ret_length);

/* Closes the stream, which may be NULL. 0: *text has all of it, NUL-terminated, malloc'ed. -ENOMEM:
 * it is NULL. text is what dwb_memstream_open was given. */
int dwb_memstream_close(FILE *stream, char *const *text);
