#pragma once

/*
 * The daemon's API as this client uses it (docs/protocol.md): calls that answer JSON, and what to
 * tell a person when they fail. Every function returns an exit code, see client/cli.h.
 */

#include "client/cli.h"
#include "client/http.h"
#include "common/spec.h"

#include <jansson.h>

/* The socket of --socket, or the default one; with the deadline of --timeout. */
int dwb_api_open(const struct dwb_cli *cli, struct dwb_http **ret_http);

/* Any call; a status from 400 up is told and turned into an exit code. */
int dwb_api_call(struct dwb_http *http, const char *method, const char *path,
                 struct dwb_http_response *ret_response);
/* The same with a JSON answer; new reference. */
int dwb_api_json(struct dwb_http *http, const char *method, const char *path, json_t **ret_answer);

/*
 * POST /v1/jobs. A lost answer is asked for again under the same key, so the job exists once;
 * key NULL = a random one. New reference to the job object.
 */
int dwb_api_submit(struct dwb_http *http, const struct dwb_spec *spec, const char *key,
                   json_t **ret_job);

/* "/v1/jobs/ID" + suffix; DWB_EXIT_USAGE when the text cannot be an id. */
int dwb_api_job_path(const char *id, const char *suffix, char *buffer, size_t size);

/* Tells what a negative errno of dwb_http_* means and returns the exit code for it. */
int dwb_api_explain(const struct dwb_http *http, int error);
/* The same for an answer with a status from 400 up. */
int dwb_api_explain_problem(const struct dwb_http_response *response);
