#pragma once

/*
 * What to measure: --layer, a file, standard input ("-") or the name of a shipped suite, with the
 * job's flags set over it. Every finding is told, not only the first.
 */

#include "client/cli.h"
#include "common/spec.h"

#include <stddef.h>

/* Names in --plugin become the document's. DWB_EXIT_OK or DWB_EXIT_USAGE. */
int dwb_input_plugins(const struct dwb_cli *cli, struct dwb_spec *spec);

/* From cli->layer or cli->arguments[0]. DWB_EXIT_OK or DWB_EXIT_USAGE. */
int dwb_input_spec(const struct dwb_cli *cli, struct dwb_spec **ret_spec);

/* The names of the shipped suites, sorted. 0 or a negative errno; free with dwb_input_free_names.
 */
int dwb_input_suites(char ***ret_names, size_t *ret_n);
void dwb_input_free_names(char **names, size_t n);

/* Reads and parses one shipped suite; the text as well when ret_text is not NULL (free it). */
int dwb_input_suite(const char *name, struct dwb_spec **ret_spec, char **ret_text);
