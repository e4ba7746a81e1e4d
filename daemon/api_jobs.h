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

/* Root and the admins of the configuration: they may do what an owner may. */
bool dwb_api_is_admin(const struct dwb_api *api, uid_t uid);

/* Answers for a negative errno of the store; -ENOENT is 404, no such job. */
void dwb_api_jobs_reply_store_error(struct dwb_http_exchange *exchange, int r);

/* Answers 202 or 200 with the job as the store has it, 404 when it has none. */
void dwb_api_jobs_reply_job(struct dwb_api *api, struct dwb_http_exchange *exchange,
                            unsigned status, const char *id);
