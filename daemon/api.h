#pragma once

/*
 * The HTTP API (docs/protocol.md): routes, and what each answers. It holds no state of its own but
 * what it is given here.
 */

#include "daemon/config.h"
#include "daemon/http.h"
#include "daemon/jobs.h"
#include "daemon/probe.h"

struct dwb_api { /* all borrowed for the life of the HTTP server */
    const struct dwb_config *config;
    struct dwb_loop *loop;
    struct dwb_store *store;
    struct dwb_jobs *jobs;
    struct dwb_metrics *metrics;
    struct dwb_http *http;
    struct dwb_probe *probe; /* NULL until there is one */
    uint64_t started_ns;     /* CLOCK_REALTIME */
    uint64_t memory_bytes_max;
    uint32_t measure_cpu;
    bool draining;
};

/* A dwb_http_handler_fn and a dwb_http_observe_fn; userdata is the struct dwb_api. */
void dwb_api_handle(struct dwb_http_exchange *exchange, void *api);
void dwb_api_observe(const char *route, const char *method, unsigned status, uint64_t duration_ns,
                     void *api);
