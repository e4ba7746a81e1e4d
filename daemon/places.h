#pragma once

/*
 * Where this daemon's socket, state and worker are: what the configuration says, and where it says
 * "auto" the rules of configs/dwbenchd.yaml.
 */

#include "daemon/config.h"

#include <sys/types.h>

struct dwb_places {
    char socket[108];
    gid_t socket_group; /* (gid_t)-1 = leave */
    char state_dir[PATH_MAX];
    char worker[PATH_MAX];
    uint64_t memory_bytes_max;
};

/* Makes the state directory (0750). Logs what is wrong. 0 or a negative errno. */
int dwb_places_find(const struct dwb_config *config, struct dwb_places *ret_places);
