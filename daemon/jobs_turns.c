/*
 * Whose turn it is: the oldest job of the user who has waited longest since a job of theirs was
 * taken up. Users nobody has taken a job of yet are level, and the older job goes first.
 */

#include "daemon/jobs_private.h"

#include <stdlib.h>

struct dwb_job_turn *dwb_jobs_turn_of(struct dwb_jobs *jobs, uid_t uid)
{
    for (size_t i = 0; i < jobs->n_turns; i++)
        if (jobs->turns[i].uid == uid)
            return &jobs->turns[i];
    struct dwb_job_turn *turns = reallocarray(jobs->turns, jobs->n_turns + 1, sizeof(*turns));
    if (!turns)
        return NULL;
    jobs->turns = turns;
    turns[jobs->n_turns] = (struct dwb_job_turn){uid, 0};
    return &turns[jobs->n_turns++];
}

static uint64_t last_turn(const struct dwb_jobs *jobs, uid_t uid)
{
    for (size_t i = 0; i < jobs->n_turns; i++)
        if (jobs->turns[i].uid == uid)
            return jobs->turns[i].turn;
    return 0;
}

struct dwb_job *dwb_jobs_pick(const struct dwb_jobs *jobs)
{
    struct dwb_job *picked = NULL;

    for (struct dwb_job *job = jobs->first; job; job = job->next)
        if (job->phase == DWB_JOB_IS_QUEUED &&
            (!picked || last_turn(jobs, job->uid) < last_turn(jobs, picked->uid)))
            picked = job;
    return picked;
}

/* Queued jobs of a user that are older than `job`, or all of them when it is NULL. */
static size_t count_older(const struct dwb_jobs *jobs, uid_t uid, const struct dwb_job *job)
{
    size_t n = 0;

    for (const struct dwb_job *other = jobs->first; other && other != job; other = other->next)
        n += other->phase == DWB_JOB_IS_QUEUED && other->uid == uid;
    return n;
}

/* Behind the older ones of the same user, and behind as many of every other user (one more when
 * that user's turn is earlier). */
size_t dwb_jobs_position(const struct dwb_jobs *jobs, const struct dwb_job *job)
{
    size_t n_mine = count_older(jobs, job->uid, job);
    uint64_t my_turn = last_turn(jobs, job->uid);
    size_t n = n_mine + 1;

    for (size_t i = 0; i < jobs->n_turns; i++) {
        const struct dwb_job_turn *other = &jobs->turns[i];
        if (other->uid == job->uid)
            continue;
        size_t n_theirs = count_older(jobs, other->uid, NULL);
        size_t n_before = n_mine + (other->turn < my_turn);
        if (other->turn == my_turn && count_older(jobs, other->uid, job) > n_mine)
            n_before++; /* neither had a turn yet: the older job goes first */
        n += n_theirs < n_before ? n_theirs : n_before;
    }
    return n;
}
