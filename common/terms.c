/* Names of the terms. See the header. */

#include "common/terms.h"

#include <errno.h>
#include <stdio.h>
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

static const char *const operation_names[DWB_N_OPERATIONS] = {
    [DWB_OPERATION_STANDARD] = "standard",
    [DWB_OPERATION_DEPTHWISE] = "depthwise",
    [DWB_OPERATION_POINTWISE] = "pointwise",
    [DWB_OPERATION_SEPARABLE] = "separable",
    [DWB_OPERATION_SEPARABLE_FUSED] = "separable_fused",
    [DWB_OPERATION_CANARY] = "canary",
    [DWB_OPERATION_FMA_PEAK] = "fma_peak",
    [DWB_OPERATION_READ] = "read",
    [DWB_OPERATION_TRIAD] = "triad",
};

const char *dwb_operation_name(enum dwb_operation operation)
{
    return (unsigned)operation < DWB_N_OPERATIONS ? operation_names[operation] : NULL;
}

int dwb_operation_from_name(const char *name, enum dwb_operation *ret_operation)
{
    for (size_t i = 0; i < DWB_N_OPERATIONS; i++)
        if (strcmp(name, operation_names[i]) == 0) {
            *ret_operation = (enum dwb_operation)i;
            return 0;
        }
    return -EINVAL;
}
