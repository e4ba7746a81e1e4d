/* Outputs of a bench against the oracle (measure/verify.h): which buffers belong to which subject,
 * and in which order they must be filled to be compared. */

#include "measure/bench.h"

#include "measure/verify.h"

#include <string.h>

static bool is_operation(const struct dwb_bench *bench, size_t i)
{
    return bench->subjects[i].backend[0] != '\0';
}

static void verify_fused(struct dwb_bench *bench, const struct dwb_bench_chain *chain,
                         struct dwb_verification *found)
{
    const struct dwb_bench_fused *fused = chain->fused;

    dwb_verify_separable(&fused->separable.depthwise, &fused->separable.pointwise,
                         fused->args.input, chain->stages[0]->weights, chain->stages[1]->weights,
                         fused->args.output, &bench->positions, found);
}

/* The pointwise of any backend over an intermediate of any other: held to what a fused form is,
 * whose intermediate is not known either. */
static void verify_mixed(struct dwb_bench *bench, const struct dwb_bench_stage *pointwise,
                         struct dwb_verification *found)
{
    const struct dwb_bench_stage *depthwise = &bench->forms[0].depthwise;

    dwb_verify_separable(&depthwise->conv, &pointwise->conv, depthwise->args.input,
                         depthwise->weights, pointwise->weights, pointwise->args.output,
                         &bench->positions, found);
}

static void verify(struct dwb_bench *bench, size_t i, bool mixed)
{
    const struct dwb_bench_chain *chain = bench->tasks[i].context;
    struct dwb_subject *subject = &bench->subjects[i];
    struct dwb_verification found = {0};

    if (chain->fused)
        verify_fused(bench, chain, &found);
    for (size_t k = 0; !chain->fused && k < chain->n; k++) {
        const struct dwb_bench_stage *stage = chain->stages[k];

        if (mixed && stage->op == DWB_KERNEL_POINTWISE)
            verify_mixed(bench, stage, &found);
        else
            dwb_verify(stage->op, &stage->conv, stage->args.input, stage->weights,
                       stage->args.output, &bench->positions, &found);
    }
    subject->verified += found.n;
    subject->mismatched += found.mismatched;
    if (found.worst > subject->worst_error)
        subject->worst_error = found.worst;
}

void dwb_bench_verify_subject(struct dwb_bench *bench, size_t i)
{
    verify(bench, i, false);
}

static void poison(struct dwb_bench *bench, const float *output)
{
    for (size_t b = 0; b < DWB_BENCH_N_BUFFERS; b++)
        if (bench->buffers[b].data == output)
            dwb_buffer_poison(&bench->buffers[b]);
}

void dwb_bench_verify(struct dwb_bench *bench)
{
    /* Subjects are in an order in which the pointwise finds the depthwise's output as its input. */
    for (size_t i = 0; i < bench->n; i++) {
        const struct dwb_bench_chain *chain = bench->tasks[i].context;

        if (!is_operation(bench, i))
            continue;
        if (chain->fused) {
            poison(bench, chain->fused->args.output);
            poison(bench, chain->fused->args.scratch);
        }
        for (size_t k = 0; !chain->fused && k < chain->n; k++)
            poison(bench, chain->stages[k]->args.output);
        bench->tasks[i].call(bench->tasks[i].context);
        dwb_bench_verify_subject(bench, i);
    }
}

void dwb_bench_verify_last(struct dwb_bench *bench)
{
    /* Backends share their buffers: after a wrong output all of them would look wrong, and it is
     * known already whose it was. */
    size_t n_depthwise = 0;

    if (dwb_bench_mismatches(bench) > 0)
        return;
    for (size_t i = 0; i < bench->n; i++)
        n_depthwise += bench->subjects[i].operation == DWB_OPERATION_DEPTHWISE;
    /* Whose depthwise was the last before the last pointwise is not known, and they round each in
     * its own way. */
    for (size_t i = 0; i < bench->n; i++)
        if (is_operation(bench, i))
            verify(bench, i, n_depthwise > 1);
}

size_t dwb_bench_find(const struct dwb_bench *bench, const char *backend,
                      enum dwb_operation operation)
{
    size_t i = 0;

    while (i < bench->n && (bench->subjects[i].operation != operation ||
                            strcmp(bench->subjects[i].backend, backend) != 0))
        i++;
    return i;
}
