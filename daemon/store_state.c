/*
 * The states of a job and the ways between them. The store itself enforces the ways, inside of the
 * transaction, because only there two racing writes (a cancel and the end of the same job) have an
 * order: the second one finds the job in a state it may not leave, and changes nothing.
 *
 *   queued -> running -> done | failed | cancelled
 *   queued -> failed | cancelled            running -> queued (taken up again at start-up)
 *
 * The numbers of the states are in databases: a new state goes to the end.
 */

#include "daemon/store_private.h"

#include <errno.h>
#include <string.h>

static const char *const names[DWB_N_JOB_STATES] = {
    [DWB_JOB_QUEUED] = "queued", [DWB_JOB_RUNNING] = "running",     [DWB_JOB_DONE] = "done",
    [DWB_JOB_FAILED] = "failed", [DWB_JOB_CANCELLED] = "cancelled",
};

static const unsigned before[DWB_N_JOB_STATES] = {
    [DWB_JOB_QUEUED] = 1u << DWB_JOB_RUNNING,
    [DWB_JOB_RUNNING] = 1u << DWB_JOB_QUEUED,
    [DWB_JOB_DONE] = 1u << DWB_JOB_RUNNING,
    [DWB_JOB_FAILED] = 1u << DWB_JOB_RUNNING | 1u << DWB_JOB_QUEUED,
    [DWB_JOB_CANCELLED] = 1u << DWB_JOB_RUNNING | 1u << DWB_JOB_QUEUED,
};

const char *dwb_job_state_name(enum dwb_job_state state)
{
    return (unsigned)state < DWB_N_JOB_STATES ? names[state] : NULL;
}

int dwb_job_state_from_name(const char *name, enum dwb_job_state *ret_state)
{
    for (unsigned i = 0; i < DWB_N_JOB_STATES; i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret_state = i;
            return 0;
        }
    }
    return -EINVAL;
}

unsigned dwb_store_states_before(enum dwb_job_state state)
{
    return before[state];
}

bool dwb_store_is_final(enum dwb_job_state state)
{
    unsigned leaving = 0;

    for (int i = 0; i < DWB_N_JOB_STATES; i++)
        leaving |= before[i];
    return !(leaving & 1u << state);
}
