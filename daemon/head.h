#pragma once

/*
 * The header fields of a request, judged one by one: what the HTTP library lets through although
 * two readers could understand it differently. Nothing here sees the library.
 */

#include <stdbool.h>
#include <stddef.h>

struct dwb_head { /* zeroed = no field seen */
    bool bad;
    unsigned seen; /* bits of fields that may be there once */
};

/* Takes one field; a name or value may hold any byte. */
void dwb_head_take(struct dwb_head *head, const char *name, size_t name_length, const char *value,
                   size_t value_length);
/* Whether the request can be trusted to mean one thing. */
bool dwb_head_good(const struct dwb_head *head);
