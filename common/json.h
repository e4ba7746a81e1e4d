#pragma once

/* Members of JSON that may be of another type, or not there. */

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

/* NAN for null, for what is not a number and for what is not there. */
static inline double dwb_json_number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* NULL for an empty string, too. */
static inline const char *dwb_json_text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text && text[0] ? text : NULL;
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
