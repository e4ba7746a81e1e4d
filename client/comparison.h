#pragma once

/*
 * What compare and submit --baseline have in common: the documents of a baseline, the comparison,
 * what is printed of it and the exit code it stands for. Functions return an exit code, see
 * client/cli.h.
 */

#include "client/cli.h"
#include "client/http.h"

#include <jansson.h>
#include <stdio.h>

/* "/v1/baselines/NAME"; DWB_EXIT_USAGE when the text cannot be a name. */
int dwb_comparison_path(const char *name, char *buffer, size_t size);

/* Result documents of the jobs a baseline object (docs/protocol.md) names; new references. */
int dwb_comparison_documents(struct dwb_http *http, const json_t *baseline, json_t **ret_document,
                             json_t **ret_history);

/*
 * Compares; what is not comparable without --force is told, member by member. what: file names,
 * NULL = the job's id. history may be NULL. New reference.
 */
int dwb_comparison_make(const json_t *a, const char *a_what, const json_t *b, const char *b_what,
                        const json_t *history, const struct dwb_cli *cli, json_t **ret_comparison);

/* In the format of the command line; fd is where it goes to in the end. */
int dwb_comparison_render(const json_t *comparison, const struct dwb_cli *cli, int fd, FILE *out);

/* DWB_EXIT_USAGE, told, when the format of the command line is none of a comparison's. */
int dwb_comparison_check_format(const struct dwb_cli *cli);

/* DWB_EXIT_OK (same, faster), DWB_EXIT_REGRESSION or DWB_EXIT_INCONCLUSIVE. */
int dwb_comparison_exit(const json_t *comparison);
