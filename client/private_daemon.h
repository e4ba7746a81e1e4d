#pragma once

/*
 * A dwbenchd for one job: a directory of its own under the runtime or temporary directory, a socket
 * that this process listens on before the daemon is started (so there is nothing to wait for), and
 * the sd_listen_fds protocol to hand it over. The daemon gets SIGKILL when this process dies, it
 * takes part in no job control of the terminal, and its log stays in the directory until the end.
 */

#include "client/plugins.h"

#include <sys/types.h>

struct dwb_private_daemon {
    pid_t pid; /* 0 = not running */
    char directory[96];
    char socket_path[108];
    char log_path[128];
};

struct dwb_private_daemon_options { /* NULL = as the daemon has it; borrowed during the call */
    const struct dwb_plugin_files *plugins; /* copies of them are its plugin_dir */
    const char *worker_a, *worker_b; /* absolute paths: sides of a comparison of two programs */
};

/* Both outcomes are told on stderr; an exit code, see client/cli.h. */
int dwb_private_daemon_start(const struct dwb_private_daemon_options *options,
                             struct dwb_private_daemon *ret_daemon);

/* When the daemon is gone already, its last words on stderr. */
void dwb_private_daemon_explain(struct dwb_private_daemon *daemon);

/* SIGTERM, a few seconds for it to end, SIGKILL; then the directory goes. Idempotent. */
void dwb_private_daemon_stop(struct dwb_private_daemon *daemon);
