/*
 * The two sides of a comparison on one bench. They have the same inputs, weights, intermediate,
 * outputs and scratch, and the same packed weights where they have the same kernel: what is left
 * between them is the kernels. Each operation is a pair of subjects, called through one function.
 * Which of the two is the first changes from replicate to replicate: where a subject's few words
 * lie was worth 0.7 ns a call, 0.08 % of a small depthwise against itself.
 */

#include "measure/bench_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct pair { /* operations held against each other */
    enum dwb_operation a, b;
};

struct seat { /* who has forms[0] and forms[1] of the bench in this replicate */
    const struct dwb_side *side;
    char letter; /* 'a' or 'b' */
};

static void take_seats(const struct dwb_request *request, struct seat seats[2])
{
    bool swapped = request->replicate % 2;

    seats[swapped] = (struct seat){&request->a, 'a'};
    seats[!swapped] = (struct seat){&request->b, 'b'};
}

static enum dwb_operation operation_of(const struct pair *pair, const struct seat *seat)
{
    return seat->letter == 'a' ? pair->a : pair->b;
}

/* What a side can run at all. */
static uint32_t operations_of(const struct dwb_side *side)
{
    const struct dwb_kernel *kernel;

    switch (side->kind) {
    case DWB_SIDE_NATIVE:
        return (2u << DWB_OPERATION_SEPARABLE_FUSED) - 1;
    case DWB_SIDE_KERNEL:
        kernel = dwb_kernel_by_name(side->name);
        return kernel ? 1u << kernel->op : 0; /* the first operations have their kernels' numbers */
    default:
        return (2u << DWB_OPERATION_SEPARABLE) - 1;
    }
}

static uint32_t stages_of(enum dwb_operation operation)
{
    return operation <= DWB_OPERATION_POINTWISE
               ? 1u << operation
               : 1u << DWB_KERNEL_DEPTHWISE | 1u << DWB_KERNEL_POINTWISE;
}

/* The pairs of a request; returns how many. */
static size_t list_pairs(const struct dwb_request *request,
                         struct pair pairs[DWB_OPERATION_SEPARABLE_FUSED + 1])
{
    uint32_t both = operations_of(&request->a) & operations_of(&request->b) & request->operations;
    size_t n = 0;

    if (request->a.has_form) {
        if (operations_of(&request->a) & 1u << request->a.form &&
            operations_of(&request->b) & 1u << request->b.form)
            pairs[n++] = (struct pair){request->a.form, request->b.form};
        return n;
    }
    for (unsigned k = 0; k <= DWB_OPERATION_SEPARABLE_FUSED; k++)
        if (both & 1u << k)
            pairs[n++] = (struct pair){(enum dwb_operation)k, (enum dwb_operation)k};
    return n;
}

static int force_kernel(struct dwb_bench_forms *forms, const char *name, char *error)
{
    const struct dwb_kernel *kernel = dwb_kernel_by_name(name);
    struct dwb_bench_stage *stage = dwb_bench_stage(forms, kernel->op);

    if ((kernel->cpu_flags & dwb_cpu_flags()) != kernel->cpu_flags) {
        snprintf(error, DWB_BENCH_ERROR_MAX, "this CPU lacks what kernel %s needs", name);
        return -ENOTSUP;
    }
    if (kernel->supports && !kernel->supports(&stage->conv)) {
        snprintf(error, DWB_BENCH_ERROR_MAX, "kernel %s does not take this layer", name);
        return -ENOTSUP;
    }
    stage->kernel = kernel;
    return 0;
}

static enum dwb_isa isa_of(const struct dwb_bench *bench, const struct dwb_side *side)
{
    return side->isa == DWB_ISA_AUTO ? bench->isa : side->isa;
}

/* A library is compared with, and counted by, our kernel for the machine: whatever ISA it takes. */
static int choose_side(struct dwb_bench *bench, struct dwb_bench_forms *forms,
                       const struct dwb_side *side, bool fused, char *error)
{
    enum dwb_isa isa = isa_of(bench, side);
    int r = dwb_bench_choose_forms(bench, forms, isa, error);

    forms->backend = dwb_backend_name(0); /* until a library or plugin takes over */
    if (r == 0 && fused)
        r = dwb_bench_choose_fused(bench, forms, isa, error);
    if (r == 0 && side->kind == DWB_SIDE_KERNEL)
        r = force_kernel(forms, side->name, error);
    return r;
}

static int check_kernel_name(const struct dwb_side *side, char *error)
{
    if (side->kind != DWB_SIDE_KERNEL || dwb_kernel_by_name(side->name))
        return 0;
    snprintf(error, DWB_BENCH_ERROR_MAX,
             "there is no kernel %s here (dwbench-worker --probe lists them)", side->name);
    return -EINVAL;
}

int dwb_bench_choose_sides(struct dwb_bench *bench, const struct dwb_request *request, char *error)
{
    struct pair pairs[DWB_OPERATION_SEPARABLE_FUSED + 1];
    size_t n = list_pairs(request, pairs);
    struct seat seats[2];
    int r = check_kernel_name(&request->a, error);

    if (r == 0)
        r = check_kernel_name(&request->b, error);
    if (r < 0)
        return r;
    if (n == 0) {
        snprintf(error, DWB_BENCH_ERROR_MAX,
                 "the two sides have no operation in common that was asked for");
        return -ENOTSUP;
    }
    for (size_t i = 0; i < n; i++)
        bench->stages |= stages_of(pairs[i].a) | stages_of(pairs[i].b);
    take_seats(request, seats);
    for (unsigned k = 0; r == 0 && k < 2; k++) {
        bool fused = false;

        for (size_t i = 0; i < n; i++)
            fused |= operation_of(&pairs[i], &seats[k]) == DWB_OPERATION_SEPARABLE_FUSED;
        r = choose_side(bench, &bench->forms[k], seats[k].side, fused, error);
    }
    return r;
}

static int prepare_side(struct dwb_bench *bench, const struct dwb_request *request,
                        struct dwb_bench_forms *forms, const struct dwb_side *side, char *error)
{
    const struct dwb_backend *backend;
    int r;

    switch (side->kind) {
    case DWB_SIDE_ONEDNN:
        r = dwb_bench_load_library(dwb_backend_name(1), error, &backend);
        break;
    case DWB_SIDE_XNNPACK:
        r = dwb_bench_load_library(dwb_backend_name(2), error, &backend);
        break;
    case DWB_SIDE_PLUGIN:
        r = dwb_bench_load_plugin(bench, request, side->name, error, &backend);
        break;
    default:
        return 0;
    }
    return r < 0 ? r : dwb_bench_prepare_calls(bench, backend, isa_of(bench, side), forms, error);
}

/* A subject of one side, its task of a pair that is mirrored by itself. */
static void add_side(struct dwb_bench *bench, const struct dwb_bench_forms *forms,
                     const struct seat *seat, enum dwb_operation operation, uint32_t pair,
                     const struct dwb_macs *nominal)
{
    struct dwb_subject *subject = dwb_bench_add_operation(bench, forms, operation, nominal);

    subject->side = seat->letter;
    bench->tasks[bench->n - 1].pair = pair;
    bench->tasks[bench->n - 1].multiple_of = seat->side->extra_every;
    bench->chains[bench->n - 1].extra_every = seat->side->extra_every;
}

static void add_pair(struct dwb_bench *bench, const struct seat seats[2], const struct pair *pair,
                     uint32_t number, const struct dwb_macs *nominal)
{
    for (unsigned k = 0; k < 2; k++)
        if (!dwb_bench_has(&bench->forms[k], operation_of(pair, &seats[k])))
            return;
    for (unsigned k = 0; k < 2; k++)
        add_side(bench, &bench->forms[k], &seats[k], operation_of(pair, &seats[k]), number,
                 nominal);
    if (seats[0].side->extra_every || seats[1].side->extra_every)
        for (size_t i = bench->n - 2; i < bench->n; i++)
            bench->tasks[i].call = dwb_bench_call_planted;
}

int dwb_bench_add_sides(struct dwb_bench *bench, const struct dwb_request *request,
                        const struct dwb_macs *nominal, char *error)
{
    struct pair pairs[DWB_OPERATION_SEPARABLE_FUSED + 1];
    size_t n = list_pairs(request, pairs);
    struct seat seats[2];
    int r;

    take_seats(request, seats);
    r = prepare_side(bench, request, &bench->forms[0], seats[0].side, error);
    dwb_bench_connect_forms(bench, &bench->forms[1]);
    if (r == 0)
        r = prepare_side(bench, request, &bench->forms[1], seats[1].side, error);
    for (size_t i = 0; r == 0 && i < n; i++)
        add_pair(bench, seats, &pairs[i], (uint32_t)i + 1, nominal);
    if (r == 0 && bench->n == 0) {
        snprintf(error, DWB_BENCH_ERROR_MAX,
                 "the two sides have no operation of this layer in common that was asked for");
        r = -ENOTSUP;
    }
    return r;
}
