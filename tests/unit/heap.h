#pragma once

/*
 * The heap of a test program, watched: how much it holds and held at most, and which allocation
 * shall fail. A program that links heap.c has its malloc family replaced, the libraries' calls
 * included. Under a sanitizer its own allocator stays, and Valgrind is slow: heap_is_watched()
 * is false then, and no figure and no failure is to be expected.
 */

#include <stdbool.h>
#include <stddef.h>

bool heap_is_watched(void);
size_t heap_blocks(void);     /* allocated and not freed */
void heap_reset_peak(void);   /* what is held now is the new zero */
size_t heap_peak_bytes(void); /* the most above it since */
/* The nth allocation of this thread from now on returns NULL, and every one behind it too when
 * `all`; 0 = none. */
void heap_fail_at(unsigned long nth, bool all);
bool heap_has_failed(void); /* since heap_fail_at */
