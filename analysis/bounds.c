/*
 * Peaks are the best window seen by any process: a disturbance makes a window slower, never faster,
 * so flags do not matter here.
 */

#include "analysis/bounds.h"

#include <errno.h>
#include <math.h>
#include <string.h>

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

static void add_level(struct dwb_figures *figures, const char *name)
{
    for (size_t i = 0; i < figures->n_levels; i++)
        if (strcmp(figures->levels[i].name, name) == 0)
            return;
    if (figures->n_levels < DWB_FIGURES_LEVELS_MAX)
        snprintf(figures->levels[figures->n_levels++].name, sizeof figures->levels[0].name, "%s",
                 name);
}

static void set_levels(struct dwb_figures *figures)
{
    const struct dwb_figures_input *input = &figures->input;

    for (size_t i = 0; i < input->n_records; i++)
        for (size_t k = 0; k < input->records[i]->n_subjects; k++) {
            const struct dwb_subject *subject = &input->records[i]->subjects[k];
            if ((subject->operation == DWB_OPERATION_READ ||
                 subject->operation == DWB_OPERATION_TRIAD) &&
                subject->level[0])
                add_level(figures, subject->level);
        }
    for (size_t i = 0; i < figures->n_levels; i++) {
        struct dwb_level_figures *level = &figures->levels[i];
        level->capacity_bytes = capacity_of(input, level->name);
        level->read_gbps = best_rate(input, DWB_OPERATION_READ, NULL, level->name);
        level->triad_gbps = best_rate(input, DWB_OPERATION_TRIAD, NULL, level->name);
    }
}

void dwb_bounds_machine(struct dwb_figures *figures)
{
    for (unsigned k = 0; k < DWB_FIGURES_N_OPERATIONS; k++) {
        struct dwb_operation_figures *op = &figures->operations[k];
        if (!op->subject)
            continue;
        if (!figures->isa[0])
            snprintf(figures->isa, sizeof figures->isa, "%s", op->subject->isa);
        double peak = best_rate(&figures->input, DWB_OPERATION_FMA_PEAK, op->subject->isa, NULL);
        if (isnan(figures->peak_gflops) && strcmp(op->subject->isa, figures->isa) == 0)
            figures->peak_gflops = peak;
        op->percent_of_peak = 100 * op->gflops_executed / peak;
    }
    set_levels(figures);
}

double dwb_bounds_bytes(const struct dwb_layer *layer, enum dwb_operation operation)
{
    double in = (double)layer->input_size * layer->input_size;
    double out = (double)dwb_layer_output_size(layer) * dwb_layer_output_size(layer);
    double taps = (double)layer->kernel_size * layer->kernel_size;
    double m = layer->in_channels, n = layer->out_channels;

    switch (operation) {
    case DWB_OPERATION_STANDARD:
        return 4 * (in * m + taps * m * n + out * n);
    case DWB_OPERATION_DEPTHWISE:
        return 4 * (in * m + taps * m + out * m);
    case DWB_OPERATION_POINTWISE:
        return 4 * (out * m + m * n + out * n);
    default:
        return 0;
    }
}

/* The innermost probed level that holds the bytes; cold tensors come from the outermost one. */
static const struct dwb_level_figures *level_for(const struct dwb_figures *figures, double bytes)
{
    bool cold = figures->input.spec->options.cache == DWB_CACHE_COLD;
    const struct dwb_level_figures *best = NULL, *memory = NULL;

    for (size_t i = 0; i < figures->n_levels; i++) {
        const struct dwb_level_figures *level = &figures->levels[i];
        if (strcmp(level->name, "DRAM") == 0)
            memory = level;
        else if (!cold && level->capacity_bytes >= bytes &&
                 (!best || level->capacity_bytes < best->capacity_bytes))
            best = level;
    }
    return best ? best : memory;
}

int dwb_bounds_of(const struct dwb_figures *figures, enum dwb_operation operation,
                  struct dwb_bound *ret_bound)
{
    const struct dwb_operation_figures *op = &figures->operations[operation];
    struct dwb_bound bound = {
        .bytes = dwb_bounds_bytes(figures->input.layer, operation), .gbps = NAN, .gflops = NAN};

    if (bound.bytes == 0 || !op->subject || isnan(op->floor_ns) || op->subject->macs_executed == 0)
        return -ENODATA;
    double flops = 2 * (double)op->subject->macs_executed;
    const struct dwb_level_figures *level = level_for(figures, bound.bytes);

    bound.flops_per_byte = flops / bound.bytes;
    if (level) {
        bound.level = level->name;
        bound.gbps = fmax(level->read_gbps, level->triad_gbps);
        bound.gflops = bound.gbps * bound.flops_per_byte;
        bound.by_bandwidth = !isnan(bound.gflops);
    }
    double peak = 100 * op->gflops_executed / op->percent_of_peak; /* of this operation's ISA */
    if (!isnan(peak) && !(bound.gflops <= peak)) {
        bound.gflops = peak;
        bound.by_bandwidth = false;
    }
    if (isnan(bound.gflops))
        return -ENODATA;
    bound.percent = 100 * op->gflops_executed / bound.gflops;
    *ret_bound = bound;
    return 0;
}
