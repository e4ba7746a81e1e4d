#pragma once

/*
 * Whether JSON was made whole. jansson leaves out what it has no memory for: a member that cannot
 * be added, and even a key in the middle of a text, and the caller of json_dumps sees a success. So
 * whoever gives a document to somebody, or stores it, asks here first. Per thread.
 */

#include <jansson.h>
#include <stdbool.h>

/* Before the first document that counts: jansson's memory goes through this module. What it has
 * already stays good, and a second call changes nothing. */
void dwb_json_memory_watch(void);

/* A document begins: what was short before is forgotten. */
void dwb_json_memory_begin(void);

/* Whether jansson was short of memory in this thread since then. */
bool dwb_json_memory_was_short(void);

/* json_loadb, which may abort the process when memory is short, or lose a piece of a string.
 * ret_error may be NULL. */
json_t *dwb_json_memory_load(const char *text, size_t length, size_t flags,
                             json_error_t *ret_error);

/* json_dumps(JSON_COMPACT) of what was made since then, or NULL if any of it is missing. Takes
 * NULL. The caller frees it. */
char *dwb_json_memory_dump(const json_t *document);
