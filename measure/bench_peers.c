/* Whose kernels run beside ours: peers' libraries and users' plugins, on the operands of our stages
 * (measure/bench.h). */

#include "measure/bench.h"

#include "common/paths.h"
#include "kernels/backends/plugin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void omit(struct dwb_bench *bench, const char *backend, enum dwb_operation operation,
                 const char *reason)
{
    struct dwb_omission *omission = &bench->omissions[bench->n_omissions];

    if (bench->n_omissions == DWB_BENCH_OMISSIONS_MAX)
        return;
    bench->n_omissions++;
    omission->operation = operation;
    snprintf(omission->backend, sizeof omission->backend, "%s", backend);
    snprintf(omission->reason, sizeof omission->reason, "%.*s", (int)sizeof omission->reason - 1,
             reason);
}

static int prepare_stage(struct dwb_bench *bench, const struct dwb_backend *backend,
                         enum dwb_isa isa, enum dwb_operation operation,
                         struct dwb_bench_stage *stage, char *error)
{
    const struct dwb_backend_conv request = {
        .op = stage->op,
        .conv = stage->conv,
        .isa = isa,
        .input = stage->args.input,
        .weights = stage->weights,
        .output = stage->args.output,
    };
    int r = backend->prepare(backend, &request, error, &stage->ready);

    if (r != -ENOSYS)
        return r;
    stage->absent = true;
    omit(bench, backend->name, operation, error);
    return 0;
}

int dwb_bench_prepare(struct dwb_bench *bench, const struct dwb_backend *backend, enum dwb_isa isa,
                      struct dwb_bench_forms *ret_forms, char error[DWB_BENCH_ERROR_MAX])
{
    size_t n_before;
    int r;

    *ret_forms = bench->forms[0];
    ret_forms->backend = backend->name;
    r = prepare_stage(bench, backend, isa, DWB_OPERATION_STANDARD, &ret_forms->standard, error);
    n_before = bench->n_omissions;
    if (r == 0)
        r = prepare_stage(bench, backend, isa, DWB_OPERATION_DEPTHWISE, &ret_forms->depthwise,
                          error);
    if (r == 0)
        r = prepare_stage(bench, backend, isa, DWB_OPERATION_POINTWISE, &ret_forms->pointwise,
                          error);
    if (r == 0 && bench->n_omissions > n_before) {
        const struct dwb_omission part = bench->omissions[n_before];

        omit(bench, backend->name, DWB_OPERATION_SEPARABLE, part.reason);
    }
    return r;
}

void dwb_bench_release(struct dwb_bench_forms *forms)
{
    struct dwb_bench_stage *stages[] = {&forms->standard, &forms->depthwise, &forms->pointwise};

    for (size_t k = 0; k < 3; k++) {
        if (stages[k]->ready)
            stages[k]->ready->release(stages[k]->ready);
        stages[k]->ready = NULL;
    }
}

static int prepare_libraries(struct dwb_bench *bench, uint32_t backends, char *error)
{
    char directory[4096];

    if ((backends & ~(uint32_t)DWB_BACKEND_NATIVE) == 0)
        return 0;
    setenv("OMP_NUM_THREADS", "1", 1);
    if (dwb_paths_modules(directory, sizeof directory) < 0)
        directory[0] = '\0';
    for (unsigned bit = 1; bit < DWB_N_BACKENDS; bit++) {
        const struct dwb_backend *backend;
        int r;

        if (!(backends & 1u << bit))
            continue;
        r = dwb_backend_load(directory, dwb_backend_name(bit), error, &backend);
        if (r == 0)
            r = dwb_bench_prepare(bench, backend, bench->isa, &bench->forms[bit], error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Each that was loaded counts, so that the bench releases what a later failure leaves. */
static int prepare_plugins(struct dwb_bench *bench, const struct dwb_request *request, char *error)
{
    const struct dwb_bench_stage *depthwise = &bench->forms[0].depthwise;
    int r = 0;

    /* A plugin's pointwise may be without a depthwise that fills its input: ours does it. */
    if (request->plugins.n)
        depthwise->kernel->run(&depthwise->args);
    for (uint32_t i = 0; r == 0 && i < request->plugins.n; i++) {
        const struct dwb_backend *backend;

        r = dwb_plugin_load(request->plugin_dir, request->plugins.items[i], error, &backend);
        if (r < 0)
            break;
        bench->libraries[i] = backend;
        bench->n_plugins++;
        r = dwb_bench_prepare(bench, backend, bench->isa, &bench->plugins[i], error);
    }
    return r;
}

int dwb_bench_prepare_peers(struct dwb_bench *bench, const struct dwb_request *request,
                            char error[DWB_BENCH_ERROR_MAX])
{
    int r = prepare_libraries(bench, request->backends, error);

    return r < 0 ? r : prepare_plugins(bench, request, error);
}
