#pragma once

/*
 * Job ids: 48 bits of milliseconds since 1970, then 50 random bits, as 20 characters of lower-case
 * Crockford base32. So ids sort by time, do not collide without a coordinator, and cannot be
 * guessed from one another; they are safe in a path, a file name and a shell word.
 */

#include <stdbool.h>
#include <stdint.h>

#define DWB_JOBID_LENGTH 20

/* Pure: the id of these milliseconds and random bits (the lower 50 are used). */
void dwb_jobid_format(uint64_t milliseconds, uint64_t random, char ret_id[DWB_JOBID_LENGTH + 1]);

/* A new id from CLOCK_REALTIME and getrandom(2). 0 or a negative errno. */
int dwb_jobid_new(char ret_id[DWB_JOBID_LENGTH + 1]);

/* Whether text has the form of an id (and so may be looked up and printed). */
bool dwb_jobid_valid(const char *text);
