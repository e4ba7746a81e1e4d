#pragma once

/* Text of JSON, if it may be shown. */

#include <errno.h>
#include <jansson.h>
#include <string.h>

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
