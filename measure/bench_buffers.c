/*
 * Memory of a bench: how large each buffer is, whence it comes, and what is in it before the first
 * call. Buffers that no stage needs stay empty.
 */

#include "measure/bench_internal.h"

#include <stdio.h>
#include <string.h>

static uint64_t input_bytes(const struct dwb_conv *conv)
{
    return (uint64_t)conv->input_size * conv->input_size * conv->in_channels * sizeof(float);
}

static uint64_t output_bytes(const struct dwb_conv *conv)
{
    return (uint64_t)conv->output_size * conv->output_size * conv->out_channels * sizeof(float);
}

static uint64_t weights_bytes(const struct dwb_bench_stage *stage)
{
    uint64_t taps = (uint64_t)stage->conv.kernel_size * stage->conv.kernel_size;
    uint64_t outputs = stage->op == DWB_KERNEL_DEPTHWISE ? 1 : stage->conv.out_channels;

    return taps * stage->conv.in_channels * outputs * sizeof(float);
}

uint64_t dwb_bench_scratch_bytes(const struct dwb_bench_stage *stage)
{
    return stage->kernel->scratch_bytes ? stage->kernel->scratch_bytes(&stage->conv) : 0;
}

/* The unpacked weights of the standard form are only packed and compared with: large pages under
 * them save most of the time that deep layers take to set up, and reach no timed call. A peer's
 * library may run on them as they are, so with one they are like all other buffers. */
static bool takes_large_pages(const struct dwb_request *request, size_t buffer)
{
    return buffer == DWB_BENCH_WEIGHTS_STANDARD && request->backends == DWB_BACKEND_NATIVE &&
           request->plugins.n == 0 && !request->compares;
}

static int allocate(struct dwb_bench *bench, const struct dwb_request *request,
                    const uint64_t bytes[DWB_BENCH_N_BUFFERS], char *error)
{
    for (size_t i = 0; i < DWB_BENCH_N_BUFFERS; i++) {
        int r = takes_large_pages(request, i) ? dwb_buffer_init_large(&bench->buffers[i], bytes[i])
                                              : dwb_buffer_init(&bench->buffers[i], bytes[i]);

        /* The probes' area is a wish: without it their subjects are left out. */
        if (r < 0 && i != DWB_BENCH_PROBE_AREA) {
            snprintf(error, DWB_BENCH_ERROR_MAX, "no memory for a buffer of %llu bytes: %s",
                     (unsigned long long)bytes[i], strerror(-r));
            return r;
        }
    }
    return 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Weights, packed weights and scratch of the stages that are needed. The second side of a
 * comparison has packed weights of its own only where its kernel is another one. */
static void size_stages(struct dwb_bench *bench, uint64_t bytes[DWB_BENCH_N_BUFFERS])
{
    for (size_t side = 0; side < (bench->compares ? 2 : 1); side++) {
        struct dwb_bench_forms *forms = &bench->forms[side];

        if (forms->fused.separable.depthwise_kernel)
            bytes[DWB_BENCH_SCRATCH] = larger(bytes[DWB_BENCH_SCRATCH],
                                              dwb_separable_scratch_bytes(&forms->fused.separable));
        for (unsigned op = 0; op < 3; op++) {
            const struct dwb_bench_stage *stage = dwb_bench_stage(forms, (enum dwb_kernel_op)op);
            size_t packed = (side ? DWB_BENCH_PACKED_STANDARD_B : DWB_BENCH_PACKED_STANDARD) + op;

            if (!(bench->stages & 1u << op))
                continue;
            bytes[DWB_BENCH_WEIGHTS_STANDARD + op] = weights_bytes(stage);
            if (!side ||
                stage->kernel != dwb_bench_stage(&bench->forms[0], (enum dwb_kernel_op)op)->kernel)
                bytes[packed] = stage->kernel->packed_bytes(&stage->conv);
            bytes[DWB_BENCH_SCRATCH] =
                larger(bytes[DWB_BENCH_SCRATCH], dwb_bench_scratch_bytes(stage));
        }
    }
}

int dwb_bench_allocate(struct dwb_bench *bench, const struct dwb_request *request,
                       const uint64_t probe_sizes[DWB_PROBE_LEVELS], char *error)
{
    uint64_t bytes[DWB_BENCH_N_BUFFERS] = {0}, area = 0;
    const struct dwb_bench_forms *native = &bench->forms[0];

    size_stages(bench, bytes);
    for (size_t i = 0; i < DWB_PROBE_LEVELS; i++)
        area = probe_sizes[i] > area ? probe_sizes[i] : area;
    bytes[DWB_BENCH_INPUT] = input_bytes(&native->standard.conv);
    bytes[DWB_BENCH_INTERMEDIATE] = output_bytes(&native->depthwise.conv);
    bytes[DWB_BENCH_OUTPUT_STANDARD] =
        bench->stages & 1u << DWB_KERNEL_STANDARD ? output_bytes(&native->standard.conv) : 0;
    bytes[DWB_BENCH_OUTPUT_SEPARABLE] = output_bytes(&native->pointwise.conv);
    bytes[DWB_BENCH_CANARY_INPUT] = input_bytes(&bench->canary.conv);
    bytes[DWB_BENCH_CANARY_WEIGHTS] = weights_bytes(&bench->canary);
    bytes[DWB_BENCH_CANARY_PACKED] = bench->canary.kernel->packed_bytes(&bench->canary.conv);
    bytes[DWB_BENCH_CANARY_OUTPUT] = output_bytes(&bench->canary.conv);
    bytes[DWB_BENCH_CANARY_SCRATCH] = dwb_bench_scratch_bytes(&bench->canary);
    bytes[DWB_BENCH_PROBE_AREA] = area ? area + 16384 : 0;
    return allocate(bench, request, bytes, error);
}

void dwb_bench_fill(struct dwb_bench *bench, uint64_t seed)
{
    static const int filled[] = {DWB_BENCH_INPUT, DWB_BENCH_WEIGHTS_STANDARD,
                                 DWB_BENCH_WEIGHTS_DEPTHWISE, DWB_BENCH_WEIGHTS_POINTWISE,
                                 DWB_BENCH_INTERMEDIATE, /* a pointwise may be all there is */
                                 DWB_BENCH_CANARY_INPUT, DWB_BENCH_CANARY_WEIGHTS,
                                 /* some cores save themselves the writing of zeros over zeros */
                                 DWB_BENCH_PROBE_AREA};
    struct dwb_random random;

    for (size_t i = 0; i < sizeof filled / sizeof filled[0]; i++) {
        random = dwb_random_stream(seed, (uint64_t)filled[i]);
        dwb_buffer_fill(&bench->buffers[filled[i]], &random);
    }
}
