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

/*
 * What differs between two environments, a member a row: [{"member": "cpu.microcode", "a", "b"}],
 * the members as dotted paths, sorted; null where one has none. Left out is what differs between
 * any two processes of one machine: load, stolen time, free memory, seed, and everything of
 * `during`. New reference; NULL without memory.
 */
json_t *dwb_environment_diff(const json_t *a, const json_t *b);
