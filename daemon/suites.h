#pragma once

/*
 * The suites that are shipped, and the metrics of their layers. Only a layer that is exactly the
 * shipped one (name and shape) gets a series: a client's own suite cannot add any, nor put the
 * figures of another layer under a known name.
 */

#include "daemon/metrics.h"

#include <jansson.h>

struct dwb_suites;

/* Reads every .yaml of a directory; files that are no suites are left out. 0 or a negative errno.
 */
int dwb_suites_new(const char *directory, struct dwb_suites **ret_suites);
void dwb_suites_free(struct dwb_suites *suites);

/* Puts the ratios of a result document into the metrics. */
void dwb_suites_publish(const struct dwb_suites *suites, const json_t *document,
                        struct dwb_metrics *metrics);
