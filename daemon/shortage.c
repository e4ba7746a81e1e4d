#include "daemon/shortage.h"

/* See shortage.h. A wait as long as the shortage has lasted doubles that time with each try. */

#include <errno.h>

bool dwb_shortage_is(int r)
{
    switch (r) {
    case -ENOMEM:
    case -EAGAIN:
    case -EMFILE:
    case -ENFILE:
    case -ENOBUFS:
    case -ENOSPC: /* of watches too */
    case -EBUSY:
    case -EIO:
    case -EUCLEAN: /* as SQLite has it when a read fails; what is damaged stays so for longer */
        return true;
    default:
        return false;
    }
}

bool dwb_shortage_wait(struct dwb_shortage *shortage, int r, uint64_t now_ns, uint64_t *ret_wait_ns)
{
    if (shortage->since_ns == 0)
        shortage->since_ns = now_ns;
    uint64_t lasted_ns = now_ns - shortage->since_ns;

    if (!dwb_shortage_is(r) || lasted_ns >= DWB_SHORTAGE_PATIENCE_NS)
        return false;
    *ret_wait_ns = lasted_ns < DWB_SHORTAGE_WAIT_NS_MIN   ? DWB_SHORTAGE_WAIT_NS_MIN
                   : lasted_ns > DWB_SHORTAGE_WAIT_NS_MAX ? DWB_SHORTAGE_WAIT_NS_MAX
                                                          : lasted_ns;
    return true;
}
