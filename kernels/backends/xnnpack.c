/*
 * XNNPACK's NHWC convolution operator, without a thread pool. Its weights are transposed from ours
 * once (ours: [ky][kx][m][n]; XNNPACK's: [n][ky][kx][m], for a depthwise [ky][kx][m] as here); what
 * it does to them further happens inside its own create call.
 *
 * It has no control of its own for the ISA and does not say which one runs. It picks its
 * micro-kernels once, in xnn_initialize, by what libcpuinfo's record of the CPU says it can. That
 * record is a variable of the shared library: to hold XNNPACK to AVX2 the AVX-512 features are
 * taken out of it first. (In f32 its AVX2 class is named fma3, after the feature it asks for.)
 */

#include "kernels/backends/backend.h"

#include <cpuinfo.h>
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <xnnpack.h>

_Static_assert(DWB_BACKEND_SLACK >= XNN_EXTRA_BYTES, "inputs have the slack that XNNPACK reads");

struct conv {
    struct dwb_backend_ready ready; /* first: released through its address */
    xnn_operator_t operator;
};

static void conv_release(struct dwb_backend_ready *ready)
{
    struct conv *conv = (struct conv *)ready;

    if (conv && conv->operator)
        xnn_delete_operator(conv->operator);
    free(conv);
}

static void conv_run(struct dwb_backend_ready *ready)
{
    xnn_run_operator(((struct conv *)ready)->operator, NULL);
}

static int failed(enum xnn_status status, const char *what, char *error)
{
    snprintf(error, DWB_BACKEND_ERROR_MAX, "XNNPACK: %s failed with status %d", what, (int)status);
    return status == xnn_status_out_of_memory          ? -ENOMEM
           : status == xnn_status_unsupported_hardware ? -ENOTSUP
                                                       : -EIO;
}

/* Whether libcpuinfo's record is the one that XNNPACK reads: a library with a copy of libcpuinfo
 * inside does not depend on the shared one. */
static bool record_is_shared(void)
{
    Dl_info library;
    void *handle = NULL;
    bool shared;

    if (dladdr((void *)(uintptr_t)xnn_initialize, &library) != 0)
        handle = dlopen(library.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (!handle)
        return false;
    shared = dlsym(handle, "cpuinfo_isa") == (void *)&cpuinfo_isa;
    dlclose(handle);
    return shared;
}

#if CPUINFO_ARCH_X86_64
static const char isas[] = "avx2 or avx512";

/* Leaves the features of the ISA in the record. false: not an ISA that XNNPACK can be held to, or
 * not one of this CPU. */
static bool limit_record(enum dwb_isa isa)
{
    if (isa == DWB_ISA_AVX512)
        return cpuinfo_isa.avx512f;
    if (isa != DWB_ISA_AVX2 || !cpuinfo_isa.avx2 || !cpuinfo_isa.fma3)
        return false;
    cpuinfo_isa.avx512f = cpuinfo_isa.avx512pf = cpuinfo_isa.avx512er = false;
    cpuinfo_isa.avx512cd = cpuinfo_isa.avx512dq = cpuinfo_isa.avx512bw = false;
    cpuinfo_isa.avx512vl = cpuinfo_isa.avx512ifma = cpuinfo_isa.avx512vbmi = false;
    cpuinfo_isa.avx512vbmi2 = cpuinfo_isa.avx512bitalg = cpuinfo_isa.avx512vpopcntdq = false;
    cpuinfo_isa.avx512vnni = cpuinfo_isa.avx512bf16 = cpuinfo_isa.avx512vp2intersect = false;
    cpuinfo_isa.avx512_4vnniw = cpuinfo_isa.avx512_4fmaps = false;
    return true;
}
#else
static const char isas[] = "neon";

/* All f32 micro-kernels of AArch64 are NEON. */
static bool limit_record(enum dwb_isa isa)
{
    return isa == DWB_ISA_NEON;
}
#endif

static int hold_to(enum dwb_isa isa, char *error)
{
    if (!cpuinfo_initialize()) {
        snprintf(error, DWB_BACKEND_ERROR_MAX, "XNNPACK: libcpuinfo does not know this CPU");
        return -EIO;
    }
    if (!record_is_shared()) {
        snprintf(error, DWB_BACKEND_ERROR_MAX,
                 "this XNNPACK cannot be held to an ISA: it does not use the shared libcpuinfo");
        return -ENOTSUP;
    }
    if (!limit_record(isa)) {
        snprintf(error, DWB_BACKEND_ERROR_MAX,
                 "XNNPACK can be held to %s only, where the CPU has it", isas);
        return -ENOTSUP;
    }
    return 0;
}

/* The micro-kernels are picked once in a process, for the first request's ISA. */
static int initialise(enum dwb_isa isa, char *error, enum dwb_isa *ret_held)
{
    static bool initialised;
    static enum dwb_isa held = DWB_ISA_AUTO;
    int r = 0;

    if (initialised && isa != DWB_ISA_AUTO && isa != held) {
        snprintf(error, DWB_BACKEND_ERROR_MAX,
                 "XNNPACK has picked its kernels already, for another ISA");
        return -EIO;
    }
    if (!initialised && isa != DWB_ISA_AUTO)
        r = hold_to(isa, error);
    if (!initialised && r == 0) {
        enum xnn_status status = xnn_initialize(NULL);

        if (status != xnn_status_success)
            return failed(status, "its initialisation", error);
        initialised = true;
        held = isa;
    }
    if (r == 0)
        *ret_held = held;
    return r;
}

static float *transpose(const struct dwb_conv *conv, const float *weights)
{
    const size_t m_count = conv->in_channels, n_count = conv->out_channels;
    const size_t steps = (size_t)conv->kernel_size * conv->kernel_size * m_count;
    float *transposed = malloc(steps * n_count * sizeof(float));

    for (size_t step = 0; transposed && step < steps; step++)
        for (size_t n = 0; n < n_count; n++)
            transposed[n * steps + step] = weights[step * n_count + n];
    return transposed;
}

static enum xnn_status create(const struct dwb_backend_conv *request, const float *weights,
                              xnn_operator_t *ret_operator)
{
    const struct dwb_conv *conv = &request->conv;
    const bool depthwise = request->op == DWB_KERNEL_DEPTHWISE;
    const uint32_t before = conv->pad_before;
    const uint32_t covered = (conv->output_size - 1) * conv->stride + conv->kernel_size;
    const uint32_t after =
        covered > before + conv->input_size ? covered - before - conv->input_size : 0;

    return xnn_create_convolution2d_nhwc_f32(
        before, after, after, before, conv->kernel_size, conv->kernel_size, conv->stride,
        conv->stride, 1, 1, depthwise ? conv->in_channels : 1, depthwise ? 1 : conv->in_channels,
        depthwise ? 1 : conv->out_channels, conv->in_channels, conv->out_channels, weights, NULL,
        -INFINITY, INFINITY, depthwise ? XNN_FLAG_DEPTHWISE_CONVOLUTION : 0, ret_operator);
}

static int prepare(const struct dwb_backend *backend, const struct dwb_backend_conv *request,
                   char error[DWB_BACKEND_ERROR_MAX], struct dwb_backend_ready **ret_ready)
{
    const struct dwb_conv *shape = &request->conv;
    float *transposed = NULL;
    enum xnn_status status;
    enum dwb_isa held;
    struct conv *conv;
    int r = initialise(request->isa, error, &held);

    if (r < 0)
        return r;
    conv = calloc(1, sizeof(*conv));
    if (conv && request->op != DWB_KERNEL_DEPTHWISE)
        transposed = transpose(shape, request->weights);
    if (!conv || (request->op != DWB_KERNEL_DEPTHWISE && !transposed)) {
        free(conv);
        return -ENOMEM;
    }
    status = create(request, transposed ? transposed : request->weights, &conv->operator);
    free(transposed);
    if (status == xnn_status_success)
        status = xnn_setup_convolution2d_nhwc_f32(conv->operator, 1, shape->input_size,
                                                  shape->input_size, request->input,
                                                  request->output, NULL);
    if (status != xnn_status_success) {
        conv_release(&conv->ready);
        return failed(status, "preparing the convolution", error);
    }
    snprintf(conv->ready.kernel, sizeof(conv->ready.kernel), "convolution2d_nhwc_f32");
    conv->ready.isa = held;
    conv->ready.run = conv_run;
    conv->ready.release = conv_release;
    *ret_ready = &conv->ready;
    return 0;
}

/* The library has no version call; Debian's package is a snapshot. */
static void version(const struct dwb_backend *backend, char *buffer, size_t size)
{
    snprintf(buffer, size, "unversioned");
}

const struct dwb_backend dwb_backend_module __attribute__((visibility("default"))) = {
    .abi = DWB_BACKEND_ABI,
    .name = "xnnpack",
    .version = version,
    .prepare = prepare,
};
