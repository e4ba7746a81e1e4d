#pragma once

/* JSON as text, or nothing. */

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

/*
 * As json_dumps, compact: malloc'd text, or NULL without memory; object NULL = NULL. jansson 2.14
 * does not look whether a key was written, so that with too little memory its text may lack some of
 * it and be no JSON; glibc's malloc says so in errno.
 */
static inline char *dwb_json_dumps(const json_t *object)
{
    errno = 0;

    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

    if (errno != ENOMEM)
        return text;
    free(text);
    return NULL;
}
