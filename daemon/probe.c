#include "daemon/probe.h"

/* See probe.h. */

#include "common/log.h"
#include "daemon/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct dwb_probe {
    struct dwb_worker *worker;
    dwb_probe_done_fn *fn;
    void *userdata;
    json_t *document;
    char error[512];
};

static void on_end(struct dwb_worker_end *end, void *userdata)
{
    struct dwb_probe *probe = userdata;

    probe->worker = NULL;
    if (end->outcome == DWB_WORKER_OK) {
        probe->document = json_incref(end->document);
    } else {
        snprintf(probe->error, sizeof(probe->error), "%s", end->reason);
        dwb_log(DWB_LOG_WARNING, "the machine cannot be probed: %s", probe->error);
    }
    probe->fn(probe->userdata);
}

int dwb_probe_start(struct dwb_loop *loop, const char *worker, uint32_t measure_cpu,
                    const cpu_set_t *affinity, uint64_t deadline_ns, dwb_probe_done_fn *fn,
                    void *userdata, struct dwb_probe **ret_probe)
{
    struct dwb_probe *probe = calloc(1, sizeof(*probe));
    char cpu[16];
    const char *arguments[] = {"--probe", "--cpu", cpu, NULL};
    struct dwb_worker_options options = {
        .program = worker,
        .arguments = arguments,
        .record_type = "probe",
        .affinity = affinity,
        .deadline_ns = deadline_ns,
    };

    if (!probe)
        return -ENOMEM;
    snprintf(cpu, sizeof(cpu), "%u", measure_cpu);
    probe->fn = fn;
    probe->userdata = userdata;
    int r = dwb_worker_start(loop, &options, NULL, on_end, probe, &probe->worker);
    if (r < 0) {
        free(probe);
        return r;
    }
    *ret_probe = probe;
    return 0;
}

void dwb_probe_free(struct dwb_probe *probe)
{
    if (!probe)
        return;
    dwb_worker_free(probe->worker);
    json_decref(probe->document);
    free(probe);
}

const json_t *dwb_probe_document(const struct dwb_probe *probe)
{
    return probe->document;
}

const char *dwb_probe_error(const struct dwb_probe *probe)
{
    return probe->error[0] ? probe->error : NULL;
}
