/*
 * Plugins that are wrong, each in one way: BAD, a macro of the build, says which. But for that they
 * are a correct and slow depthwise, pointwise and standard kernel, so that what a test sees is the
 * one thing that is wrong.
 */

#include <dwbench/kernel.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    GOOD,
    WRONG_ABI,
    NO_TABLE,
    SMALL_TABLE,
    NO_KERNELS,
    NULL_KERNEL,
    SMALL_KERNEL,
    BAD_OP,
    BAD_NAME,
    BAD_ISA,
    BAD_VERSION,
    TWICE,
    NO_RUN,
    HALF_PACK,
    HUGE_PACK,
    NO_BYTES,
    CRASH_AT_LOAD,
    CRASH_IN_PACK,
    CRASH,
    STACK,
    OVERRUN,
    ILLEGAL,
    ABORTS,
    EXITS,
    EXITS_HARD,
    HANGS,
    WRONG,
    WRITES_NAN,
    FORGETS,
    PICKY,
    ONLY_DEPTHWISE,
    ONLY_POINTWISE,
};

#define IS(bad_) (BAD == (bad_))

/* Not a constant, so that the compiler leaves the accident to the machine. */
static int *volatile nowhere = NULL;

static float sum_of(const struct dwbench_args *args, uint32_t y, uint32_t x, uint32_t n)
{
    const struct dwbench_conv *c = args->conv;
    const int64_t y0 = (int64_t)y * c->stride - c->pad_before;
    const int64_t x0 = (int64_t)x * c->stride - c->pad_before;
    const float *weights = args->packed;
    float sum = 0;

    for (uint32_t ky = 0; ky < c->kernel_size; ky++)
        for (uint32_t kx = 0; kx < c->kernel_size; kx++) {
            const size_t tap = (size_t)ky * c->kernel_size + kx;
            const float *pixel;

            if (y0 + ky < 0 || y0 + ky >= c->input_size || x0 + kx < 0 || x0 + kx >= c->input_size)
                continue;
            pixel = args->input +
                    ((size_t)(y0 + ky) * c->input_size + (size_t)(x0 + kx)) * c->in_channels;
            if (c->op == DWBENCH_DEPTHWISE)
                sum += pixel[n] * weights[tap * c->in_channels + n];
            for (uint32_t m = 0; c->op != DWBENCH_DEPTHWISE && m < c->in_channels; m++)
                sum += pixel[m] * weights[(tap * c->in_channels + m) * c->out_channels + n];
        }
    return sum;
}

static void compute(const struct dwbench_args *args)
{
    const struct dwbench_conv *c = args->conv;
    const size_t n_outputs = (size_t)c->output_size * c->output_size * c->out_channels;

    for (size_t i = 0; i < n_outputs; i++) {
        const size_t pixel = i / c->out_channels;

        args->output[i] =
            sum_of(args, (uint32_t)(pixel / c->output_size), (uint32_t)(pixel % c->output_size),
                   (uint32_t)(i % c->out_channels));
    }
    if (IS(WRONG))
        args->output[0] += 1;
    if (IS(WRITES_NAN))
        args->output[n_outputs - 1] = NAN;
}

/* No end of the stack is far enough away; the volatile keeps it from becoming a loop. */
static int dig(volatile char *above)
{
    volatile char here[4096];

    here[0] = above ? above[0] : 0;
    return dig(here) + here[0];
}

static void run(const struct dwbench_args *args)
{
    if (IS(CRASH))
        *nowhere = 1;
    if (IS(STACK))
        dig(NULL);
    if (IS(OVERRUN))
        memset(args->scratch, 1, 2 * 65536);
    if (IS(ILLEGAL))
        __builtin_trap();
    if (IS(ABORTS))
        abort();
    if (IS(EXITS))
        exit(0);
    if (IS(EXITS_HARD))
        _exit(0);
    for (volatile int forever = IS(HANGS); forever;)
        ;
    if (!IS(FORGETS))
        compute(args);
}

static int supports(const struct dwbench_conv *conv)
{
    return !IS(PICKY) || conv->kernel_size == 7;
}

static size_t weights_bytes(const struct dwbench_conv *c)
{
    if (IS(NO_BYTES))
        return 0;
    return (size_t)c->kernel_size * c->kernel_size * c->in_channels *
           (c->op == DWBENCH_DEPTHWISE ? 1 : c->out_channels) * sizeof(float) *
           (IS(HUGE_PACK) ? (size_t)1 << 32 : 1);
}

static void pack(const struct dwbench_conv *c, const float *weights, void *packed)
{
    if (IS(CRASH_IN_PACK))
        *nowhere = 1;
    memcpy(packed, weights, weights_bytes(c));
}

static size_t scratch_bytes(const struct dwbench_conv *c)
{
    (void)c;
    return 65536;
}

#define KERNEL(op_, name_)                                                                         \
    {                                                                                              \
        .size = sizeof(struct dwbench_kernel) - IS(SMALL_KERNEL), .op = IS(BAD_OP) ? 3 : (op_),    \
        .name = IS(BAD_NAME) ? "\033[31m"                                                          \
                : IS(TWICE)  ? "same"                                                              \
                             : (name_),                                                             \
        .isa = IS(BAD_ISA) ? "mmx" : "portable", .supports = supports,                             \
        .packed_bytes = IS(HALF_PACK) ? NULL : weights_bytes, .pack = pack,                        \
        .scratch_bytes = scratch_bytes, .run = IS(NO_RUN) ? NULL : run,                            \
    }

static const struct dwbench_kernel standard = KERNEL(DWBENCH_STANDARD, "slow_standard");
static const struct dwbench_kernel depthwise = KERNEL(DWBENCH_DEPTHWISE, "slow_depthwise");
static const struct dwbench_kernel pointwise = KERNEL(DWBENCH_POINTWISE, "slow_pointwise");

static const struct dwbench_kernel *const kernels[] = {
    IS(ONLY_DEPTHWISE)   ? &depthwise
    : IS(ONLY_POINTWISE) ? &pointwise
                         : &standard,
    IS(NULL_KERNEL) ? NULL : &depthwise,
    IS(TWICE) ? &standard : &pointwise,
};

static const struct dwbench_plugin plugin = {
    .abi = IS(WRONG_ABI) ? 99 : DWBENCH_KERNEL_ABI,
    .size = sizeof(plugin) - IS(SMALL_TABLE),
    .name = "bad",
    .version = IS(BAD_VERSION) ? "" : "0.1",
    .n_kernels = IS(NO_KERNELS)                             ? 0
                 : IS(ONLY_DEPTHWISE) || IS(ONLY_POINTWISE) ? 1
                                                            : sizeof(kernels) / sizeof(kernels[0]),
    .kernels = kernels,
};

#ifdef HIDDEN
#define dwbench_plugin(abi_) not_what_is_looked_for(abi_) /* leaves the struct alone */
DWBENCH_EXPORT const struct dwbench_plugin *dwbench_plugin(uint32_t abi);
#endif

const struct dwbench_plugin *dwbench_plugin(uint32_t abi)
{
    (void)abi;
    return IS(NO_TABLE) ? NULL : &plugin;
}

__attribute__((constructor)) static void at_load(void)
{
    if (IS(CRASH_AT_LOAD))
        *nowhere = 1;
}
