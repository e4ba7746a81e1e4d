#pragma once

/* JSON for figures: a figure that is not a number is null, never 0 and never text. */

#include "common/diag.h"

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline json_t *dwb_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* Counts past 63 bits cannot be: they come from records, which hold less. */
static inline json_t *dwb_json_count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* Composed text may have been cut inside a character, which JSON refuses: escaped, it never is. */
static inline json_t *dwb_json_text(const char *text)
{
    char clean[1024];

    dwb_escape(clean, sizeof clean, text, strlen(text));
    return json_string(clean);
}
