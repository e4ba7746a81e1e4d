#include "daemon/estimate.h"

/*
 * See estimate.h. A replicate runs at least two blocks: with the separable forms, warm-up and the
 * check of its outputs that is less than CALLS calls of the standard convolution.
 */

#include "common/theory.h"

#include <errno.h>

#define PROCESS_BYTES       (UINT64_C(64) << 20) /* the worker without its tensors */
#define REPLICATE_NS        UINT64_C(200000000)  /* start, packing and probes of one process */
#define CALLS               UINT64_C(16)
#define EXPECTED_MACS_PER_S UINT64_C(4000000000) /* portable code on a slow core */
#define SLOWEST_MACS_PER_S  UINT64_C(200000000)  /* the same under a sanitizer or an emulator */

/* A backend's operations, each warmed and counted, are less than these calls of the standard. */
#define SIMULATED_CALLS               UINT64_C(4)
#define SIMULATED_EXPECTED_MACS_PER_S UINT64_C(16000000) /* AVX2 kernels; scalar code is slower */
#define SIMULATED_SLOWEST_MACS_PER_S  UINT64_C(1000000)
#define SIMULATED_PROCESS_BYTES       (UINT64_C(256) << 20) /* Valgrind and the code it made */

uint64_t dwb_estimate_slice_ns(const struct dwb_options *options)
{
    return options->budget_ns / (2 * (uint64_t)options->replicates);
}

/* n_calls standard convolutions at a rate; saturates. */
static uint64_t calls_ns(const struct dwb_layer *layer, uint64_t n_calls, uint64_t macs_per_s)
{
    struct dwb_theory theory;
    uint64_t ns;

    if (dwb_theory_of(layer, &theory) < 0)
        return UINT64_MAX;
    uint64_t seconds = theory.nominal.standard / (macs_per_s / n_calls);
    uint64_t rest = theory.nominal.standard % (macs_per_s / n_calls);
    if (__builtin_mul_overflow(seconds, UINT64_C(1000000000), &ns))
        return UINT64_MAX;
    return ns + rest * 1000000000 / (macs_per_s / n_calls);
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t simulation_ns(const struct dwb_spec *spec, const struct dwb_layer *layer,
                              uint64_t macs_per_s)
{
    uint64_t n_backends =
        (uint64_t)__builtin_popcount(spec->options.backends) + spec->options.plugins.n;

    return calls_ns(layer, n_backends * SIMULATED_CALLS, macs_per_s);
}

static uint64_t layer_time_ns(const struct dwb_spec *spec, const struct dwb_layer *layer)
{
    uint64_t slice_ns = dwb_estimate_slice_ns(&spec->options);
    uint64_t calls = calls_ns(layer, CALLS, EXPECTED_MACS_PER_S);
    uint64_t replicate_ns = add(calls > slice_ns ? calls : slice_ns, REPLICATE_NS);
    uint64_t total_ns;

    if (__builtin_mul_overflow(replicate_ns, 2 * (uint64_t)dwb_spec_processes(spec), &total_ns))
        return UINT64_MAX;
    return spec->options.simulate
               ? add(total_ns, simulation_ns(spec, layer, SIMULATED_EXPECTED_MACS_PER_S))
               : total_ns;
}

static uint64_t at_most_int64(uint64_t n)
{
    return n < INT64_MAX ? n : INT64_MAX;
}

void dwb_estimate_of(const struct dwb_spec *spec, struct dwb_estimate *ret_estimate)
{
    struct dwb_estimate estimate = {0};
    uint64_t longest_ns = 0;
    uint64_t process_bytes = PROCESS_BYTES + (spec->options.simulate ? SIMULATED_PROCESS_BYTES : 0);

    for (size_t i = 0; i < spec->n_layers; i++) {
        uint64_t bytes = 0;
        uint64_t time_ns = layer_time_ns(spec, &spec->layers[i]);

        if (dwb_layer_memory(&spec->layers[i], &bytes) < 0)
            bytes = INT64_MAX;
        /* A second side has packed weights of its own, less than half of what one side needs. */
        if (dwb_spec_compares(spec))
            bytes = add(bytes, bytes / 2);
        bytes = at_most_int64(add(bytes, process_bytes));
        if (bytes > estimate.memory_bytes) {
            estimate.memory_bytes = bytes;
            estimate.memory_layer = i;
        }
        if (time_ns > longest_ns) {
            longest_ns = time_ns;
            estimate.time_layer = i;
        }
        estimate.time_ns = at_most_int64(add(estimate.time_ns, time_ns));
    }
    *ret_estimate = estimate;
}

uint64_t dwb_estimate_deadline_ns(const struct dwb_spec *spec, size_t layer, bool simulates,
                                  uint64_t base_ns)
{
    const struct dwb_layer *shape = &spec->layers[layer];
    uint64_t slices_ns = 4 * dwb_estimate_slice_ns(&spec->options);
    uint64_t deadline_ns = add(add(base_ns, slices_ns), calls_ns(shape, CALLS, SLOWEST_MACS_PER_S));

    return simulates ? add(deadline_ns, simulation_ns(spec, shape, SIMULATED_SLOWEST_MACS_PER_S))
                     : deadline_ns;
}
