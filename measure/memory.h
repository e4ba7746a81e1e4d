#pragma once

/*
 * Page-aligned buffers of floats, straight from mmap: both sides of a comparison get the same
 * alignment, and no allocator's history differs between two runs. A buffer has all its pages from
 * the start, so no page fault is left for a timed call.
 */

#include "measure/random.h"

#include <stddef.h>
#include <stdint.h>

#define DWB_BUFFER_SLACK 64 /* bytes past the end that may be read: some libraries do */

/* Floats after which a filled buffer repeats itself. A prime above every dimension of a layer: it
 * divides no product of them, so no two taps, rows or channels of a tensor hold the same numbers,
 * and a kernel that mistakes one for another is still found. */
#define DWB_BUFFER_PERIOD 65521

struct dwb_buffer {
    float *data;  /* NULL = none */
    size_t n;     /* floats asked for */
    size_t bytes; /* mapped, whole pages */
};

/* A buffer of `bytes` bytes (rounded up to pages), zeroed, with its pages. 0 bytes: an empty
 * buffer. Returns 0, -ENOMEM, -EOVERFLOW. */
int dwb_buffer_init(struct dwb_buffer *buffer, uint64_t bytes);
/* The same in large pages where the kernel grants them: for what no timed call touches. */
int dwb_buffer_init_large(struct dwb_buffer *buffer, uint64_t bytes);
void dwb_buffer_deinit(struct dwb_buffer *buffer);

/* Fills with DWB_BUFFER_PERIOD numbers of dwb_random_float, repeated: drawing each of the millions
 * of a large layer takes longer than some replicates measure. */
void dwb_buffer_fill(struct dwb_buffer *buffer, struct dwb_random *random);

/* Fills with NaN, so that an element which a kernel forgot to write cannot look right. */
void dwb_buffer_poison(struct dwb_buffer *buffer);
