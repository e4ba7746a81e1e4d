#pragma once

/* Bytes that come at one end and leave at the other. */

#include <stddef.h>

struct dwb_buffer { /* zeroed = empty; free(data) releases it */
    char *data;
    size_t start, length, size; /* data[start .. start + length) */
};

int dwb_buffer_append(struct dwb_buffer *buffer, const char *data, size_t length); /* 0, -ENOMEM */
