/* The probe record: ISAs, kernels, calibrated counters, environment. Nothing is measured for time.
 */

#include "measure/probe.h"

#include "common/cleanup.h"
#include "common/paths.h"
#include "kernels/backends/backend.h"
#include "kernels/kernels.h"
#include "measure/bench.h"
#include "measure/counters.h"
#include "measure/environment.h"
#include "measure/machine.h"
#include "measure/sandbox.h"
#include "measure/simulate.h"

#include <string.h>

static const char *op_name(enum dwb_kernel_op op)
{
    static const char *const names[] = {
        [DWB_KERNEL_STANDARD] = "standard",
        [DWB_KERNEL_DEPTHWISE] = "depthwise",
        [DWB_KERNEL_POINTWISE] = "pointwise",
    };

    return names[op];
}

static json_t *words(const char *text, const char *separators)
{
    char copy[256], *save = NULL;
    json_t *array = json_array();

    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, separators, &save); word;
         word = strtok_r(NULL, separators, &save))
        json_array_append_new(array, json_string(word));
    return array;
}

static json_t *kernels(uint32_t flags)
{
    json_t *array = json_array();
    size_t n;
    const struct dwb_kernel *const *all = dwb_kernels(&n);

    for (size_t i = 0; i < n; i++)
        if ((all[i]->cpu_flags & flags) == all[i]->cpu_flags)
            json_array_append_new(array,
                                  json_pack("{s:s, s:s, s:s, s:s}", "name", all[i]->name, "op",
                                            op_name(all[i]->op), "isa", dwb_isa_name(all[i]->isa),
                                            "algorithm", all[i]->algorithm));
    return array;
}

/* What it was held against; null when it did not come to that. */
static json_t *calibration_of(const struct dwb_counters *counters, size_t i)
{
    const struct dwb_calibration *calibration = dwb_counters_calibration(counters, i);

    if (!calibration)
        return json_null();
    return json_pack("{s:s, s:I, s:b, s:o}", "work", dwb_work_name(calibration->kind), "expected",
                     (json_int_t)calibration->expected, "exact", calibration->exact, "seen",
                     calibration->has_seen ? json_integer((json_int_t)calibration->seen)
                                           : json_null());
}

static json_t *counters_of(uint32_t cpu, enum dwb_isa isa)
{
    DWB_CLEANUP(dwb_counters_freep) struct dwb_counters *counters = NULL;
    char directory[4096];
    const struct dwb_counters_config config = {
        .perf = &dwb_perf_kernel,
        .isa = isa,
        .directory =
            dwb_paths_data("counters", directory, sizeof directory) == 0 ? directory : NULL,
        .cpu = cpu,
    };
    const struct dwb_counter *list;
    json_t *array = json_array();
    size_t n;

    if (dwb_counters_new(&config, &counters) < 0) {
        json_decref(array);
        return NULL;
    }
    list = dwb_counters_list(counters, &n);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            array, json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s, s:o, s:o}", "name", list[i].name,
                             "event", list[i].event, "unit", list[i].unit, "source",
                             dwb_source_name(list[i].source), "reason", list[i].reason, "outcome",
                             dwb_outcome_name(list[i].outcome), "overhead",
                             list[i].has_overhead ? json_integer((json_int_t)list[i].overhead)
                                                  : json_null(),
                             "calibration", calibration_of(counters, i)));
    return array;
}

/* Which peers' modules are here: a name each, with the library's version. Our own comes first. */
static json_t *backends(void)
{
    json_t *array = json_array();
    char directory[4096];

    json_array_append_new(array,
                          json_pack("{s:s, s:s, s:b, s:s}", "name", dwb_backend_name(0), "version",
                                    DWB_VERSION, "available", true, "reason", ""));
    if (dwb_paths_modules(directory, sizeof directory) < 0)
        directory[0] = '\0';
    for (unsigned bit = 1; bit < DWB_N_BACKENDS; bit++) {
        const struct dwb_backend *backend = NULL;
        char error[DWB_BACKEND_ERROR_MAX] = "", version[64] = "";
        bool there = dwb_backend_load(directory, dwb_backend_name(bit), error, &backend) == 0;

        if (there)
            backend->version(backend, version, sizeof version);
        json_array_append_new(
            array, json_pack("{s:s, s:s?, s:b, s:s}", "name", dwb_backend_name(bit), "version",
                             there ? version : NULL, "available", there, "reason", error));
    }
    return array;
}

/* They are looked at last: this loads what is not ours. */
static json_t *backends_confined(const struct dwb_request *request, json_t *environment)
{
    char modules[4096];
    const struct dwb_sandbox_config config = {
        .profile = request->without_sandbox ? DWB_SANDBOX_OFF : DWB_SANDBOX_MEASURE,
        .modules = dwb_paths_modules(modules, sizeof modules) == 0 ? modules : NULL,
    };
    struct dwb_sandbox sandbox;
    json_t *array;

    dwb_sandbox_enter(&config, &sandbox);
    array = backends();
    dwb_sandbox_seal(&sandbox);
    dwb_environment_set(environment, "sandbox", dwb_sandbox_to_json(&sandbox));
    return array;
}

/* Can counters be simulated here, by what, and with which caches? */
static json_t *simulation(uint32_t cpu)
{
    struct dwb_caches caches;
    struct dwb_geometry geometry;
    char error[DWB_SIMULATE_ERROR_MAX] = "", tool[64] = "", text[DWB_GEOMETRY_TEXT_MAX];
    bool there = dwb_simulate_available(error, tool, sizeof tool) == 0, exact, known;

    dwb_machine_caches("", cpu, &caches);
    known = dwb_simulate_geometry(&caches, &geometry, &exact) == 0;
    if (known)
        dwb_geometry_text(&geometry, text);
    return json_pack("{s:b, s:s?, s:s?, s:s}", "available", there, "tool", there ? tool : NULL,
                     "geometry", known ? text : NULL, "reason", error);
}

json_t *dwb_probe_new(uint32_t cpu, const struct dwb_request *request)
{
    enum dwb_isa isa = request->isa;
    json_t *environment, *counters, *simulated;
    uint32_t flags = dwb_cpu_flags();
    char flags_text[64], isas[64], model[128];
    bool named = dwb_machine_cpu_model("", model, sizeof model) == 0;
    const struct dwb_environment_options options = {
        .root = "", .cpu = cpu, .seed = request->seed, .fp_control = dwb_fp_mode_set()};

    dwb_cpu_flags_text(flags, flags_text, sizeof flags_text);
    dwb_bench_isas_text(flags, isas, sizeof isas);
    if (isa == DWB_ISA_AUTO)
        isa = dwb_cpu_best_isa(flags);
    environment = dwb_environment_new(&options);
    counters = counters_of(cpu, isa);
    simulated = simulation(cpu);
    return json_pack("{s:s, s:s, s:{s:s?, s:o, s:i}, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "type",
                     "probe", "version", DWB_VERSION, "cpu", "model", named ? model : NULL, "flags",
                     words(flags_text, ","), "pinned", (int)cpu, "isas", words(isas, ", "),
                     "isa_best", dwb_isa_name(dwb_cpu_best_isa(flags)), "kernels", kernels(flags),
                     "backends", backends_confined(request, environment), "counters", counters,
                     "simulation", simulated, "environment", environment);
}
