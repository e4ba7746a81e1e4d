#pragma once

/*
 * What was counted under Valgrind, as members of an entry that are apart from all measured ones:
 * operations.NAME.simulated, and `simulation` with the tool, the simulated caches and the ratios.
 * Only where the job asked for it.
 */

#include "analysis/figures.h"

#include <jansson.h>

/* {tool, note, cache, geometry, theory, ratio, ratio_fused, reason}; new reference, NULL without
 * memory. */
json_t *dwb_simulation_figures_to_json(const struct dwb_figures *figures);

/* {kernel, isa, reason, counters: {NAME: {value, source}}} of one operation; alike. */
json_t *dwb_simulated_to_json(const struct dwb_figures *figures, enum dwb_operation operation);
