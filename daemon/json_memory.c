#include "daemon/json_memory.h"

/* See json_memory.h. */

#include <stdlib.h>

static _Thread_local bool was_short;

static void *allocate(size_t size)
{
    void *memory = malloc(size);

    if (!memory)
        was_short = true;
    return memory;
}

void dwb_json_memory_watch(void)
{
    json_set_alloc_funcs(allocate, free);
}

void dwb_json_memory_begin(void)
{
    was_short = false;
}

bool dwb_json_memory_was_short(void)
{
    return was_short;
}

char *dwb_json_memory_dump(const json_t *document)
{
    char *text = document && !was_short ? json_dumps(document, JSON_COMPACT) : NULL;

    if (!was_short)
        return text;
    free(text);
    return NULL;
}
