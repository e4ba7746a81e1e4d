/* See heap.h. glibc keeps its allocator under second names for whoever replaces the first ones. */

#include "tests/unit/heap.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WATCHED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WATCHED 0
#endif
#endif
#ifndef WATCHED
#define WATCHED 1
#endif

static _Atomic size_t n_blocks, n_bytes, peak_bytes;
static size_t zero_bytes;
static __thread unsigned long countdown; /* the failures are those of the thread that asked */
static __thread bool fails_on, failed;

bool heap_is_watched(void)
{
    const char *preloaded = getenv("LD_PRELOAD");

    return WATCHED && !(preloaded && strstr(preloaded, "vgpreload"));
}

size_t heap_blocks(void)
{
    return n_blocks;
}

void heap_reset_peak(void)
{
    zero_bytes = peak_bytes = n_bytes;
}

size_t heap_peak_bytes(void)
{
    return peak_bytes - zero_bytes;
}

void heap_fail_at(unsigned long nth, bool all)
{
    countdown = nth;
    fails_on = all;
    failed = false;
}

bool heap_has_failed(void)
{
    return failed;
}

#if WATCHED

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);

static bool shall_fail(void)
{
    if (countdown == 0)
        return false;
    if (countdown > 1) {
        countdown--;
        return false;
    }
    if (!fails_on)
        countdown = 0;
    failed = true;
    errno = ENOMEM;
    return true;
}

static void *taken(void *block)
{
    if (block) {
        n_blocks++;
        size_t now = n_bytes += malloc_usable_size(block);
        if (now > peak_bytes)
            peak_bytes = now;
    }
    return block;
}

static void given(void *block)
{
    if (block) {
        n_blocks--;
        n_bytes -= malloc_usable_size(block);
    }
}

void *malloc(size_t size)
{
    return shall_fail() ? NULL : taken(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
    return shall_fail() ? NULL : taken(__libc_calloc(n, size));
}

void *realloc(void *block, size_t size)
{
    size_t old_bytes = block ? malloc_usable_size(block) : 0;

    if (shall_fail())
        return NULL;
    void *moved = __libc_realloc(block, size);
    if (block && (moved || size == 0)) { /* the old one is gone */
        n_blocks--;
        n_bytes -= old_bytes;
    }
    return taken(moved);
}

void free(void *block)
{
    given(block);
    __libc_free(block);
}

#endif
