/*
 * dwbenchctl gate: is b slower than a? As run, it has a daemon of its own, whose workers may be any
 * two programs; with --socket it asks a service, which takes names only.
 *
 * An alarm costs somebody an hour, so none is raised on one run: what came out slower is measured
 * once more under another seed, and counts only when it comes out slower again.
 */

#include "analysis/gate.h"
#include "client/api.h"
#include "client/comparison.h"
#include "client/input.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "client/plugins.h"
#include "client/private_daemon.h"
#include "client/verbs.h"
#include "client/watch.h"
#include "common/cleanup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct gate {
    const struct dwb_cli *cli;
    struct dwb_spec *spec;
    const char *socket; /* NULL = the default one */
    bool alone;         /* the daemon has this one job */
    struct dwb_private_daemon daemon;
    char *programs[2]; /* of worker:PATH, absolute; NULL = the side is none */
    bool has_path[2];  /* the side was given with a path: worker:PATH, plugin:PATH */
    struct dwb_plugin_files plugins;
};

/* ---- the command line ---- */

static bool is_program(const char *path)
{
    struct stat status;

    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return false;
    }
    return access(path, X_OK) == 0;
}

/* The PATH of "worker:PATH" or "plugin:PATH" among the words of a side, or NULL; to be freed. */
static char *path_of(const char *text, const char *kind, size_t *ret_at)
{
    for (const char *word = text; word; word = strchr(word, ',')) {
        word += *word == ',';
        if (strncmp(word, kind, strlen(kind)) != 0)
            continue;
        *ret_at = (size_t)(word - text) + strlen(kind);
        return strndup(text + *ret_at, strcspn(text + *ret_at, ","));
    }
    return NULL;
}

/* Finds the file; *ret_name is what the daemon knows it by. */
static int take_path(struct gate *gate, size_t i, const char *flag, const char *program,
                     const char *plugin, const char **ret_name)
{
    gate->has_path[i] = true;
    if (plugin)
        return dwb_plugin_files_add(&gate->plugins, plugin, ret_name);
    gate->programs[i] = realpath(program, NULL);
    if (!gate->programs[i] || !is_program(gate->programs[i])) {
        dwb_say("%s: no program %s: %s", flag, program, strerror(errno));
        return DWB_EXIT_USAGE;
    }
    *ret_name = i ? "b" : "a";
    return DWB_EXIT_OK;
}

/* A side as it goes into the job: a path becomes the name under which the daemon knows the file. */
static int translate_side(struct gate *gate, size_t i, char *buffer, size_t size)
{
    const char *text = gate->cli->side_keys[i], *flag = i ? "--b" : "--a", *name = NULL;
    dwb_cleanup_free char *program = NULL, *plugin = NULL;
    size_t at = 0;
    int r;

    if (!text && (i ? gate->spec->options.has_b : gate->spec->options.has_a))
        return DWB_EXIT_OK; /* the document has it */
    if (!text) {
        dwb_say("%s is missing: a comparison has two sides, such as --a native --b onednn", flag);
        return DWB_EXIT_USAGE;
    }
    snprintf(buffer, size, "%s", text);
    program = path_of(text, "worker:", &at);
    plugin = program ? NULL : path_of(text, "plugin:", &at);
    if ((!program && !plugin) || (gate->cli->socket && plugin && !strchr(plugin, '/')))
        return DWB_EXIT_OK; /* a service has plugins by their names */
    if (gate->cli->socket) {
        dwb_say("%s: value `%s': a service takes no path; leave --socket out", flag, text);
        return DWB_EXIT_USAGE;
    }
    r = take_path(gate, i, flag, program, plugin, &name);
    if (r == DWB_EXIT_OK)
        snprintf(buffer, size, "%.*s%s%s", (int)at, text, name,
                 text + at + strlen(program ? program : plugin));
    return r;
}

static int set_sides(struct gate *gate)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    char sides[2][4096];
    int r = 0;

    for (size_t i = 0; i < 2; i++) {
        int code = translate_side(gate, i, sides[i], sizeof(sides[i]));

        if (code != DWB_EXIT_OK)
            return code;
    }
    if (!diags)
        return DWB_EXIT_USAGE;
    for (size_t i = 0; i < DWB_CLI_N_SIDE_KEYS; i++) {
        const char *given = gate->cli->side_keys[i], *value = given && i < 2 ? sides[i] : given;

        if (value && dwb_spec_set(gate->spec, dwb_cli_side_keys[i], value, diags) < 0)
            r = -EINVAL;
    }
    if (r == 0)
        r = dwb_spec_check(gate->spec, diags);
    if (r < 0)
        dwb_diags_print(diags, "command line", stderr);
    return r < 0 ? DWB_EXIT_USAGE : DWB_EXIT_OK;
}

/* ---- measuring ---- */

static int measure(struct gate *gate, json_t **ret_document)
{
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    struct dwb_cli cli = *gate->cli;
    struct dwb_progress_bar bar;
    json_t *job = NULL;
    int r;

    cli.socket = gate->socket;
    dwb_progress_init(&bar, stderr, STDERR_FILENO, cli.quiet);
    r = dwb_api_open(&cli, &http);
    if (r == DWB_EXIT_OK)
        r = dwb_api_submit(http, gate->spec, NULL, &job);
    if (r == DWB_EXIT_OK) {
        const char *id = json_string_value(json_object_get(job, "id"));

        r = dwb_watch(http, id, !gate->alone, &bar);
        if (r == DWB_EXIT_OK)
            r = dwb_job_fetch(http, id, ret_document);
    }
    json_decref(job);
    if (r == DWB_EXIT_UNREACHABLE && gate->alone)
        dwb_private_daemon_explain(&gate->daemon);
    return r;
}

static bool has_alarm(const json_t *document, const char *layer)
{
    size_t i;
    json_t *item;

    json_array_foreach(json_object_get(document, "comparisons"), i, item)
    {
        const char *verdict = json_string_value(json_object_get(item, "verdict"));
        const char *name = json_string_value(json_object_get(item, "layer"));

        if (verdict && name && strcmp(verdict, dwb_change_name(DWB_CHANGE_SLOWER)) == 0 &&
            (!layer || strcmp(name, layer) == 0))
            return true;
    }
    return false;
}

/* The same job of the layers that came out slower, under another seed. */
static void narrow_to_alarms(struct dwb_spec *spec, const json_t *document)
{
    size_t n = 0;

    for (size_t i = 0; i < spec->n_layers; i++) {
        if (!has_alarm(document, spec->layers[i].name))
            continue;
        spec->declared[n] = spec->declared[i];
        spec->layers[n++] = spec->layers[i];
    }
    spec->n_layers = n;
    spec->options.seed = spec->options.seed < INT64_MAX ? spec->options.seed + 1 : 0;
}

static int measure_twice(struct gate *gate, json_t **ret_document)
{
    json_t *document = NULL, *second = NULL;
    int r = measure(gate, &document);

    if (r == DWB_EXIT_OK && !gate->cli->without_confirmation && has_alarm(document, NULL)) {
        if (!gate->cli->quiet)
            dwb_say("slower: measuring once more before that is said");
        narrow_to_alarms(gate->spec, document);
        r = measure(gate, &second);
        if (r == DWB_EXIT_OK && dwb_gate_confirm(document, second) < 0) {
            dwb_say("no memory for the document");
            r = DWB_EXIT_FAILED;
        }
    }
    json_decref(second);
    if (r != DWB_EXIT_OK) {
        json_decref(document);
        return r;
    }
    *ret_document = document;
    return DWB_EXIT_OK;
}

/* Sides as they were given, in place of the names that the daemon knows them by. */
static void name_sides(const struct gate *gate, json_t *document)
{
    static const char *const keys[] = {"a", "b"};
    size_t i;
    json_t *item;

    for (size_t k = 0; k < 2; k++) {
        if (!gate->has_path[k])
            continue;
        json_object_set_new(json_object_get(document, keys[k]), "what",
                            json_string(gate->cli->side_keys[k]));
        json_array_foreach(json_object_get(document, "comparisons"), i, item) json_object_set_new(
            json_object_get(item, keys[k]), "what", json_string(gate->cli->side_keys[k]));
    }
}

static int measure_in_private(struct gate *gate, json_t **ret_document)
{
    const struct dwb_private_daemon_options options = {
        .plugins = gate->plugins.names.n ? &gate->plugins : NULL,
        .worker_a = gate->programs[0],
        .worker_b = gate->programs[1],
    };
    int r = dwb_private_daemon_start(&options, &gate->daemon);

    gate->socket = gate->daemon.socket_path;
    gate->alone = true;
    if (r == DWB_EXIT_OK)
        r = measure_twice(gate, ret_document);
    dwb_private_daemon_stop(&gate->daemon);
    return r;
}

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = NULL;
    struct gate gate = {.cli = cli, .socket = cli->socket};
    json_t *document = NULL;
    struct dwb_output output;
    int r = dwb_input_spec(cli, &spec);

    gate.spec = spec;
    if (r == DWB_EXIT_OK)
        r = dwb_comparison_check_format(cli);
    if (r == DWB_EXIT_OK)
        r = set_sides(&gate);
    if (r == DWB_EXIT_OK)
        r = dwb_output_open(cli->output, &output);
    if (r == DWB_EXIT_OK) {
        dwb_interrupt_install();
        signal(SIGPIPE, SIG_IGN);
        r = cli->socket ? measure_twice(&gate, &document) : measure_in_private(&gate, &document);
        if (r == DWB_EXIT_OK) {
            name_sides(&gate, document);
            r = dwb_job_report(document, cli, &output);
        }
        dwb_output_close(&output);
    }
    json_decref(document);
    free(gate.programs[0]);
    free(gate.programs[1]);
    return r;
}

const struct dwb_verb dwb_verb_gate = {
    .name = "gate",
    .arguments = "FILE|SUITE|-",
    .summary = "is b slower than a? exit 1 when it surely is",
    .help =
        "Holds two sides against each other, layer by layer and operation by operation, and says\n"
        "in words whether b is slower, faster, or the same within delta. A side is a list of\n"
        "words: whose kernel (native, onednn, xnnpack, plugin:PATH, worker:PATH, kernel:NAME), on\n"
        "which ISA (avx2, avx512, ...), in which form (standard, depthwise, pointwise, separable,\n"
        "fused). Both sides run in the same blocks of the same processes; two programs\n"
        "(worker:PATH) in processes that alternate. What comes out slower is measured once more.\n"
        "A private daemon measures, or with --socket the service there.\n\n"
        "    dwbenchctl gate --a native --b onednn mobilenet_v1\n"
        "    dwbenchctl gate --a avx2 --b avx512 --layer Dk=3,Dx=56,M=128,N=128\n"
        "    dwbenchctl gate --a separable --b fused example\n"
        "    dwbenchctl gate --a worker:old/dwbench-worker --b worker:new/dwbench-worker "
        "example\n\n"
        "Exit status: 0 nothing is slower; 1 something is, twice; 5 not resolved.",
    .options = DWB_OPTION_SOCKET | DWB_OPTION_LAYER | DWB_OPTION_SIDES | DWB_OPTION_CONFIRM |
               DWB_OPTION_JOB | DWB_OPTION_REPORT | DWB_OPTION_OUTPUT | DWB_OPTION_TIMEOUT |
               DWB_OPTION_QUIET,
    .max_arguments = 1,
    .run = run,
};
