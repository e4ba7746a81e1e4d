#pragma once

/*
 * The command line: one table of options, one struct that holds what was given, one description a
 * verb. A verb names the options it takes, and its --help is made from the same tables, so that
 * what is parsed and what is said cannot differ.
 *
 * Convention of this room: functions that face the person return an exit code (enum dwb_exit), and
 * have said on stderr why when it is not DWB_EXIT_OK. All else returns 0 or a negative errno and
 * says nothing.
 */

#include "common/plugins.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dwb_exit {
    DWB_EXIT_OK = 0,
    DWB_EXIT_REGRESSION = 1,   /* slower than what it was compared with */
    DWB_EXIT_USAGE = 2,        /* usage or bad input */
    DWB_EXIT_UNREACHABLE = 3,  /* no daemon, or one that takes no jobs now */
    DWB_EXIT_FAILED = 4,       /* job failed or cancelled, or its outputs are wrong */
    DWB_EXIT_INCONCLUSIVE = 5, /* a layer without a ratio, a comparison not resolved */
    DWB_EXIT_TIMEOUT = 124,
    DWB_EXIT_INTERRUPTED = 130,
};

enum dwb_format {
    DWB_FORMAT_TABLE,
    DWB_FORMAT_JSON,
    DWB_FORMAT_CSV,
    DWB_FORMAT_JUNIT, /* this one and those after it: reports only, DWB_OPTION_REPORT */
    DWB_FORMAT_MARKDOWN,
    DWB_FORMAT_HTML,
};

enum { /* struct dwb_verb.options */
       DWB_OPTION_SOCKET = 1u << 0,
       DWB_OPTION_LAYER = 1u << 1,
       DWB_OPTION_JOB = 1u << 2,    /* isa, cache, budget, ...: every key of dwb_spec_set */
       DWB_OPTION_FORMAT = 1u << 3, /* of what is no report: table, json, csv */
       DWB_OPTION_OUTPUT = 1u << 4,
       DWB_OPTION_TIMEOUT = 1u << 5,
       DWB_OPTION_QUIET = 1u << 6,
       DWB_OPTION_WAIT = 1u << 7,
       DWB_OPTION_KEY = 1u << 8,
       DWB_OPTION_STATE = 1u << 9,
       DWB_OPTION_LIMIT = 1u << 10,
       DWB_OPTION_BASELINE = 1u << 11,
       DWB_OPTION_FORCE = 1u << 12,
       DWB_OPTION_SIDES = 1u << 13, /* a, b, operations, delta: keys of dwb_spec_set, too */
       DWB_OPTION_CONFIRM = 1u << 14,
       DWB_OPTION_REPORT = 1u << 15, /* in place of FORMAT: every format */
       DWB_OPTION_PLUGIN = 1u << 16,
       DWB_OPTION_ENVIRONMENT = 1u << 17,
};

#define DWB_CLI_N_JOB_KEYS  11
#define DWB_CLI_N_SIDE_KEYS 4

struct dwb_cli {        /* strings borrowed from argv */
    const char *socket; /* NULL = the default */
    const char *layer;
    const char
        *job_keys[DWB_CLI_N_JOB_KEYS];    /* in the order of dwb_cli_job_keys; NULL = not given */
    const char *plugins[DWB_PLUGINS_MAX]; /* paths (run) or names (submit), as given */
    size_t n_plugins;
    const char *side_keys[DWB_CLI_N_SIDE_KEYS]; /* of dwb_cli_side_keys, alike */
    bool without_confirmation;
    enum dwb_format format;
    bool format_given;
    const char *output;
    uint64_t timeout_ns; /* 0 = none */
    bool quiet;
    bool wait;
    bool environment;
    const char *idempotency_key;
    const char *state;
    unsigned limit; /* 0 = not given */
    const char *baseline;
    bool force;
    char *const *arguments;
    int n_arguments;
};

struct dwb_verb {
    const char *name;
    const char *arguments; /* for the usage line */
    const char *summary;   /* half a line */
    const char *help;      /* paragraphs for --help */
    uint32_t options;
    int min_arguments, max_arguments;
    int (*run)(const struct dwb_cli *cli);
};

/* "isa", "cache", "budget", ...: flags that are keys of a document too. */
extern const char *const dwb_cli_job_keys[DWB_CLI_N_JOB_KEYS];
/* "a", "b", "operations", "delta". */
extern const char *const dwb_cli_side_keys[DWB_CLI_N_SIDE_KEYS];

/*
 * Parses argv[1..argc) for a verb (argv[0] is the verb). DWB_EXIT_OK; *ret_done when --help was
 * answered and nothing is left to do; DWB_EXIT_USAGE.
 */
int dwb_cli_parse(const struct dwb_verb *verb, int argc, char **argv, struct dwb_cli *ret_cli,
                  bool *ret_done);

/* The name nearest to `given` among names[0..n), or NULL when none is near enough to be meant. */
const char *dwb_cli_nearest(const char *given, const char *const *names, size_t n);

/* "dwbenchctl: text" on stderr, control characters escaped. */
void dwb_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
