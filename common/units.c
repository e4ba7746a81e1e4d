/*
 * Names and units of the job options: what a person writes, what the program computes with.
 */

#include "common/spec.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const isa_names[] = {
    [DWB_ISA_AUTO] = "auto",     [DWB_ISA_PORTABLE] = "portable", [DWB_ISA_AVX2] = "avx2",
    [DWB_ISA_AVX512] = "avx512", [DWB_ISA_NEON] = "neon",
};

static const char *const cache_names[] = {[DWB_CACHE_WARM] = "warm", [DWB_CACHE_COLD] = "cold"};

static int find_name(const char *const *names, size_t n_names, const char *name)
{
    for (size_t i = 0; i < n_names; i++) {
        if (strcmp(names[i], name) == 0)
            return (int)i;
    }
    return -EINVAL;
}

const char *dwb_isa_name(enum dwb_isa isa)
{
    return isa_names[isa];
}

int dwb_isa_from_name(const char *name, enum dwb_isa *ret_isa)
{
    int r = find_name(isa_names, sizeof(isa_names) / sizeof(isa_names[0]), name);

    if (r < 0)
        return r;
    *ret_isa = (enum dwb_isa)r;
    return 0;
}

const char *dwb_cache_mode_name(enum dwb_cache_mode mode)
{
    return cache_names[mode];
}

int dwb_cache_mode_from_name(const char *name, enum dwb_cache_mode *ret_mode)
{
    int r = find_name(cache_names, sizeof(cache_names) / sizeof(cache_names[0]), name);

    if (r < 0)
        return r;
    *ret_mode = (enum dwb_cache_mode)r;
    return 0;
}

static const char *const backend_names[DWB_N_BACKENDS] = {"native", "onednn", "xnnpack"};

const char *dwb_backend_name(unsigned bit)
{
    return backend_names[bit];
}

int dwb_backends_from_text(const char *text, uint32_t *ret_mask)
{
    uint32_t mask = 0;

    for (const char *name = text; name;) {
        size_t length = strcspn(name, ",");
        unsigned bit = 0;

        while (bit < DWB_N_BACKENDS && (strlen(backend_names[bit]) != length ||
                                        strncmp(backend_names[bit], name, length) != 0))
            bit++;
        if (bit == DWB_N_BACKENDS || mask & 1u << bit)
            return -EINVAL;
        mask |= 1u << bit;
        name = name[length] == ',' ? name + length + 1 : NULL;
    }
    *ret_mask = mask;
    return 0;
}

void dwb_backends_to_text(uint32_t mask, char buffer[DWB_BACKENDS_TEXT_MAX])
{
    size_t n = 0;

    buffer[0] = '\0';
    for (unsigned bit = 0; bit < DWB_N_BACKENDS; bit++)
        if (mask & 1u << bit)
            n += (size_t)snprintf(buffer + n, DWB_BACKENDS_TEXT_MAX - n, "%s%s", n ? "," : "",
                                  backend_names[bit]);
}

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
