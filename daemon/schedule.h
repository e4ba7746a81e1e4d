#pragma once

/*
 * Which replicate of which layer comes next. Pure: the same spec and the same calls give the same
 * order. A round measures one replicate of every layer that still needs one, in an order drawn from
 * (seed, round), so that replicates of a layer spread over the time of the whole job. A layer ends
 * when it is settled (precise enough, after at least options.replicates) or at twice that number:
 * stopping looks at the precision and at the budget, never at the value of the ratio.
 *
 * Where two programs are compared, replicates 2k and 2k + 1 of a layer are neighbours in time: a
 * round measures both, one after the other.
 *
 * A failed replicate is measured again at the end of its round. What a restart finds in the store
 * is handed over with dwb_schedule_have and is not measured again.
 */

#include "common/spec.h"

#include <stdbool.h>
#include <stdint.h>

struct dwb_schedule;

/* The spec's numbers are copied. 0 or -ENOMEM. */
int dwb_schedule_new(const struct dwb_spec *spec, struct dwb_schedule **ret_schedule);
void dwb_schedule_free(struct dwb_schedule *schedule);
static inline void dwb_schedule_freep(struct dwb_schedule **schedule)
{
    dwb_schedule_free(*schedule);
}

/* This replicate is measured. -ERANGE when there is no such layer or replicate, -EEXIST when it was
 * there already; both leave the schedule as it is. */
int dwb_schedule_have(struct dwb_schedule *schedule, uint32_t layer, uint32_t replicate);

/* This replicate did not succeed: try it later. Returns how many failures the layer has now. */
uint32_t dwb_schedule_failed(struct dwb_schedule *schedule, uint32_t layer, uint32_t replicate);

/* The layer is precise enough: nothing more of it once it has its minimum. */
void dwb_schedule_settle(struct dwb_schedule *schedule, uint32_t layer);

/* The next one to measure; the same until it is had or failed. false = all is measured. */
bool dwb_schedule_next(struct dwb_schedule *schedule, uint32_t *ret_layer, uint32_t *ret_replicate);

struct dwb_schedule_totals {
    uint32_t layers;
    uint32_t layers_done;
    uint64_t replicates_done;
    uint64_t replicates_min; /* of the whole job */
    uint64_t replicates_max;
    uint64_t failures;
    double fraction; /* of the budget, 0..1; never falls */
};

void dwb_schedule_totals(const struct dwb_schedule *schedule,
                         struct dwb_schedule_totals *ret_totals);
uint32_t dwb_schedule_count(const struct dwb_schedule *schedule, uint32_t layer);
