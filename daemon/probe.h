#pragma once

/*
 * What `dwbench-worker --probe` says about the machine, asked once at start-up: for /v1/info and
 * the metrics. Nothing is measured before it has ended, so that it has the CPU to itself.
 */

#include "daemon/loop.h"

#include <jansson.h>
#include <sched.h>

struct dwb_probe;

typedef void dwb_probe_done_fn(void *userdata);

int dwb_probe_start(struct dwb_loop *loop, const char *worker, uint32_t measure_cpu,
                    const cpu_set_t *affinity, uint64_t deadline_ns, dwb_probe_done_fn *fn,
                    void *userdata, struct dwb_probe **ret_probe);
void dwb_probe_free(struct dwb_probe *probe);

/* Borrowed: the probe's object, NULL before the end and on failure; the reason, NULL unless failed.
 */
const json_t *dwb_probe_document(const struct dwb_probe *probe);
const char *dwb_probe_error(const struct dwb_probe *probe);
