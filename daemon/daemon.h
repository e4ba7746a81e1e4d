#pragma once

/*
 * The daemon as a whole: what main puts together, runs and takes apart. Order is all there is to
 * it: signals before threads, the store before the socket, the socket before READY=1; and at the
 * end the store is closed (and its last callbacks run) before anything they use is freed.
 */

#include "daemon/config.h"

enum { /* exit statuses of dwbenchd */
       DWB_EXIT_OK = 0,
       DWB_EXIT_FAILURE = 1, /* at run time: the store failed, a second signal */
       DWB_EXIT_USAGE = 2,   /* options, configuration, or another daemon is there */
};

/* Runs to the end; returns the exit status. */
int dwb_daemon_main(const struct dwb_config *config);
