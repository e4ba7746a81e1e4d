#pragma once

/*
 * The daemon's configuration: configs/dwbenchd.yaml, key by key. One table in config.c holds each
 * key's type, default and range, so the defaults are parsed by the same code as a file and a flag.
 * All findings of a file are reported at once.
 */

#include "common/diag.h"
#include "common/log.h"
#include "daemon/loop.h"

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#define DWB_CONFIG_ADMINS_MAX 64
#define DWB_CONFIG_CPU_AUTO   UINT64_MAX

struct dwb_config {
    char socket[108];         /* "" = by the rules of common/paths.h */
    char socket_group[64];    /* "" = the process's own group */
    uint64_t socket_mode;     /* permission bits */
    char state_dir[PATH_MAX]; /* "" = $STATE_DIRECTORY, $XDG_STATE_HOME/dwbench, /var/lib/dwbench */
    char worker[PATH_MAX];    /* "" = by the rules of common/paths.h */
    char worker_a[PATH_MAX];  /* sides worker:a and worker:b of a comparison; "" = there is none */
    char worker_b[PATH_MAX];
    char plugin_dir[PATH_MAX]; /* "" = plugins are refused */
    uint64_t measure_cpu;      /* or DWB_CONFIG_CPU_AUTO: the highest allowed one */
    uint64_t loop;             /* enum dwb_loop_backend */
    uint64_t log_level;        /* enum dwb_log_level */
    uint64_t drain_timeout_ns;
    uid_t admins[DWB_CONFIG_ADMINS_MAX]; /* may cancel anybody's job, as root may */
    size_t n_admins;

    uint64_t connections_per_uid;
    uint64_t connections_total;
    uint64_t queued_jobs_per_uid;
    uint64_t queued_jobs_total;

    uint64_t memory_bytes; /* 0 = auto: half of the machine's */
    uint64_t job_time_ns;
    uint64_t worker_deadline_ns;
    uint64_t worker_failures;

    uint64_t header_deadline_ns;
    uint64_t idle_timeout_ns;
    uint64_t head_bytes_max;
    uint64_t body_bytes_max;
};

void dwb_config_init(struct dwb_config *config);

/* Overlays a document on *config. 0; -EINVAL with findings; -ENOMEM. *config is unspecified on
 * failure. */
int dwb_config_parse(struct dwb_config *config, const char *text, size_t length,
                     struct dwb_diags *diags);

/* The same from a file; also the errno of open(2) and read(2), with a finding. */
int dwb_config_read(struct dwb_config *config, const char *path, struct dwb_diags *diags);

/* Sets one key ("socket", "quotas.connections_per_uid") from text, as a flag does. */
int dwb_config_set(struct dwb_config *config, const char *key, const char *value,
                   struct dwb_diags *diags);

/* The i-th key's name and default text, or NULL past the last; for --help and for the test that
 * the shipped file has them all. */
const char *dwb_config_key(size_t i, const char **ret_default);
