#pragma once

/*
 * What is wrong with a document, all of it: a capped list of findings, each with its place, the
 * field, the value as written and what is allowed. Parsers add and go on; the caller asks at the
 * end whether anything was found. Text is stored escaped (no control characters, valid UTF-8), so
 * it can be shown on a terminal, in a log or in JSON as it is.
 */

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#define DWB_DIAGS_MAX 64

struct dwb_diag {
    unsigned line;     /* 1-based; 0 = the document has no such place (a flag, a total) */
    unsigned column;   /* 1-based */
    char field[96];    /* path such as "layers[2].Dk"; "" = the document as a whole */
    char value[96];    /* as written, escaped, shortened with "..."; "" = none */
    char message[320]; /* what is wrong and what is allowed */
};

struct dwb_diags {
    struct dwb_diag items[DWB_DIAGS_MAX];
    size_t n;
    size_t n_dropped; /* findings past the cap */
};

struct dwb_diags *dwb_diags_new(void);
void dwb_diags_free(struct dwb_diags *diags);
static inline void dwb_diags_freep(struct dwb_diags **diags)
{
    dwb_diags_free(*diags);
}

/* Adds one finding. field and value may be NULL. Never fails: past the cap it only counts. */
void dwb_diags_add(struct dwb_diags *diags, unsigned line, unsigned column, const char *field,
                   const char *value, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* "source:line:column: field: value `v': message", one finding a line. */
void dwb_diags_print(const struct dwb_diags *diags, const char *source, FILE *stream);

/* JSON array of {line, column, field, value, message} (RFC 9457 extension member `errors`);
 * NULL without memory. */
json_t *dwb_diags_to_json(const struct dwb_diags *diags);

/* Copies at most size-1 bytes of text to buffer with control characters and invalid UTF-8 written
 * as \xNN; ends in "..." when shortened. */
void dwb_escape(char *buffer, size_t size, const char *text, size_t length);
