#pragma once

/*
 * The figures of one result entry: one layer on one backend, from the raw records of its processes.
 * A figure that cannot be had is NAN; a text beside it says why. Nothing here is JSON.
 */

#include "analysis/series.h"
#include "common/record.h"
#include "common/theory.h"

#define DWB_FIGURES_LEVELS_MAX     6
#define DWB_FIGURES_REASONS_MAX    8
#define DWB_FIGURES_ALPHA          0.01 /* of a job; each of its layers gets an equal part */
#define DWB_FIGURES_REPRODUCED     0.01 /* a floor is reproduced by a process within this */
#define DWB_FIGURES_REPRODUCED_MIN 3    /* ... by as many, or it is unstable */
#define DWB_FIGURES_CONTAMINATED   0.5  /* dropped share above which nothing is believed */
#define DWB_FIGURES_N_OPERATIONS   (DWB_OPERATION_SEPARABLE_FUSED + 1)

/* What one entry is computed from; everything is borrowed until dwb_figures_deinit. */
struct dwb_figures_input {
    const struct dwb_spec *spec;
    const struct dwb_layer *layer;
    struct dwb_record *const *records; /* of this layer only */
    size_t n_records;
    const char *backend; /* NULL = there is no record to tell */
};

struct dwb_operation_figures {
    const struct dwb_subject *subject; /* as the first record has it; NULL = was not measured */
    struct dwb_series series;
    double floor_ns, median_ns;   /* a call, of all processes together */
    double ci_low_ns, ci_high_ns; /* for the median, clustered by process */
    double gflops_executed, gflops_nominal, percent_of_peak; /* at the floor */
    double peak_gflops;  /* of the ISA that it runs on; NAN = not known, or not probed */
    bool omitted;        /* the backend lacks it: reason says why */
    size_t n_reproduced; /* processes whose own floor is within DWB_FIGURES_REPRODUCED */
    char reason[160];    /* why figures are NAN; "" = none is */
};

/* Time of one form of the layer over that of the standard convolution. */
struct dwb_ratio_figures {
    double floor;  /* floor over floor */
    double median; /* median over median */
    double ci_low, ci_high;
    double half_width; /* relative to floor; INFINITY = there is no interval */
    bool stretched;    /* see dwb_stats_interval */
    size_t n_processes;
    char reason[160];
};

struct dwb_level_figures { /* a memory level; bytes a ns = GB/s */
    char name[8];
    double read_gbps, triad_gbps; /* measured; NAN = no probe */
    double capacity_bytes; /* of a cache, from the environment; NAN = not known, or no cache */
};

enum dwb_verdict { DWB_VERDICT_STABLE, DWB_VERDICT_UNSTABLE, DWB_VERDICT_CONTAMINATED };

struct dwb_figures {
    struct dwb_figures_input input;
    struct dwb_theory theory;
    char isa[16];    /* "" = not known */
    bool *disturbed; /* by record */
    size_t n_disturbed;
    struct dwb_operation_figures operations[DWB_FIGURES_N_OPERATIONS]; /* by enum dwb_operation */
    double alpha;
    struct dwb_ratio_figures ratio;       /* separable over standard */
    struct dwb_ratio_figures ratio_fused; /* NAN when there is no fused form */
    double saving_delivered;              /* theoretical over measured ratio */
    double saving_delivered_best;         /* alike, of the faster separable form */
    enum dwb_operation best_separable;    /* that form; separable where nothing was measured */
    double peak_gflops;
    struct dwb_level_figures levels[DWB_FIGURES_LEVELS_MAX]; /* from the core outwards */
    size_t n_levels;
    double canary_floor_ns, canary_median_ns;
    uint64_t n_verified, n_mismatched;
    double worst_error;
    double dropped_share; /* of the samples of the pairs; 0 without any */
    bool precision_reached;
    enum dwb_verdict verdict;
    char reasons[DWB_FIGURES_REASONS_MAX][200];
    size_t n_reasons;
};

/* 0, -ENOMEM, or what dwb_theory_of returns. */
int dwb_figures_init(const struct dwb_figures_input *input, struct dwb_figures *ret_figures);
void dwb_figures_deinit(struct dwb_figures *figures);

/*
 * The peer's time of an operation over ours, floor over floor, with the interval of the ratio:
 * above 1 ours is the faster. Both figures must come from the same records. 0 or -ENOMEM.
 */
int dwb_figures_against(const struct dwb_figures *ours, const struct dwb_figures *peer,
                        enum dwb_operation operation, struct dwb_ratio_figures *ret_ratio);
/* The same for the peer's separable form against the faster of ours. */
int dwb_figures_against_best(const struct dwb_figures *ours, const struct dwb_figures *peer,
                             struct dwb_ratio_figures *ret_ratio);

/* The backend (a plugin) lacks a form of the layer, so that there is no ratio to wait for. */
bool dwb_figures_is_partial(const struct dwb_figures *figures);

const char *dwb_verdict_name(enum dwb_verdict verdict);

/* Significance of one layer's interval: Bonferroni over the layers of the job. */
double dwb_figures_alpha(const struct dwb_spec *spec);
