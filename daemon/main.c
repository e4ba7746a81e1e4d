/*
 * dwbenchd: options, then the configuration, then daemon.c. A flag is a key of the configuration
 * under the same name, so both are checked by the same code.
 */

#include "common/cleanup.h"
#include "common/diag.h"
#include "daemon/daemon.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "Usage: dwbenchd [OPTION]...\n"
    "Measures depthwise-separable layers against standard convolutions, one job at a time.\n"
    "\n"
    "      --config FILE     configuration (every key is in the shipped dwbenchd.yaml)\n"
    "      --socket PATH     Unix socket to listen on\n"
    "      --state-dir DIR   directory of the database\n"
    "      --worker PATH     program that measures\n"
    "      --worker-a PATH   what side worker:a of a comparison means; --worker-b alike\n"
    "      --plugin-dir DIR  kernels that jobs may name (see dwbenchd.yaml)\n"
    "      --measure-cpu N   CPU that measures; auto: the highest one allowed\n"
    "      --loop BACKEND    auto, uring or epoll\n"
    "      --log-level LEVEL error, warning, info or debug\n"
    "      --allow-root      run as root all the same (nothing here needs it)\n"
    "      --check-config    say what is wrong with the configuration, and exit\n"
    "      --help            this text\n"
    "      --version         the version\n"
    "\n"
    "A socket handed over by systemd (LISTEN_FDS) wins over --socket. SIGTERM finishes the\n"
    "replicate that is measured and puts its job back in the queue; a second one does not wait.\n"
    "Exit status: 0 ended as asked, 1 failed at run time, 2 options, configuration, or another\n"
    "daemon is there already.\n";

static const char refusal_of_root[] =
    "dwbenchd: will not run as root: nothing here needs it, and whoever gets into it would be "
    "root.\n"
    "Use dwbenchd.service, or a user of its own: runuser -u dwbench -- dwbenchd ...\n"
    "Where root is the only user there is (a container), say --allow-root.\n";

enum {
    OPTION_HELP = 'h',
    OPTION_VERSION = 'V',
    OPTION_CONFIG = 'c',
    OPTION_CHECK = 'k',
    OPTION_ALLOW_ROOT = 'r',
    OPTION_KEY = 1
};

static const struct option options[] = {
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"check-config", no_argument, NULL, OPTION_CHECK},
    {"allow-root", no_argument, NULL, OPTION_ALLOW_ROOT},
    {"socket", required_argument, NULL, OPTION_KEY},
    {"state-dir", required_argument, NULL, OPTION_KEY},
    {"worker", required_argument, NULL, OPTION_KEY},
    {"worker-a", required_argument, NULL, OPTION_KEY},
    {"worker-b", required_argument, NULL, OPTION_KEY},
    {"plugin-dir", required_argument, NULL, OPTION_KEY},
    {"measure-cpu", required_argument, NULL, OPTION_KEY},
    {"loop", required_argument, NULL, OPTION_KEY},
    {"log-level", required_argument, NULL, OPTION_KEY},
    {NULL, 0, NULL, 0},
};

struct command_line {
    const char *config_path; /* NULL = defaults */
    bool check, allow_root;
    const char *keys[16]; /* of the configuration, as flags gave them */
    const char *values[16];
    size_t n_keys;
};

/* "state-dir" -> "state_dir" */
static const char *key_of(const char *option)
{
    static const struct {
        const char *option, *key;
    } renamed[] = {{"state-dir", "state_dir"},     {"plugin-dir", "plugin_dir"},
                   {"worker-a", "worker_a"},       {"worker-b", "worker_b"},
                   {"measure-cpu", "measure_cpu"}, {"log-level", "log_level"}};

    for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++)
        if (strcmp(renamed[i].option, option) == 0)
            return renamed[i].key;
    return option;
}

/* -1 = go on, else the exit status. */
static int parse_options(int argc, char **argv, struct command_line *line)
{
    int c, index;

    while ((c = getopt_long(argc, argv, "", options, &index)) != -1) {
        switch (c) {
        case OPTION_HELP:
            fputs(help, stdout);
            return DWB_EXIT_OK;
        case OPTION_VERSION:
            puts("dwbenchd " DWB_VERSION);
            return DWB_EXIT_OK;
        case OPTION_CONFIG:
            line->config_path = optarg;
            break;
        case OPTION_CHECK:
            line->check = true;
            break;
        case OPTION_ALLOW_ROOT:
            line->allow_root = true;
            break;
        case OPTION_KEY:
            if (line->n_keys == 16) {
                fputs("dwbenchd: too many options\n", stderr);
                return DWB_EXIT_USAGE;
            }
            line->keys[line->n_keys] = key_of(options[index].name);
            line->values[line->n_keys++] = optarg;
            break;
        default:
            fputs("Try dwbenchd --help.\n", stderr);
            return DWB_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "dwbenchd: takes no argument, but got %s\n", argv[optind]);
        return DWB_EXIT_USAGE;
    }
    return -1;
}

/* Prints the findings. 0 or a negative errno. */
static int load_config(const struct command_line *line, struct dwb_config *config)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *of_file = dwb_diags_new();
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *of_flags = dwb_diags_new();
    int result = 0;

    if (!of_file || !of_flags)
        return -ENOMEM;
    dwb_config_init(config);
    if (line->config_path)
        result = dwb_config_read(config, line->config_path, of_file);
    for (size_t i = 0; i < line->n_keys; i++) {
        int r = dwb_config_set(config, line->keys[i], line->values[i], of_flags);
        if (r < 0)
            result = r;
    }
    if (of_file->n > 0)
        dwb_diags_print(of_file, line->config_path, stderr);
    if (of_flags->n > 0)
        dwb_diags_print(of_flags, "dwbenchd", stderr);
    return result;
}

int main(int argc, char **argv)
{
    struct command_line line = {0};
    static struct dwb_config config;

    int status = parse_options(argc, argv, &line);
    if (status >= 0)
        return status;
    if (load_config(&line, &config) < 0)
        return DWB_EXIT_USAGE;
    if (line.check) {
        printf("%s: ok\n", line.config_path ? line.config_path : "defaults");
        return DWB_EXIT_OK;
    }
    if (geteuid() == 0 && !line.allow_root) {
        fputs(refusal_of_root, stderr);
        return DWB_EXIT_USAGE;
    }
    dwb_log_init("dwbenchd", (enum dwb_log_level)config.log_level);
    return dwb_daemon_main(&config);
}
