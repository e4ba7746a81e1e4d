#pragma once

/*
 * The daemon's two clocks: CLOCK_MONOTONIC for deadlines, CLOCK_REALTIME only for times that people
 * read. Nothing waits on the second one, so a wall clock that jumps does no harm.
 */

#include <jansson.h>
#include <stdint.h>

uint64_t dwb_clock_monotonic_ns(void);
uint64_t dwb_clock_real_ns(void);

/* "2026-11-22T16:25:38.123Z" of a realtime; JSON null for 0. New reference, NULL without memory. */
json_t *dwb_clock_to_json(uint64_t real_ns);
