#pragma once

/* JSON as text, or nothing; text of JSON, if it may be shown. */

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

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

/* Copies a JSON string that fits, NUL included, and holds no control character. 0; -EINVAL. */
static inline int dwb_json_take_text(const json_t *value, char *buffer, size_t size)
{
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);

    if (!text || length >= size)
        return -EINVAL;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return -EINVAL;
    memcpy(buffer, text, length + 1);
    return 0;
}
