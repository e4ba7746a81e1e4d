#pragma once

/*
 * The isolation of a worker, in two steps around the loading of code that is not ours:
 *
 *   dwb_sandbox_enter   everything that needs the machine is done: the thread is pinned, the
 *                       operands are mapped, the counters and what is read later are open. From
 *                       here on nothing is trusted. Libraries, and little else, can be opened for
 *                       reading; nothing can be written, started, connected or signalled.
 *   dwb_sandbox_seal    libraries are loaded: no file at all can be opened, no memory becomes
 *                       code, and what was opened in between is closed again.
 *
 * Code that is hostile runs from its constructor on, so the first step is the one that holds it;
 * the second holds what is honest and wrong, and what only computes. Nothing that is measured
 * passes a filter of its own: see measure/syscalls.c.
 *
 * A replicate that will start Valgrind needs programs, and gets a wider sandbox under another name.
 * What the kernel cannot give is left out, and the record says so: no step here fails a replicate.
 * The process stays dumpable, because the supervisor watches its memory through /proc, which hides
 * processes that are not (ProtectProc=invisible of the unit).
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum dwb_sandbox_profile {
    DWB_SANDBOX_OFF,
    DWB_SANDBOX_MEASURE,
    DWB_SANDBOX_SIMULATE, /* programs can be started and signalled, /tmp written; sealing adds
                           * nothing but closed descriptors */
};

struct dwb_sandbox_config {
    enum dwb_sandbox_profile profile;
    bool writes_code;        /* a library makes its kernels when it is loaded (oneDNN) */
    const char *modules;     /* directory of the modules that will be loaded; NULL = none */
    const char *directories; /* more of those, separated by colons; NULL = none */
};

#define DWB_SANDBOX_FDS_MAX 1024

struct dwb_sandbox {
    enum dwb_sandbox_profile profile;
    bool no_new_privs, seccomp;
    int landlock; /* version of the kernel's interface; 0 = none */
    char reason[240];
    int statm_fd;
    bool kept[DWB_SANDBOX_FDS_MAX]; /* descriptors that were open at dwb_sandbox_enter */
};

/* Closes what was inherited beside the standard streams, first thing in the process. */
void dwb_sandbox_close_inherited(void);

/* The process has one thread. Standard output has its buffer already (setvbuf), for stdio would ask
 * the kernel what it is. */
void dwb_sandbox_enter(const struct dwb_sandbox_config *config, struct dwb_sandbox *ret_sandbox);
void dwb_sandbox_seal(struct dwb_sandbox *sandbox);

/* {"profile", "no_new_privs", "landlock": version or null, "seccomp", "reason"}: what holds. New
 * reference, NULL without memory. */
json_t *dwb_sandbox_to_json(const struct dwb_sandbox *sandbox);
