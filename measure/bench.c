/*
 * The workbench. See the header.
 *
 * All convolutions run through one function, run_chain: a standard layer is a chain of one stage, a
 * separable one of two through memory or, fused, of two in one loop nest. So all sides of the ratio
 * have the same call depth, the same loop and the same kind of arguments, and nothing but the
 * kernels differs.
 *
 * Inputs and weights are normal numbers between 2^-10 and 1 in size, from the request's seed; they
 * are the same in every replicate, while the verified positions differ from one to the next.
 */

#include "measure/bench_internal.h"

#include "common/cleanup.h"
#include "common/theory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CANARY_INPUT_SIZE 8
#define CANARY_CHANNELS   16
#define VERIFY_STREAM     UINT64_C(0x766572696679)
#define RATIO_PAIR        1

static const enum dwb_isa all_isas[] = {DWB_ISA_PORTABLE, DWB_ISA_AVX2, DWB_ISA_AVX512,
                                        DWB_ISA_NEON};

void dwb_bench_isas_text(uint32_t flags, char *buffer, size_t size)
{
    size_t n = 0;

    buffer[0] = '\0';
    for (size_t i = 0; i < sizeof all_isas / sizeof all_isas[0]; i++)
        if (dwb_cpu_allows(flags, all_isas[i]) && n < size)
            n += (size_t)snprintf(buffer + n, size - n, "%s%s", n ? ", " : "",
                                  dwb_isa_name(all_isas[i]));
}

static void run_chain(void *context)
{
    const struct dwb_bench_chain *chain = context;

    if (chain->fused) {
        dwb_separable_run(&chain->fused->separable, &chain->fused->args);
        return;
    }
    for (size_t i = 0; i < chain->n; i++) {
        const struct dwb_bench_stage *stage = chain->stages[i];

        if (stage->ready)
            stage->ready->run(stage->ready);
        else
            stage->kernel->run(&stage->args);
    }
}

void dwb_bench_call_planted(void *context)
{
    struct dwb_bench_chain *chain = context;

    run_chain(chain);
    if (chain->extra_every && ++chain->n_since == chain->extra_every) {
        chain->n_since = 0;
        run_chain(chain);
    }
}

int dwb_bench_choose(struct dwb_bench_stage *stage, const struct dwb_layer *layer, enum dwb_isa isa,
                     enum dwb_kernel_op op, const char *what, char *error)
{
    uint32_t flags = dwb_cpu_flags();
    char isas[64];

    stage->op = op;
    dwb_conv_of_layer(layer, op, &stage->conv);
    stage->kernel = dwb_kernel_select(flags, isa, op, &stage->conv);
    if (stage->kernel)
        return 0;
    dwb_bench_isas_text(flags, isas, sizeof isas);
    if (!dwb_cpu_allows(flags, isa))
        snprintf(error, DWB_BENCH_ERROR_MAX,
                 "isa %s was asked for, and this CPU or its operating system lacks it (there are: "
                 "%s)",
                 dwb_isa_name(isa), isas);
    else
        snprintf(error, DWB_BENCH_ERROR_MAX, "no %s kernel of isa %s takes this layer", what,
                 dwb_isa_name(isa));
    return -ENOTSUP;
}

struct dwb_bench_stage *dwb_bench_stage(struct dwb_bench_forms *forms, enum dwb_kernel_op op)
{
    return op == DWB_KERNEL_STANDARD    ? &forms->standard
           : op == DWB_KERNEL_DEPTHWISE ? &forms->depthwise
                                        : &forms->pointwise;
}

static void connect(struct dwb_bench *bench, struct dwb_bench_stage *stage, int input, int weights,
                    int packed, int output, int scratch)
{
    struct dwb_buffer *buffers = bench->buffers;

    stage->weights = buffers[weights].data;
    stage->args = (struct dwb_kernel_args){
        .conv = &stage->conv,
        .input = buffers[input].data,
        .packed = buffers[packed].data,
        .output = buffers[output].data,
        .scratch = dwb_bench_scratch_bytes(stage) ? buffers[scratch].data : NULL,
    };
    stage->kernel->pack(&stage->conv, stage->weights, buffers[packed].data);
}

struct dwb_subject *dwb_bench_add_subject(struct dwb_bench *bench, enum dwb_operation operation,
                                          enum dwb_isa isa, dwb_call_fn *call, void *context)
{
    struct dwb_subject *subject = &bench->subjects[bench->n];
    struct dwb_task *task = &bench->tasks[bench->n];

    *task = (struct dwb_task){.call = call, .context = context, .window_ns = DWB_SAMPLE_WINDOW_NS};
    subject->operation = operation;
    if (isa != DWB_ISA_AUTO)
        snprintf(subject->isa, sizeof subject->isa, "%s", dwb_isa_name(isa));
    bench->n++;
    return subject;
}

static const char *stage_kernel(const struct dwb_bench_stage *stage)
{
    return stage->ready ? stage->ready->kernel : stage->kernel->name;
}

static const char *stage_algorithm(const struct dwb_bench_stage *stage)
{
    return stage->ready ? "library" : stage->kernel->algorithm;
}

/* AUTO = the library does not say. */
enum dwb_isa dwb_bench_stage_isa(const struct dwb_bench_stage *stage)
{
    return stage->ready ? stage->ready->isa : stage->kernel->isa;
}

/* A subject of one or two stages. What a library multiplies on padding cannot be seen from here:
 * its executed count is ours, so that its rate is one of useful work. */
static struct dwb_subject *add_chain(struct dwb_bench *bench, enum dwb_operation operation,
                                     const char *backend, const struct dwb_bench_stage *first,
                                     const struct dwb_bench_stage *second, uint64_t macs_nominal)
{
    struct dwb_bench_chain *chain = &bench->chains[bench->n];
    struct dwb_subject *subject;

    *chain = (struct dwb_bench_chain){.stages = {first, second}, .n = second ? 2 : 1};
    subject = dwb_bench_add_subject(bench, operation, dwb_bench_stage_isa(first), run_chain, chain);
    snprintf(subject->backend, sizeof subject->backend, "%s", backend);
    snprintf(subject->kernel, sizeof subject->kernel, "%s%s%s", stage_kernel(first),
             second ? " + " : "", second ? stage_kernel(second) : "");
    if (second && strcmp(stage_algorithm(first), stage_algorithm(second)) != 0)
        snprintf(subject->algorithm, sizeof subject->algorithm, "%s + %s", stage_algorithm(first),
                 stage_algorithm(second));
    else
        snprintf(subject->algorithm, sizeof subject->algorithm, "%s", stage_algorithm(first));
    subject->macs_nominal = macs_nominal;
    for (size_t i = 0; i < chain->n; i++)
        subject->macs_executed +=
            dwb_kernel_macs_executed(chain->stages[i]->kernel, &chain->stages[i]->conv);
    if (operation == DWB_OPERATION_STANDARD || operation == DWB_OPERATION_SEPARABLE)
        bench->tasks[bench->n - 1].pair = RATIO_PAIR;
    return subject;
}

/* Our stages once more, in one loop nest, with the output where theirs is: in a buffer of its own,
 * colder and in other pages, the same loops took some per cent longer. */
static struct dwb_subject *add_fused(struct dwb_bench *bench, const struct dwb_bench_forms *native,
                                     uint64_t macs_nominal)
{
    size_t i = bench->n;
    struct dwb_subject *subject = add_chain(bench, DWB_OPERATION_SEPARABLE_FUSED, native->backend,
                                            &native->depthwise, &native->pointwise, macs_nominal);

    bench->chains[i].fused = &native->fused;
    bench->tasks[i].pair = RATIO_PAIR;
    snprintf(subject->algorithm, sizeof subject->algorithm, "fused");
    return subject;
}

bool dwb_bench_has(const struct dwb_bench_forms *forms, enum dwb_operation operation)
{
    bool parts = !forms->depthwise.absent && !forms->pointwise.absent;

    switch (operation) {
    case DWB_OPERATION_STANDARD:
        return !forms->standard.absent;
    case DWB_OPERATION_DEPTHWISE:
        return !forms->depthwise.absent;
    case DWB_OPERATION_POINTWISE:
        return !forms->pointwise.absent;
    case DWB_OPERATION_SEPARABLE:
        return parts;
    default: /* ours only: a library's calls are stages */
        return parts && !forms->depthwise.ready && forms->fused.separable.depthwise_kernel;
    }
}

struct dwb_subject *dwb_bench_add_operation(struct dwb_bench *bench,
                                            const struct dwb_bench_forms *forms,
                                            enum dwb_operation operation,
                                            const struct dwb_macs *nominal)
{
    switch (operation) {
    case DWB_OPERATION_STANDARD:
        return add_chain(bench, operation, forms->backend, &forms->standard, NULL,
                         nominal->standard);
    case DWB_OPERATION_DEPTHWISE:
        return add_chain(bench, operation, forms->backend, &forms->depthwise, NULL,
                         nominal->depthwise);
    case DWB_OPERATION_POINTWISE:
        return add_chain(bench, operation, forms->backend, &forms->pointwise, NULL,
                         nominal->pointwise);
    case DWB_OPERATION_SEPARABLE:
        return add_chain(bench, operation, forms->backend, &forms->depthwise, &forms->pointwise,
                         nominal->separable);
    default:
        return add_fused(bench, forms, nominal->separable);
    }
}

static const struct {
    int input, weights, packed, output;
} operands[] = {
    [DWB_KERNEL_STANDARD] = {DWB_BENCH_INPUT, DWB_BENCH_WEIGHTS_STANDARD, DWB_BENCH_PACKED_STANDARD,
                             DWB_BENCH_OUTPUT_STANDARD},
    [DWB_KERNEL_DEPTHWISE] = {DWB_BENCH_INPUT, DWB_BENCH_WEIGHTS_DEPTHWISE,
                              DWB_BENCH_PACKED_DEPTHWISE, DWB_BENCH_INTERMEDIATE},
    [DWB_KERNEL_POINTWISE] = {DWB_BENCH_INTERMEDIATE, DWB_BENCH_WEIGHTS_POINTWISE,
                              DWB_BENCH_PACKED_POINTWISE, DWB_BENCH_OUTPUT_SEPARABLE},
};

void dwb_bench_connect_forms(struct dwb_bench *bench, struct dwb_bench_forms *forms)
{
    const struct dwb_buffer *buffers = bench->buffers;
    int own =
        forms == &bench->forms[0] ? 0 : DWB_BENCH_PACKED_STANDARD_B - DWB_BENCH_PACKED_STANDARD;

    for (unsigned op = 0; op < 3; op++) {
        struct dwb_bench_stage *stage = dwb_bench_stage(forms, (enum dwb_kernel_op)op);
        int packed = operands[op].packed + own;

        if (!(bench->stages & 1u << op))
            continue;
        if (own && !buffers[packed].data) { /* the first side has the same kernel, packed already */
            const struct dwb_bench_stage *first =
                dwb_bench_stage(&bench->forms[0], (enum dwb_kernel_op)op);

            stage->weights = first->weights;
            stage->args = first->args;
            stage->args.conv = &stage->conv;
            continue;
        }
        connect(bench, stage, operands[op].input, operands[op].weights, packed, operands[op].output,
                DWB_BENCH_SCRATCH);
    }
    forms->fused.args = (struct dwb_separable_args){
        .input = buffers[DWB_BENCH_INPUT].data,
        .packed_depthwise = forms->depthwise.args.packed,
        .packed_pointwise = forms->pointwise.args.packed,
        .output = buffers[DWB_BENCH_OUTPUT_SEPARABLE].data,
        .scratch = buffers[DWB_BENCH_SCRATCH].data,
    };
}

/* A backend's subjects: of the operations that it has. */
static void add_forms(struct dwb_bench *bench, const struct dwb_bench_forms *forms,
                      const struct dwb_macs *nominal)
{
    for (unsigned k = 0; k <= DWB_OPERATION_SEPARABLE_FUSED; k++)
        if (dwb_bench_has(forms, (enum dwb_operation)k))
            dwb_bench_add_operation(bench, forms, (enum dwb_operation)k, nominal);
}

int dwb_bench_choose_forms(struct dwb_bench *bench, struct dwb_bench_forms *forms, enum dwb_isa isa,
                           char *error)
{
    static const char *const names[] = {"standard", "depthwise", "pointwise"};
    int r = 0;

    for (unsigned op = 0; r == 0 && op < 3; op++) {
        struct dwb_bench_stage *stage = dwb_bench_stage(forms, (enum dwb_kernel_op)op);

        dwb_conv_of_layer(&bench->layer, (enum dwb_kernel_op)op, &stage->conv); /* sizes need it */
        if (bench->stages & 1u << op)
            r = dwb_bench_choose(stage, &bench->layer, isa, (enum dwb_kernel_op)op, names[op],
                                 error);
    }
    return r;
}

int dwb_bench_choose_fused(const struct dwb_bench *bench, struct dwb_bench_forms *forms,
                           enum dwb_isa isa, char *error)
{
    if (dwb_separable_select(dwb_cpu_flags(), isa, &bench->layer, &forms->fused.separable))
        return 0;
    snprintf(error, DWB_BENCH_ERROR_MAX, "no fused separable form of isa %s takes this layer",
             dwb_isa_name(isa));
    return -ENOTSUP;
}

/* Ours, and the peers that are asked for, each with all its operations. */
static int choose_ratio(struct dwb_bench *bench, char *error)
{
    struct dwb_bench_forms *native = &bench->forms[0];
    int r;

    native->backend = dwb_backend_name(0);
    bench->stages =
        1u << DWB_KERNEL_STANDARD | 1u << DWB_KERNEL_DEPTHWISE | 1u << DWB_KERNEL_POINTWISE;
    r = dwb_bench_choose_forms(bench, native, bench->isa, error);
    return r < 0 ? r : dwb_bench_choose_fused(bench, native, bench->isa, error);
}

static int add_ratio(struct dwb_bench *bench, const struct dwb_request *request,
                     const struct dwb_macs *nominal, char *error)
{
    int r = dwb_bench_prepare_peers(bench, request, error);

    for (unsigned bit = 0; r == 0 && bit < DWB_N_BACKENDS; bit++)
        if (request->backends & 1u << bit)
            add_forms(bench, &bench->forms[bit], nominal);
    for (uint32_t i = 0; r == 0 && i < bench->n_plugins; i++)
        add_forms(bench, &bench->plugins[i], nominal);
    return r;
}

static const struct dwb_layer canary_layer = {
    .name = "canary",
    .kernel_size = 3,
    .input_size = CANARY_INPUT_SIZE,
    .in_channels = CANARY_CHANNELS,
    .out_channels = CANARY_CHANNELS,
    .stride = 1,
    .padding = DWB_PADDING_SAME,
    .repeat = 1,
};

static int build(struct dwb_bench *bench, const struct dwb_request *request, uint32_t cpu,
                 char *error)
{
    struct dwb_theory theory, canary_theory;
    int r;

    r = dwb_theory_of(&bench->layer, &theory);
    if (r == 0)
        r = dwb_theory_of(&canary_layer, &canary_theory);
    if (r < 0) {
        snprintf(error, DWB_BENCH_ERROR_MAX, "the layer's multiply-adds cannot be counted: %s",
                 strerror(-r));
        return r;
    }
    bench->nominal = theory.nominal;
    bench->canary_nominal = canary_theory.nominal;
    r = bench->compares ? dwb_bench_choose_sides(bench, request, error)
                        : choose_ratio(bench, error);
    if (r == 0)
        r = dwb_bench_choose(&bench->canary, &canary_layer, bench->isa, DWB_KERNEL_STANDARD,
                             "canary", error);
    if (r < 0)
        return r;
    dwb_bench_probe_sizes(request, cpu, bench->probe_sizes);
    r = dwb_bench_allocate(bench, request, bench->probe_sizes, error);
    if (r < 0)
        return r;
    dwb_bench_fill(bench, request->seed);
    dwb_bench_connect_forms(bench, &bench->forms[0]);
    connect(bench, &bench->canary, DWB_BENCH_CANARY_INPUT, DWB_BENCH_CANARY_WEIGHTS,
            DWB_BENCH_CANARY_PACKED, DWB_BENCH_CANARY_OUTPUT, DWB_BENCH_CANARY_SCRATCH);
    return 0;
}

int dwb_bench_load(struct dwb_bench *bench, const struct dwb_request *request,
                   char error[DWB_BENCH_ERROR_MAX])
{
    int r = bench->compares ? dwb_bench_add_sides(bench, request, &bench->nominal, error)
                            : add_ratio(bench, request, &bench->nominal, error);

    if (r < 0)
        return r;
    add_chain(bench, DWB_OPERATION_CANARY, "", &bench->canary, NULL,
              bench->canary_nominal.standard);
    dwb_bench_add_probes(bench, bench->probe_sizes);
    for (size_t i = 0; bench->compares && i < bench->n; i++)
        if (!bench->tasks[i].pair)
            bench->tasks[i].window_ns = DWB_SAMPLE_WINDOW_NS / 4;
    return 0;
}

int dwb_bench_new(const struct dwb_request *request, uint32_t cpu, char error[DWB_BENCH_ERROR_MAX],
                  struct dwb_bench **ret_bench)
{
    DWB_CLEANUP(dwb_bench_freep) struct dwb_bench *bench = calloc(1, sizeof *bench);
    int r;

    if (!bench) {
        snprintf(error, DWB_BENCH_ERROR_MAX, "out of memory");
        return -ENOMEM;
    }
    bench->layer = request->layer;
    bench->isa = request->isa;
    bench->compares = request->compares;
    bench->positions = dwb_random_stream(request->seed, VERIFY_STREAM + request->replicate);
    r = build(bench, request, cpu, error);
    if (r == 0)
        *ret_bench = dwb_steal(bench);
    return r;
}

void dwb_bench_free(struct dwb_bench *bench)
{
    if (!bench)
        return;
    for (size_t i = 0; i < DWB_N_BACKENDS; i++)
        dwb_bench_release(&bench->forms[i]);
    for (size_t i = 0; i < bench->n_plugins; i++)
        dwb_bench_release(&bench->plugins[i]);
    for (size_t i = 0; i < DWB_BENCH_N_BUFFERS; i++)
        dwb_buffer_deinit(&bench->buffers[i]);
    free(bench);
}

uint64_t dwb_bench_mismatches(const struct dwb_bench *bench)
{
    uint64_t n = 0;

    for (size_t i = 0; i < bench->n; i++)
        n += bench->subjects[i].mismatched;
    return n;
}

void dwb_bench_flush(void *userdata)
{
    struct dwb_bench *bench = userdata;

    for (size_t i = 0; i < DWB_BENCH_N_BUFFERS; i++)
        if (i != DWB_BENCH_PROBE_AREA && bench->buffers[i].data)
            dwb_cache_flush(bench->buffers[i].data, bench->buffers[i].bytes);
}
