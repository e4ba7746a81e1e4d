/*
 * Option parsing over getopt_long. getopt's own messages are off: an unknown option is answered
 * with the nearest one that the verb has.
 */

#include "client/cli.h"

#include "common/diag.h"
#include "common/spec.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 64
#define JOB_KEYS(x)                                                                                \
    x("isa", "ISA", "auto, portable, avx2, avx512, neon: exactly that one, never another")         \
        x("cache", "MODE", "warm or cold") x("budget", "DURATION",                                 \
                                             "measuring time a layer, such as 2s (default 6s)")    \
            x("precision", "FRACTION",                                                             \
              "stop at this half-width of the interval (0.5%; gate: half of delta)")               \
                x("replicates", "N", "fresh processes a layer, at least (10; gate: 20)")           \
                    x("seed", "N", "of inputs and of every random order (1)")                      \
                        x("alpha", "X", "width multiplier of the network (1)")                     \
                            x("resolution", "PIXELS", "input resolution in place of 224")          \
                                x("backends", "LIST",                                              \
                                  "some of native,onednn,xnnpack, in the same blocks; also "       \
                                  "--backend (native)")                                            \
                                    x("simulate", NULL,                                            \
                                      "also count one call of each operation under Valgrind")      \
                                        x("geometry", "I1/D1/LL",                                  \
                                          "caches of that, each bytes,ways,line (this machine's)")

#define SIDE_KEYS(x)                                                                               \
    x("a", "SIDE",                                                                                 \
      "what is compared: words such as native, onednn, avx2, fused; plugin:PATH, worker:PATH")     \
        x("b", "SIDE", "what it is compared with; native,+1/50 is 2% slower on purpose")           \
            x("operations", "LIST",                                                                \
              "which (default standard,depthwise,pointwise, those that both sides have)")          \
                x("delta", "FRACTION", "a change that small does not matter (0.5%)")

#define KEY_NAME(name_, argument_, help_) name_,
const char *const dwb_cli_job_keys[DWB_CLI_N_JOB_KEYS] = {JOB_KEYS(KEY_NAME)};
const char *const dwb_cli_side_keys[DWB_CLI_N_SIDE_KEYS] = {SIDE_KEYS(KEY_NAME)};

enum { /* getopt values past the letters */
       VALUE_LAYER = 256,
       VALUE_TIMEOUT,
       VALUE_WAIT,
       VALUE_KEY,
       VALUE_STATE,
       VALUE_LIMIT,
       VALUE_ENVIRONMENT,
       VALUE_BASELINE,
       VALUE_FORCE,
       VALUE_PLUGIN,
       VALUE_NO_CONFIRM,
       VALUE_JOB_KEY,                                       /* + index */
       VALUE_SIDE_KEY = VALUE_JOB_KEY + DWB_CLI_N_JOB_KEYS, /* + index */
};

static const struct {
    uint32_t option; /* 0 = every verb */
    int value;
    const char *name;
    const char *argument; /* NULL = none */
    const char *help;
} options[] = {
    {DWB_OPTION_SOCKET, 's', "socket", "PATH",
     "the daemon's socket (default: $DWBENCH_SOCKET, the user's, the system's)"},
    {DWB_OPTION_LAYER, VALUE_LAYER, "layer", "SHAPE",
     "a layer without a file: Dk=3,Dx=56,M=128,N=128 (also stride, padding)"},
#define SIDE_OPTION(name_, argument_, help_)                                                       \
    {DWB_OPTION_SIDES, VALUE_SIDE_KEY, name_, argument_, help_},
    SIDE_KEYS(SIDE_OPTION){DWB_OPTION_CONFIRM, VALUE_NO_CONFIRM, "no-confirm", NULL,
                           "raise an alarm at once, without a second run"},
#define JOB_OPTION(name_, argument_, help_)                                                        \
    {DWB_OPTION_JOB, VALUE_JOB_KEY, name_, argument_, help_},
    JOB_KEYS(JOB_OPTION){DWB_OPTION_PLUGIN, VALUE_PLUGIN, "plugin", "FILE",
                         "race kernels of your own: run takes a shared object, submit the name of "
                         "one that the daemon has; twice for two"},
    {DWB_OPTION_WAIT, VALUE_WAIT, "wait", NULL, "follow the job and print its report"},
    {DWB_OPTION_KEY, VALUE_KEY, "idempotency-key", "KEY",
     "submitting twice with one key gives one job (default: a new random key)"},
    {DWB_OPTION_TIMEOUT, VALUE_TIMEOUT, "timeout", "DURATION", "give up after this long: exit 124"},
    {DWB_OPTION_STATE, VALUE_STATE, "state", "STATE",
     "only jobs that are queued, running, done, failed or cancelled"},
    {DWB_OPTION_LIMIT, VALUE_LIMIT, "limit", "N", "at most so many jobs (default 20)"},
    {DWB_OPTION_ENVIRONMENT, VALUE_ENVIRONMENT, "environment", NULL,
     "print what was recorded of the machine, in place of the report"},
    {DWB_OPTION_BASELINE, VALUE_BASELINE, "baseline", "NAME",
     "compare with the baseline of that name and its history"},
    {DWB_OPTION_FORCE, VALUE_FORCE, "force", NULL,
     "compare what is not comparable; the result says what differs"},
    {DWB_OPTION_FORMAT, 'f', "format", "FORMAT", "table, json or csv"},
    {DWB_OPTION_REPORT, 'f', "format", "FORMAT", "table, json, csv, junit, markdown or html"},
    {DWB_OPTION_OUTPUT, 'o', "output", "FILE", "write there, not to standard output"},
    {DWB_OPTION_QUIET, 'q', "quiet", NULL, "no progress, no remarks: only results and errors"},
    {0, 'h', "help", NULL, "this text"},
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

void dwb_say(const char *format, ...)
{
    char text[4096], line[4608];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n < 0)
        return;
    /* A message may have lines of its own; what came from outside must not add any other control.
     */
    for (char *part = strtok(text, "\n"); part; part = strtok(NULL, "\n")) {
        dwb_escape(line, sizeof(line), part, strlen(part));
        fprintf(stderr, "dwbenchctl: %s\n", line);
    }
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

/* Edit distance with swaps of neighbours, the slip of the finger that a plain one counts twice. */
static unsigned distance(const char *a, const char *b)
{
    unsigned rows[3][NAMES_MAX + 1];
    size_t n_a = strlen(a), n_b = strlen(b);

    if (n_a > NAMES_MAX || n_b > NAMES_MAX)
        return UINT32_MAX;
    for (size_t j = 0; j <= n_b; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n_a; i++) {
        unsigned *row = rows[i % 3], *before = rows[(i - 1) % 3], *two_before = rows[(i + 1) % 3];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n_b; j++) {
            row[j] = min3(row[j - 1] + 1, before[j] + 1, before[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                two_before[j - 2] + 1 < row[j])
                row[j] = two_before[j - 2] + 1;
        }
    }
    return rows[n_a % 3][n_b];
}

const char *dwb_cli_nearest(const char *given, const char *const *names, size_t n)
{
    const char *nearest = NULL;
    unsigned least = UINT32_MAX;

    for (size_t i = 0; i < n; i++) {
        unsigned d = distance(given, names[i]);
        /* A beginning that was cut short is meant, however much is missing. */
        if (strlen(given) >= 3 && strncmp(given, names[i], strlen(given)) == 0)
            d = 1;
        if (d < least) {
            least = d;
            nearest = names[i];
        }
    }
    return nearest && least <= 1 + strlen(given) / 3 ? nearest : NULL;
}

static bool takes(const struct dwb_verb *verb, size_t i)
{
    return options[i].option == 0 || (verb->options & options[i].option);
}

static void print_help(const struct dwb_verb *verb)
{
    printf("Usage: dwbenchctl %s [OPTION...]%s%s\n\n%s\n\nOptions:\n", verb->name,
           verb->arguments[0] ? " " : "", verb->arguments, verb->help);
    for (size_t i = 0; i < N_OPTIONS; i++) {
        char flag[64], letter[8] = "    ";

        if (!takes(verb, i))
            continue;
        if (options[i].value < 256)
            snprintf(letter, sizeof(letter), "-%c, ", options[i].value);
        snprintf(flag, sizeof(flag), "%s--%s%s%s", letter, options[i].name,
                 options[i].argument ? " " : "", options[i].argument ? options[i].argument : "");
        printf("  %-26s %s\n", flag, options[i].help);
    }
}

static int unknown_option(const struct dwb_verb *verb, const char *given)
{
    const char *names[N_OPTIONS], *nearest;
    char name[NAMES_MAX];
    size_t n = 0;

    for (size_t i = 0; i < N_OPTIONS; i++)
        if (takes(verb, i))
            names[n++] = options[i].name;
    snprintf(name, sizeof(name), "%s", given + strspn(given, "-"));
    name[strcspn(name, "=")] = '\0';
    nearest = dwb_cli_nearest(name, names, n);
    if (nearest)
        dwb_say("%s: unknown option %s: did you mean --%s?", verb->name, given, nearest);
    else
        dwb_say("%s: unknown option %s (dwbenchctl %s --help lists them)", verb->name, given,
                verb->name);
    return DWB_EXIT_USAGE;
}

static int parse_format(const struct dwb_verb *verb, const char *text, struct dwb_cli *cli)
{
    static const char *const names[] = {"table", "json", "csv", "junit", "markdown", "html"};
    size_t n = verb->options & DWB_OPTION_REPORT ? sizeof(names) / sizeof(names[0]) : 3;

    for (size_t i = 0; i < n; i++)
        if (strcmp(text, names[i]) == 0) {
            cli->format = (enum dwb_format)i;
            cli->format_given = true;
            return DWB_EXIT_OK;
        }
    dwb_say("--format: value `%s': must be %s", text,
            n == 3 ? "table, json or csv" : "table, json, csv, junit, markdown or html");
    return DWB_EXIT_USAGE;
}

static int parse_timeout(const char *text, struct dwb_cli *cli)
{
    if (dwb_duration_parse(text, &cli->timeout_ns) < 0 || cli->timeout_ns == 0) {
        dwb_say("--timeout: value `%s': must be a duration above zero with its unit, such as 90s",
                text);
        return DWB_EXIT_USAGE;
    }
    return DWB_EXIT_OK;
}

static int parse_limit(const char *text, struct dwb_cli *cli)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno || value < 1 || value > 1000) {
        dwb_say("--limit: value `%s': must be a number from 1 to 1000", text);
        return DWB_EXIT_USAGE;
    }
    cli->limit = (unsigned)value;
    return DWB_EXIT_OK;
}

/* The API takes visible ASCII, 1 to 127 characters. */
static int parse_key(const char *text, struct dwb_cli *cli)
{
    size_t n = strlen(text);
    bool visible = n > 0 && n <= 127;

    for (size_t i = 0; i < n; i++)
        visible = visible && text[i] > ' ' && text[i] < 127;
    if (!visible) {
        dwb_say("--idempotency-key: value `%s': must be 1 to 127 visible ASCII characters", text);
        return DWB_EXIT_USAGE;
    }
    cli->idempotency_key = text;
    return DWB_EXIT_OK;
}

static int parse_state(const char *text, struct dwb_cli *cli)
{
    static const char *const names[] = {"queued", "running", "done", "failed", "cancelled"};

    for (size_t i = 0; i < 5; i++)
        if (strcmp(text, names[i]) == 0) {
            cli->state = text;
            return DWB_EXIT_OK;
        }
    dwb_say("--state: value `%s': must be queued, running, done, failed or cancelled", text);
    return DWB_EXIT_USAGE;
}

static int add_plugin(const char *text, struct dwb_cli *cli)
{
    if (cli->n_plugins == DWB_PLUGINS_MAX) {
        dwb_say("--plugin: value `%s': at most %d plugins can be raced at once", text,
                DWB_PLUGINS_MAX);
        return DWB_EXIT_USAGE;
    }
    cli->plugins[cli->n_plugins++] = text;
    return DWB_EXIT_OK;
}

static int take_option(const struct dwb_verb *verb, int value, const char *text,
                       struct dwb_cli *cli)
{
    switch (value) {
    case 's':
        cli->socket = text;
        return DWB_EXIT_OK;
    case 'f':
        return parse_format(verb, text, cli);
    case 'o':
        cli->output = text;
        return DWB_EXIT_OK;
    case 'q':
        cli->quiet = true;
        return DWB_EXIT_OK;
    case VALUE_LAYER:
        cli->layer = text;
        return DWB_EXIT_OK;
    case VALUE_TIMEOUT:
        return parse_timeout(text, cli);
    case VALUE_WAIT:
        cli->wait = true;
        return DWB_EXIT_OK;
    case VALUE_KEY:
        return parse_key(text, cli);
    case VALUE_BASELINE:
        cli->baseline = text;
        return DWB_EXIT_OK;
    case VALUE_FORCE:
        cli->force = true;
        return DWB_EXIT_OK;
    case VALUE_STATE:
        return parse_state(text, cli);
    case VALUE_LIMIT:
        return parse_limit(text, cli);
    case VALUE_ENVIRONMENT:
        cli->environment = true;
        return DWB_EXIT_OK;
    case VALUE_NO_CONFIRM:
        cli->without_confirmation = true;
        return DWB_EXIT_OK;
    case VALUE_PLUGIN:
        return add_plugin(text, cli);
    default:
        if (value >= VALUE_SIDE_KEY) {
            cli->side_keys[value - VALUE_SIDE_KEY] = text;
            return DWB_EXIT_OK;
        }
        cli->job_keys[value - VALUE_JOB_KEY] = text ? text : "true"; /* a flag alone */
        return DWB_EXIT_OK;
    }
}

static int check_arguments(const struct dwb_verb *verb, const struct dwb_cli *cli)
{
    if (cli->n_arguments >= verb->min_arguments && cli->n_arguments <= verb->max_arguments)
        return DWB_EXIT_OK;
    if (cli->n_arguments > verb->max_arguments)
        dwb_say("%s: unexpected argument `%s'", verb->name, cli->arguments[verb->max_arguments]);
    else
        dwb_say("%s: an argument is missing", verb->name);
    dwb_say("usage: dwbenchctl %s [OPTION...]%s%s", verb->name, verb->arguments[0] ? " " : "",
            verb->arguments);
    return DWB_EXIT_USAGE;
}

int dwb_cli_parse(const struct dwb_verb *verb, int argc, char **argv, struct dwb_cli *ret_cli,
                  bool *ret_done)
{
    struct option longs[N_OPTIONS + 1] = {0};
    struct dwb_cli cli = {0};
    char letters[3 * N_OPTIONS + 2] = ":"; /* a missing value is told apart */
    int value, r, n = 0, key = 0, side_key = 0;

    for (size_t i = 0; i < N_OPTIONS; i++) {
        int number = options[i].value;
        if (number == VALUE_JOB_KEY)
            number += key++;
        else if (number == VALUE_SIDE_KEY)
            number += side_key++;
        if (!takes(verb, i))
            continue;
        longs[n++] = (struct option){
            options[i].name, options[i].argument ? required_argument : no_argument, NULL, number};
        if (number < 256)
            snprintf(letters + strlen(letters), sizeof(letters) - strlen(letters), "%c%s", number,
                     options[i].argument ? ":" : "");
    }
    *ret_done = false;
    opterr = 0;
    optind = 0; /* glibc: forget all of an earlier call */
    while ((value = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        if (value == 'h') {
            print_help(verb);
            *ret_done = true;
            return DWB_EXIT_OK;
        }
        if (value == ':') {
            dwb_say("%s: option %s needs a value", verb->name, argv[optind - 1]);
            return DWB_EXIT_USAGE;
        }
        if (value == '?') { /* optopt: the letter, or the number of a flag that takes no value */
            char letter[3] = {'-', (char)optopt, '\0'};

            if (optopt >= 256 || (optopt > 0 && strchr(letters, optopt))) {
                dwb_say("%s: option %s takes no value", verb->name, argv[optind - 1]);
                return DWB_EXIT_USAGE;
            }
            return unknown_option(verb, optopt > 0 ? letter : argv[optind - 1]);
        }
        r = take_option(verb, value, optarg, &cli);
        if (r != DWB_EXIT_OK)
            return r;
    }
    cli.arguments = argv + optind;
    cli.n_arguments = argc - optind;
    r = check_arguments(verb, &cli);
    if (r == DWB_EXIT_OK)
        *ret_cli = cli;
    return r;
}
