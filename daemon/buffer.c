#include "daemon/buffer.h"

/* See buffer.h. What is left is moved to the front only when there is no room behind it. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int dwb_buffer_append(struct dwb_buffer *buffer, const char *data, size_t length)
{
    if (buffer->start > 0 && buffer->start + buffer->length + length > buffer->size) {
        memmove(buffer->data, buffer->data + buffer->start, buffer->length);
        buffer->start = 0;
    }
    if (buffer->length + length > buffer->size) {
        size_t size = 2 * (buffer->length + length) + 256;
        char *grown = realloc(buffer->data, size);
        if (!grown)
            return -ENOMEM;
        buffer->data = grown;
        buffer->size = size;
    }
    memcpy(buffer->data + buffer->start + buffer->length, data, length);
    buffer->length += length;
    return 0;
}
