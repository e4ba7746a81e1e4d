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

#include "measure/bench.h"

#include "common/cleanup.h"
#include "common/theory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CANARY_INPUT_SIZE 8
#define CANARY_CHANNELS   16
#define VERIFY_STREAM     UINT64_C(0x766572696679)

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

static uint64_t scratch_bytes(const struct dwb_bench_stage *stage)
{
    return stage->kernel->scratch_bytes ? stage->kernel->scratch_bytes(&stage->conv) : 0;
}

static int choose(struct dwb_bench_stage *stage, const struct dwb_layer *layer, enum dwb_isa isa,
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

static int allocate(struct dwb_bench *bench, const uint64_t bytes[DWB_BENCH_N_BUFFERS], char *error)
{
    for (size_t i = 0; i < DWB_BENCH_N_BUFFERS; i++) {
        int r = dwb_buffer_init(&bench->buffers[i], bytes[i]);

        /* The probes' area is a wish: without it their subjects are left out. */
        if (r < 0 && i != DWB_BENCH_PROBE_AREA) {
            snprintf(error, DWB_BENCH_ERROR_MAX, "no memory for a buffer of %llu bytes: %s",
                     (unsigned long long)bytes[i], strerror(-r));
            return r;
        }
    }
    return 0;
}

static int allocate_all(struct dwb_bench *bench, const uint64_t probe_sizes[DWB_PROBE_LEVELS],
                        char *error)
{
    uint64_t bytes[DWB_BENCH_N_BUFFERS] = {0}, area = 0;
    uint64_t scratch = dwb_separable_scratch_bytes(&bench->fused.separable);
    const struct dwb_bench_forms *native = &bench->forms[0];
    const struct dwb_bench_stage *stages[] = {&native->standard, &native->depthwise,
                                              &native->pointwise};

    for (size_t i = 0; i < 3; i++) {
        uint64_t needed = scratch_bytes(stages[i]);

        bytes[DWB_BENCH_WEIGHTS_STANDARD + i] = weights_bytes(stages[i]);
        bytes[DWB_BENCH_PACKED_STANDARD + i] = stages[i]->kernel->packed_bytes(&stages[i]->conv);
        scratch = needed > scratch ? needed : scratch;
    }
    for (size_t i = 0; i < DWB_PROBE_LEVELS; i++)
        area = probe_sizes[i] > area ? probe_sizes[i] : area;
    bytes[DWB_BENCH_INPUT] = input_bytes(&native->standard.conv);
    bytes[DWB_BENCH_INTERMEDIATE] = output_bytes(&native->depthwise.conv);
    bytes[DWB_BENCH_OUTPUT_STANDARD] = output_bytes(&native->standard.conv);
    bytes[DWB_BENCH_OUTPUT_SEPARABLE] = output_bytes(&native->pointwise.conv);
    bytes[DWB_BENCH_SCRATCH] = scratch;
    bytes[DWB_BENCH_CANARY_INPUT] = input_bytes(&bench->canary.conv);
    bytes[DWB_BENCH_CANARY_WEIGHTS] = weights_bytes(&bench->canary);
    bytes[DWB_BENCH_CANARY_PACKED] = bench->canary.kernel->packed_bytes(&bench->canary.conv);
    bytes[DWB_BENCH_CANARY_OUTPUT] = output_bytes(&bench->canary.conv);
    bytes[DWB_BENCH_CANARY_SCRATCH] = scratch_bytes(&bench->canary);
    bytes[DWB_BENCH_PROBE_AREA] = area ? area + 16384 : 0;
    return allocate(bench, bytes, error);
}

static void fill(struct dwb_bench *bench, uint64_t seed)
{
    static const int filled[] = {DWB_BENCH_INPUT,
                                 DWB_BENCH_WEIGHTS_STANDARD,
                                 DWB_BENCH_WEIGHTS_DEPTHWISE,
                                 DWB_BENCH_WEIGHTS_POINTWISE,
                                 DWB_BENCH_CANARY_INPUT,
                                 DWB_BENCH_CANARY_WEIGHTS};
    struct dwb_buffer *area = &bench->buffers[DWB_BENCH_PROBE_AREA];
    struct dwb_random random;
    size_t n = area->n < 65536 ? area->n : 65536;

    for (size_t i = 0; i < sizeof filled / sizeof filled[0]; i++) {
        random = dwb_random_stream(seed, (uint64_t)filled[i]);
        dwb_buffer_fill(&bench->buffers[filled[i]], &random);
    }
    /* Random numbers, repeated: some cores save themselves the writing of zeros over zeros. */
    random = dwb_random_stream(seed, DWB_BENCH_PROBE_AREA);
    for (size_t i = 0; i < n; i++)
        area->data[i] = dwb_random_float(&random);
    for (size_t at = n; at < area->n; at += n)
        memcpy(area->data + at, area->data, (area->n - at < n ? area->n - at : n) * sizeof(float));
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
        .scratch = scratch_bytes(stage) ? buffers[scratch].data : NULL,
    };
    stage->kernel->pack(&stage->conv, stage->weights, buffers[packed].data);
}

static struct dwb_subject *add_subject(struct dwb_bench *bench, enum dwb_operation operation,
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
static enum dwb_isa stage_isa(const struct dwb_bench_stage *stage)
{
    return stage->ready ? stage->ready->isa : stage->kernel->isa;
}

/* A subject of one or two stages. What a library multiplies on padding cannot be seen from here:
 * its executed count is ours, so that its rate is one of useful work. */
static void add_chain(struct dwb_bench *bench, enum dwb_operation operation, const char *backend,
                      const struct dwb_bench_stage *first, const struct dwb_bench_stage *second,
                      uint64_t macs_nominal)
{
    struct dwb_bench_chain *chain = &bench->chains[bench->n];
    struct dwb_subject *subject;

    *chain = (struct dwb_bench_chain){.stages = {first, second}, .n = second ? 2 : 1};
    subject = add_subject(bench, operation, stage_isa(first), run_chain, chain);
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
    bench->tasks[bench->n - 1].paired =
        operation == DWB_OPERATION_STANDARD || operation == DWB_OPERATION_SEPARABLE;
}

/* Our stages once more, in one loop nest, with the output where theirs is: in a buffer of its own,
 * colder and in other pages, the same loops took some per cent longer. */
static void add_fused(struct dwb_bench *bench, const struct dwb_bench_forms *native,
                      uint64_t macs_nominal)
{
    size_t i = bench->n;

    add_chain(bench, DWB_OPERATION_SEPARABLE_FUSED, native->backend, &native->depthwise,
              &native->pointwise, macs_nominal);
    bench->chains[i].fused = &bench->fused;
    bench->tasks[i].paired = true;
    snprintf(bench->subjects[i].algorithm, sizeof bench->subjects[i].algorithm, "fused");
}

static void add_peak(struct dwb_bench *bench, enum dwb_isa isa, size_t *n)
{
    struct dwb_subject *subject;
    bool known = dwb_fma_peak(isa) == NULL;

    for (size_t k = 0; k < *n; k++)
        known = known || bench->peaks[k].fn == dwb_fma_peak(isa);
    if (known)
        return;
    dwb_peak_init(&bench->peaks[*n], isa);
    subject = add_subject(bench, DWB_OPERATION_FMA_PEAK, isa, dwb_peak_call, &bench->peaks[*n]);
    bench->tasks[bench->n - 1].keeps_warm = true;
    subject->macs_nominal = bench->peaks[(*n)++].n_rounds * dwb_fma_peak_macs(isa);
    subject->macs_executed = subject->macs_nominal;
    snprintf(subject->kernel, sizeof subject->kernel, "fma_peak");
}

/* A peak for each ISA among the kernels that were chosen, plugins' too: "percent of peak" compares
 * like with like. */
static void add_peaks(struct dwb_bench *bench)
{
    size_t n = 0;

    for (uint32_t i = 0; i <= bench->n_plugins; i++) {
        const struct dwb_bench_forms *forms = i ? &bench->plugins[i - 1] : &bench->forms[0];
        const struct dwb_bench_stage *stages[] = {&forms->standard, &forms->depthwise,
                                                  &forms->pointwise};

        for (size_t k = 0; k < 3; k++)
            if (!stages[k]->absent)
                add_peak(bench, stage_isa(stages[k]), &n);
    }
}

static void add_memory_probes(struct dwb_bench *bench, const uint64_t sizes[DWB_PROBE_LEVELS])
{
    struct dwb_buffer *area = &bench->buffers[DWB_BENCH_PROBE_AREA];
    enum dwb_isa isa = bench->forms[0].standard.kernel->isa;

    for (size_t i = 0; area->data && i < 2 * DWB_PROBE_LEVELS; i++) {
        struct dwb_memory_probe *probe = &bench->probes[i];
        bool triad = i & 1;
        struct dwb_subject *subject;

        if (sizes[i / 2] == 0 || !dwb_read_probe(isa) || !dwb_triad_probe(isa))
            continue;
        subject = add_subject(bench, triad ? DWB_OPERATION_TRIAD : DWB_OPERATION_READ, isa,
                              triad ? dwb_triad_call : dwb_read_call, probe);
        (triad ? dwb_triad_init : dwb_read_init)(probe, isa, area, sizes[i / 2], &subject->bytes);
        snprintf(subject->level, sizeof subject->level, "%s", dwb_probe_level_name(i / 2));
        snprintf(subject->kernel, sizeof subject->kernel, triad ? "triad" : "read");
        bench->tasks[bench->n - 1].keeps_warm = true;
        bench->tasks[bench->n - 1].first_block_only = true;
        bench->tasks[bench->n - 1].window_ns = DWB_SAMPLE_WINDOW_NS / 2;
    }
}

static void connect_forms(struct dwb_bench *bench, struct dwb_bench_forms *forms)
{
    forms->backend = dwb_backend_name(0);
    connect(bench, &forms->standard, DWB_BENCH_INPUT, DWB_BENCH_WEIGHTS_STANDARD,
            DWB_BENCH_PACKED_STANDARD, DWB_BENCH_OUTPUT_STANDARD, DWB_BENCH_SCRATCH);
    connect(bench, &forms->depthwise, DWB_BENCH_INPUT, DWB_BENCH_WEIGHTS_DEPTHWISE,
            DWB_BENCH_PACKED_DEPTHWISE, DWB_BENCH_INTERMEDIATE, DWB_BENCH_SCRATCH);
    connect(bench, &forms->pointwise, DWB_BENCH_INTERMEDIATE, DWB_BENCH_WEIGHTS_POINTWISE,
            DWB_BENCH_PACKED_POINTWISE, DWB_BENCH_OUTPUT_SEPARABLE, DWB_BENCH_SCRATCH);
    bench->fused.args = (struct dwb_separable_args){
        .input = bench->buffers[DWB_BENCH_INPUT].data,
        .packed_depthwise = bench->buffers[DWB_BENCH_PACKED_DEPTHWISE].data,
        .packed_pointwise = bench->buffers[DWB_BENCH_PACKED_POINTWISE].data,
        .output = bench->buffers[DWB_BENCH_OUTPUT_SEPARABLE].data,
        .scratch = bench->buffers[DWB_BENCH_SCRATCH].data,
    };
}

/* A backend's subjects: of the operations that it has. */
static void add_forms(struct dwb_bench *bench, const struct dwb_bench_forms *forms,
                      const struct dwb_macs *nominal)
{
    bool absent = forms->depthwise.absent || forms->pointwise.absent;

    if (!forms->standard.absent)
        add_chain(bench, DWB_OPERATION_STANDARD, forms->backend, &forms->standard, NULL,
                  nominal->standard);
    if (!forms->depthwise.absent)
        add_chain(bench, DWB_OPERATION_DEPTHWISE, forms->backend, &forms->depthwise, NULL,
                  nominal->depthwise);
    if (!forms->pointwise.absent)
        add_chain(bench, DWB_OPERATION_POINTWISE, forms->backend, &forms->pointwise, NULL,
                  nominal->pointwise);
    if (!absent)
        add_chain(bench, DWB_OPERATION_SEPARABLE, forms->backend, &forms->depthwise,
                  &forms->pointwise, nominal->separable);
    if (forms == &bench->forms[0])
        add_fused(bench, forms, nominal->separable);
}

static void add_backends(struct dwb_bench *bench, uint32_t backends, const struct dwb_macs *nominal)
{
    for (unsigned bit = 0; bit < DWB_N_BACKENDS; bit++)
        if (backends & 1u << bit)
            add_forms(bench, &bench->forms[bit], nominal);
    for (uint32_t i = 0; i < bench->n_plugins; i++)
        add_forms(bench, &bench->plugins[i], nominal);
}

static void probe_sizes(const struct dwb_request *request, uint32_t cpu,
                        uint64_t sizes[DWB_PROBE_LEVELS])
{
    struct dwb_caches caches;

    if (request->without_probes)
        return;
    dwb_machine_caches(cpu, &caches);
    dwb_probe_sizes(&caches, sizes);
}

static int build(struct dwb_bench *bench, const struct dwb_request *request, uint32_t cpu,
                 char *error)
{
    const struct dwb_layer canary = {
        .name = "canary",
        .kernel_size = 3,
        .input_size = CANARY_INPUT_SIZE,
        .in_channels = CANARY_CHANNELS,
        .out_channels = CANARY_CHANNELS,
        .stride = 1,
        .padding = DWB_PADDING_SAME,
        .repeat = 1,
    };
    const struct dwb_layer *layer = &bench->layer;
    struct dwb_bench_forms *native = &bench->forms[0];
    struct dwb_theory theory, canary_theory;
    uint64_t sizes[DWB_PROBE_LEVELS] = {0};
    int r;

    r = dwb_theory_of(layer, &theory);
    if (r == 0)
        r = dwb_theory_of(&canary, &canary_theory);
    if (r < 0) {
        snprintf(error, DWB_BENCH_ERROR_MAX, "the layer's multiply-adds cannot be counted: %s",
                 strerror(-r));
        return r;
    }
    r = choose(&native->standard, layer, bench->isa, DWB_KERNEL_STANDARD, "standard", error);
    if (r == 0)
        r = choose(&native->depthwise, layer, bench->isa, DWB_KERNEL_DEPTHWISE, "depthwise", error);
    if (r == 0)
        r = choose(&native->pointwise, layer, bench->isa, DWB_KERNEL_POINTWISE, "pointwise", error);
    if (r == 0)
        r = choose(&bench->canary, &canary, bench->isa, DWB_KERNEL_STANDARD, "canary", error);
    if (r < 0)
        return r;
    if (!dwb_separable_select(dwb_cpu_flags(), bench->isa, layer, &bench->fused.separable)) {
        snprintf(error, DWB_BENCH_ERROR_MAX, "no fused separable form of isa %s takes this layer",
                 dwb_isa_name(bench->isa));
        return -ENOTSUP;
    }
    probe_sizes(request, cpu, sizes);
    r = allocate_all(bench, sizes, error);
    if (r < 0)
        return r;
    fill(bench, request->seed);
    connect_forms(bench, native);
    connect(bench, &bench->canary, DWB_BENCH_CANARY_INPUT, DWB_BENCH_CANARY_WEIGHTS,
            DWB_BENCH_CANARY_PACKED, DWB_BENCH_CANARY_OUTPUT, DWB_BENCH_CANARY_SCRATCH);
    r = dwb_bench_prepare_peers(bench, request, error);
    if (r < 0)
        return r;
    add_backends(bench, request->backends, &theory.nominal);
    add_chain(bench, DWB_OPERATION_CANARY, "", &bench->canary, NULL,
              canary_theory.nominal.standard);
    add_peaks(bench);
    add_memory_probes(bench, sizes);
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
