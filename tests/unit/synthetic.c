#include "synthetic.h"

#include "common/theory.h"
#include "tests/unmarked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N_CALLS 10

uint64_t synthetic_random(uint64_t *state) /* splitmix64 (Steele, Lea, Flood 2014) */
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

double synthetic_uniform(uint64_t *state)
{
    return ((double)(synthetic_random(state) >> 11) + 0.5) / (double)(UINT64_C(1) << 53);
}

/* P(Binomial(n, p) >= k). */
static double binomial_tail(int n, double p, int k)
{
    double sum = 0;
    int sign;

    for (int i = k; i <= n; i++)
        sum += exp(lgamma_r(n + 1.0, &sign) - lgamma_r(i + 1.0, &sign) -
                   lgamma_r(n - i + 1.0, &sign) + i * log(p) + (n - i) * log1p(-p));
    return sum;
}

void synthetic_check_missed(int missed, int n_trials, double alpha, const char *what)
{
    double chance = binomial_tail(n_trials, alpha, missed);

    ck_assert_msg(chance > SYNTHETIC_SURPRISE,
                  "%s: missed %d of %d at a level of %g, which has a chance of %g", what, missed,
                  n_trials, alpha, chance);
}

static double exponential(uint64_t *state, double mean)
{
    return -mean * log(synthetic_uniform(state));
}

static double process_noise(const struct synthetic *s, size_t subject, uint64_t *state)
{
    double median = s->process_noise[subject];

    if (s->process_sigma <= 0)
        return exponential(state, median);
    double u = synthetic_uniform(state), v = synthetic_uniform(state);
    return median * exp(s->process_sigma * sqrt(-2 * log(u)) * cos(2 * M_PI * v));
}

struct synthetic synthetic_quiet(void)
{
    struct synthetic s = {
        .layer = {"dws3", 3, 56, 128, 128, 1, DWB_PADDING_SAME, 1},
        .cache = DWB_CACHE_WARM,
        .call_ns = {8e6, 0.2e6, 0.95e6, 1.15e6, 1e5},
        .peak_gflops = 120,
        .gbps = 60,
        .n_blocks = 15,
        .sample_noise = 0.01,
    };
    for (size_t i = 0; i <= SYNTHETIC_CANARY; i++)
        s.disturbed[i] = 1;
    return s;
}

static void *allocate(size_t n, size_t size)
{
    void *memory = calloc(n + 1, size);

    if (!memory)
        abort();
    return memory;
}

static void set_subjects(const struct synthetic *s, struct dwb_record *record)
{
    static const enum dwb_operation operations[] = {
        DWB_OPERATION_STANDARD,  DWB_OPERATION_DEPTHWISE, DWB_OPERATION_POINTWISE,
        DWB_OPERATION_SEPARABLE, DWB_OPERATION_CANARY,    DWB_OPERATION_FMA_PEAK,
        DWB_OPERATION_READ,      DWB_OPERATION_TRIAD};
    struct dwb_theory theory;

    if (dwb_theory_of(&s->layer, &theory) < 0)
        abort();
    const uint64_t nominal[] = {theory.nominal.standard, theory.nominal.depthwise,
                                theory.nominal.pointwise, theory.nominal.separable};
    const uint64_t executed[] = {theory.executed.standard, theory.executed.depthwise,
                                 theory.executed.pointwise, theory.executed.separable};

    record->n_subjects = s->peak_gflops > 0 ? SYNTHETIC_N_SUBJECTS : SYNTHETIC_PEAK;
    record->subjects = allocate(record->n_subjects, sizeof *record->subjects);
    for (size_t i = 0; i < record->n_subjects; i++) {
        struct dwb_subject *subject = &record->subjects[i];
        subject->operation = operations[i];
        strcpy(subject->isa, "avx2");
        if (i <= SYNTHETIC_SEPARABLE) {
            strcpy(subject->backend, "native");
            snprintf(subject->kernel, sizeof subject->kernel, "f32_nhwc_%s__avx2",
                     dwb_operation_name(operations[i]));
            strcpy(subject->algorithm, "direct");
            subject->macs_nominal = nominal[i];
            subject->macs_executed = executed[i];
            subject->verified = 256;
            subject->worst_error = 0.25;
        } else if (i == SYNTHETIC_PEAK) {
            subject->macs_nominal = subject->macs_executed = 1000000;
        } else if (i > SYNTHETIC_PEAK) {
            strcpy(subject->level, "L2");
            subject->bytes = 1000000;
        }
    }
}

static double call_ns(const struct synthetic *s, size_t subject)
{
    if (subject == SYNTHETIC_PEAK)
        return 2e6 / s->peak_gflops;
    return subject > SYNTHETIC_PEAK ? 1e6 / s->gbps : s->call_ns[subject];
}

static void set_samples(const struct synthetic *s, struct dwb_record *record, uint64_t *state)
{
    double factor[SYNTHETIC_N_SUBJECTS];
    bool disturbed = synthetic_uniform(state) < s->disturbed_share;

    for (size_t i = 0; i < SYNTHETIC_N_SUBJECTS; i++) {
        factor[i] = i <= SYNTHETIC_CANARY ? 1 + process_noise(s, i, state) : 1;
        if (disturbed && i <= SYNTHETIC_CANARY)
            factor[i] *= s->disturbed[i];
    }
    record->samples = allocate(2 * s->n_blocks * record->n_subjects, sizeof *record->samples);
    for (uint32_t block = 0; block < s->n_blocks; block++)
        for (uint32_t half = 0; half < 2; half++)
            for (uint32_t i = 0; i < record->n_subjects; i++) {
                bool flagged =
                    i <= SYNTHETIC_SEPARABLE && synthetic_uniform(state) < s->flagged_share;
                double ns = call_ns(s, i) * N_CALLS * factor[i];
                if (i != SYNTHETIC_PEAK)
                    ns *= 1 + exponential(state, s->sample_noise);
                ns *= flagged ? 1.5 : 1;
                record->samples[record->n_samples++] = (struct dwb_sample){
                    .subject = i,
                    .block = block,
                    .half = half,
                    .n_calls = N_CALLS,
                    .wall_ns = (uint64_t)llround(ns),
                    .cpu_ns = (uint64_t)llround(ns),
                    .flags = flagged ? DWB_SAMPLE_SWITCHED : 0,
                };
            }
}

static void set_counters(const struct synthetic *s, struct dwb_record *record)
{
    static const struct dwb_counter counters[] = {
        {.name = "cycles", .reason = "no PMU under this hypervisor", .outcome = DWB_OUTCOME_NO_PMU},
        {.name = "instructions",
         .reason = "no PMU under this hypervisor",
         .outcome = DWB_OUTCOME_NO_PMU},
        {.name = "llc_misses",
         .reason = "the CPU lacks the event",
         .outcome = DWB_OUTCOME_NOT_ON_THIS_CPU},
        {.name = "task_clock",
         .event = "PERF_COUNT_SW_TASK_CLOCK",
         .unit = "ns",
         .source = DWB_SOURCE_SOFTWARE},
    };

    record->n_counters = sizeof counters / sizeof *counters;
    record->counters = allocate(record->n_counters, sizeof *counters);
    memcpy(record->counters, counters, sizeof counters);
    record->readings = allocate(3 * (SYNTHETIC_SEPARABLE + 1), sizeof *record->readings);
    for (uint32_t i = 0; i <= SYNTHETIC_SEPARABLE; i++) {
        uint64_t ns = (uint64_t)llround(s->call_ns[i]);
        record->readings[record->n_readings++] = (struct dwb_reading){i, 3, 0, 2, 2 * ns};
        if (!s->counted)
            continue;
        record->readings[record->n_readings++] = (struct dwb_reading){i, 0, 0, 2, 2 * 3 * ns};
        record->readings[record->n_readings++] = (struct dwb_reading){i, 1, 0, 2, 2 * 6 * ns};
    }
    for (size_t i = 0; s->counted && i < 2; i++) {
        record->counters[i].source = DWB_SOURCE_HARDWARE;
        record->counters[i].outcome = DWB_OUTCOME_COUNTED;
        record->counters[i].reason[0] = '\0';
        snprintf(record->counters[i].event, sizeof record->counters[i].event, "test::EVENT_%zu", i);
    }
}

struct dwb_record *synthetic_record(const struct synthetic *synthetic, uint32_t replicate,
                                    uint64_t *state)
{
    struct dwb_record *record = allocate(1, sizeof *record);

    record->layer = synthetic->layer;
    record->replicate = replicate;
    record->cpu = 1;
    record->seed = replicate;
    record->cache = synthetic->cache;
    record->elapsed_ns = 350000000;
    record->kernel_ns = 301000000;
    set_subjects(synthetic, record);
    set_samples(synthetic, record, state);
    set_counters(synthetic, record);
    record->environment =
        json_pack("{s:{s:s, s:i}, s:[{s:s, s:i}, {s:s, s:i}], s:s, s:i, s:n}", "cpu", "model",
                  "made up", "stepping", 1, "caches", "level", "L1", "bytes", 32768, "level", "L2",
                  "bytes", 8 << 20, "kernel", "Linux 6", "steal_ticks", (int)replicate, "governor");
    if (!record->environment)
        abort();
    return record;
}

void synthetic_records(const struct synthetic *synthetic, uint64_t seed,
                       struct dwb_record **records, size_t n)
{
    uint64_t state = seed;

    for (size_t i = 0; i < n; i++)
        records[i] = synthetic_record(synthetic, (uint32_t)i, &state);
}

void synthetic_free(struct dwb_record **records, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dwb_record_free(records[i]);
}

struct dwb_spec *synthetic_spec(const struct synthetic *synthetic)
{
    struct dwb_spec *spec = allocate(1, sizeof *spec);

    *spec = (struct dwb_spec){.alpha = 1,
                              .n_layers = 1,
                              .options = {.cache = synthetic->cache,
                                          .budget_ns = DWB_SPEC_BUDGET_DEFAULT_NS,
                                          .precision = DWB_SPEC_PRECISION_DEFAULT,
                                          .replicates = DWB_SPEC_REPLICATES_DEFAULT,
                                          .seed = 1}};
    strcpy(spec->name, synthetic->layer.name);
    spec->declared = allocate(1, sizeof *spec->declared);
    spec->layers = allocate(1, sizeof *spec->layers);
    spec->declared[0] = spec->layers[0] = synthetic->layer;
    return spec;
}
