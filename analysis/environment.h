#pragma once

/*
 * One environment out of those of many processes. A member on which all agree is kept as it is;
 * where they differ (load, steal, seed) a number becomes {"min", "max"} and anything else
 * {"first", "last", "distinct"}, in the order of the records. A member that a process lacks is
 * null.
 */

#include "common/record.h"

#include <jansson.h>

/* New reference to an object ({} without records); NULL without memory. */
json_t *dwb_environment_merge(struct dwb_record *const *records, size_t n_records);
