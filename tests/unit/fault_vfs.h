#pragma once

/*
 * A SQLite VFS over the default one that knows what a power cut would leave. What is written goes
 * to the real file, as to a page cache, and is kept in a log until the file is synced. A cut throws
 * the files back to what was synced plus a random part of the log: writes dropped, taken in another
 * order, or torn at a sector. A sync that fails loses its log for good, as Linux does: the page
 * cache still shows the data, a later sync succeeds, and the disk never gets it.
 *
 * Threads: any, while no cut is made; fault_vfs_cut wants every connection closed.
 */

#include <stdbool.h>
#include <stdint.h>

/* Makes it the default VFS of this process. */
void fault_vfs_register(uint64_t seed);

/* The power goes in the n-th call from now that writes, truncates, deletes or syncs; 0 = never.
 * From then on every call fails until the cut is made. */
void fault_vfs_cut_at(uint64_t n_calls);
/* The n-th sync from now fails; 0 = none. */
void fault_vfs_fail_sync_at(uint64_t n_syncs);
void fault_vfs_power_off(void); /* now */
bool fault_vfs_is_off(void);

/* What the machine finds when it is on again: rewrites the files. */
void fault_vfs_cut(void);
void fault_vfs_forget(void); /* all files; for a new database */

uint64_t fault_vfs_random(uint64_t below); /* of the seed's sequence */

struct fault_vfs_counts {
    uint64_t n_cuts, n_writes, n_dropped, n_torn, n_reordered, n_failed_syncs;
};
extern struct fault_vfs_counts fault_vfs_counts;
