#pragma once

/*
 * What this process was refused and may get later: memory, descriptors, a process, a read. Whoever
 * meets it tries again after a wait that grows with the time it has lasted, and gives up when that
 * is DWB_SHORTAGE_PATIENCE_NS. Pure.
 */

#include <stdbool.h>
#include <stdint.h>

#define DWB_SHORTAGE_PATIENCE_NS UINT64_C(300000000000)
#define DWB_SHORTAGE_WAIT_NS_MIN UINT64_C(50000000)
#define DWB_SHORTAGE_WAIT_NS_MAX UINT64_C(30000000000)

struct dwb_shortage { /* {0} = none */
    uint64_t since_ns;
};

/* Whether it is one; r is a negative errno. */
bool dwb_shortage_is(int r);

/* A try has just failed with r; now_ns > 0 is monotonic. True: the next try comes after
 * *ret_wait_ns. False: not a shortage, or it has lasted too long. */
bool dwb_shortage_wait(struct dwb_shortage *shortage, int r, uint64_t now_ns,
                       uint64_t *ret_wait_ns);
