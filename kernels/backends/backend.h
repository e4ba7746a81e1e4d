#pragma once

/*
 * A peer's library as a backend: the same convolution, data and layout as our kernels, prepared
 * once outside any timing and then run through the same call site. Each backend is a module of its
 * own (dwbench-backend-NAME.so beside the worker), loaded only when it is asked for and after the
 * worker is pinned: neither a library nor its thread pool is in the process of a native
 * measurement.
 *
 * A module stands alone (no symbol of ours) and exports one `const struct dwb_backend
 * dwb_backend_module`.
 */

#include "kernels/kernels.h"

#define DWB_BACKEND_ABI       2
#define DWB_BACKEND_ERROR_MAX 256

struct dwb_backend_conv { /* what to prepare; everything is borrowed until the release */
    enum dwb_kernel_op op;
    struct dwb_conv conv;
    enum dwb_isa isa;     /* AUTO: as the library likes; else it is held to it, or refuses */
    const float *input;   /* readable for DWB_BACKEND_SLACK bytes past its end */
    const float *weights; /* as in kernels.h, unpacked */
    float *output;
};

#define DWB_BACKEND_SLACK 64

struct dwb_backend_ready { /* a prepared convolution */
    void (*run)(struct dwb_backend_ready *ready);
    void (*release)(struct dwb_backend_ready *ready);
    char kernel[48];  /* the library's own name of what runs */
    enum dwb_isa isa; /* what it runs on; AUTO = the library does not say */
};

struct dwb_backend {
    uint32_t abi; /* DWB_BACKEND_ABI */
    const char *name;
    void (*version)(const struct dwb_backend *backend, char *buffer, size_t size);
    /* 0; -ENOTSUP (the library has no such convolution), -ENOMEM, -EIO; -ENOSYS: it makes no claim
     * to have it, and is measured without; with one sentence in error. */
    int (*prepare)(const struct dwb_backend *backend, const struct dwb_backend_conv *request,
                   char error[DWB_BACKEND_ERROR_MAX], struct dwb_backend_ready **ret_ready);
};

/*
 * The module NAME.so in `directory`. 0; -ENOENT (no such module), -ELIBBAD (it cannot be loaded or
 * is not one of ours), with one sentence in error. The module stays loaded until the process ends.
 */
int dwb_backend_load(const char *directory, const char *name, char error[DWB_BACKEND_ERROR_MAX],
                     const struct dwb_backend **ret_backend);
