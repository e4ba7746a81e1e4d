/*
 * Units of the job options: what a person writes, what the program computes with.
 */

#include "common/spec.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Plain digits and a point: strtod's exponent, hexadecimal, infinite and NaN spellings are not
 * units that people write here. */
static int parse_decimal(const char *text, double *ret_value, const char **ret_rest)
{
    size_t n = strspn(text, "0123456789.");
    double value;
    char *end;

    if (n == 0 || text[0] == '.')
        return -EINVAL;
    value = strtod(text, &end);
    if (end != text + n || !isfinite(value))
        return -EINVAL;
    *ret_value = value;
    *ret_rest = end;
    return 0;
}

int dwb_duration_parse(const char *text, uint64_t *ret_ns)
{
    static const struct {
        const char *suffix;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    const char *rest;
    double value;
    int r = parse_decimal(text, &value, &rest);

    if (r < 0)
        return r;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(rest, units[i].suffix) != 0)
            continue;
        value = round(value * units[i].ns);
        if (value >= 0x1p63)
            return -ERANGE;
        *ret_ns = (uint64_t)value;
        return 0;
    }
    return -EINVAL;
}

int dwb_fraction_parse(const char *text, double *ret_fraction)
{
    const char *rest;
    double value;
    int r = parse_decimal(text, &value, &rest);

    if (r < 0)
        return r;
    if (strcmp(rest, "%") == 0)
        value /= 100;
    else if (rest[0] != '\0')
        return -EINVAL;
    *ret_fraction = value;
    return 0;
}
