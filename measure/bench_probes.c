/* The machine's own figures among the subjects of a bench: the peak of each ISA that runs, and the
 * bandwidth of each memory level. */

#include "measure/bench_internal.h"

#include <stdio.h>

/* Replicates of which one probes the main memory. Its working set is as large as all the rest of a
 * worker many times over, and to map and fill it took longer than to measure the layer. */
#define MEMORY_PROBE_EVERY 5

static void add_peak(struct dwb_bench *bench, enum dwb_isa isa, size_t *n)
{
    struct dwb_subject *subject;
    bool known = dwb_fma_peak(isa) == NULL;

    for (size_t k = 0; k < *n; k++)
        known = known || bench->peaks[k].fn == dwb_fma_peak(isa);
    if (known)
        return;
    dwb_peak_init(&bench->peaks[*n], isa);
    subject =
        dwb_bench_add_subject(bench, DWB_OPERATION_FMA_PEAK, isa, dwb_peak_call, &bench->peaks[*n]);
    bench->tasks[bench->n - 1].keeps_warm = true;
    subject->macs_nominal = bench->peaks[(*n)++].n_rounds * dwb_fma_peak_macs(isa);
    subject->macs_executed = subject->macs_nominal;
    snprintf(subject->kernel, sizeof subject->kernel, "fma_peak");
}

/* A peak for each ISA among the kernels that were chosen, plugins' too: "percent of peak" compares
 * like with like. */
static void add_peaks(struct dwb_bench *bench)
{
    size_t n = 0;

    for (uint32_t i = 0; i <= bench->n_plugins; i++) {
        const struct dwb_bench_forms *forms = i ? &bench->plugins[i - 1] : &bench->forms[0];
        const struct dwb_bench_stage *stages[] = {&forms->standard, &forms->depthwise,
                                                  &forms->pointwise};

        for (size_t k = 0; k < 3; k++) /* a comparison may need fewer */
            if (stages[k]->kernel && !stages[k]->absent)
                add_peak(bench, dwb_bench_stage_isa(stages[k]), &n);
    }
}

static void add_memory_probes(struct dwb_bench *bench, const uint64_t sizes[DWB_PROBE_LEVELS])
{
    struct dwb_buffer *area = &bench->buffers[DWB_BENCH_PROBE_AREA];
    enum dwb_isa isa = bench->canary.kernel->isa;

    for (size_t i = 0; area->data && i < 2 * DWB_PROBE_LEVELS; i++) {
        struct dwb_memory_probe *probe = &bench->probes[i];
        bool triad = i & 1;
        struct dwb_subject *subject;

        if (sizes[i / 2] == 0 || !dwb_read_probe(isa) || !dwb_triad_probe(isa))
            continue;
        subject = dwb_bench_add_subject(bench, triad ? DWB_OPERATION_TRIAD : DWB_OPERATION_READ,
                                        isa, triad ? dwb_triad_call : dwb_read_call, probe);
        (triad ? dwb_triad_init : dwb_read_init)(probe, isa, area, sizes[i / 2], &subject->bytes);
        snprintf(subject->level, sizeof subject->level, "%s", dwb_probe_level_name(i / 2));
        snprintf(subject->kernel, sizeof subject->kernel, triad ? "triad" : "read");
        bench->tasks[bench->n - 1].keeps_warm = true;
        bench->tasks[bench->n - 1].first_block_only = true;
        bench->tasks[bench->n - 1].window_ns = DWB_SAMPLE_WINDOW_NS / 2;
    }
}

void dwb_bench_probe_sizes(const struct dwb_request *request, uint32_t cpu,
                           uint64_t sizes[DWB_PROBE_LEVELS])
{
    struct dwb_caches caches;

    if (request->without_probes || request->compares)
        return;
    dwb_machine_caches("", cpu, &caches);
    dwb_probe_sizes(&caches, sizes);
    if (request->replicate % MEMORY_PROBE_EVERY != 0)
        sizes[DWB_PROBE_DRAM] = 0;
}

void dwb_bench_add_probes(struct dwb_bench *bench, const uint64_t sizes[DWB_PROBE_LEVELS])
{
    add_peaks(bench);
    add_memory_probes(bench, sizes);
}
