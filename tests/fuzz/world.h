#pragma once

/*
 * The daemon's server, routes and store in this process, for inputs that are requests: one world at
 * a time, with a job that is queued and one that is done.
 */

#include <stddef.h>
#include <stdint.h>

/* How long a connection may be silent before it is cut: 4 ms, for a fuzzer. */
extern uint64_t dwb_world_stall_ns;

struct dwb_api;
struct dwb_config;

void dwb_world_open(void);
void dwb_world_close(void); /* also when none is open */

/* Of the open world; what they say may be changed between two exchanges. */
struct dwb_api *dwb_world_api(void);
struct dwb_config *dwb_world_config(void);

/* Copies data with its placeholders replaced, {JOB} by the id of the queued job, {DONE} by that of
 * the done one; returns the length. What does not fit is left out. */
size_t dwb_world_fill_in(const char *data, size_t size, char *out, size_t room);

/*
 * One connection: sends, closes for writing, reads the answer. Returns its length, at most 64 KiB
 * of it are kept; *ret_answer is valid until the next call. before (or NULL) runs when everything
 * is sent and nothing was looked at yet.
 */
size_t dwb_world_exchange(const char *data, size_t length, void (*before)(void),
                          const char **ret_answer);
