/*
 * The codec of replicate records. The decoder faces a pipe from a process that may have crashed, a
 * database that may be old and a fuzzer: it takes exactly the members it knows, each of the right
 * type and in range, and refuses the record as a whole otherwise. Encoding then decoding gives an
 * equal record.
 *
 * Counts are JSON integers of at most 63 bits. Two values need more than JSON has: a seed past 63
 * bits is a decimal string, and an infinite worst_error (an output was NaN) is null.
 *
 * Invariants of a decoded record: indices point inside their arrays, halves are 0 or 1, n_calls and
 * wall_ns are at least 1, flags are known bits, counter names are distinct, a reading belongs to a
 * counter that has a source, mismatched <= verified, strings are free of control characters.
 */

#include "common/record.h"

#include "common/cleanup.h"
#include "common/json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define SUBJECTS_MAX 256
#define COUNTERS_MAX 128
#define ROWS_MAX     (DWB_RECORD_BYTES_MAX / 12) /* no row of samples or readings is shorter */
#define FLAGS_ALL    (DWB_SAMPLE_SWITCHED | DWB_SAMPLE_MIGRATED | DWB_SAMPLE_STOLEN | DWB_SAMPLE_GAP)

static const char *const source_names[] = {
    [DWB_SOURCE_NONE] = NULL,           [DWB_SOURCE_HARDWARE] = "hardware",
    [DWB_SOURCE_SOFTWARE] = "software", [DWB_SOURCE_DERIVED] = "derived",
    [DWB_SOURCE_ANALYTIC] = "analytic", [DWB_SOURCE_SIMULATED] = "simulated",
};

const char *dwb_source_name(enum dwb_source source)
{
    return (unsigned)source <= DWB_SOURCE_SIMULATED ? source_names[source] : NULL;
}

static const char *const outcome_names[DWB_N_OUTCOMES] = {
    [DWB_OUTCOME_COUNTED] = "counted",
    [DWB_OUTCOME_NO_PMU] = "no_pmu",
    [DWB_OUTCOME_PARANOID] = "paranoid",
    [DWB_OUTCOME_SECCOMP] = "seccomp",
    [DWB_OUTCOME_DENIED] = "denied",
    [DWB_OUTCOME_NO_SYSCALL] = "no_syscall",
    [DWB_OUTCOME_NOT_ON_THIS_CPU] = "not_on_this_cpu",
    [DWB_OUTCOME_COUNTS_NOTHING] = "counts_nothing",
    [DWB_OUTCOME_FAILS_CALIBRATION] = "fails_calibration",
    [DWB_OUTCOME_DOES_NOT_FIT] = "does_not_fit",
    [DWB_OUTCOME_HELD] = "held",
    [DWB_OUTCOME_BAD_CATALOGUE] = "bad_catalogue",
    [DWB_OUTCOME_NO_WINDOW] = "no_window",
    [DWB_OUTCOME_FAILED] = "failed",
};

const char *dwb_outcome_name(enum dwb_outcome outcome)
{
    return (unsigned)outcome < DWB_N_OUTCOMES ? outcome_names[outcome] : NULL;
}

int dwb_outcome_from_name(const char *name, enum dwb_outcome *ret_outcome)
{
    for (size_t i = 0; i < DWB_N_OUTCOMES; i++)
        if (strcmp(name, outcome_names[i]) == 0) {
            *ret_outcome = (enum dwb_outcome)i;
            return 0;
        }
    return -EINVAL;
}

static json_t *seed_to_json(uint64_t seed)
{
    char text[24];

    if (seed <= INT64_MAX)
        return json_integer((json_int_t)seed);
    snprintf(text, sizeof text, "%" PRIu64, seed);
    return json_string(text);
}

static json_t *subjects_to_json(const struct dwb_record *record)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < record->n_subjects; i++) {
        const struct dwb_subject *s = &record->subjects[i];
        json_t *item = json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "operation",
            dwb_operation_name(s->operation), "backend", s->backend, "isa", s->isa, "kernel",
            s->kernel, "algorithm", s->algorithm, "level", s->level, "macs_nominal",
            (json_int_t)s->macs_nominal, "macs_executed", (json_int_t)s->macs_executed, "bytes",
            (json_int_t)s->bytes, "verified", (json_int_t)s->verified, "mismatched",
            (json_int_t)s->mismatched, "worst_error",
            isfinite(s->worst_error) ? json_real(s->worst_error) : json_null());
        int r = s->side && item ? json_object_set_new(item, "side", json_stringn(&s->side, 1)) : 0;
        if (json_array_append_new(array, item) < 0 || r < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *omissions_to_json(const struct dwb_record *record)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < record->n_omissions; i++) {
        const struct dwb_omission *o = &record->omissions[i];
        json_t *item = json_pack("{s:s, s:s, s:s}", "operation", dwb_operation_name(o->operation),
                                 "backend", o->backend, "reason", o->reason);
        if (json_array_append_new(array, item) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *samples_to_json(const struct dwb_record *record)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < record->n_samples; i++) {
        const struct dwb_sample *s = &record->samples[i];
        json_t *row =
            json_pack("[I, I, I, I, I, I, I]", (json_int_t)s->subject, (json_int_t)s->block,
                      (json_int_t)s->half, (json_int_t)s->n_calls, (json_int_t)s->wall_ns,
                      (json_int_t)s->cpu_ns, (json_int_t)s->flags);
        if (json_array_append_new(array, row) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *counters_to_json(const struct dwb_record *record)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < record->n_counters; i++) {
        const struct dwb_counter *c = &record->counters[i];
        json_t *item =
            json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s, s:o}", "name", c->name, "event", c->event,
                      "unit", c->unit, "source", dwb_source_name(c->source), "reason", c->reason,
                      "outcome", dwb_outcome_name(c->outcome), "overhead",
                      c->has_overhead ? json_integer((json_int_t)c->overhead) : json_null());
        if (json_array_append_new(array, item) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *readings_to_json(const struct dwb_record *record)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < record->n_readings; i++) {
        const struct dwb_reading *r = &record->readings[i];
        json_t *row = json_pack("[I, I, I, I, I]", (json_int_t)r->subject, (json_int_t)r->counter,
                                (json_int_t)r->block, (json_int_t)r->n_calls, (json_int_t)r->value);
        if (json_array_append_new(array, row) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

json_t *dwb_record_to_json(const struct dwb_record *record)
{
    /* "o" steals each new reference and fails the whole pack when one of them is NULL. */
    json_t *object = json_pack(
        "{s:s, s:s, s:o, s:I, s:I, s:o, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "type",
        "replicate", "schema", DWB_RECORD_SCHEMA, "layer", dwb_layer_to_json(&record->layer),
        "replicate", (json_int_t)record->replicate, "cpu", (json_int_t)record->cpu, "seed",
        seed_to_json(record->seed), "cache", dwb_cache_mode_name(record->cache), "elapsed_ns",
        (json_int_t)record->elapsed_ns, "kernel_ns", (json_int_t)record->kernel_ns, "subjects",
        subjects_to_json(record), "samples", samples_to_json(record), "counters",
        counters_to_json(record), "readings", readings_to_json(record), "environment",
        record->environment ? json_incref(record->environment) : json_object());

    if (object && record->n_omissions &&
        json_object_set_new(object, "omissions", omissions_to_json(record)) < 0) {
        json_decref(object);
        return NULL;
    }
    if (object && record->simulation &&
        json_object_set_new(object, "simulation", dwb_simulation_to_json(record->simulation)) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* What the decoders are given is a value of an array or of json_unpack: never NULL. */
static bool is_number(const json_t *value)
{
    return json_typeof(value) == JSON_INTEGER || json_typeof(value) == JSON_REAL;
}

static bool is_string(const json_t *value, const char *wanted)
{
    const char *text = json_string_value(value);

    return text && strcmp(text, wanted) == 0;
}

static int take_count(const json_t *value, uint64_t max, uint64_t *ret_count)
{
    json_int_t n = json_integer_value(value);

    if (json_typeof(value) != JSON_INTEGER || n < 0 || (uint64_t)n > max)
        return -EINVAL;
    *ret_count = (uint64_t)n;
    return 0;
}

static int take_count32(const json_t *value, uint32_t max, uint32_t *ret_count)
{
    uint64_t n;
    int r = take_count(value, max, &n);

    if (r == 0)
        *ret_count = (uint32_t)n;
    return r;
}

static int take_seed(const json_t *value, uint64_t *ret_seed)
{
    const char *text = json_string_value(value);
    char *end;

    if (!text)
        return take_count(value, INT64_MAX, ret_seed);
    if (text[0] < '1' || text[0] > '9') /* strtoull takes blanks and signs, a seed has none */
        return -EINVAL;
    errno = 0;
    unsigned long long seed = strtoull(text, &end, 10);
    if (errno || *end || strlen(text) != json_string_length(value) || seed <= INT64_MAX)
        return -EINVAL;
    *ret_seed = seed;
    return 0;
}

/* The member is only there in a comparison. */
static int take_side(const json_t *side, struct dwb_subject *subject)
{
    const char *text = json_string_value(side);

    if (side && (!text || (strcmp(text, "a") != 0 && strcmp(text, "b") != 0)))
        return -EINVAL;
    subject->side = text ? text[0] : 0;
    return 0;
}

static int take_subject(json_t *item, struct dwb_subject *subject)
{
    json_t *side = NULL, *operation, *backend, *isa, *kernel, *algorithm, *level;
    json_t *nominal, *executed, *bytes, *verified, *mismatched, *worst;
    const char *name;

    if (json_unpack_ex(item, NULL, JSON_STRICT,
                       "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s?o}",
                       "operation", &operation, "backend", &backend, "isa", &isa, "kernel", &kernel,
                       "algorithm", &algorithm, "level", &level, "macs_nominal", &nominal,
                       "macs_executed", &executed, "bytes", &bytes, "verified", &verified,
                       "mismatched", &mismatched, "worst_error", &worst, "side", &side) < 0 ||
        take_side(side, subject) < 0)
        return -EINVAL;
    name = json_string_value(operation);
    if (!name || dwb_operation_from_name(name, &subject->operation) < 0 ||
        dwb_json_take_text(backend, subject->backend, sizeof subject->backend) < 0 ||
        dwb_json_take_text(isa, subject->isa, sizeof subject->isa) < 0 ||
        dwb_json_take_text(kernel, subject->kernel, sizeof subject->kernel) < 0 ||
        dwb_json_take_text(algorithm, subject->algorithm, sizeof subject->algorithm) < 0 ||
        dwb_json_take_text(level, subject->level, sizeof subject->level) < 0 ||
        take_count(nominal, INT64_MAX, &subject->macs_nominal) < 0 ||
        take_count(executed, INT64_MAX, &subject->macs_executed) < 0 ||
        take_count(bytes, INT64_MAX, &subject->bytes) < 0 ||
        take_count32(verified, UINT32_MAX, &subject->verified) < 0 ||
        take_count32(mismatched, subject->verified, &subject->mismatched) < 0)
        return -EINVAL;
    if (json_typeof(worst) == JSON_NULL) {
        subject->worst_error = INFINITY;
        return 0;
    }
    subject->worst_error = json_number_value(worst);
    return is_number(worst) && subject->worst_error >= 0 ? 0 : -EINVAL;
}

/* Both are younger than the rest: a record of the store may be without them. */
static int take_outcome(const json_t *outcome, const json_t *overhead, struct dwb_counter *counter)
{
    counter->outcome =
        counter->source == DWB_SOURCE_NONE ? DWB_OUTCOME_FAILED : DWB_OUTCOME_COUNTED;
    const char *name = json_string_value(outcome);

    if (outcome &&
        (!name || dwb_outcome_from_name(name, &counter->outcome) < 0 ||
         (counter->source == DWB_SOURCE_NONE) == (counter->outcome == DWB_OUTCOME_COUNTED)))
        return -EINVAL;
    counter->has_overhead = overhead && json_typeof(overhead) != JSON_NULL;
    return counter->has_overhead ? take_count(overhead, INT64_MAX, &counter->overhead) : 0;
}

static int take_counter(json_t *item, struct dwb_counter *counter)
{
    json_t *name, *event, *unit, *source, *reason, *outcome = NULL, *overhead = NULL;

    if (json_unpack_ex(item, NULL, JSON_STRICT, "{s:o, s:o, s:o, s:o, s:o, s?o, s?o}", "name",
                       &name, "event", &event, "unit", &unit, "source", &source, "reason", &reason,
                       "outcome", &outcome, "overhead", &overhead) < 0 ||
        dwb_json_take_text(name, counter->name, sizeof counter->name) < 0 ||
        counter->name[0] == '\0' ||
        dwb_json_take_text(event, counter->event, sizeof counter->event) < 0 ||
        dwb_json_take_text(unit, counter->unit, sizeof counter->unit) < 0 ||
        dwb_json_take_text(reason, counter->reason, sizeof counter->reason) < 0)
        return -EINVAL;
    if (json_typeof(source) == JSON_NULL) {
        counter->source = DWB_SOURCE_NONE;
        return take_outcome(outcome, overhead, counter);
    }
    for (unsigned i = DWB_SOURCE_HARDWARE; i <= DWB_SOURCE_SIMULATED; i++)
        if (is_string(source, source_names[i])) {
            counter->source = (enum dwb_source)i;
            return take_outcome(outcome, overhead, counter);
        }
    return -EINVAL;
}

/* Rows are arrays of exactly n_columns counts. */
static int take_row(const json_t *row, uint64_t *columns, size_t n_columns)
{
    if (json_array_size(row) != n_columns) /* 0 of what is no array */
        return -EINVAL;
    for (size_t i = 0; i < n_columns; i++)
        if (take_count(json_array_get(row, i), INT64_MAX, &columns[i]) < 0)
            return -EINVAL;
    return 0;
}

static int take_sample(const json_t *row, size_t n_subjects, struct dwb_sample *sample)
{
    uint64_t c[7];

    if (take_row(row, c, 7) < 0 || c[0] >= n_subjects || c[1] > UINT32_MAX || c[2] > 1 ||
        c[3] < 1 || c[3] > UINT32_MAX || c[4] < 1 || (c[6] & ~(uint64_t)FLAGS_ALL))
        return -EINVAL;
    *sample = (struct dwb_sample){
        .subject = (uint32_t)c[0],
        .block = (uint32_t)c[1],
        .half = (uint32_t)c[2],
        .n_calls = (uint32_t)c[3],
        .wall_ns = c[4],
        .cpu_ns = c[5],
        .flags = (uint32_t)c[6],
    };
    return 0;
}

static int take_reading(const json_t *row, const struct dwb_record *record,
                        struct dwb_reading *reading)
{
    uint64_t c[5];

    if (take_row(row, c, 5) < 0 || c[0] >= record->n_subjects || c[1] >= record->n_counters ||
        record->counters[c[1]].source == DWB_SOURCE_NONE || c[2] > UINT32_MAX || c[3] < 1 ||
        c[3] > UINT32_MAX)
        return -EINVAL;
    *reading = (struct dwb_reading){
        .subject = (uint32_t)c[0],
        .counter = (uint32_t)c[1],
        .block = (uint32_t)c[2],
        .n_calls = (uint32_t)c[3],
        .value = c[4],
    };
    return 0;
}

/* Room for a JSON array of at most max items; an empty one still gets a pointer to free. */
static int make_room(const json_t *array, size_t max, size_t item_size, void *ret_items,
                     size_t *ret_n)
{
    if (json_typeof(array) != JSON_ARRAY || json_array_size(array) > max)
        return -EINVAL;
    void *items = calloc(json_array_size(array) + 1, item_size);
    if (!items)
        return -ENOMEM;
    *(void **)ret_items = items;
    *ret_n = json_array_size(array);
    return 0;
}

static int take_subjects_and_counters(const json_t *subjects, const json_t *counters,
                                      struct dwb_record *record)
{
    int r = make_room(subjects, SUBJECTS_MAX, sizeof *record->subjects, &record->subjects,
                      &record->n_subjects);

    for (size_t i = 0; r == 0 && i < record->n_subjects; i++)
        r = take_subject(json_array_get(subjects, i), &record->subjects[i]);
    if (r == 0)
        r = make_room(counters, COUNTERS_MAX, sizeof *record->counters, &record->counters,
                      &record->n_counters);
    for (size_t i = 0; r == 0 && i < record->n_counters; i++) {
        r = take_counter(json_array_get(counters, i), &record->counters[i]);
        for (size_t j = 0; r == 0 && j < i; j++)
            if (strcmp(record->counters[i].name, record->counters[j].name) == 0)
                r = -EINVAL;
    }
    return r;
}

static int take_samples_and_readings(const json_t *samples, const json_t *readings,
                                     struct dwb_record *record)
{
    int r =
        make_room(samples, ROWS_MAX, sizeof *record->samples, &record->samples, &record->n_samples);

    for (size_t i = 0; r == 0 && i < record->n_samples; i++)
        r = take_sample(json_array_get(samples, i), record->n_subjects, &record->samples[i]);
    if (r == 0)
        r = make_room(readings, ROWS_MAX, sizeof *record->readings, &record->readings,
                      &record->n_readings);
    for (size_t i = 0; r == 0 && i < record->n_readings; i++)
        r = take_reading(json_array_get(readings, i), record, &record->readings[i]);
    return r;
}

static int take_omission(json_t *item, struct dwb_omission *omission)
{
    const char *operation;
    json_t *backend, *reason;

    if (json_unpack_ex(item, NULL, JSON_STRICT, "{s:s, s:o, s:o}", "operation", &operation,
                       "backend", &backend, "reason", &reason) < 0 ||
        dwb_operation_from_name(operation, &omission->operation) < 0 ||
        omission->operation > DWB_OPERATION_SEPARABLE ||
        dwb_json_take_text(backend, omission->backend, sizeof omission->backend) < 0 ||
        omission->backend[0] == '\0' ||
        dwb_json_take_text(reason, omission->reason, sizeof omission->reason) < 0 ||
        omission->reason[0] == '\0')
        return -EINVAL;
    return 0;
}

/* Only there when there is one: records from before there were plugins have no such member. */
static int take_omissions(const json_t *omissions, struct dwb_record *record)
{
    int r = omissions ? make_room(omissions, SUBJECTS_MAX, sizeof *record->omissions,
                                  &record->omissions, &record->n_omissions)
                      : 0;

    for (size_t i = 0; r == 0 && i < record->n_omissions; i++)
        r = take_omission(json_array_get(omissions, i), &record->omissions[i]);
    return r;
}

/* The member is only there when it was asked for. */
static int take_simulation(const json_t *simulation, struct dwb_record *record)
{
    return simulation
               ? dwb_simulation_from_json(simulation, record->n_subjects, &record->simulation)
               : 0;
}

int dwb_record_from_json(const json_t *object, struct dwb_record **ret_record)
{
    DWB_CLEANUP(dwb_record_freep) struct dwb_record *record = NULL;
    json_t *type, *schema, *layer, *replicate, *cpu, *seed, *cache, *elapsed, *kernel;
    json_t *subjects, *samples, *counters, *readings, *environment;
    json_t *omissions = NULL, *simulation = NULL;
    const char *mode;
    int r;

    /* json_unpack does not write to what it reads, but its parameter is not const. */
    if (json_unpack_ex((json_t *)(uintptr_t)object, NULL, JSON_STRICT,
                       "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
                       "s?o, s?o}",
                       "type", &type, "schema", &schema, "layer", &layer, "replicate", &replicate,
                       "cpu", &cpu, "seed", &seed, "cache", &cache, "elapsed_ns", &elapsed,
                       "kernel_ns", &kernel, "subjects", &subjects, "samples", &samples, "counters",
                       &counters, "readings", &readings, "environment", &environment, "omissions",
                       &omissions, "simulation", &simulation) < 0)
        return -EINVAL;
    mode = json_string_value(cache);
    if (!is_string(type, "replicate") || !is_string(schema, DWB_RECORD_SCHEMA) || !mode ||
        json_typeof(environment) != JSON_OBJECT)
        return -EINVAL;

    record = calloc(1, sizeof *record);
    if (!record)
        return -ENOMEM;
    if (dwb_layer_from_json(layer, &record->layer) < 0 ||
        dwb_cache_mode_from_name(mode, &record->cache) < 0 ||
        take_count32(replicate, UINT32_MAX, &record->replicate) < 0 ||
        take_count32(cpu, UINT32_MAX, &record->cpu) < 0 || take_seed(seed, &record->seed) < 0 ||
        take_count(elapsed, INT64_MAX, &record->elapsed_ns) < 0 ||
        take_count(kernel, INT64_MAX, &record->kernel_ns) < 0)
        return -EINVAL;
    r = take_subjects_and_counters(subjects, counters, record);
    if (r == 0)
        r = take_samples_and_readings(samples, readings, record);
    if (r == 0)
        r = take_omissions(omissions, record);
    if (r == 0)
        r = take_simulation(simulation, record);
    if (r < 0)
        return r;
    record->environment = json_incref(environment);
    *ret_record = dwb_steal(record);
    return 0;
}

void dwb_record_free(struct dwb_record *record)
{
    if (!record)
        return;
    free(record->subjects);
    free(record->samples);
    free(record->counters);
    free(record->readings);
    free(record->omissions);
    json_decref(record->environment);
    dwb_simulation_free(record->simulation);
    free(record);
}
