/* Whose kernels run beside ours: peers' libraries and users' plugins, on the operands of our stages
 * (measure/bench.h). */

#include "measure/bench_internal.h"

#include "common/paths.h"
#include "kernels/backends/plugin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int dwb_bench_prepare_calls(struct dwb_bench *bench, const struct dwb_backend *backend,
                            enum dwb_isa isa, struct dwb_bench_forms *forms, char *error)
{
    size_t n_before = 0;
    int r = 0;

    forms->backend = backend->name;
    backend->version(backend, forms->version, sizeof forms->version);
    for (unsigned op = 0; r == 0 && op < 3; op++) {
        if (op == DWB_KERNEL_DEPTHWISE)
            n_before = bench->n_omissions;
        if (bench->stages & 1u << op) /* operations have the numbers of their stages */
            r = prepare_stage(bench, backend, isa, (enum dwb_operation)op,
                              dwb_bench_stage(forms, (enum dwb_kernel_op)op), error);
    }
    if (r == 0 && bench->n_omissions > n_before) {
        const struct dwb_omission part = bench->omissions[n_before];

        omit(bench, backend->name, DWB_OPERATION_SEPARABLE, part.reason);
    }
    return r;
}

/* A peer has our forms with its calls in them. */
static int prepare(struct dwb_bench *bench, const struct dwb_backend *backend,
                   struct dwb_bench_forms *ret_forms, char *error)
{
    *ret_forms = bench->forms[0];
    return dwb_bench_prepare_calls(bench, backend, bench->isa, ret_forms, error);
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

int dwb_bench_load_library(const char *name, char *error, const struct dwb_backend **ret_backend)
{
    char directory[4096];

    setenv("OMP_NUM_THREADS", "1", 1); /* its pool gets one thread: this one */
    if (dwb_paths_modules(directory, sizeof directory) < 0)
        directory[0] = '\0';
    return dwb_backend_load(directory, name, error, ret_backend);
}

static int prepare_libraries(struct dwb_bench *bench, uint32_t backends, char *error)
{
    const struct dwb_backend *backend;
    int r = 0;

    for (unsigned bit = 1; r == 0 && bit < DWB_N_BACKENDS; bit++) {
        if (!(backends & 1u << bit))
            continue;
        r = dwb_bench_load_library(dwb_backend_name(bit), error, &backend);
        if (r == 0)
            r = prepare(bench, backend, &bench->forms[bit], error);
    }
    return r;
}

/* Each that was loaded counts, so that the bench releases what a later failure leaves. */
int dwb_bench_load_plugin(struct dwb_bench *bench, const struct dwb_request *request,
                          const char *name, char *error, const struct dwb_backend **ret_backend)
{
    char backend_name[DWB_BACKEND_NAME_MAX];
    uint32_t i = 0;
    int r;

    dwb_plugin_backend_name(name, backend_name);
    while (i < bench->n_plugins && strcmp(bench->libraries[i]->name, backend_name) != 0)
        i++;
    if (i == bench->n_plugins) {
        r = dwb_plugin_load(request->plugin_dir, name, error, &bench->libraries[i]);
        if (r < 0)
            return r;
        bench->plugins[i].backend = bench->libraries[i]->name;
        bench->n_plugins++;
    }
    *ret_backend = bench->libraries[i];
    return 0;
}

static int prepare_plugins(struct dwb_bench *bench, const struct dwb_request *request, char *error)
{
    const struct dwb_bench_stage *depthwise = &bench->forms[0].depthwise;
    const struct dwb_backend *backend;
    int r = 0;

    /* A plugin's pointwise may be without a depthwise that fills its input: ours does it. */
    if (request->plugins.n)
        depthwise->kernel->run(&depthwise->args);
    for (uint32_t i = 0; r == 0 && i < request->plugins.n; i++) {
        r = dwb_bench_load_plugin(bench, request, request->plugins.items[i], error, &backend);
        if (r == 0)
            r = prepare(bench, backend, &bench->plugins[i], error);
    }
    return r;
}

int dwb_bench_prepare_peers(struct dwb_bench *bench, const struct dwb_request *request,
                            char error[DWB_BENCH_ERROR_MAX])
{
    int r = prepare_libraries(bench, request->backends, error);

    return r < 0 ? r : prepare_plugins(bench, request, error);
}
