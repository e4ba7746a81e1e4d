/*
 * Peaks are the best window seen by any process: a disturbance makes a window slower, never faster,
 * so flags do not matter here.
 */

#include "analysis/bounds.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEEPS_ALL     0.75 /* times its capacity: a set that an L2 keeps all of ... */
#define KEEPS_NOTHING 1.5  /* ... and one that it keeps nothing of; measured, docs/method.md */

/* Best rate of a probe per ns, `work` a call; NAN without any. isa NULL = any. */
static double best_rate(const struct dwb_figures_input *input, enum dwb_operation operation,
                        const char *isa, const char *level)
{
    double best = NAN;

    for (size_t i = 0; i < input->n_records; i++) {
        const struct dwb_record *record = input->records[i];
        for (size_t k = 0; k < record->n_samples; k++) {
            const struct dwb_sample *sample = &record->samples[k];
            const struct dwb_subject *subject = &record->subjects[sample->subject];
            if (subject->operation != operation || (isa && strcmp(subject->isa, isa) != 0) ||
                (level && strcmp(subject->level, level) != 0))
                continue;
            double work = level ? (double)subject->bytes : 2 * (double)subject->macs_executed;
            best = fmax(best, work * sample->n_calls / (double)sample->wall_ns);
        }
    }
    return best > 0 ? best : NAN;
}

/* Size of a cache level as the environment tells it, or NAN. */
static double capacity_of(const struct dwb_figures_input *input, const char *level)
{
    for (size_t i = 0; i < input->n_records; i++) {
        const json_t *caches = json_object_get(input->records[i]->environment, "caches");
        size_t k;
        json_t *cache;
        json_array_foreach(caches, k, cache)
        {
            const char *name = json_string_value(json_object_get(cache, "level"));
            json_int_t bytes = json_integer_value(json_object_get(cache, "bytes"));
            if (name && strcmp(name, level) == 0 && bytes > 0)
                return (double)bytes;
        }
    }
    return NAN;
}

static struct dwb_level_figures *add_level(struct dwb_figures *figures, const char *name)
{
    struct dwb_level_figures *level;

    for (size_t i = 0; i < figures->n_levels; i++)
        if (strcmp(figures->levels[i].name, name) == 0)
            return &figures->levels[i];
    if (figures->n_levels == DWB_FIGURES_LEVELS_MAX)
        return NULL;
    level = &figures->levels[figures->n_levels++];
    snprintf(level->name, sizeof level->name, "%s", name);
    return level;
}

static bool is_memory(const struct dwb_level_figures *level)
{
    return strcmp(level->name, "DRAM") == 0;
}

/* From the core outwards: caches by capacity, unknown ones first, then the memory. */
static double order_of(const struct dwb_level_figures *level)
{
    return is_memory(level) ? INFINITY : isnan(level->capacity_bytes) ? 0 : level->capacity_bytes;
}

static int compare_levels(const void *a, const void *b)
{
    double x = order_of(a), y = order_of(b);

    return (x > y) - (x < y);
}

/* Every level that has a probe, and the caches that have none: what fits those is not bound by a
 * level behind them. */
static void set_levels(struct dwb_figures *figures)
{
    const struct dwb_figures_input *input = &figures->input;
    const json_t *cache;
    size_t k;

    for (size_t i = 0; i < input->n_records; i++) {
        for (k = 0; k < input->records[i]->n_subjects; k++) {
            const struct dwb_subject *subject = &input->records[i]->subjects[k];
            if ((subject->operation == DWB_OPERATION_READ ||
                 subject->operation == DWB_OPERATION_TRIAD) &&
                subject->level[0])
                add_level(figures, subject->level);
        }
        json_array_foreach(json_object_get(input->records[i]->environment, "caches"), k, cache)
        {
            const char *name = json_string_value(json_object_get(cache, "level"));
            if (name)
                add_level(figures, name);
        }
    }
    for (size_t i = 0; i < figures->n_levels; i++) {
        struct dwb_level_figures *level = &figures->levels[i];
        level->capacity_bytes = capacity_of(input, level->name);
        level->read_gbps = best_rate(input, DWB_OPERATION_READ, NULL, level->name);
        level->triad_gbps = best_rate(input, DWB_OPERATION_TRIAD, NULL, level->name);
    }
    qsort(figures->levels, figures->n_levels, sizeof *figures->levels, compare_levels);
}

void dwb_bounds_machine(struct dwb_figures *figures)
{
    for (unsigned k = 0; k < DWB_FIGURES_N_OPERATIONS; k++) {
        struct dwb_operation_figures *op = &figures->operations[k];
        if (!op->subject)
            continue;
        if (!figures->isa[0])
            snprintf(figures->isa, sizeof figures->isa, "%s", op->subject->isa);
        op->peak_gflops =
            best_rate(&figures->input, DWB_OPERATION_FMA_PEAK, op->subject->isa, NULL);
        if (isnan(figures->peak_gflops) && strcmp(op->subject->isa, figures->isa) == 0)
            figures->peak_gflops = op->peak_gflops;
        op->percent_of_peak = 100 * op->gflops_executed / op->peak_gflops;
    }
    set_levels(figures);
}

/* Rows, or columns, of the input that a tap of any output falls on. */
static double input_extent(const struct dwb_layer *layer)
{
    int64_t pad = dwb_layer_pad_before(layer), end = 0, extent = 0;

    for (uint32_t i = 0; i < dwb_layer_output_size(layer); i++) {
        int64_t first = (int64_t)i * layer->stride - pad, next = first + layer->kernel_size;

        first = first < end ? end : first;
        end = next < (int64_t)layer->input_size ? next : (int64_t)layer->input_size;
        extent += end > first ? end - first : 0;
    }
    return (double)extent;
}

static double map_bytes(double size, double channels)
{
    return sizeof(float) * size * size * channels;
}

double dwb_bounds_bytes(const struct dwb_layer *layer, enum dwb_operation operation)
{
    double m = layer->in_channels, n = layer->out_channels, out = dwb_layer_output_size(layer);
    double input = map_bytes(input_extent(layer), m), intermediate = map_bytes(out, m);
    double taps = map_bytes(layer->kernel_size, 1), output = map_bytes(out, n);

    switch (operation) {
    case DWB_OPERATION_STANDARD:
        return input + taps * m * n + output;
    case DWB_OPERATION_DEPTHWISE:
        return input + taps * m + intermediate;
    case DWB_OPERATION_POINTWISE:
        return intermediate + sizeof(float) * m * n + output;
    case DWB_OPERATION_SEPARABLE:
        return input + taps * m + 2 * intermediate + sizeof(float) * m * n + output;
    case DWB_OPERATION_SEPARABLE_FUSED:
        return input + taps * m + sizeof(float) * m * n + output;
    default:
        return 0;
    }
}

/* Share of a set of bytes that is still in a cache when it is walked through again. */
static double kept_share(const struct dwb_level_figures *level, bool is_last, double bytes)
{
    double times = bytes / level->capacity_bytes;

    if (strcmp(level->name, "L1") == 0)
        return times <= 1;
    if (is_last)
        return fmin(1, 1 / times);
    return fmax(0, fmin(1, (KEEPS_NOTHING - times) / (KEEPS_NOTHING - KEEPS_ALL)));
}

/* Adds to ns, by level, what moving the bytes takes. The sum; NAN when some come from a level of
 * which too little is known. */
static double add_traffic(const struct dwb_figures *figures, double bytes, bool cold, double *ns)
{
    double kept = 0, sum = 0;

    for (size_t i = 0; bytes > 0 && i < figures->n_levels; i++) {
        const struct dwb_level_figures *level = &figures->levels[i];
        bool is_last = i + 1 == figures->n_levels || is_memory(&figures->levels[i + 1]);
        double share = is_memory(level) ? 1 : cold ? 0 : kept_share(level, is_last, bytes);

        if (share <= kept)
            continue;
        double level_ns = bytes * (share - kept) / fmax(level->read_gbps, level->triad_gbps);
        ns[i] += level_ns;
        sum += level_ns; /* NAN for an unknown share as well */
        kept = share;
    }
    return bytes > 0 && kept < 1 ? NAN : sum;
}

struct roof {
    double compute_ns;                         /* of the bound: stages that their FLOP hold */
    double held_ns[DWB_FIGURES_LEVELS_MAX];    /* of the bound: stages that their traffic holds */
    double traffic_ns[DWB_FIGURES_LEVELS_MAX]; /* of all stages */
    double all_traffic_ns;
};

/* `carried` of the bytes were written by the stage before. */
static void add_stage(const struct dwb_figures *figures, const struct dwb_operation_figures *op,
                      double bytes, double carried, struct roof *roof)
{
    bool cold = figures->input.spec->options.cache == DWB_CACHE_COLD;
    double compute_ns = 2 * (double)op->subject->macs_executed / op->peak_gflops;
    double ns[DWB_FIGURES_LEVELS_MAX] = {0};
    double traffic_ns = add_traffic(figures, cold ? bytes - carried : bytes, cold, ns);

    if (cold)
        traffic_ns += add_traffic(figures, carried, false, ns);
    roof->all_traffic_ns += traffic_ns;
    if (isnan(traffic_ns)) {
        roof->compute_ns += compute_ns;
        return;
    }
    bool held = !(compute_ns >= traffic_ns);
    roof->compute_ns += held ? 0 : compute_ns;
    for (size_t i = 0; i < figures->n_levels; i++) {
        roof->traffic_ns[i] += ns[i];
        roof->held_ns[i] += held ? ns[i] : 0;
    }
}

static const char *longest(const struct dwb_figures *figures, const double *ns)
{
    size_t best = 0;

    for (size_t i = 1; i < figures->n_levels; i++)
        if (ns[i] > ns[best])
            best = i;
    return figures->n_levels && ns[best] > 0 ? figures->levels[best].name : NULL;
}

static int add_stages(const struct dwb_figures *figures, enum dwb_operation operation,
                      struct roof *roof)
{
    static const enum dwb_operation parts[] = {DWB_OPERATION_DEPTHWISE, DWB_OPERATION_POINTWISE};
    const struct dwb_layer *layer = figures->input.layer;
    double intermediate = map_bytes(dwb_layer_output_size(layer), layer->in_channels);

    if (operation != DWB_OPERATION_SEPARABLE) {
        add_stage(figures, &figures->operations[operation], dwb_bounds_bytes(layer, operation), 0,
                  roof);
        return 0;
    }
    for (size_t i = 0; i < 2; i++) {
        const struct dwb_operation_figures *part = &figures->operations[parts[i]];
        if (!part->subject)
            return -ENODATA;
        add_stage(figures, part, dwb_bounds_bytes(layer, parts[i]), i ? intermediate : 0, roof);
    }
    return 0;
}

int dwb_bounds_of(const struct dwb_figures *figures, enum dwb_operation operation,
                  struct dwb_bound *ret_bound)
{
    const struct dwb_operation_figures *op = &figures->operations[operation];
    struct dwb_bound bound = {.bytes = dwb_bounds_bytes(figures->input.layer, operation)};
    struct roof roof = {0};
    double held_ns = 0;

    if (bound.bytes == 0 || !op->subject || isnan(op->floor_ns) ||
        op->subject->macs_executed == 0 || add_stages(figures, operation, &roof) < 0)
        return -ENODATA;
    for (size_t i = 0; i < figures->n_levels; i++)
        held_ns += roof.held_ns[i];
    bound.ns = roof.compute_ns + held_ns;
    if (isnan(bound.ns))
        return -ENODATA;
    double flops = 2 * (double)op->subject->macs_executed;
    bound.by_bandwidth = held_ns > roof.compute_ns;
    bound.level = longest(figures, bound.by_bandwidth ? roof.held_ns : roof.traffic_ns);
    bound.flops_per_byte = flops / bound.bytes;
    bound.gbps = bound.bytes / roof.all_traffic_ns;
    bound.attained_gbps = bound.bytes / op->floor_ns;
    bound.gflops = flops / bound.ns;
    bound.percent = 100 * bound.ns / op->floor_ns;
    *ret_bound = bound;
    return 0;
}

const char *dwb_bounds_holder(const struct dwb_bound *bound)
{
    return bound->by_bandwidth ? bound->level : "compute";
}
