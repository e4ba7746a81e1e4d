#pragma once

/*
 * Where the parts of dwbench find each other, installed or straight from the build tree: next to
 * the running binary first, then the build tree's rooms, then the configured prefix. No environment
 * variable decides which program runs.
 */

#include <stddef.h>

/* "dwbenchd", "dwbench-worker" -> an absolute path that can be executed. 0, -ENOENT, -ENAMETOOLONG.
 */
int dwb_paths_program(const char *program, char *buffer, size_t size);

/* The directory of the worker's modules (dwbench-backend-*.so): beside the running binary, or the
 * build tree's. Same returns. */
int dwb_paths_modules(char *buffer, size_t size);

/* "suites", "counters" -> the absolute path of that directory of data files. Same returns. */
int dwb_paths_data(const char *directory, char *buffer, size_t size);

/*
 * The client's and daemon's default socket: $DWBENCH_SOCKET, else the user's
 * $XDG_RUNTIME_DIR/dwbench/dwbench.sock, else /run/dwbench/dwbench.sock. The client skips a
 * user's socket that does not exist (for_daemon = 0). Returns 0 or -ENAMETOOLONG.
 */
int dwb_paths_socket(int for_daemon, char *buffer, size_t size);
