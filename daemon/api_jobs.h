#pragma once

/*
 * The routes under /v1/jobs. Each answers the exchange, at once or when a write is durable.
 */

#include "daemon/api.h"

void dwb_api_jobs_submit(struct dwb_api *api, struct dwb_http_exchange *exchange);
void dwb_api_jobs_list(struct dwb_api *api, struct dwb_http_exchange *exchange);
void dwb_api_jobs_get(struct dwb_api *api, struct dwb_http_exchange *exchange, const char *id);
void dwb_api_jobs_cancel(struct dwb_api *api, struct dwb_http_exchange *exchange, const char *id);
void dwb_api_jobs_result(struct dwb_api *api, struct dwb_http_exchange *exchange, const char *id);
void dwb_api_jobs_events(struct dwb_api *api, struct dwb_http_exchange *exchange, const char *id);

/* The job object of a row, with its spec or without; NULL without memory. */
json_t *dwb_api_jobs_object(const struct dwb_api *api, const struct dwb_job_row *row,
                            bool with_spec);

/* Answers 202 or 200 with the job as the store has it, 404 when it has none. */
void dwb_api_jobs_reply_job(struct dwb_api *api, struct dwb_http_exchange *exchange,
                            unsigned status, const char *id);
