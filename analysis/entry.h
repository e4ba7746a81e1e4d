#pragma once

/* One result entry as JSON: the names of docs/result.schema.json. */

#include "analysis/figures.h"

#include <jansson.h>

/* ours: the figures of the native backend that a peer is compared with, NULL for none. New
 * reference, NULL without memory. */
json_t *dwb_entry_to_json(const struct dwb_figures *figures, const struct dwb_figures *ours);
