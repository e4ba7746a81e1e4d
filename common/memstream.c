#include "common/memstream.h"

/* See memstream.h: fopencookie, whose errors a stream keeps. */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define ROOM_MIN 1024

struct memory {
    char **ret_text;
    size_t *ret_length;
    char *data;
    size_t length, room; /* bytes; one of the room is for the NUL */
    bool is_cut;
};

static bool grow(struct memory *memory, size_t n)
{
    size_t room = memory->room ? memory->room : ROOM_MIN;

    while (room - memory->length <= n)
        room *= 2;
    if (room == memory->room)
        return true;
    char *data = realloc(memory->data, room);
    if (!data)
        return false;
    memory->data = data;
    memory->room = room;
    return true;
}

static ssize_t write_memory(void *cookie, const char *bytes, size_t n)
{
    struct memory *memory = cookie;

    if (memory->is_cut || !grow(memory, n)) {
        memory->is_cut = true;
        errno = ENOMEM;
        return 0; /* which is an error here */
    }
    memcpy(memory->data + memory->length, bytes, n);
    memory->length += n;
    return (ssize_t)n;
}

static int close_memory(void *cookie)
{
    struct memory *memory = cookie;

    if (!memory->is_cut && grow(memory, 0)) {
        memory->data[memory->length] = '\0';
        *memory->ret_text = memory->data;
        *memory->ret_length = memory->length;
    } else {
        free(memory->data);
    }
    free(memory);
    return 0;
}

FILE *dwb_memstream_open(char **ret_text, size_t *ret_length)
{
    struct memory *memory = calloc(1, sizeof(*memory));

    *ret_text = NULL;
    *ret_length = 0;
    if (!memory)
        return NULL;
    memory->ret_text = ret_text;
    memory->ret_length = ret_length;
    FILE *stream = fopencookie(
        memory, "w", (cookie_io_functions_t){.write = write_memory, .close = close_memory});
    if (!stream)
        free(memory);
    return stream;
}

int dwb_memstream_close(FILE *stream, char *const *text)
{
    if (!stream)
        return -ENOMEM;
    fclose(stream);
    return *text ? 0 : -ENOMEM;
}
