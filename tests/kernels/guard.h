#pragma once

/*
 * Buffers that catch what a kernel must not touch: an inaccessible page on either side, the buffer
 * against one of them (so that the first byte past that end faults), and a pattern that reads as
 * NaN in what is left on the other side, checked afterwards.
 */

#include <stddef.h>
#include <stdbool.h>

enum guard_side { GUARD_AFTER, GUARD_BEFORE };

struct guard {
    unsigned char *mapping;
    size_t mapping_bytes;
    unsigned char *start; /* of the buffer */
    size_t bytes;
};

/* The buffer starts at a multiple of `alignment`; with 4 and an odd number of floats it is as
 * unaligned as floats can be. Fails the running test without memory. */
void guard_open(struct guard *guard, size_t bytes, size_t alignment, enum guard_side side);
/* Whether the pattern around the buffer is whole. */
bool guard_intact(const struct guard *guard);
void guard_close(struct guard *guard);
