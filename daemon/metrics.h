#pragma once

/*
 * Counters of this daemon and their text: Prometheus 0.0.4, or OpenMetrics 1.0.0. Every label comes
 * from a closed list or is capped in number, so that no client can grow the page. Rendering reads
 * what is passed in and the process's own /proc; it keeps no other state than the counters.
 */

#include "daemon/store.h"
#include "daemon/worker.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DWB_METRICS_RATIOS_MAX 50 /* layers; two series each */

#define DWB_METRICS_TYPE_TEXT        "text/plain; version=0.0.4; charset=utf-8"
#define DWB_METRICS_TYPE_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

struct dwb_metrics;

int dwb_metrics_new(struct dwb_metrics **ret_metrics); /* 0, -ENOMEM */
void dwb_metrics_free(struct dwb_metrics *metrics);

/* route is static text, one of a fixed few; method is mapped to a fixed few. */
void dwb_metrics_count_request(struct dwb_metrics *metrics, const char *route, const char *method,
                               unsigned status, uint64_t duration_ns);
void dwb_metrics_count_replicate(struct dwb_metrics *metrics);
void dwb_metrics_count_failure(struct dwb_metrics *metrics, enum dwb_worker_outcome outcome);
/* The last ratio of a layer of a shipped suite. measured NAN = not measured. */
void dwb_metrics_set_ratio(struct dwb_metrics *metrics, const char *suite, const char *layer,
                           double measured, double theory);

struct dwb_metrics_view { /* what the moment looks like; all borrowed */
    uint64_t jobs[DWB_N_JOB_STATES];
    uint64_t queue_depth;
    uint64_t connections;
    const char *loop_backend;
    int loop_fallback_errno; /* why it is not io_uring, negative; 0 = as asked for */
    const json_t *counters;  /* of the probe, or NULL */
    const char *version;
};

/* 0 and the text (free it), or -ENOMEM. */
int dwb_metrics_render(const struct dwb_metrics *metrics, const struct dwb_metrics_view *view,
                       bool openmetrics, char **ret_text, size_t *ret_length);

/* Whether an Accept header (NULL = none) prefers OpenMetrics over the plain text. */
bool dwb_metrics_prefers_openmetrics(const char *accept);
