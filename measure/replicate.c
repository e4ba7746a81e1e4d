/*
 * One replicate: pin, set the floating-point mode, build the bench, verify, open and calibrate the
 * counters, sample, verify what the last calls left, describe the machine. The order matters:
 * everything after pinning belongs to one CPU, and the environment that is recorded is the one
 * that was measured in.
 */

#include "measure/replicate.h"

#include "common/cleanup.h"
#include "common/paths.h"
#include "measure/bench.h"
#include "measure/counters.h"
#include "measure/environment.h"
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
                   struct dwb_counters *counters, const struct dwb_replicate_hooks *hooks,
                   struct dwb_record *record)
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
    return r;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Builds the bench, measures on it and lets it go. */
static int run_bench(const struct dwb_request *request, uint64_t fp_control,
                     const struct dwb_replicate_hooks *hooks, char *error,
                     struct dwb_record *record)
{
    DWB_CLEANUP(dwb_bench_freep) struct dwb_bench *bench = NULL;
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = NULL;
    struct dwb_environment_options environment = {
        .root = "", .cpu = record->cpu, .seed = request->seed, .fp_control = fp_control};
    char directory[4096];
    int r = dwb_bench_new(request, record->cpu, error, &bench);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < DWB_N_BACKENDS; i++) /* sides of a comparison are in their own order */
        for (unsigned bit = 1; bench->forms[i].version[0] && bit < DWB_N_BACKENDS; bit++)
            if (strcmp(bench->forms[i].backend, dwb_backend_name(bit)) == 0)
                environment.backend_versions[bit] = bench->forms[i].version;
    record->environment = dwb_environment_new(&environment);
    if (!record->environment)
        return -ENOMEM;
    describe_plugins(bench, record->environment);
    const struct dwb_counters_config config = {
        .perf = &dwb_perf_kernel,
        .isa = bench->canary.kernel->isa,
        .directory =
            dwb_paths_data("counters", directory, sizeof directory) == 0 ? directory : NULL,
        .cpu = record->cpu,
    };
    r = dwb_counters_new(&config, &counters);
    if (r == 0 && dwb_counters_n_groups(counters) > 0)
        dwb_environment_set(record->environment, "counter_window_ns",
                            json_integer((json_int_t)dwb_counters_window_ns(counters)));
    if (r == 0)
        r = measure(request, bench, counters, hooks, record);
    if (r == 0)
        r = dwb_environment_finish(record->environment, &environment);
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
