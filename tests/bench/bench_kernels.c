/*
 * Kernels against the FMA peak of their ISA, on the blocks of MobileNetV1 (or --layer). All kernels
 * of a row and the peak loops take turns, so that what disturbs the machine disturbs all of them;
 * each figure is floor against floor: best sample of the kernel over best sample of the peak.
 * GFLOP/s and percent count executed multiply-adds only (padding that is skipped is not counted).
 *
 *   bench_kernels [--isa avx2] [--kernel NAME]... [--layer Dk=3,Dx=56,M=128,N=128]...
 *                 [--op standard] [--rounds 40] [--sample-us 1000] [--tsv]
 *
 * Several --layer take turns with each other as well, so that they compare (tests/bench/cliffs).
 * --tsv is for programs: number of the layer, isa, kernel, ns a call, multiply-adds executed a
 * call and multiply-adds a nanosecond of the peak; no heading.
 */

#include "common/cleanup.h"
#include "kernels/kernels.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum {
    SUBJECTS_MAX = 16,
    LAYERS_MAX = 8,
    ROUNDS_DEFAULT = 40,
    ALIGNMENT = 4096,
    N_ISAS = DWB_ISA_NEON + 1
};
static uint64_t sample_ns = 1000000; /* at least one call */

struct options {
    enum dwb_isa isa; /* AUTO = all */
    const char *names[SUBJECTS_MAX];
    size_t n_names;
    int op; /* -1 = all */
    uint32_t n_rounds;
    bool tsv;
};

struct operands { /* of one layer */
    struct dwb_conv conv;
    float *input, *weights, *output;
};

struct subject {
    const struct dwb_kernel *kernel;
    const struct operands *operands;
    size_t layer; /* its number */
    float *packed;
    void *scratch;
    uint64_t n_calls; /* a sample */
    double floor_ns;  /* a call */
};

struct moment {
    uint64_t wall_ns, cpu_ns; /* of the clock, of this thread */
    long n_switches;
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static struct moment now(void)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    return (struct moment){.n_switches = usage.ru_nvcsw + usage.ru_nivcsw,
                           .cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID),
                           .wall_ns = clock_ns(CLOCK_MONOTONIC)};
}

/* By the clock; but a sample of milliseconds on a CPU that is shared always has time slices of
 * others in it, and there it is the thread's own time. (Not everywhere: under a hypervisor that
 * steals, the kernel's accounts of a thread run behind, and a floor would find where.) */
static double since(const struct moment *start)
{
    const struct moment end = now();

    return end.n_switches == start->n_switches ? (double)(end.wall_ns - start->wall_ns)
                                               : (double)(end.cpu_ns - start->cpu_ns);
}

static void *allocate(size_t bytes)
{
    void *memory = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT) / ALIGNMENT * ALIGNMENT);

    if (!memory) {
        fprintf(stderr, "bench_kernels: %s\n", strerror(ENOMEM));
        exit(EXIT_FAILURE);
    }
    return memory;
}

static float *allocate_random(size_t n)
{
    float *values = allocate(n * sizeof(float));
    uint32_t state = 1;

    for (size_t i = 0; i < n; i++) {
        state = state * 1664525 + 1013904223;
        values[i] = (float)(state >> 8) * 0x1p-23f - 1.0f + 0x1p-25f;
    }
    return values;
}

static double sample(struct subject *subject)
{
    const struct operands *operands = subject->operands;
    const struct dwb_kernel_args args = {&operands->conv, operands->input, subject->packed,
                                         operands->output, subject->scratch};
    const struct moment start = now();

    for (uint64_t i = 0; i < subject->n_calls; i++)
        subject->kernel->run(&args);
    return since(&start) / (double)subject->n_calls;
}

/* Multiply-adds a nanosecond of the ISA's register loop: one window. */
static double sample_peak(enum dwb_isa isa)
{
    static volatile float sink;
    const uint64_t n_rounds = 40000;
    const struct moment start = now();

    sink = dwb_fma_peak(isa)(n_rounds);
    (void)sink;
    return (double)(n_rounds * dwb_fma_peak_macs(isa)) / since(&start);
}

static void prepare(struct subject *subject)
{
    const struct dwb_kernel *kernel = subject->kernel;
    const struct dwb_conv *conv = &subject->operands->conv;
    const size_t scratch = kernel->scratch_bytes ? kernel->scratch_bytes(conv) : 0;

    subject->packed = allocate(kernel->packed_bytes(conv));
    subject->scratch = scratch ? allocate(scratch) : NULL;
    kernel->pack(conv, subject->operands->weights, subject->packed);
    subject->n_calls = 1;
    subject->floor_ns = sample(subject);
    subject->n_calls = (uint64_t)((double)sample_ns / subject->floor_ns) + 1;
}

static bool is_wanted(const struct dwb_kernel *kernel, const struct options *options)
{
    for (size_t i = 0; i < options->n_names; i++)
        if (!strcmp(options->names[i], kernel->name))
            return true;
    return options->n_names == 0;
}

/* Adds the kernels of a layer behind n others: those named, or the one that each ISA would select.
 * Returns how many there are then. */
static size_t choose(const struct options *options, enum dwb_kernel_op op,
                     const struct operands *operands, size_t layer, struct subject *subjects,
                     size_t n)
{
    const struct dwb_conv *conv = &operands->conv;
    const uint32_t flags = dwb_cpu_flags();
    size_t n_kernels;
    const struct dwb_kernel *const *kernels = dwb_kernels(&n_kernels);

    for (size_t i = 0; i < n_kernels && n < SUBJECTS_MAX; i++) {
        const struct dwb_kernel *kernel = kernels[i];
        if (kernel->op != op || (kernel->cpu_flags & flags) != kernel->cpu_flags ||
            (kernel->supports && !kernel->supports(conv)) || !is_wanted(kernel, options))
            continue;
        if (options->isa != DWB_ISA_AUTO && kernel->isa != options->isa)
            continue;
        if (options->n_names == 0 && dwb_kernel_select(flags, kernel->isa, op, conv) != kernel)
            continue;
        subjects[n++] = (struct subject){.kernel = kernel, .operands = operands, .layer = layer};
    }
    return n;
}

static void print_row(const struct options *options, const char *name,
                      const struct subject *subject, double peak)
{
    const struct dwb_kernel *kernel = subject->kernel;
    const uint64_t macs = dwb_kernel_macs_executed(kernel, &subject->operands->conv);
    const double macs_per_ns = (double)macs / subject->floor_ns;

    if (options->tsv)
        printf("%zu\t%s\t%s\t%.1f\t%" PRIu64 "\t%.3f\n", subject->layer, dwb_isa_name(kernel->isa),
               kernel->name, subject->floor_ns, macs, peak);
    else
        printf("%-8s %-42s %10.1f %9.1f %9.1f %7.1f\n", name, kernel->name, subject->floor_ns / 1e3,
               2 * macs_per_ns, 2 * peak, 100 * macs_per_ns / peak);
    fflush(stdout);
}

static void operands_init(struct operands *operands, const struct dwb_layer *layer,
                          enum dwb_kernel_op op)
{
    struct dwb_conv *conv = &operands->conv;

    dwb_conv_of_layer(layer, op, conv);
    const size_t taps = (size_t)conv->kernel_size * conv->kernel_size * conv->in_channels;
    operands->input =
        allocate_random((size_t)conv->input_size * conv->input_size * conv->in_channels);
    operands->weights =
        allocate_random(op == DWB_KERNEL_DEPTHWISE ? taps : taps * conv->out_channels);
    operands->output =
        allocate_random((size_t)conv->output_size * conv->output_size * conv->out_channels);
}

static void operands_deinit(struct operands *operands)
{
    free(operands->input);
    free(operands->weights);
    free(operands->output);
}

/* All kernels of all layers take turns. */
static void bench(const struct options *options, const struct dwb_layer *layers, size_t n_layers,
                  enum dwb_kernel_op op)
{
    struct operands operands[LAYERS_MAX];
    struct subject subjects[SUBJECTS_MAX];
    double peaks[N_ISAS] = {0};
    size_t n = 0;

    for (size_t i = 0; i < n_layers; i++) {
        operands_init(&operands[i], &layers[i], op);
        n = choose(options, op, &operands[i], i, subjects, n);
    }
    for (size_t i = 0; i < n; i++)
        prepare(&subjects[i]);
    for (uint32_t round = 0; round < options->n_rounds; round++)
        for (size_t i = 0; i < n; i++) {
            const enum dwb_isa isa = subjects[i].kernel->isa;
            const double peak = sample_peak(isa), ns = sample(&subjects[i]);
            peaks[isa] = peak > peaks[isa] ? peak : peaks[isa];
            subjects[i].floor_ns = ns < subjects[i].floor_ns ? ns : subjects[i].floor_ns;
        }
    for (size_t i = 0; i < n; i++) {
        print_row(options, layers[subjects[i].layer].name, &subjects[i],
                  peaks[subjects[i].kernel->isa]);
        free(subjects[i].packed);
        free(subjects[i].scratch);
    }
    for (size_t i = 0; i < n_layers; i++)
        operands_deinit(&operands[i]);
}

static const struct dwb_layer mobilenet_v1[] = {
    {"dws1", 3, 112, 32, 64, 1, DWB_PADDING_SAME, 1},
    {"dws2", 3, 112, 64, 128, 2, DWB_PADDING_SAME, 1},
    {"dws3", 3, 56, 128, 128, 1, DWB_PADDING_SAME, 1},
    {"dws4", 3, 56, 128, 256, 2, DWB_PADDING_SAME, 1},
    {"dws5", 3, 28, 256, 256, 1, DWB_PADDING_SAME, 1},
    {"dws6", 3, 28, 256, 512, 2, DWB_PADDING_SAME, 1},
    {"dws7", 3, 14, 512, 512, 1, DWB_PADDING_SAME, 5},
    {"dws12", 3, 14, 512, 1024, 2, DWB_PADDING_SAME, 1},
    {"dws13", 3, 7, 1024, 1024, 1, DWB_PADDING_SAME, 1},
};

static int parse_op(const char *name)
{
    static const char *const names[] = {"standard", "depthwise", "pointwise"};

    for (int op = 0; op < 3; op++)
        if (!strcmp(names[op], name))
            return op;
    return -1;
}

static void usage(void)
{
    fprintf(stderr, "usage: bench_kernels [--isa ISA] [--kernel NAME]... [--layer SPEC]... "
                    "[--op standard|depthwise|pointwise] [--rounds N] [--sample-us N] [--tsv]\n");
    exit(2);
}

/* Adds the layer of a --layer to n others. */
static size_t parse_layer(const char *text, struct dwb_layer *layers, size_t n)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = NULL;
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();

    if (n == LAYERS_MAX)
        usage();
    if (!diags || dwb_spec_parse_flag(text, diags, &spec) < 0) {
        dwb_diags_print(diags, "--layer", stderr);
        exit(2);
    }
    layers[n] = spec->layers[0];
    return n + 1;
}

/* Returns the number of layers that were given. */
static size_t parse(int argc, char **argv, struct options *options, struct dwb_layer *layers)
{
    static const struct option long_options[] = {
        {"isa", required_argument, NULL, 'i'},    {"kernel", required_argument, NULL, 'k'},
        {"layer", required_argument, NULL, 'l'},  {"op", required_argument, NULL, 'o'},
        {"rounds", required_argument, NULL, 'r'}, {"sample-us", required_argument, NULL, 's'},
        {"tsv", no_argument, NULL, 't'},          {0},
    };
    size_t n_layers = 0;

    for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (c == 'k' && options->n_names < SUBJECTS_MAX) {
            options->names[options->n_names++] = optarg;
        } else if (c == 'r' && atoi(optarg) > 0) {
            options->n_rounds = (uint32_t)atoi(optarg);
        } else if (c == 's' && atoi(optarg) > 0) {
            sample_ns = (uint64_t)atoi(optarg) * 1000;
        } else if (c == 't') {
            options->tsv = true;
        } else if (c == 'o') {
            options->op = parse_op(optarg);
            if (options->op < 0)
                usage();
        } else if (c == 'l') {
            n_layers = parse_layer(optarg, layers, n_layers);
        } else if (c != 'i' || dwb_isa_from_name(optarg, &options->isa) < 0) {
            usage();
        }
    }
    return n_layers;
}

int main(int argc, char **argv)
{
    struct options options = {.op = -1, .n_rounds = ROUNDS_DEFAULT};
    struct dwb_layer layers[LAYERS_MAX];
    const size_t n_layers = parse(argc, argv, &options, layers);
    const size_t n_blocks = sizeof(mobilenet_v1) / sizeof(mobilenet_v1[0]);
    char flags[64];

    dwb_fp_mode_set();
    dwb_cpu_flags_text(dwb_cpu_flags(), flags, sizeof(flags));
    if (!options.tsv)
        printf("cpu flags: %s\n%-8s %-42s %10s %9s %9s %7s\n", flags, "layer", "kernel", "us",
               "GFLOP/s", "peak", "% peak");
    for (int op = 0; op < 3; op++) {
        if (options.op >= 0 && options.op != op)
            continue;
        if (n_layers)
            bench(&options, layers, n_layers, (enum dwb_kernel_op)op);
        for (size_t i = 0; !n_layers && i < n_blocks; i++)
            bench(&options, &mobilenet_v1[i], 1, (enum dwb_kernel_op)op);
    }
    return 0;
}
