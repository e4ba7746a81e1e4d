/* dwbenchctl suites: the shipped suites, or one of them as it is written. */

#include "client/input.h"
#include "client/table.h"
#include "client/verbs.h"
#include "common/cleanup.h"
#include "common/theory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Layers with their repeats, and what the separable form should cost of the standard one. */
static int add_suite(struct dwb_table *table, const char *name)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = NULL;
    double standard = 0, separable = 0;
    unsigned n_layers = 0;
    int r = dwb_input_suite(name, &spec, NULL);

    if (r != DWB_EXIT_OK)
        return r;
    for (size_t i = 0; i < spec->n_layers; i++) {
        struct dwb_theory theory;

        if (dwb_theory_of(&spec->layers[i], &theory) < 0)
            continue;
        standard += (double)theory.nominal.standard * spec->layers[i].repeat;
        separable += (double)theory.nominal.separable * spec->layers[i].repeat;
        n_layers += spec->layers[i].repeat;
    }
    dwb_table_add(table, DWB_STYLE_PLAIN, "%s", name);
    dwb_table_add(table, DWB_STYLE_PLAIN, "%zu", spec->n_layers);
    dwb_table_add(table, DWB_STYLE_PLAIN, "%u", n_layers);
    dwb_table_add(table, DWB_STYLE_PLAIN, "%.1f", 1e-6 * standard);
    dwb_table_add(table, DWB_STYLE_PLAIN, "%.1f", 1e-6 * separable);
    dwb_table_add(table, DWB_STYLE_PLAIN, "%.4f", standard > 0 ? separable / standard : 0);
    return DWB_EXIT_OK;
}

static int list(void)
{
    static const char *const headers[] = {"suite",         "distinct",       "layers",
                                          "standard Mmac", "separable Mmac", "theory"};
    DWB_CLEANUP(dwb_table_freep) struct dwb_table *table = dwb_table_new(6, 0x3e);
    struct dwb_terminal terminal;
    char **names;
    size_t n;
    int r = dwb_input_suites(&names, &n);

    if (r < 0 || !table) {
        dwb_say("the suites are not installed where this program looks: %s",
                strerror(r < 0 ? -r : ENOMEM));
        return DWB_EXIT_USAGE;
    }
    dwb_terminal_of(STDOUT_FILENO, &terminal);
    for (size_t i = 0; i < 6; i++)
        dwb_table_add(table, DWB_STYLE_BOLD, "%s", headers[i]);
    for (size_t i = 0; i < n && r == DWB_EXIT_OK; i++)
        r = add_suite(table, names[i]);
    if (r == DWB_EXIT_OK) {
        dwb_table_print(table, &terminal, 2, stdout);
        fputs("\nMeasure one: dwbenchctl run NAME; its document: dwbenchctl suites NAME\n", stdout);
    }
    dwb_input_free_names(names, n);
    return r;
}

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = NULL;
    dwb_cleanup_free char *text = NULL;
    const char *name = cli->n_arguments ? cli->arguments[cli->n_arguments - 1] : NULL;
    bool show = cli->n_arguments && strcmp(cli->arguments[0], "show") == 0;
    int r;

    if (!name || (cli->n_arguments == 1 && strcmp(name, "list") == 0))
        return list();
    if ((cli->n_arguments == 2 && !show) || (cli->n_arguments == 1 && show)) {
        dwb_say("suites: say `suites', or `suites show NAME'");
        return DWB_EXIT_USAGE;
    }
    r = dwb_input_suite(name, &spec, &text);
    if (r == DWB_EXIT_OK)
        fputs(text, stdout);
    return r;
}

const struct dwb_verb dwb_verb_suites = {
    .name = "suites",
    .arguments = "[[show] NAME]",
    .summary = "list the shipped suites, or print one",
    .help =
        "Lists the suites that are installed; with a name, prints that suite's document, to be\n"
        "copied and changed.",
    .max_arguments = 2,
    .run = run,
};
