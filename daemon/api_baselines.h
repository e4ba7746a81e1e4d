#pragma once

/*
 * The routes under /v1/baselines: jobs under a name, to be compared with. Each answers the
 * exchange, at once or when a write is durable.
 */

#include "daemon/api.h"

void dwb_api_baselines_list(struct dwb_api *api, struct dwb_http_exchange *exchange);
/* One of a name, by the method of the exchange: GET, PUT or DELETE. */
void dwb_api_baselines_handle(struct dwb_api *api, struct dwb_http_exchange *exchange,
                              const char *name);
