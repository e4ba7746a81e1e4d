/*
 * oneDNN (its C API, version 2): forward inference, source and destination NHWC as everybody else's
 * here, weights in whatever layout the library asks for, reordered once. It is held to an ISA
 * through its own control, which must come before its first primitive and holds for the process.
 */

#include "kernels/backends/backend.h"

#include <errno.h>
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct conv {
    struct dwb_backend_ready ready; /* first: released through its address */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_memory_t source, weights, destination;
};

static void conv_release(struct dwb_backend_ready *ready)
{
    struct conv *conv = (struct conv *)ready;

    if (!conv)
        return;
    dnnl_primitive_destroy(conv->primitive);
    dnnl_memory_destroy(conv->source);
    dnnl_memory_destroy(conv->weights);
    dnnl_memory_destroy(conv->destination);
    dnnl_stream_destroy(conv->stream);
    dnnl_engine_destroy(conv->engine);
    free(conv);
}

static void conv_releasep(struct conv **conv)
{
    conv_release((struct dwb_backend_ready *)*conv);
}

static void conv_run(struct dwb_backend_ready *ready)
{
    struct conv *conv = (struct conv *)ready;
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, conv->source},
                                         {DNNL_ARG_WEIGHTS, conv->weights},
                                         {DNNL_ARG_DST, conv->destination}};

    dnnl_primitive_execute(conv->primitive, conv->stream, 3, arguments);
}

static int failed(dnnl_status_t status, const char *what, char *error)
{
    snprintf(error, DWB_BACKEND_ERROR_MAX, "oneDNN: %s failed: %s", what, dnnl_status2str(status));
    return status == dnnl_unimplemented ? -ENOTSUP : status == dnnl_out_of_memory ? -ENOMEM : -EIO;
}

/* dnnl_runtime_error: an earlier call settled it already; then it must have been the same. */
static int hold_to(enum dwb_isa isa, char *error)
{
    static enum dwb_isa held = DWB_ISA_AUTO;
    dnnl_status_t status;

    if (isa == DWB_ISA_AUTO || isa == held)
        return 0;
    if (isa != DWB_ISA_AVX2 && isa != DWB_ISA_AVX512) {
        snprintf(error, DWB_BACKEND_ERROR_MAX, "oneDNN can be held to avx2 or avx512 only");
        return -ENOTSUP;
    }
    status =
        dnnl_set_max_cpu_isa(isa == DWB_ISA_AVX2 ? dnnl_cpu_isa_avx2 : dnnl_cpu_isa_avx512_core);
    if (status != dnnl_success)
        return failed(status, "the choice of the ISA", error);
    held = isa;
    return 0;
}

/* Descriptors of the operands: source, user's weights, the library's weights, destination. */
static dnnl_status_t describe(const struct dwb_backend_conv *request,
                              dnnl_memory_desc_t descriptors[4])
{
    const struct dwb_conv *conv = &request->conv;
    const bool depthwise = request->op == DWB_KERNEL_DEPTHWISE;
    const int64_t k = conv->kernel_size, m = conv->in_channels, n = conv->out_channels;
    const dnnl_dims_t source = {1, m, conv->input_size, conv->input_size};
    const dnnl_dims_t destination = {1, n, conv->output_size, conv->output_size};
    const dnnl_dims_t plain = {n, m, k, k}, grouped = {m, 1, 1, k, k};
    const int64_t *dims = depthwise ? grouped : plain;
    const int n_dims = depthwise ? 5 : 4;
    dnnl_status_t status;

    status = dnnl_memory_desc_init_by_tag(&descriptors[0], 4, source, dnnl_f32, dnnl_nhwc);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&descriptors[1], n_dims, dims, dnnl_f32,
                                              depthwise ? dnnl_hwigo : dnnl_hwio);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&descriptors[2], n_dims, dims, dnnl_f32,
                                              dnnl_format_tag_any);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&descriptors[3], 4, destination, dnnl_f32, dnnl_nhwc);
    return status;
}

static dnnl_status_t choose(const struct dwb_backend_conv *request, struct conv *conv,
                            const dnnl_memory_desc_t descriptors[4],
                            dnnl_primitive_desc_t *ret_choice)
{
    const struct dwb_conv *shape = &request->conv;
    const int64_t before = shape->pad_before;
    const int64_t covered = (int64_t)(shape->output_size - 1) * shape->stride + shape->kernel_size;
    const int64_t after = covered - before - shape->input_size; /* negative: input left unread */
    const dnnl_dims_t strides = {shape->stride, shape->stride};
    const dnnl_dims_t padding_before = {before, before}, padding_after = {after, after};
    dnnl_convolution_desc_t description;
    dnnl_status_t status;

    status = dnnl_convolution_forward_desc_init(
        &description, dnnl_forward_inference, dnnl_convolution_direct, &descriptors[0],
        &descriptors[2], NULL, &descriptors[3], strides, padding_before, padding_after);
    if (status != dnnl_success)
        return status;
    return dnnl_primitive_desc_create(ret_choice, &description, NULL, conv->engine, NULL);
}

static dnnl_status_t reorder_weights(const struct dwb_backend_conv *request, struct conv *conv,
                                     const dnnl_memory_desc_t *plain)
{
    dnnl_primitive_desc_t description = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_memory_t from = NULL;
    const dnnl_memory_desc_t *packed;
    dnnl_status_t status = dnnl_memory_get_memory_desc(conv->weights, &packed);

    if (status == dnnl_success)
        status = dnnl_memory_create(&from, plain, conv->engine, (void *)request->weights);
    if (status == dnnl_success)
        status = dnnl_reorder_primitive_desc_create(&description, plain, conv->engine, packed,
                                                    conv->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&reorder, description);
    if (status == dnnl_success) {
        const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, conv->weights}};

        status = dnnl_primitive_execute(reorder, conv->stream, 2, arguments);
    }
    if (status == dnnl_success)
        status = dnnl_stream_wait(conv->stream);
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(description);
    dnnl_memory_destroy(from);
    return status;
}

static dnnl_status_t build(const struct dwb_backend_conv *request, struct conv *conv,
                           dnnl_primitive_desc_t *choice)
{
    dnnl_memory_desc_t descriptors[4];
    const dnnl_memory_desc_t *packed;
    dnnl_status_t status = dnnl_engine_create(&conv->engine, dnnl_cpu, 0);

    if (status == dnnl_success)
        status = dnnl_stream_create(&conv->stream, conv->engine, dnnl_stream_default_flags);
    if (status == dnnl_success)
        status = describe(request, descriptors);
    if (status == dnnl_success)
        status = choose(request, conv, descriptors, choice);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&conv->primitive, *choice);
    if (status == dnnl_success)
        status = dnnl_memory_create(&conv->source, &descriptors[0], conv->engine,
                                    (void *)request->input);
    if (status == dnnl_success)
        status =
            dnnl_memory_create(&conv->destination, &descriptors[3], conv->engine, request->output);
    if (status != dnnl_success)
        return status;
    packed = dnnl_primitive_desc_query_md(*choice, dnnl_query_weights_md, 0);
    status = dnnl_memory_create(&conv->weights, packed, conv->engine, DNNL_MEMORY_ALLOCATE);
    return status == dnnl_success ? reorder_weights(request, conv, &descriptors[1]) : status;
}

static int prepare(const struct dwb_backend *backend, const struct dwb_backend_conv *request,
                   char error[DWB_BACKEND_ERROR_MAX], struct dwb_backend_ready **ret_ready)
{
    __attribute__((cleanup(conv_releasep))) struct conv *conv = NULL;
    dnnl_primitive_desc_t choice = NULL;
    const char *name = NULL;
    dnnl_status_t status;
    int r = hold_to(request->isa, error);

    if (r < 0)
        return r;
    conv = calloc(1, sizeof(*conv));
    if (!conv)
        return -ENOMEM;
    status = build(request, conv, &choice);
    if (status == dnnl_success)
        dnnl_primitive_desc_query(choice, dnnl_query_impl_info_str, 0, &name);
    if (status == dnnl_success && name)
        snprintf(conv->ready.kernel, sizeof(conv->ready.kernel), "%s", name);
    dnnl_primitive_desc_destroy(choice);
    if (status != dnnl_success)
        return failed(status, "preparing the convolution", error);
    name = conv->ready.kernel;
    conv->ready.isa = strstr(name, "avx512") ? DWB_ISA_AVX512
                      : strstr(name, "avx2") ? DWB_ISA_AVX2
                                             : DWB_ISA_AUTO;
    conv->ready.run = conv_run;
    conv->ready.release = conv_release;
    *ret_ready = &conv->ready;
    conv = NULL;
    return 0;
}

static void version(const struct dwb_backend *backend, char *buffer, size_t size)
{
    const dnnl_version_t *value = dnnl_version();

    snprintf(buffer, size, "%d.%d.%d", value->major, value->minor, value->patch);
}

const struct dwb_backend dwb_backend_module __attribute__((visibility("default"))) = {
    .abi = DWB_BACKEND_ABI,
    .name = "onednn",
    .version = version,
    .prepare = prepare,
};
