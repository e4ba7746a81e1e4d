#include "daemon/cpus.h"

/* See cpus.h. */

#include <errno.h>

int dwb_cpus_choose(const cpu_set_t *allowed, uint64_t wanted, uint32_t *ret_cpu)
{
    if (wanted != UINT64_MAX) {
        if (wanted >= CPU_SETSIZE || !CPU_ISSET(wanted, allowed))
            return -ENODEV;
        *ret_cpu = (uint32_t)wanted;
        return 0;
    }
    for (uint32_t cpu = CPU_SETSIZE; cpu-- > 0;)
        if (CPU_ISSET(cpu, allowed)) {
            *ret_cpu = cpu;
            return 0;
        }
    return -ENODEV;
}

int dwb_cpus_avoid(const cpu_set_t *allowed, uint32_t cpu)
{
    cpu_set_t others = *allowed;

    CPU_CLR(cpu, &others);
    if (CPU_COUNT(&others) == 0)
        return 0;
    return sched_setaffinity(0, sizeof(others), &others) < 0 ? -errno : 0;
}
