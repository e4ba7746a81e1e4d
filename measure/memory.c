/*
 * Page-aligned buffers. See the header. The kernel zeroes an anonymous page when it is first
 * touched; dwb_buffer_init has all of them there beforehand, because a page that was only read
 * would still be the shared zero page, and every buffer would sit in the same physical 4 KiB.
 * MAP_POPULATE does that in one call, for a writable mapping with pages of its own: the pages are
 * those that touching one after the other would bring, without a fault for each.
 */

#include "measure/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int map(struct dwb_buffer *buffer, uint64_t bytes, int flags)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t rounded;
    void *data;

    if (bytes == 0) {
        *buffer = (struct dwb_buffer){0};
        return 0;
    }
    if (__builtin_add_overflow(bytes, page - 1 + DWB_BUFFER_SLACK, &rounded) || rounded > SIZE_MAX)
        return -EOVERFLOW;
    rounded -= rounded % page;
    data = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (data == MAP_FAILED)
        return -errno;
    *buffer = (struct dwb_buffer){.data = data, .n = bytes / sizeof(float), .bytes = rounded};
    return 0;
}

int dwb_buffer_init(struct dwb_buffer *buffer, uint64_t bytes)
{
    return map(buffer, bytes, MAP_POPULATE);
}

int dwb_buffer_init_large(struct dwb_buffer *buffer, uint64_t bytes)
{
    int r = map(buffer, bytes, 0);

    if (r < 0 || !buffer->data)
        return r;
    madvise(buffer->data, buffer->bytes, MADV_HUGEPAGE); /* a wish */
    memset(buffer->data, 0, buffer->bytes);
    return 0;
}

void dwb_buffer_deinit(struct dwb_buffer *buffer)
{
    if (buffer->data)
        munmap(buffer->data, buffer->bytes);
    *buffer = (struct dwb_buffer){0};
}

void dwb_buffer_fill(struct dwb_buffer *buffer, struct dwb_random *random)
{
    size_t n = buffer->n < DWB_BUFFER_PERIOD ? buffer->n : DWB_BUFFER_PERIOD;

    for (size_t i = 0; i < n; i++)
        buffer->data[i] = dwb_random_float(random);
    for (size_t at = n; at < buffer->n; at += n)
        memcpy(buffer->data + at, buffer->data,
               (buffer->n - at < n ? buffer->n - at : n) * sizeof(float));
}

void dwb_buffer_poison(struct dwb_buffer *buffer)
{
    if (buffer->data)
        memset(buffer->data, 0xff, buffer->n * sizeof(float)); /* all ones is a quiet NaN */
}
