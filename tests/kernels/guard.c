/* Guarded buffers: see guard.h. */

#include "tests/kernels/guard.h"
#include "tests/unmarked.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PATTERN = 0xff }; /* four of them are a NaN */

void guard_open(struct guard *guard, size_t bytes, size_t alignment, enum guard_side side)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t inner = (bytes + page) / page * page + page;
    unsigned char *mapping =
        mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_msg(mapping != MAP_FAILED, "mmap of %zu bytes failed", inner + 2 * page);
    ck_assert_int_eq(mprotect(mapping + page, inner, PROT_READ | PROT_WRITE), 0);
    memset(mapping + page, PATTERN, inner);
    uintptr_t start = (uintptr_t)mapping + page;
    if (side == GUARD_AFTER)
        start = (start + inner - bytes) & ~(uintptr_t)(alignment - 1);
    *guard = (struct guard){
        .mapping = mapping,
        .mapping_bytes = inner + 2 * page,
        .start = (unsigned char *)start,
        .bytes = bytes,
    };
}

bool guard_intact(const struct guard *guard)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const unsigned char *end = guard->mapping + guard->mapping_bytes - page;

    for (const unsigned char *p = guard->mapping + page; p < guard->start; p++)
        if (*p != PATTERN)
            return false;
    for (const unsigned char *p = guard->start + guard->bytes; p < end; p++)
        if (*p != PATTERN)
            return false;
    return true;
}

void guard_close(struct guard *guard)
{
    munmap(guard->mapping, guard->mapping_bytes);
}
