#pragma once

/*
 * The listening Unix socket: handed over by systemd (or any parent that speaks LISTEN_FDS), or made
 * here. A socket file that nobody answers on is replaced; one that is answered is another daemon's.
 */

#include <stdbool.h>
#include <sys/types.h>

/* A socket that was handed over: its descriptor (CLOEXEC, non-blocking), -ENOENT when there is
 * none, -EINVAL when what was handed over is not one listening Unix stream socket. */
int dwb_listen_inherited(void);

/* Makes `path`; its missing directory is made 0750. group (gid_t)-1 = leave. Returns the
 * descriptor, -EADDRINUSE when a daemon answers there, another negative errno. */
int dwb_listen_open(const char *path, mode_t mode, gid_t group);
