#include "gate_fixture.h"

#include "synthetic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_CALLS 10
#define PAIRS   (DWB_OPERATION_SEPARABLE_FUSED + 1)

struct gate_machine gate_quiet(void)
{
    return (struct gate_machine){
        .operations = 1u << DWB_OPERATION_DEPTHWISE,
        .call_ns = 1e5,
        .n_blocks = 20,
    };
}

struct dwb_spec *gate_spec(const char *a, const char *b, const char *operations, size_t n_layers)
{
    char text[8192];
    size_t n = (size_t)snprintf(text, sizeof text, "name: gate\na: %s\nb: %s\n", a, b);
    struct dwb_diags *diags = dwb_diags_new();
    struct dwb_spec *spec = NULL;

    if (operations)
        n += (size_t)snprintf(text + n, sizeof text - n, "operations: '%s'\n", operations);
    n += (size_t)snprintf(text + n, sizeof text - n, "layers:\n");
    for (size_t i = 0; i < n_layers; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "- {name: l%zu, Dk: 3, Dx: 14, M: 32, N: 64}\n", i);
    if (!diags || dwb_spec_parse(text, n, diags, &spec) < 0) {
        dwb_diags_print(diags, text, stderr);
        abort();
    }
    dwb_diags_free(diags);
    return spec;
}

static void *allocate(size_t n, size_t size)
{
    void *memory = calloc(n + 1, size);

    if (!memory)
        abort();
    return memory;
}

static double normal(uint64_t *state) /* Box and Muller 1958 */
{
    double radius = sqrt(-2 * log(synthetic_uniform(state)));

    return radius * cos(2 * M_PI * synthetic_uniform(state));
}

static double noise_of(const struct gate_machine *machine, uint64_t *state)
{
    if (machine->noise == GATE_LOGNORMAL)
        return exp(machine->sample_noise * normal(state));
    return 1 - machine->sample_noise * log(synthetic_uniform(state));
}

static void add_subject(struct dwb_record *record, enum dwb_operation operation, char side)
{
    struct dwb_subject *subject = &record->subjects[record->n_subjects++];

    subject->operation = operation;
    subject->side = side;
    subject->macs_nominal = subject->macs_executed = 1000;
    strcpy(subject->isa, "avx2");
    if (operation == DWB_OPERATION_CANARY)
        return;
    strcpy(subject->backend, "native");
    strcpy(subject->algorithm, "direct");
    snprintf(subject->kernel, sizeof subject->kernel, "%s_%c", dwb_operation_name(operation),
             side ? side : 'x');
    subject->verified = 256;
}

static void add_subjects(const struct gate_machine *machine, struct dwb_record *record)
{
    bool is_a = dwb_gate_side_of(record->replicate) == 'a';

    record->subjects = allocate(2 * PAIRS + 1, sizeof *record->subjects);
    if (machine->has_forms && machine->programs) {
        add_subject(record, is_a ? machine->form_a : machine->form_b, 0);
    } else if (machine->has_forms) {
        add_subject(record, machine->form_a, 'a');
        add_subject(record, machine->form_b, 'b');
    }
    for (unsigned k = 0; !machine->has_forms && k < PAIRS; k++) {
        if (!(machine->operations & 1u << k))
            continue;
        add_subject(record, (enum dwb_operation)k, machine->programs ? 0 : 'a');
        if (!machine->programs)
            add_subject(record, (enum dwb_operation)k, 'b');
    }
    add_subject(record, DWB_OPERATION_CANARY, 0);
}

struct clock { /* of one process */
    const struct gate_machine *machine;
    double change; /* of b, in this process */
    uint32_t n_samples;
    uint64_t *state;
};

static void add_sample(struct clock *clock, struct dwb_record *record, uint32_t subject,
                       uint32_t block, uint32_t half)
{
    const struct gate_machine *machine = clock->machine;
    char side = record->subjects[subject].side;
    bool is_b = side == 'b' || (!side && dwb_gate_side_of(record->replicate) == 'b');
    bool flagged = synthetic_uniform(clock->state) < machine->flagged_share;
    double ns = machine->call_ns * N_CALLS *
                (machine->programs && !is_b ? 1
                 : is_b                     ? clock->change
                                            : 1);

    ns *= noise_of(machine, clock->state) * (1 + machine->drift * clock->n_samples++);
    ns *= flagged ? 1.5 : 1;
    record->samples[record->n_samples++] = (struct dwb_sample){
        .subject = subject,
        .block = block,
        .half = half,
        .n_calls = N_CALLS,
        .wall_ns = (uint64_t)llround(ns),
        .cpu_ns = (uint64_t)llround(ns),
        .flags = flagged ? DWB_SAMPLE_GAP : 0,
    };
}

/* Each pair as a b b a, or as b a a b; what is alone, twice. */
static void add_block(struct clock *clock, struct dwb_record *record, uint32_t block)
{
    for (uint32_t i = 0; i < record->n_subjects;) {
        uint32_t n = record->subjects[i].side == 'a' ? 2 : 1;
        uint32_t first = n == 2 && synthetic_uniform(clock->state) < 0.5;

        for (uint32_t half = 0; half < 2; half++)
            for (uint32_t k = 0; k < n; k++)
                add_sample(clock, record, i + ((first + half + k) % n), block, half);
        i += n;
    }
}

struct dwb_record *gate_record(const struct gate_machine *machine, const struct dwb_spec *spec,
                               uint32_t replicate, uint64_t *state)
{
    struct dwb_record *record = allocate(1, sizeof *record);
    struct clock clock = {.machine = machine, .state = state};

    record->layer = spec->layers[0];
    record->replicate = replicate;
    record->cache = spec->options.cache;
    record->environment = json_pack("{s:s}", "kernel", "Linux 6");
    if (!record->environment)
        abort();
    clock.change = (1 + machine->change) * exp(machine->process_noise * normal(state));
    if (synthetic_uniform(state) < machine->slow_share)
        clock.change *= 1 + machine->slow;
    add_subjects(machine, record);
    record->samples =
        allocate(2 * (size_t)machine->n_blocks * record->n_subjects, sizeof *record->samples);
    record->counters = allocate(0, sizeof *record->counters);
    record->readings = allocate(0, sizeof *record->readings);
    for (uint32_t block = 0; block < machine->n_blocks; block++)
        add_block(&clock, record, block);
    return record;
}

void gate_records(const struct gate_machine *machine, const struct dwb_spec *spec, uint64_t seed,
                  struct dwb_record **records, size_t n)
{
    uint64_t state = seed;

    for (size_t i = 0; i < n; i++)
        records[i] = gate_record(machine, spec, (uint32_t)i, &state);
}

void gate_free(struct dwb_record **records, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dwb_record_free(records[i]);
}

static double binomial(int k, int n, double p)
{
    if (p <= 0 || p >= 1)
        return (p <= 0 && k == 0) || (p >= 1 && k == n);
    return exp(lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0) + k * log(p) +
               (n - k) * log1p(-p));
}

double gate_binomial_above(int k, int n, double p)
{
    double sum = 0;

    for (int i = k; i <= n; i++)
        sum += binomial(i, n, p);
    return fmin(sum, 1);
}

double gate_binomial_below(int k, int n, double p)
{
    double sum = 0;

    for (int i = 0; i <= k; i++)
        sum += binomial(i, n, p);
    return fmin(sum, 1);
}

void gate_share(int k, int n, double *ret_low, double *ret_high)
{
    double ends[2][2] = {{0, (double)k / n}, {(double)k / n, 1}};

    for (int step = 0; step < 40; step++) {
        double low = (ends[0][0] + ends[0][1]) / 2, high = (ends[1][0] + ends[1][1]) / 2;

        ends[0][gate_binomial_above(k, n, low) > 0.025] = low;
        ends[1][gate_binomial_below(k, n, high) <= 0.025] = high;
    }
    *ret_low = k == 0 ? 0 : ends[0][0];
    *ret_high = k == n ? 1 : ends[1][1];
}
