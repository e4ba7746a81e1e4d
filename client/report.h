#pragma once

/*
 * The result document (docs/result.schema.json) as rows of numbers, for the renderers. What the
 * document leaves null is NAN or NULL here, and stays a blank that is explained, never a zero.
 * Strings are borrowed from the document, of which a reference is kept.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dwb_report_operation {
    DWB_REPORT_STANDARD,
    DWB_REPORT_DEPTHWISE,
    DWB_REPORT_POINTWISE,
    DWB_REPORT_SEPARABLE,
    DWB_REPORT_N_OPERATIONS
};

struct dwb_report_figures { /* of one operation */
    double floor_ns, median_ns, ci_low_ns, ci_high_ns;
    double macs_nominal, macs_executed;
    double gflops; /* executed */
    double percent_of_peak;
    const char *kernel;
};

enum { DWB_REPORT_FUSED = DWB_REPORT_N_OPERATIONS, DWB_REPORT_N_BOUNDS };

struct dwb_report_bound { /* of one operation, or of the fused separable form */
    const char *held_by;  /* "compute", "L2", ...; NULL = there is no bound */
    double bytes, flops_per_byte, attained_gbps;
    double percent; /* of it, reached at the floor */
};

enum { /* hardware counters that a report shows; names: those of the document */
       DWB_REPORT_CYCLES,
       DWB_REPORT_INSTRUCTIONS,
       DWB_REPORT_FLOPS,
       DWB_REPORT_L1D_MISSES,
       DWB_REPORT_LLC_MISSES,
       DWB_REPORT_N_COUNTERS
};
extern const char *const dwb_report_counter_names[DWB_REPORT_N_COUNTERS];

enum { /* counts of a simulation; names: those of the document */
       DWB_REPORT_SIMULATED_INSTRUCTIONS,
       DWB_REPORT_SIMULATED_L1D_MISSES,
       DWB_REPORT_SIMULATED_LL_MISSES,
       DWB_REPORT_N_SIMULATED
};
extern const char *const dwb_report_simulated_names[DWB_REPORT_N_SIMULATED];

struct dwb_report_row {
    const char *name, *padding, *backend, *isa;
    uint64_t kernel_size, input_size, output_size, in_channels, out_channels, stride, repeat;
    struct dwb_report_figures operations[DWB_REPORT_N_OPERATIONS];
    struct dwb_report_bound bounds[DWB_REPORT_N_BOUNDS];
    double theory; /* 1/N + 1/Dk^2 */
    double ratio, ratio_low, ratio_high, ratio_median;
    double half_width;        /* of the interval, relative to the ratio */
    const char *ratio_reason; /* why there is none */
    double saving_delivered;  /* 1 = all of it */
    double fused_ns;          /* floor of the fused separable form; NAN = was not measured */
    double ratio_fused, ratio_fused_low, ratio_fused_high, fused_half_width;
    double saving_delivered_best; /* of the faster of the two forms, */
    const char *best_separable;   /* by its name in the document; or NULL */
    const char *verdict;
    const json_t *verdict_reasons; /* array of strings, or NULL */
    const char *why;               /* the line that says what keeps it from 100 % */
    double dropped_share;          /* of the samples taken; 0..1 */
    double n_replicates;
    double peak_gflops; /* of the ISA, measured beside the layer */
    double counters[DWB_REPORT_N_BOUNDS][DWB_REPORT_N_COUNTERS]; /* a call; NAN = not counted */
    double counter_ratio[DWB_REPORT_N_COUNTERS];                 /* separable over standard */
    double ipc[DWB_REPORT_N_BOUNDS];
    double flops_over_analytic; /* of the standard form: counted over executed */
    double simulated[DWB_REPORT_N_BOUNDS][DWB_REPORT_N_SIMULATED]; /* NAN = was not simulated */
    double simulated_ratio[DWB_REPORT_N_SIMULATED];                /* separable over standard */
    double wall_ns, kernel_ns, kernel_share; /* of its workers; the share 0..1 */
    bool outputs_wrong;
    const json_t *entry;
};

struct dwb_report_totals { /* sums over the rows, each times its repeat */
    uint64_t n_layers, n_distinct;
    double standard_ns, separable_ns, ratio, theory, saving_delivered;
    double gflops[DWB_REPORT_N_OPERATIONS];
    double percent_of_peak[DWB_REPORT_N_OPERATIONS];
};

struct dwb_report {
    json_t *document;
    struct dwb_report_row *rows;
    size_t n_rows;
};

/* 0, -EINVAL when it is not a result document, -ENOMEM. */
int dwb_report_new(const json_t *document, struct dwb_report **ret_report);
void dwb_report_free(struct dwb_report *report);
static inline void dwb_report_freep(struct dwb_report **report)
{
    dwb_report_free(*report);
}

/* Of the first row's backend, weighted by repeat; false when a row lacks a figure that the totals
 * need. */
bool dwb_report_totals_of(const struct dwb_report *report, struct dwb_report_totals *ret_totals);

/* DWB_EXIT_FAILED when outputs were wrong, DWB_EXIT_INCONCLUSIVE when a layer has no ratio. */
int dwb_report_exit(const struct dwb_report *report);
