#pragma once

/*
 * Which call stacks a process has been in, and how often: a table of hashes in memory that two
 * processes share. A stack's hash is the same in every process of the same program and libraries,
 * wherever they are mapped.
 */

#include <stdatomic.h>
#include <stdint.h>

#define DWB_STACKS_MAX 16384u /* scripts/faulty.py knows it, and the layout */

struct dwb_stacks {
    struct {
        _Atomic uint64_t hash; /* 0 = free */
        _Atomic uint64_t n;
    } rows[DWB_STACKS_MAX];
};

/* Before the first count, while there is one thread. */
void dwb_stacks_prepare(void);

/* Counts the stack of the caller, which sees to it that calls from here are not counted. Returns
 * how often it was seen with this time when it is `wanted`, else 0. */
uint64_t dwb_stacks_count(struct dwb_stacks *stacks, uint64_t wanted);
