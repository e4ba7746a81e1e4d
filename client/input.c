/*
 * A file comes first, a suite's name second: what lies in the working directory is what the person
 * sees. One byte more than the parser allows is read, so that it can say that the limit was passed.
 */

#include "client/input.h"

#include "common/cleanup.h"
#include "common/paths.h"
#include "common/yaml.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SUITE_SUFFIX ".yaml"

static int read_all(FILE *file, char **ret_text, size_t *ret_n)
{
    dwb_cleanup_free char *text = malloc(DWB_YAML_BYTES_MAX + 2);
    size_t n;

    if (!text)
        return -ENOMEM;
    errno = 0;
    n = fread(text, 1, DWB_YAML_BYTES_MAX + 1, file);
    if (ferror(file))
        return errno ? -errno : -EIO;
    text[n] = '\0';
    *ret_text = dwb_steal(text);
    *ret_n = n;
    return 0;
}

static int read_path(const char *path, char **ret_text, size_t *ret_n)
{
    dwb_cleanup_file FILE *file = fopen(path, "re");

    return file ? read_all(file, ret_text, ret_n) : -errno;
}

static int parse(const char *text, size_t n, const char *source, struct dwb_spec **ret_spec)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    int r = diags ? dwb_spec_parse(text, n, diags, ret_spec) : -ENOMEM;

    if (r == -EINVAL)
        dwb_diags_print(diags, source, stderr);
    else if (r < 0)
        dwb_say("%s: %s", source, strerror(-r));
    return r < 0 ? DWB_EXIT_USAGE : DWB_EXIT_OK;
}

static bool is_suite_file(const char *name)
{
    size_t n = strlen(name), n_suffix = strlen(SUITE_SUFFIX);

    return n > n_suffix && name[0] != '.' && strcmp(name + n - n_suffix, SUITE_SUFFIX) == 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void dwb_input_free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

int dwb_input_suites(char ***ret_names, size_t *ret_n)
{
    char directory[4096], **names = NULL, **grown;
    struct dirent *entry;
    size_t n = 0;
    DIR *stream;
    int r = dwb_paths_data("suites", directory, sizeof(directory));

    if (r < 0)
        return r;
    stream = opendir(directory);
    if (!stream)
        return -errno;
    while (r == 0 && (entry = readdir(stream))) {
        if (!is_suite_file(entry->d_name))
            continue;
        grown = realloc(names, (n + 1) * sizeof(*names));
        if (grown) {
            names = grown;
            names[n] = strndup(entry->d_name, strlen(entry->d_name) - strlen(SUITE_SUFFIX));
        }
        if (!grown || !names[n++])
            r = -ENOMEM;
    }
    closedir(stream);
    if (r < 0) {
        dwb_input_free_names(names, n);
        return r;
    }
    if (n > 0)
        qsort(names, n, sizeof(*names), compare_names);
    *ret_names = names;
    *ret_n = n;
    return 0;
}

static void say_no_such(const char *name)
{
    char **names = NULL;
    const char *nearest = NULL;
    size_t n = 0;

    if (dwb_input_suites(&names, &n) == 0)
        nearest = dwb_cli_nearest(name, (const char *const *)names, n);
    if (nearest)
        dwb_say("there is no file and no suite `%s': did you mean the suite %s?", name, nearest);
    else
        dwb_say("there is no file and no suite `%s' (dwbenchctl suites lists the suites)", name);
    dwb_input_free_names(names, n);
}

int dwb_input_suite(const char *name, struct dwb_spec **ret_spec, char **ret_text)
{
    dwb_cleanup_free char *text = NULL;
    char directory[4096], path[4200];
    int name_bytes = (int)strlen(name), r;
    size_t n;

    if (is_suite_file(name)) /* the file's name will do as well */
        name_bytes -= (int)strlen(SUITE_SUFFIX);
    r = strchr(name, '/') ? -ENOENT : dwb_paths_data("suites", directory, sizeof(directory));
    if (r == 0 && snprintf(path, sizeof(path), "%s/%.*s" SUITE_SUFFIX, directory, name_bytes,
                           name) >= (int)sizeof(path))
        r = -ENOENT;
    if (r == 0)
        r = read_path(path, &text, &n);
    if (r == -ENOENT) {
        say_no_such(name);
        return DWB_EXIT_USAGE;
    }
    if (r < 0) {
        dwb_say("suite %s: %s", name, strerror(-r));
        return DWB_EXIT_USAGE;
    }
    r = parse(text, n, path, ret_spec);
    if (r == DWB_EXIT_OK && ret_text)
        *ret_text = dwb_steal(text);
    return r;
}

static int from_layer(const char *text, struct dwb_spec **ret_spec)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    int r = diags ? dwb_spec_parse_flag(text, diags, ret_spec) : -ENOMEM;

    if (r == -EINVAL)
        dwb_diags_print(diags, "--layer", stderr);
    else if (r < 0)
        dwb_say("--layer: %s", strerror(-r));
    return r < 0 ? DWB_EXIT_USAGE : DWB_EXIT_OK;
}

static int from_argument(const char *name, struct dwb_spec **ret_spec)
{
    dwb_cleanup_free char *text = NULL;
    struct stat status;
    size_t n;
    int r;

    if (strcmp(name, "-") == 0) {
        r = read_all(stdin, &text, &n);
        name = "standard input";
    } else if (stat(name, &status) == 0 && !S_ISDIR(status.st_mode)) {
        r = read_path(name, &text, &n);
    } else {
        return dwb_input_suite(name, ret_spec, NULL);
    }
    if (r < 0) {
        dwb_say("%s: %s", name, strerror(-r));
        return DWB_EXIT_USAGE;
    }
    return parse(text, n, name, ret_spec);
}

int dwb_input_plugins(const struct dwb_cli *cli, struct dwb_spec *spec)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    char text[DWB_PLUGINS_MAX * PATH_MAX] = "";

    for (size_t i = 0, n = 0; i < cli->n_plugins && n < sizeof(text); i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? "," : "", cli->plugins[i]);
    if (!text[0])
        return DWB_EXIT_OK;
    if (!diags) {
        dwb_say("no memory for the document");
        return DWB_EXIT_USAGE;
    }
    if (dwb_spec_set(spec, "plugin", text, diags) == 0)
        return DWB_EXIT_OK;
    dwb_diags_print(diags, "command line", stderr);
    return DWB_EXIT_USAGE;
}

int dwb_input_spec(const struct dwb_cli *cli, struct dwb_spec **ret_spec)
{
    DWB_CLEANUP(dwb_spec_freep) struct dwb_spec *spec = NULL;
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    int r;

    if (!cli->layer == (cli->n_arguments == 0)) {
        dwb_say("give one thing to measure: a file, `-', the name of a suite, or --layer "
                "Dk=3,Dx=56,M=128,N=128");
        return DWB_EXIT_USAGE;
    }
    r = cli->layer ? from_layer(cli->layer, &spec) : from_argument(cli->arguments[0], &spec);
    if (r != DWB_EXIT_OK)
        return r;
    for (size_t i = 0; i < DWB_CLI_N_JOB_KEYS; i++) {
        int set = 0;

        if (cli->job_keys[i])
            set =
                diags ? dwb_spec_set(spec, dwb_cli_job_keys[i], cli->job_keys[i], diags) : -ENOMEM;
        if (set == -ENOMEM) {
            dwb_say("no memory for the document");
            return DWB_EXIT_USAGE;
        }
        if (set < 0)
            r = DWB_EXIT_USAGE;
    }
    if (r != DWB_EXIT_OK) {
        dwb_diags_print(diags, "command line", stderr);
        return r;
    }
    *ret_spec = dwb_steal(spec);
    return DWB_EXIT_OK;
}
