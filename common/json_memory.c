#include "common/json_memory.h"

/*
 * See json_memory.h.
 *
 * jansson's parser takes it for granted that the text of a token grows: without memory for it an
 * assertion fails, or it reads past a string's end. That text is in a buffer of 16 bytes whose size
 * doubles; so when malloc has nothing while a text is parsed, a request for a power of two gets one
 * of a few blocks that are kept for it. Whatever else the parser asks for next is refused, and it
 * ends with an error. Only then: what other calls return, their callers give to free.
 */

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#define N_BLOCKS        8
#define BLOCK_BYTES     65536 /* no token that counts is longer */
#define TOKEN_BYTES_MIN 32

static _Thread_local bool was_short, is_parsing;
static _Alignas(16) char blocks[N_BLOCKS][BLOCK_BYTES];
static atomic_flag is_taken[N_BLOCKS];

static void *take_block(size_t size)
{
    if (size < TOKEN_BYTES_MIN || size > BLOCK_BYTES || (size & (size - 1)) != 0)
        return NULL;
    for (size_t i = 0; i < N_BLOCKS; i++)
        if (!atomic_flag_test_and_set(&is_taken[i]))
            return blocks[i];
    return NULL;
}

static void *allocate(size_t size)
{
    void *memory = malloc(size);

    if (memory)
        return memory;
    was_short = true;
    return is_parsing ? take_block(size) : NULL;
}

static void release(void *memory)
{
    uintptr_t offset = (uintptr_t)memory - (uintptr_t)blocks;

    if (offset < sizeof(blocks))
        atomic_flag_clear(&is_taken[offset / BLOCK_BYTES]);
    else
        free(memory);
}

void dwb_json_memory_watch(void)
{
    json_set_alloc_funcs(allocate, release);
}

void dwb_json_memory_begin(void)
{
    was_short = false;
}

bool dwb_json_memory_was_short(void)
{
    return was_short;
}

json_t *dwb_json_memory_load(const char *text, size_t length, size_t flags, json_error_t *ret_error)
{
    is_parsing = true;
    json_t *document = json_loadb(text, length, flags, ret_error);
    is_parsing = false;
    return document;
}

char *dwb_json_memory_dump(const json_t *document)
{
    char *text =
        document && !was_short ? json_dumps(document, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    if (!was_short)
        return text;
    free(text);
    return NULL;
}
