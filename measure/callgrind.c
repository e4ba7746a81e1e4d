/* One counted call. See the header. */

#include "measure/callgrind.h"

#include "common/cleanup.h"
#include "measure/bench.h"
#include "measure/environment.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifdef DWB_HAVE_CALLGRIND

#include <valgrind/callgrind.h>

bool dwb_callgrind_built_in(void)
{
    return true;
}

/* Instrumentation starts with empty caches, and covers no more than it must: it is slow. The call
 * that warms takes the same way as the one that counts, the request to Callgrind included, so that
 * no line of this loop is a miss of the kernel's. */
static void count(const struct dwb_task *task, enum dwb_cache_mode cache)
{
    CALLGRIND_START_INSTRUMENTATION;
    for (int left = cache == DWB_CACHE_WARM ? 2 : 1; left > 0; left--) {
        CALLGRIND_ZERO_STATS;
        CALLGRIND_TOGGLE_COLLECT;
        task->call(task->context);
        CALLGRIND_TOGGLE_COLLECT;
    }
    CALLGRIND_STOP_INSTRUMENTATION;
}

#else

bool dwb_callgrind_built_in(void)
{
    return false;
}

static void count(const struct dwb_task *task, enum dwb_cache_mode cache)
{
}

#endif

/* Valgrind's CPU has less than this one: a plugin may have lost a kernel on the way. */
static const char *why_not(const struct dwb_bench *bench, const char *backend,
                           enum dwb_operation operation)
{
    for (size_t i = 0; i < bench->n_omissions; i++)
        if (bench->omissions[i].operation == operation &&
            strcmp(bench->omissions[i].backend, backend) == 0)
            return bench->omissions[i].reason;
    return "there is none";
}

int dwb_callgrind_run(const struct dwb_request *request, const char *backend,
                      enum dwb_operation operation, char error[DWB_CALLGRIND_ERROR_MAX],
                      struct dwb_subject *ret_subject)
{
    DWB_CLEANUP(dwb_bench_freep) struct dwb_bench *bench = NULL;
    struct dwb_request quick = *request;
    size_t at, input;
    int r;

    if (!dwb_callgrind_built_in()) {
        snprintf(error, DWB_CALLGRIND_ERROR_MAX, "built without Valgrind's header");
        return -ENOTSUP;
    }
    quick.without_probes = true;
    dwb_fp_mode_set();
    r = dwb_bench_new(&quick, 0, error, &bench);
    if (r == 0)
        r = dwb_bench_load(bench, &quick, error);
    if (r < 0)
        return r;
    at = dwb_bench_find(bench, backend, operation);
    if (at == bench->n) {
        snprintf(error, DWB_CALLGRIND_ERROR_MAX, "no %s of %s under Valgrind: %s",
                 dwb_operation_name(operation), backend, why_not(bench, backend, operation));
        return -EINVAL;
    }
    /* The pointwise reads what the depthwise has left; a plugin may have none, and finds ours. */
    input = dwb_bench_find(bench, backend, DWB_OPERATION_DEPTHWISE);
    if (operation == DWB_OPERATION_POINTWISE && input < bench->n)
        bench->tasks[input].call(bench->tasks[input].context);
    count(&bench->tasks[at], request->cache);
    dwb_bench_verify_subject(bench, at);
    *ret_subject = bench->subjects[at];
    return 0;
}
