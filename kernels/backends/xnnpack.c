/*
 * XNNPACK's NHWC convolution operator, without a thread pool. Its weights are transposed from ours
 * once (ours: [ky][kx][m][n]; XNNPACK's: [n][ky][kx][m], for a depthwise [ky][kx][m] as here); what
 * it does to them further happens inside its own create call. It picks its micro-kernels from the
 * CPU by itself, cannot be held to an ISA and does not say which one runs.
 */

#include "kernels/backends/backend.h"

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

static int prepare(const struct dwb_backend_conv *request, char error[DWB_BACKEND_ERROR_MAX],
                   struct dwb_backend_ready **ret_ready)
{
    const struct dwb_conv *shape = &request->conv;
    float *transposed = NULL;
    enum xnn_status status;
    struct conv *conv;

    status = xnn_initialize(NULL);
    if (status != xnn_status_success)
        return failed(status, "its initialisation", error);
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
    conv->ready.isa = DWB_ISA_AUTO;
    conv->ready.run = conv_run;
    conv->ready.release = conv_release;
    *ret_ready = &conv->ready;
    return 0;
}

/* The library has no version call; Debian's package is a snapshot. */
static void version(char *buffer, size_t size)
{
    snprintf(buffer, size, "unversioned");
}

const struct dwb_backend dwb_backend_module __attribute__((visibility("default"))) = {
    .abi = DWB_BACKEND_ABI,
    .name = "xnnpack",
    .version = version,
    .prepare = prepare,
};
