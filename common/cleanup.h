#pragma once

/*
 * Scope-bound release, one spelling for the whole tree: `dwb_cleanup_free char *s = NULL;`.
 * Every destructor it calls takes a half-built or NULL object.
 */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DWB_CLEANUP(fn) __attribute__((cleanup(fn)))

static inline void dwb_freep(void *pointer)
{
    free(*(void **)pointer);
}

static inline void dwb_closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void dwb_fclosep(FILE **file)
{
    if (*file)
        fclose(*file);
}

/* Hands the descriptor in *fd to the caller and disarms its cleanup. */
static inline int dwb_steal_fd(int *fd)
{
    int value = *fd;
    *fd = -1;
    return value;
}

#define dwb_steal(pointer_)                                                                        \
    ({                                                                                             \
        __typeof__(pointer_) stolen_ = (pointer_);                                                 \
        (pointer_) = NULL;                                                                         \
        stolen_;                                                                                   \
    })

#define dwb_cleanup_free  DWB_CLEANUP(dwb_freep)
#define dwb_cleanup_close DWB_CLEANUP(dwb_closep)
#define dwb_cleanup_file  DWB_CLEANUP(dwb_fclosep)
