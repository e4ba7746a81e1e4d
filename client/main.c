/* dwbenchctl: the client's main program. A verb is a file; this is their table. */

#include "client/cli.h"
#include "client/verbs.h"
#include "common/json_memory.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static const struct dwb_verb *const verbs[] = {
    &dwb_verb_run,    &dwb_verb_gate,   &dwb_verb_submit,  &dwb_verb_status,  &dwb_verb_watch,
    &dwb_verb_result, &dwb_verb_list,   &dwb_verb_cancel,  &dwb_verb_compare, &dwb_verb_baseline,
    &dwb_verb_suites, &dwb_verb_doctor, &dwb_verb_metrics, &dwb_verb_version,
};

#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void print_help(FILE *out)
{
    fputs("Usage: dwbenchctl VERB [OPTION...] [ARGUMENT]\n\n"
          "Measures what a depthwise-separable convolution really costs here, beside the\n"
          "1/N + 1/Dk^2 of a standard one that theory promises.\n\nVerbs:\n",
          out);
    for (size_t i = 0; i < N_VERBS; i++)
        fprintf(out, "  %-9s %-14s %s\n", verbs[i]->name, verbs[i]->arguments, verbs[i]->summary);
    fputs(
        "\ndwbenchctl VERB --help says more. To begin with: dwbenchctl run example\n\n"
        "Exit status: 0 fine, 1 slower (a regression), 2 usage or bad input, 3 no daemon (or one\n"
        "that takes no jobs now), 4 job failed or outputs wrong, 5 a layer without a ratio or a\n"
        "comparison not resolved, 124 timeout, 130 interrupted.\n",
        out);
}

static int unknown_verb(const char *given)
{
    const char *names[N_VERBS], *nearest;

    for (size_t i = 0; i < N_VERBS; i++)
        names[i] = verbs[i]->name;
    nearest = dwb_cli_nearest(given, names, N_VERBS);
    if (nearest)
        dwb_say("unknown verb `%s': did you mean %s?", given, nearest);
    else
        dwb_say("unknown verb `%s' (dwbenchctl --help lists them)", given);
    return DWB_EXIT_USAGE;
}

static int run_verb(const struct dwb_verb *verb, int argc, char **argv)
{
    struct dwb_cli cli = {0};
    bool done = false;
    int r = dwb_cli_parse(verb, argc, argv, &cli, &done);

    if (r == DWB_EXIT_OK && !done)
        r = verb->run(&cli);
    if (r == DWB_EXIT_OK && fflush(stdout) != 0) {
        dwb_say("standard output cannot be written");
        r = DWB_EXIT_USAGE;
    }
    return r;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    dwb_json_memory_watch();
    if (argc < 2) {
        print_help(stderr);
        return DWB_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        (strcmp(argv[1], "help") == 0 && argc == 2)) {
        print_help(stdout);
        return DWB_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0)
        return run_verb(&dwb_verb_version, 1, argv + 1);
    if (strcmp(argv[1], "help") == 0) { /* help VERB = VERB --help */
        static char flag[] = "--help";
        char *help[] = {argv[2], flag, NULL};

        for (size_t i = 0; i < N_VERBS; i++)
            if (strcmp(argv[2], verbs[i]->name) == 0)
                return run_verb(verbs[i], 2, help);
        return unknown_verb(argv[2]);
    }
    for (size_t i = 0; i < N_VERBS; i++)
        if (strcmp(argv[1], verbs[i]->name) == 0)
            return run_verb(verbs[i], argc - 1, argv + 1);
    return unknown_verb(argv[1]);
}
