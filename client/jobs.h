#pragma once

/* Job objects (docs/protocol.md) for people and programs: what list, status and cancel print. */

#include "client/cli.h"

#include <jansson.h>

/*
 * Prints an array of job objects to standard output or the file of -o. `document` is what the JSON
 * format prints: the daemon's own answer. Returns an exit code.
 */
int dwb_jobs_print(const json_t *jobs, const json_t *document, const struct dwb_cli *cli);
