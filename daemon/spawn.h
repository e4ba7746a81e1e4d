#pragma once

/*
 * A child process as the supervisor wants it: pipes for its three standard streams, a pidfd, its
 * own process group, SIGKILL when the daemon dies, no descriptor but those three, default signals,
 * the affinity the daemon had before it pinned itself, no core file, and none of systemd's
 * variables.
 */

#include <sched.h>
#include <stdint.h>
#include <sys/types.h>

#define DWB_SPAWN_EXIT_EXEC 127 /* the program could not be executed; stderr says why */

struct dwb_spawned {
    pid_t pid; /* 0 = reaped */
    int pid_fd;
    int input_fd; /* non-blocking, the daemon's ends */
    int output_fd;
    int error_fd;
};

/* arguments: NULL-terminated, after argv[0], or NULL. 0 or a negative errno. Call from the main
 * thread: PDEATHSIG follows the thread that forks. */
int dwb_spawn(const char *program, const char *const *arguments, const cpu_set_t *affinity,
              struct dwb_spawned *ret_process);

/* Closes what is open; does not touch the process. */
void dwb_spawned_close(struct dwb_spawned *process);

/* Resident memory, 0 when it cannot be read. */
uint64_t dwb_spawned_resident_bytes(const struct dwb_spawned *process);
