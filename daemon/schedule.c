#include "daemon/schedule.h"

/*
 * See schedule.h. A round is drawn lazily: `round` holds the layers still to be measured in it, and
 * its first is the next one. Invariant: round[0..n_round) are distinct layers, and each lacks a
 * replicate of the round.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct layer_state {
    uint8_t *have; /* [n_max] */
    uint32_t n_have;
    uint32_t n_failures;
    bool settled;
};

struct dwb_schedule {
    struct layer_state *layers;
    uint32_t n_layers;
    uint32_t n_min; /* replicates a layer */
    uint32_t n_max;
    uint32_t n_turn; /* replicates of a layer in one round, one after the other */
    uint64_t seed;
    uint32_t *round;
    uint32_t n_round;
    uint32_t next_round; /* number of the round that is drawn next */
};

/* SplitMix64 (Steele, Lea, Flood 2014): small, seedable, the same everywhere. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int dwb_schedule_new(const struct dwb_spec *spec, struct dwb_schedule **ret_schedule)
{
    struct dwb_schedule *schedule = calloc(1, sizeof(*schedule));

    if (!schedule)
        return -ENOMEM;
    schedule->n_turn = dwb_spec_compares_workers(spec) ? 2 : 1;
    schedule->n_min = dwb_spec_processes(spec);
    schedule->n_max = 2 * schedule->n_min;
    schedule->seed = spec->options.seed;
    schedule->n_layers = (uint32_t)spec->n_layers;
    schedule->layers = calloc(spec->n_layers, sizeof(*schedule->layers));
    schedule->round = calloc(spec->n_layers, sizeof(*schedule->round));
    if (!schedule->layers || !schedule->round)
        goto no_memory;
    for (size_t i = 0; i < spec->n_layers; i++) {
        schedule->layers[i].have = calloc(schedule->n_max, 1);
        if (!schedule->layers[i].have)
            goto no_memory;
    }
    *ret_schedule = schedule;
    return 0;

no_memory:
    dwb_schedule_free(schedule);
    return -ENOMEM;
}

void dwb_schedule_free(struct dwb_schedule *schedule)
{
    if (!schedule)
        return;
    for (uint32_t i = 0; schedule->layers && i < schedule->n_layers; i++)
        free(schedule->layers[i].have);
    free(schedule->layers);
    free(schedule->round);
    free(schedule);
}

static bool layer_done(const struct dwb_schedule *schedule, const struct layer_state *layer)
{
    return layer->n_have >= (layer->settled ? schedule->n_min : schedule->n_max);
}

static void leave_round(struct dwb_schedule *schedule, uint32_t layer)
{
    for (uint32_t i = 0; i < schedule->n_round; i++) {
        if (schedule->round[i] != layer)
            continue;
        schedule->n_round--;
        memmove(schedule->round + i, schedule->round + i + 1,
                (schedule->n_round - i) * sizeof(*schedule->round));
        return;
    }
}

/* The first replicate of a round that a layer lacks; false when it has them all. */
static bool find_lacking(const struct dwb_schedule *schedule, uint32_t layer, uint32_t round,
                         uint32_t *ret_replicate)
{
    for (uint32_t i = round * schedule->n_turn; i < (round + 1) * schedule->n_turn; i++)
        if (!schedule->layers[layer].have[i]) {
            *ret_replicate = i;
            return true;
        }
    return false;
}

int dwb_schedule_have(struct dwb_schedule *schedule, uint32_t layer, uint32_t replicate)
{
    if (layer >= schedule->n_layers || replicate >= schedule->n_max)
        return -ERANGE;
    if (schedule->layers[layer].have[replicate])
        return -EEXIST;
    schedule->layers[layer].have[replicate] = 1;
    schedule->layers[layer].n_have++;
    if (schedule->next_round > 0 &&
        !find_lacking(schedule, layer, schedule->next_round - 1, &replicate))
        leave_round(schedule, layer);
    return 0;
}

uint32_t dwb_schedule_failed(struct dwb_schedule *schedule, uint32_t layer, uint32_t replicate)
{
    (void)replicate;
    for (uint32_t i = 0; i < schedule->n_round; i++)
        if (schedule->round[i] == layer) {
            leave_round(schedule, layer);
            schedule->round[schedule->n_round++] = layer;
            break;
        }
    return ++schedule->layers[layer].n_failures;
}

void dwb_schedule_settle(struct dwb_schedule *schedule, uint32_t layer)
{
    schedule->layers[layer].settled = true;
    if (layer_done(schedule, &schedule->layers[layer]))
        leave_round(schedule, layer);
}

static void draw_round(struct dwb_schedule *schedule)
{
    uint64_t state = schedule->seed ^ ((uint64_t)schedule->next_round << 32);

    for (uint32_t i = 0; i < schedule->n_layers; i++) {
        uint32_t lacking;
        if (!layer_done(schedule, &schedule->layers[i]) &&
            find_lacking(schedule, i, schedule->next_round, &lacking))
            schedule->round[schedule->n_round++] = i;
    }
    for (uint32_t i = schedule->n_round; i > 1; i--) { /* Fisher-Yates */
        uint32_t j = (uint32_t)(draw(&state) % i);
        uint32_t swapped = schedule->round[i - 1];
        schedule->round[i - 1] = schedule->round[j];
        schedule->round[j] = swapped;
    }
    schedule->next_round++;
}

bool dwb_schedule_next(struct dwb_schedule *schedule, uint32_t *ret_layer, uint32_t *ret_replicate)
{
    while (schedule->n_round == 0 && schedule->next_round < schedule->n_max / schedule->n_turn)
        draw_round(schedule);
    if (schedule->n_round == 0)
        return false;
    *ret_layer = schedule->round[0];
    return find_lacking(schedule, *ret_layer, schedule->next_round - 1, ret_replicate);
}

void dwb_schedule_totals(const struct dwb_schedule *schedule,
                         struct dwb_schedule_totals *ret_totals)
{
    struct dwb_schedule_totals totals = {.layers = schedule->n_layers};
    double sum = 0;

    for (uint32_t i = 0; i < schedule->n_layers; i++) {
        const struct layer_state *layer = &schedule->layers[i];
        totals.layers_done += layer_done(schedule, layer);
        totals.replicates_done += layer->n_have;
        totals.failures += layer->n_failures;
        /* Of the budget, all of it once the layer ends early: so it never falls. */
        sum += layer_done(schedule, layer) ? 1 : (double)layer->n_have / schedule->n_max;
    }
    totals.replicates_min = (uint64_t)schedule->n_layers * schedule->n_min;
    totals.replicates_max = (uint64_t)schedule->n_layers * schedule->n_max;
    totals.fraction = schedule->n_layers ? sum / schedule->n_layers : 1;
    *ret_totals = totals;
}

uint32_t dwb_schedule_count(const struct dwb_schedule *schedule, uint32_t layer)
{
    return schedule->layers[layer].n_have;
}
