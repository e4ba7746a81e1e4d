/*
 * One replicate: pin, set the floating-point mode, build the bench, describe the machine, open and
 * calibrate the counters, enter the sandbox, load other backends, seal it, verify, sample, verify
 * what the last calls left. The order matters: everything after pinning belongs to one CPU, the
 * environment that is recorded is the one that was measured in, and no foreign code runs before the
 * sandbox.
 */

#include "measure/replicate.h"

#include "common/cleanup.h"
#include "common/paths.h"
#include "measure/bench.h"
#include "measure/counters.h"
#include "measure/environment.h"
#include "measure/sandbox.h"
#include "measure/sampler.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int dwb_replicate_pin(uint32_t cpu, char error[DWB_REPLICATE_ERROR_MAX], uint32_t *ret_cpu)
{
    cpu_set_t allowed, one;

    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0) {
        snprintf(error, DWB_REPLICATE_ERROR_MAX, "cannot ask which CPUs this process may use: %s",
                 strerror(errno));
        return -errno;
    }
    for (uint32_t i = 0; cpu == DWB_REQUEST_CPU_ANY && i < CPU_SETSIZE; i++)
        if (CPU_ISSET(CPU_SETSIZE - 1 - i, &allowed))
            cpu = CPU_SETSIZE - 1 - i;
    if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &allowed)) {
        snprintf(error, DWB_REPLICATE_ERROR_MAX,
                 "cpu %u is not one of the %d that this process may use", cpu, CPU_COUNT(&allowed));
        return -EINVAL;
    }
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) < 0) {
        snprintf(error, DWB_REPLICATE_ERROR_MAX, "cannot pin to cpu %u: %s", cpu, strerror(errno));
        return -errno;
    }
    *ret_cpu = cpu;
    return 0;
}

static int take_subjects(const struct dwb_bench *bench, struct dwb_record *record)
{
    record->subjects = malloc(bench->n * sizeof *record->subjects);
    if (!record->subjects)
        return -ENOMEM;
    memcpy(record->subjects, bench->subjects, bench->n * sizeof *record->subjects);
    record->n_subjects = bench->n;
    return 0;
}

static int take_omissions(const struct dwb_bench *bench, struct dwb_record *record)
{
    if (bench->n_omissions == 0)
        return 0;
    record->omissions = malloc(bench->n_omissions * sizeof *record->omissions);
    if (!record->omissions)
        return -ENOMEM;
    memcpy(record->omissions, bench->omissions, bench->n_omissions * sizeof *record->omissions);
    record->n_omissions = bench->n_omissions;
    return 0;
}

/* What the plugins say of themselves: a file of the same name may be another one tomorrow. */
static void describe_plugins(const struct dwb_bench *bench, json_t *environment)
{
    json_t *object = bench->n_plugins ? json_object() : NULL;

    for (uint32_t i = 0; object && i < bench->n_plugins; i++) {
        char text[160];

        bench->libraries[i]->version(bench->libraries[i], text, sizeof text);
        json_object_set_new(object, bench->plugins[i].backend, json_string(text));
    }
    if (object)
        json_object_set_new(environment, "plugins", object);
}

static int take_counters(const struct dwb_counters *counters, struct dwb_record *record)
{
    size_t n;
    const struct dwb_counter *list = dwb_counters_list(counters, &n);

    record->counters = malloc(n * sizeof *record->counters);
    if (!record->counters)
        return -ENOMEM;
    memcpy(record->counters, list, n * sizeof *list);
    record->n_counters = n;
    return 0;
}

static int measure(const struct dwb_request *request, struct dwb_bench *bench,
                   struct dwb_counters *counters, const struct dwb_environment_options *environment,
                   const struct dwb_environment_files *files,
                   const struct dwb_replicate_hooks *hooks, struct dwb_record *record)
{
    struct dwb_sampler sampler = {
        .tasks = bench->tasks,
        .n_tasks = bench->n,
        .mirrors_pairs = request->compares,
        .slice_ns = request->slice_ns,
        .seed = request->seed,
        .replicate = request->replicate,
        .cpu = record->cpu,
        .cache = request->cache,
        .flush = dwb_bench_flush,
        .flush_userdata = bench,
        .counters = counters,
        .stat_fd = files->stat_fd,
        .progress = hooks->measured,
        .progress_userdata = hooks->userdata,
    };
    int r;

    dwb_bench_verify(bench);
    r = dwb_sampler_run(&sampler, record);
    dwb_bench_verify_last(bench);
    dwb_counters_finish(counters);
    if (r == 0)
        r = take_subjects(bench, record);
    if (r == 0)
        r = take_omissions(bench, record);
    if (r == 0)
        r = take_counters(counters, record);
    if (r == 0)
        r = dwb_environment_finish(record->environment, environment, files);
    return r;
}

/* Sides of a comparison are in an order of their own. */
static void describe_libraries(const struct dwb_bench *bench, json_t *environment)
{
    for (unsigned i = 0; i < DWB_N_BACKENDS; i++)
        for (unsigned bit = 1; bench->forms[i].version[0] && bit < DWB_N_BACKENDS; bit++)
            if (strcmp(bench->forms[i].backend, dwb_backend_name(bit)) == 0)
                dwb_environment_set_library(environment, bit, bench->forms[i].version);
}

/* oneDNN makes code as it runs; what plugins do is not known, and not allowed. */
static bool uses_onednn(const struct dwb_request *request)
{
    return request->compares
               ? request->a.kind == DWB_SIDE_ONEDNN || request->b.kind == DWB_SIDE_ONEDNN
               : (request->backends & DWB_BACKEND_ONEDNN) != 0;
}

/* The second half of the bench, inside of the sandbox: modules and plugins are loaded here, and
 * whatever they do from their constructors on, they do in it. */
static int load_confined(const struct dwb_request *request, struct dwb_bench *bench, char *error,
                         struct dwb_record *record)
{
    char modules[4096];
    const struct dwb_sandbox_config config = {
        .profile = request->without_sandbox ? DWB_SANDBOX_OFF
                   : request->simulate      ? DWB_SANDBOX_SIMULATE
                                            : DWB_SANDBOX_MEASURE,
        .writes_code = uses_onednn(request),
        .modules = dwb_paths_modules(modules, sizeof modules) == 0 ? modules : NULL,
        .directories = request->plugins.n ? request->plugin_dir : NULL,
    };
    struct dwb_sandbox sandbox;
    int r;

    dwb_sandbox_enter(&config, &sandbox);
    /* Everything from here on is untrusted. */
    r = dwb_bench_load(bench, request, error);
    dwb_sandbox_seal(&sandbox);
    dwb_environment_set(record->environment, "sandbox", dwb_sandbox_to_json(&sandbox));
    describe_libraries(bench, record->environment);
    describe_plugins(bench, record->environment);
    return r;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Builds the bench, measures on it and lets it go. What needs the machine comes before what is
 * loaded. */
static int run_bench(const struct dwb_request *request, uint64_t fp_control,
                     const struct dwb_replicate_hooks *hooks, char *error,
                     struct dwb_record *record)
{
    DWB_CLEANUP(dwb_bench_freep) struct dwb_bench *bench = NULL;
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = NULL;
    const struct dwb_environment_options environment = {
        .root = "", .cpu = record->cpu, .seed = request->seed, .fp_control = fp_control};
    DWB_CLEANUP(dwb_environment_files_deinit) struct dwb_environment_files files = {-1, -1};
    char directory[4096];
    int r = dwb_bench_new(request, record->cpu, error, &bench);

    if (r < 0)
        return r;
    record->environment = dwb_environment_new(&environment);
    if (!record->environment)
        return -ENOMEM;
    const struct dwb_counters_config config = {
        .perf = &dwb_perf_kernel,
        .isa = bench->canary.kernel->isa,
        .directory =
            dwb_paths_data("counters", directory, sizeof directory) == 0 ? directory : NULL,
        .cpu = record->cpu,
    };
    dwb_environment_files_init(&files);
    r = dwb_counters_new(&config, &counters);
    if (r == 0 && dwb_counters_n_groups(counters) > 0)
        dwb_environment_set(record->environment, "counter_window_ns",
                            json_integer((json_int_t)dwb_counters_window_ns(counters)));
    if (r == 0)
        r = load_confined(request, bench, error, record);
    if (r == 0)
        r = measure(request, bench, counters, &environment, &files, hooks, record);
    return r;
}

int dwb_replicate_run(const struct dwb_request *request, uint64_t start_ns,
                      const struct dwb_replicate_hooks *hooks, char error[DWB_REPLICATE_ERROR_MAX],
                      struct dwb_record **ret_record)
{
    DWB_CLEANUP(dwb_record_freep) struct dwb_record *record = calloc(1, sizeof *record);
    int r;

    snprintf(error, DWB_REPLICATE_ERROR_MAX, "out of memory"); /* unless something says more */
    if (!record)
        return -ENOMEM;
    record->layer = request->layer;
    record->replicate = request->replicate;
    record->seed = request->seed;
    record->cache = request->cache;
    r = dwb_replicate_pin(request->cpu, error, &record->cpu);
    if (r == 0 && request->simulate) /* what cannot be done is said before the measurement */
        r = dwb_simulate_prepare(request, record->cpu, error, &record->simulation);
    if (r == 0)
        r = run_bench(request, dwb_fp_mode_set(), hooks, error, record);
    if (r == 0 && request->simulate)
        r = dwb_simulate_run(request, record->subjects, record->n_subjects, hooks->simulating,
                             hooks->userdata, record->simulation);
    if (r < 0)
        return r;
    record->elapsed_ns = now_ns() - start_ns;
    *ret_record = dwb_steal(record);
    return 0;
}
