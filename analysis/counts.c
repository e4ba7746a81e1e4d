/*
 * Readings to figures. A counter may have been counted in some processes and not in others (another
 * tool took the PMU for a while): readings of the first source seen count, others are left out, and
 * the note says in how many processes it was counted.
 */

#include "analysis/counts.h"

#include "analysis/json.h"
#include "analysis/stats.h"
#include "common/cleanup.h"

#include <errno.h>
#include <string.h>

#define MAX_NAMES (sizeof((struct dwb_counts_names *)0)->items / sizeof(char *))

/* A ratio of these is always in a result, counted or not. */
static const char *const standard_names[] = {"cycles", "instructions", "flops", "cache_misses"};

static void add_name(struct dwb_counts_names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->items[i], name) == 0)
            return;
    if (names->n < MAX_NAMES)
        names->items[names->n++] = name;
}

void dwb_counts_names_of(const struct dwb_figures *figures, struct dwb_counts_names *ret_names)
{
    ret_names->n = 0;
    for (size_t i = 0; i < sizeof standard_names / sizeof *standard_names; i++)
        add_name(ret_names, standard_names[i]);
    for (size_t i = 0; i < figures->input.n_records; i++)
        for (size_t k = 0; k < figures->input.records[i]->n_counters; k++)
            add_name(ret_names, figures->input.records[i]->counters[k].name);
}

static size_t find_counter(const struct dwb_record *record, const char *name)
{
    size_t i = 0;

    while (i < record->n_counters && strcmp(record->counters[i].name, name) != 0)
        i++;
    return i;
}

/* The name under which the records know a counter: cache_misses are those of the last level. */
static const char *name_in(const struct dwb_figures *figures, const char *name)
{
    bool is_last_level = strcmp(name, "cache_misses") == 0;

    for (size_t i = 0; is_last_level && i < figures->input.n_records; i++) {
        const struct dwb_record *record = figures->input.records[i];
        if (find_counter(record, name) < record->n_counters)
            return name;
    }
    return is_last_level ? "llc_misses" : name;
}

struct gathering {
    double *values;
    size_t n, n_processes, n_asked;
};

static size_t count_readings(const struct dwb_figures *figures)
{
    size_t n = 0;

    for (size_t i = 0; i < figures->input.n_records; i++)
        n += figures->input.records[i]->n_readings;
    return n;
}

/* Takes the readings of one record; the first counted one decides the source. */
static void gather(const struct dwb_record *record, const char *backend,
                   enum dwb_operation operation, const char *name, struct gathering *gathering,
                   struct dwb_count *count)
{
    size_t counter = find_counter(record, name), n_before = gathering->n;

    if (counter == record->n_counters)
        return;
    gathering->n_asked++;
    const struct dwb_counter *c = &record->counters[counter];
    if (!count->outcome)
        count->outcome = dwb_outcome_name(c->outcome);
    if (c->source == DWB_SOURCE_NONE || (gathering->n && c->source != count->source)) {
        if (gathering->n == 0 && !count->reason[0])
            snprintf(count->reason, sizeof count->reason, "%s",
                     c->reason[0] ? c->reason : "not counted");
        return;
    }
    for (size_t i = 0; i < record->n_readings; i++) {
        const struct dwb_reading *reading = &record->readings[i];
        const struct dwb_subject *subject = &record->subjects[reading->subject];
        if (reading->counter != counter || subject->operation != operation ||
            strcmp(subject->backend, backend) != 0)
            continue;
        gathering->values[gathering->n++] = (double)reading->value / reading->n_calls;
    }
    if (gathering->n == n_before)
        return;
    gathering->n_processes++;
    if (c->has_overhead)
        count->overhead = fmin((double)c->overhead, count->overhead); /* a NAN loses */
    if (n_before == 0) {
        count->source = c->source;
        count->outcome = dwb_outcome_name(c->outcome);
        count->event = c->event;
        count->unit = c->unit;
        snprintf(count->reason, sizeof count->reason, "%s", c->reason);
    }
}

int dwb_counts_of(const struct dwb_figures *figures, enum dwb_operation operation, const char *name,
                  struct dwb_count *ret_count)
{
    const struct dwb_figures_input *input = &figures->input;
    struct dwb_count count = {
        .floor = NAN, .median = NAN, .overhead = NAN, .event = "", .unit = ""};
    struct gathering gathering = {0};
    dwb_cleanup_free double *values = malloc((count_readings(figures) + 1) * sizeof *values);

    if (!values)
        return -ENOMEM;
    gathering.values = values;
    for (size_t i = 0; i < input->n_records; i++)
        if (!figures->disturbed[i])
            gather(input->records[i], input->backend, operation, name_in(figures, name), &gathering,
                   &count);
    if (gathering.n) {
        dwb_stats_sort(values, gathering.n);
        count.floor = dwb_stats_floor(values, gathering.n);
        count.median = dwb_stats_median(values, gathering.n);
        if (gathering.n_processes < gathering.n_asked) {
            size_t used = strlen(count.reason);
            snprintf(count.reason + used, sizeof count.reason - used,
                     "%scounted in %zu of %zu processes", used ? "; " : "", gathering.n_processes,
                     gathering.n_asked);
        }
    } else if (!count.reason[0]) {
        snprintf(count.reason, sizeof count.reason, "%s",
                 gathering.n_asked ? "no reading of this operation" : "not asked for");
    }
    *ret_count = count;
    return 0;
}

static json_t *count_to_json(const struct dwb_count *count)
{
    return json_pack("{s:o, s:o, s:o, s:s, s:s?, s:s, s:s?, s:o, s:o}", "value",
                     dwb_json_number(count->floor), "floor", dwb_json_number(count->floor),
                     "median", dwb_json_number(count->median), "unit", count->unit, "source",
                     dwb_source_name(count->source), "event", count->event, "outcome",
                     count->outcome, "overhead", dwb_json_number(count->overhead), "reason",
                     dwb_json_text(count->reason));
}

static const struct dwb_count underived = {
    .floor = NAN, .median = NAN, .overhead = NAN, .event = "", .unit = ""};

/* Quotient of two counters of one operation; null with the reason of the one that is missing. */
static int derive(const struct dwb_figures *figures, enum dwb_operation operation,
                  const char *dividend, const char *divisor, const char *text,
                  struct dwb_count *ret_count)
{
    struct dwb_count above, below, count = underived;
    int r = dwb_counts_of(figures, operation, dividend, &above);

    if (r == 0)
        r = dwb_counts_of(figures, operation, divisor, &below);
    if (r < 0)
        return r;
    count.event = text;
    if (isnan(above.floor) || isnan(below.floor)) {
        snprintf(count.reason, sizeof count.reason, "%s: %.240s",
                 isnan(above.floor) ? dividend : divisor,
                 isnan(above.floor) ? above.reason : below.reason);
    } else if (below.floor > 0) {
        count.floor = above.floor / below.floor;
        count.median = above.median / below.median;
        count.source = DWB_SOURCE_DERIVED;
    } else {
        snprintf(count.reason, sizeof count.reason, "%s: the floor is 0", divisor);
    }
    *ret_count = count;
    return 0;
}

/* A counter times what the shape or the machine says of it. */
static int scale(const struct dwb_figures *figures, enum dwb_operation operation, const char *name,
                 double factor, const char *text, const char *unit, struct dwb_count *ret_count)
{
    struct dwb_count counted, count = underived;
    int r = dwb_counts_of(figures, operation, name, &counted);

    if (r < 0)
        return r;
    count.event = text;
    count.unit = unit;
    if (isnan(counted.floor)) {
        snprintf(count.reason, sizeof count.reason, "%s: %.240s", name, counted.reason);
    } else if (isnan(factor)) {
        snprintf(count.reason, sizeof count.reason, "the size of a cache line is not known");
    } else {
        count.floor = factor * counted.floor;
        count.median = factor * counted.median;
        count.source = DWB_SOURCE_DERIVED;
    }
    *ret_count = count;
    return 0;
}

static int put_count(json_t *object, const char *name, const struct dwb_count *count)
{
    return json_object_set_new(object, name, count_to_json(count)) < 0 ? -ENOMEM : 0;
}

/* Of the first level; NAN = the environment does not say. */
static double line_bytes(const struct dwb_figures *figures)
{
    const struct dwb_figures_input *input = &figures->input;
    const json_t *caches =
        input->n_records ? json_object_get(input->records[0]->environment, "caches") : NULL;
    const json_t *bytes = json_object_get(json_array_get(caches, 0), "line_bytes");

    return json_is_integer(bytes) && json_integer_value(bytes) > 0 ? json_number_value(bytes) : NAN;
}

/* What the shape makes of counted values: bytes a multiply-add from misses, and how the counted
 * FLOPs compare with those that the kernel must execute. */
static int put_against_shape(json_t *object, const struct dwb_figures *figures,
                             enum dwb_operation operation, double macs)
{
    static const struct {
        const char *name, *of, *text;
    } table[] = {
        {"l1d_bytes_per_mac", "l1d_misses", "l1d_misses * line / executed multiply-adds"},
        {"l2_bytes_per_mac", "l2_misses", "l2_misses * line / executed multiply-adds"},
        {"llc_bytes_per_mac", "llc_misses", "llc_misses * line / executed multiply-adds"},
    };
    double line = line_bytes(figures);
    struct dwb_count count;
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof table / sizeof *table; i++) {
        r = scale(figures, operation, table[i].of, line / macs, table[i].text, "bytes", &count);
        if (r == 0)
            r = put_count(object, table[i].name, &count);
    }
    if (r == 0)
        r = scale(figures, operation, "flops", 1 / (2 * macs), "flops / flops_analytic", "",
                  &count);
    return r == 0 ? put_count(object, "flops_over_analytic", &count) : r;
}

static int put_derived(json_t *object, const struct dwb_figures *figures,
                       enum dwb_operation operation)
{
    const struct dwb_operation_figures *op = &figures->operations[operation];
    struct dwb_count count;
    int r;

    r = derive(figures, operation, "instructions", "cycles", "instructions / cycles", &count);
    if (r == 0)
        r = put_count(object, "ipc", &count);
    if (r == 0)
        r = derive(figures, operation, "flops", "cycles", "flops / cycles", &count);
    if (r == 0)
        r = put_count(object, "flops_per_cycle", &count);
    if (r < 0 || !op->subject)
        return r;
    r = put_against_shape(object, figures, operation, (double)op->subject->macs_executed);
    if (r < 0)
        return r;
    count = underived;
    count.floor = count.median = 2 * (double)op->subject->macs_executed;
    count.source = DWB_SOURCE_ANALYTIC;
    count.event = "2 * executed multiply-adds";
    return put_count(object, "flops_analytic", &count);
}

json_t *dwb_counts_to_json(const struct dwb_figures *figures, enum dwb_operation operation)
{
    json_t *object = json_object();
    struct dwb_counts_names names;
    int r = object ? 0 : -ENOMEM;

    dwb_counts_names_of(figures, &names);
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        struct dwb_count count;
        r = dwb_counts_of(figures, operation, names.items[i], &count);
        if (r == 0)
            r = put_count(object, names.items[i], &count);
    }
    if (r == 0)
        r = put_derived(object, figures, operation);
    if (r == 0)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *ratio_of_counts(const struct dwb_count *standard, const struct dwb_count *separable,
                               double theory)
{
    char reason[320] = "";
    double value = NAN;
    bool counted = !isnan(standard->floor) && !isnan(separable->floor);

    if (!counted)
        snprintf(reason, sizeof reason, "%s",
                 isnan(standard->floor) ? standard->reason : separable->reason);
    else if (standard->source != separable->source)
        snprintf(reason, sizeof reason, "the two sides have different sources");
    else if (!(standard->floor > 0))
        snprintf(reason, sizeof reason, "the standard form counted 0");
    else
        value = separable->floor / standard->floor;
    const char *inputs = counted ? dwb_source_name(standard->source) : NULL;
    return json_pack("{s:o, s:o, s:s?, s:s?, s:o}", "value", dwb_json_number(value), "theory",
                     dwb_json_number(theory), "source",
                     isnan(value) ? NULL : dwb_source_name(DWB_SOURCE_DERIVED), "inputs", inputs,
                     "reason", dwb_json_text(reason));
}

json_t *dwb_counts_ratios_to_json(const struct dwb_figures *figures)
{
    const struct dwb_subject *standard = figures->operations[DWB_OPERATION_STANDARD].subject;
    const struct dwb_subject *separable = figures->operations[DWB_OPERATION_SEPARABLE].subject;
    json_t *object = json_object();
    struct dwb_counts_names names;
    struct dwb_count sides[2];
    int r = object ? 0 : -ENOMEM;

    dwb_counts_names_of(figures, &names);
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        r = dwb_counts_of(figures, DWB_OPERATION_STANDARD, names.items[i], &sides[0]);
        if (r == 0)
            r = dwb_counts_of(figures, DWB_OPERATION_SEPARABLE, names.items[i], &sides[1]);
        if (r == 0 &&
            json_object_set_new(object, names.items[i],
                                ratio_of_counts(&sides[0], &sides[1], figures->theory.ratio)) < 0)
            r = -ENOMEM;
    }
    for (int i = 0; i < 2; i++) {
        const struct dwb_subject *subject = i ? separable : standard;
        sides[i] = (struct dwb_count){.floor = subject ? 2 * (double)subject->macs_executed : NAN,
                                      .source = DWB_SOURCE_ANALYTIC};
        snprintf(sides[i].reason, sizeof sides[i].reason, subject ? "" : "not measured");
    }
    if (r == 0 &&
        json_object_set_new(object, "flops_analytic",
                            ratio_of_counts(&sides[0], &sides[1], figures->theory.ratio)) < 0)
        r = -ENOMEM;
    if (r == 0)
        return object;
    json_decref(object);
    return NULL;
}
