#pragma once

/* What submit --wait, run, watch and result have in common: a job's end and its report. */

#include "client/cli.h"
#include "client/http.h"
#include "client/output.h"

#include <jansson.h>

/* Fetches the result document. Returns an exit code. */
int dwb_job_fetch(struct dwb_http *http, const char *id, json_t **ret_document);

/*
 * Renders the document, or with --environment that part of it, in the format of the command line
 * and writes it. DWB_EXIT_OK, or what the document says about itself: outputs wrong
 * (DWB_EXIT_FAILED) or a layer without a ratio (DWB_EXIT_INCONCLUSIVE).
 */
int dwb_job_report(const json_t *document, const struct dwb_cli *cli, struct dwb_output *output);

/* The same without an exit code of its own or a file: as text of *ret_n bytes, to be freed. fd is
 * where it goes to in the end. */
int dwb_job_render(const json_t *document, const struct dwb_cli *cli, int fd, char **ret_text,
                   size_t *ret_n, int *ret_exit);

/* Follows the job and fetches its document. */
int dwb_job_await(struct dwb_http *http, const char *id, const struct dwb_cli *cli,
                  json_t **ret_document);

/* Follows the job, fetches and reports. */
int dwb_job_follow(struct dwb_http *http, const char *id, const struct dwb_cli *cli,
                   struct dwb_output *output);

/* What a person does next when the waiting ended before the job did. */
void dwb_job_say_goes_on(const char *id, const struct dwb_cli *cli);
