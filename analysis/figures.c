/*
 * Estimators of one entry. The noise of the two forms of a layer does not cancel (they are
 * different kernels), so time is its floor, and what is uncertain is how floors differ from process
 * to process: the unit of every interval is the process, never the sample.
 *
 * The interval of the ratio is that of the median, over processes, of floor over floor within one
 * process; it is widened where that is needed to contain the ratio of the pooled floors, which is
 * the figure that is shown.
 */

#include "analysis/figures.h"

#include "analysis/bounds.h"
#include "analysis/stats.h"
#include "common/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

static const char nothing[] = "no replicate was measured";

double dwb_figures_alpha(const struct dwb_spec *spec)
{
    return DWB_FIGURES_ALPHA / (double)(spec->n_layers ? spec->n_layers : 1);
}

const char *dwb_verdict_name(enum dwb_verdict verdict)
{
    static const char *const names[] = {"stable", "unstable", "contaminated"};
    return names[verdict];
}

/* Copies the members of values that are numbers to *ret_sorted (to free), ascending. */
static int sorted_numbers(const double *values, size_t n, double **ret_sorted, size_t *ret_n)
{
    size_t n_numbers = 0;
    double *sorted = malloc((n + 1) * sizeof *sorted);

    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (!isnan(values[i]))
            sorted[n_numbers++] = values[i];
    dwb_stats_sort(sorted, n_numbers);
    *ret_sorted = sorted;
    *ret_n = n_numbers;
    return 0;
}

/* Why the backend lacks an operation; NULL = it makes no such statement. */
static const char *omission(const struct dwb_figures_input *input, enum dwb_operation operation)
{
    for (size_t i = 0; i < input->n_records; i++)
        for (size_t k = 0; k < input->records[i]->n_omissions; k++) {
            const struct dwb_omission *item = &input->records[i]->omissions[k];
            if (item->operation == operation && strcmp(item->backend, input->backend) == 0)
                return item->reason;
        }
    return NULL;
}

static int operation_init(const struct dwb_figures *figures, enum dwb_operation operation,
                          struct dwb_operation_figures *op)
{
    const struct dwb_figures_input *input = &figures->input;
    dwb_cleanup_free double *medians = NULL;
    struct dwb_interval interval;
    size_t n = 0;
    int r;

    r = dwb_series_init(input->records, figures->disturbed, input->n_records, input->backend,
                        operation, &op->series);
    if (r < 0)
        return r;
    for (size_t i = 0; !op->subject && i < input->n_records; i++)
        op->subject = dwb_series_subject(input->records[i], input->backend, operation);
    if (op->series.n_values == 0) {
        const char *why = omission(input, operation);

        op->omitted = why != NULL;
        snprintf(op->reason, sizeof op->reason, "%s",
                 why                    ? why
                 : op->series.n_dropped ? "every sample was dropped as disturbed"
                                        : "not measured");
        return 0;
    }

    op->floor_ns = dwb_stats_floor(op->series.values, op->series.n_values);
    op->median_ns = dwb_stats_median(op->series.values, op->series.n_values);
    op->gflops_executed = 2 * (double)op->subject->macs_executed / op->floor_ns;
    op->gflops_nominal = 2 * (double)op->subject->macs_nominal / op->floor_ns;
    for (size_t i = 0; i < op->series.n_records; i++)
        op->n_reproduced += op->series.floors[i] <= op->floor_ns * (1 + DWB_FIGURES_REPRODUCED);

    r = sorted_numbers(op->series.medians, op->series.n_records, &medians, &n);
    if (r < 0)
        return r;
    if (dwb_stats_interval(medians, n, figures->alpha, &interval) == 0) {
        op->ci_low_ns = fmin(interval.low, op->median_ns);
        op->ci_high_ns = fmax(interval.high, op->median_ns);
    } else {
        snprintf(op->reason, sizeof op->reason, "no interval: it takes %d processes, there are %zu",
                 DWB_STATS_PROCESSES_MIN, n);
    }
    return 0;
}

static const struct dwb_ratio_figures unknown_ratio = {
    .floor = NAN, .median = NAN, .ci_low = NAN, .ci_high = NAN, .half_width = INFINITY};

static int ratio_init(const struct dwb_operation_figures *standard,
                      const struct dwb_operation_figures *other, double alpha,
                      struct dwb_ratio_figures *ratio)
{
    dwb_cleanup_free double *quotients = NULL, *sorted = NULL;
    struct dwb_interval interval;
    size_t n_records = standard->series.n_records;
    int r;

    if (standard->series.n_values == 0 || other->series.n_values == 0) {
        snprintf(ratio->reason, sizeof ratio->reason, "%s: %.120s",
                 standard->series.n_values ? "separable" : "standard",
                 standard->series.n_values ? other->reason : standard->reason);
        return 0;
    }
    ratio->floor = other->floor_ns / standard->floor_ns;
    ratio->median = other->median_ns / standard->median_ns;

    quotients = malloc((n_records + 1) * sizeof *quotients);
    if (!quotients)
        return -ENOMEM;
    for (size_t i = 0; i < n_records; i++)
        quotients[i] = other->series.floors[i] / standard->series.floors[i]; /* NAN stays NAN */
    r = sorted_numbers(quotients, n_records, &sorted, &ratio->n_processes);
    if (r < 0)
        return r;
    if (dwb_stats_interval(sorted, ratio->n_processes, alpha, &interval) < 0) {
        snprintf(ratio->reason, sizeof ratio->reason,
                 "no interval: it takes %d processes, there are %zu", DWB_STATS_PROCESSES_MIN,
                 ratio->n_processes);
        return 0;
    }
    ratio->ci_low = fmin(interval.low, ratio->floor);
    ratio->ci_high = fmax(interval.high, ratio->floor);
    ratio->half_width = (ratio->ci_high - ratio->ci_low) / 2 / ratio->floor;
    ratio->stretched = interval.stretched;
    return 0;
}

static int compare(const struct dwb_figures *ours, enum dwb_operation our_operation,
                   const struct dwb_figures *peer, enum dwb_operation operation,
                   struct dwb_ratio_figures *ret_ratio)
{
    struct dwb_ratio_figures ratio = unknown_ratio;
    int r = ratio_init(&ours->operations[our_operation], &peer->operations[operation], ours->alpha,
                       &ratio);

    if (r == 0 && isnan(ratio.floor)) {
        bool is_peer = ours->operations[our_operation].series.n_values > 0;

        snprintf(ratio.reason, sizeof ratio.reason, "%s: %.120s",
                 dwb_operation_name(is_peer ? operation : our_operation),
                 is_peer ? peer->operations[operation].reason
                         : ours->operations[our_operation].reason);
    }
    if (r == 0)
        *ret_ratio = ratio;
    return r;
}

int dwb_figures_against(const struct dwb_figures *ours, const struct dwb_figures *peer,
                        enum dwb_operation operation, struct dwb_ratio_figures *ret_ratio)
{
    return compare(ours, operation, peer, operation, ret_ratio);
}

int dwb_figures_against_best(const struct dwb_figures *ours, const struct dwb_figures *peer,
                             struct dwb_ratio_figures *ret_ratio)
{
    return compare(ours, ours->best_separable, peer, DWB_OPERATION_SEPARABLE, ret_ratio);
}

static void add_reason(struct dwb_figures *figures, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_reason(struct dwb_figures *figures, const char *format, ...)
{
    va_list arguments;

    if (figures->n_reasons == DWB_FIGURES_REASONS_MAX)
        return;
    va_start(arguments, format);
    vsnprintf(figures->reasons[figures->n_reasons++], sizeof figures->reasons[0], format,
              arguments);
    va_end(arguments);
}

static void worsen(struct dwb_figures *figures, enum dwb_verdict verdict)
{
    if (verdict > figures->verdict)
        figures->verdict = verdict;
}

/* Sums what the workers compared with the oracle, for the operations of this backend. */
static void verify(struct dwb_figures *figures)
{
    for (size_t i = 0; i < figures->input.n_records; i++) {
        const struct dwb_record *record = figures->input.records[i];
        for (size_t k = 0; k < record->n_subjects; k++) {
            const struct dwb_subject *subject = &record->subjects[k];
            if (strcmp(subject->backend, figures->input.backend) != 0 || subject->verified == 0)
                continue;
            figures->n_verified += subject->verified;
            figures->n_mismatched += subject->mismatched;
            figures->worst_error = fmax(figures->worst_error, subject->worst_error);
        }
    }
    if (figures->n_mismatched)
        add_reason(figures, "outputs are wrong: %llu of %llu checked positions",
                   (unsigned long long)figures->n_mismatched,
                   (unsigned long long)figures->n_verified);
}

/* All processes must have timed the same kernel, or their floors are not comparable. */
static void check_same_kernels(struct dwb_figures *figures)
{
    const struct dwb_figures_input *input = &figures->input;

    for (unsigned k = 0; k < DWB_FIGURES_N_OPERATIONS; k++)
        for (size_t i = 0; i < input->n_records; i++) {
            const struct dwb_subject *first = figures->operations[k].subject;
            const struct dwb_subject *subject =
                dwb_series_subject(input->records[i], input->backend, (enum dwb_operation)k);
            if (!subject || (strcmp(first->kernel, subject->kernel) == 0 &&
                             strcmp(first->isa, subject->isa) == 0))
                continue;
            worsen(figures, DWB_VERDICT_UNSTABLE);
            add_reason(figures, "processes ran different %s kernels: %.60s and %.60s",
                       dwb_operation_name((enum dwb_operation)k), first->kernel, subject->kernel);
            break;
        }
}

bool dwb_figures_is_partial(const struct dwb_figures *figures)
{
    return figures->operations[DWB_OPERATION_STANDARD].omitted ||
           figures->operations[DWB_OPERATION_SEPARABLE].omitted;
}

static void judge_reproduced(struct dwb_figures *figures, enum dwb_operation operation)
{
    const struct dwb_operation_figures *op = &figures->operations[operation];

    if (op->series.n_values == 0 || op->n_reproduced >= DWB_FIGURES_REPRODUCED_MIN)
        return;
    worsen(figures, DWB_VERDICT_UNSTABLE);
    if (figures->ratio.n_processes < DWB_STATS_PROCESSES_MIN && !dwb_figures_is_partial(figures))
        return; /* too few processes: that is said of the interval already */
    add_reason(figures, "the %s floor was reproduced within %.0f%% by %zu process%s, not by %d",
               dwb_operation_name(operation), DWB_FIGURES_REPRODUCED * 100, op->n_reproduced,
               op->n_reproduced == 1 ? "" : "es", DWB_FIGURES_REPRODUCED_MIN);
}

static void judge_dropped(struct dwb_figures *figures)
{
    size_t n_kept = 0, n_dropped = 0;

    for (unsigned k = 0; k < DWB_FIGURES_N_OPERATIONS; k++) {
        if (k == DWB_OPERATION_DEPTHWISE || k == DWB_OPERATION_POINTWISE)
            continue; /* not part of a pair */
        n_kept += figures->operations[k].series.n_values;
        n_dropped += figures->operations[k].series.n_dropped;
    }
    if (n_kept + n_dropped)
        figures->dropped_share = (double)n_dropped / (double)(n_kept + n_dropped);
    if (figures->dropped_share > DWB_FIGURES_CONTAMINATED) {
        worsen(figures, DWB_VERDICT_CONTAMINATED);
        add_reason(figures, "%.0f%% of the samples were dropped: the machine was busy",
                   figures->dropped_share * 100);
    }
    if (figures->n_disturbed)
        add_reason(figures,
                   "%zu of %zu processes were dropped: the canary ran over %.0f%% slow in them",
                   figures->n_disturbed, figures->input.n_records, DWB_SERIES_CANARY_MARGIN * 100);
}

static void judge(struct dwb_figures *figures)
{
    const struct dwb_ratio_figures *ratio = &figures->ratio;
    double precision = figures->input.spec->options.precision;

    if (figures->input.n_records == 0) {
        worsen(figures, DWB_VERDICT_UNSTABLE);
        add_reason(figures, "%s", nothing);
        return;
    }
    verify(figures);
    judge_dropped(figures);
    check_same_kernels(figures);
    judge_reproduced(figures, DWB_OPERATION_STANDARD);
    judge_reproduced(figures, DWB_OPERATION_SEPARABLE);
    if (dwb_figures_is_partial(figures)) { /* there is no ratio to be had: no fault of the run */
        judge_reproduced(figures, DWB_OPERATION_DEPTHWISE);
        judge_reproduced(figures, DWB_OPERATION_POINTWISE);
    }
    if (ratio->reason[0] && (!dwb_figures_is_partial(figures) || figures->n_verified == 0)) {
        worsen(figures, DWB_VERDICT_UNSTABLE);
        add_reason(figures, "%s", ratio->reason);
    }
    figures->precision_reached = ratio->half_width <= precision;
    if (isfinite(ratio->half_width) && !figures->precision_reached)
        add_reason(figures, "not resolved: the ratio is known to ±%.2f%%, ±%.2f%% was asked for",
                   ratio->half_width * 100, precision * 100);
}

static int canary_init(struct dwb_figures *figures)
{
    const struct dwb_figures_input *input = &figures->input;
    struct dwb_series canary;
    int r = dwb_series_init(input->records, figures->disturbed, input->n_records, "",
                            DWB_OPERATION_CANARY, &canary);

    if (r < 0)
        return r;
    if (canary.n_values) {
        figures->canary_floor_ns = dwb_stats_floor(canary.values, canary.n_values);
        figures->canary_median_ns = dwb_stats_median(canary.values, canary.n_values);
    }
    dwb_series_deinit(&canary);
    return 0;
}

static void set_unknown(struct dwb_figures *figures)
{
    for (unsigned k = 0; k < DWB_FIGURES_N_OPERATIONS; k++) {
        struct dwb_operation_figures *op = &figures->operations[k];
        op->floor_ns = op->median_ns = op->ci_low_ns = op->ci_high_ns = NAN;
        op->gflops_executed = op->gflops_nominal = op->percent_of_peak = op->peak_gflops = NAN;
        if (figures->input.n_records == 0)
            snprintf(op->reason, sizeof op->reason, "%s", nothing);
    }
    figures->ratio = figures->ratio_fused = unknown_ratio;
    if (figures->input.n_records == 0)
        snprintf(figures->ratio.reason, sizeof figures->ratio.reason, "%s", nothing);
    figures->saving_delivered = figures->saving_delivered_best = figures->peak_gflops = NAN;
    figures->best_separable = DWB_OPERATION_SEPARABLE;
    figures->canary_floor_ns = figures->canary_median_ns = NAN;
}

static int measure_init(struct dwb_figures *figures)
{
    const struct dwb_figures_input *input = &figures->input;
    struct dwb_operation_figures *ops = figures->operations;
    int r;

    figures->disturbed = calloc(input->n_records + 1, sizeof *figures->disturbed);
    if (!figures->disturbed)
        return -ENOMEM;
    r = dwb_series_disturbed(input->records, input->n_records, figures->disturbed);
    for (size_t i = 0; i < input->n_records; i++)
        figures->n_disturbed += figures->disturbed[i];
    for (unsigned k = 0; r == 0 && k < DWB_FIGURES_N_OPERATIONS; k++)
        r = operation_init(figures, (enum dwb_operation)k, &ops[k]);
    if (r == 0)
        r = ratio_init(&ops[DWB_OPERATION_STANDARD], &ops[DWB_OPERATION_SEPARABLE], figures->alpha,
                       &figures->ratio);
    if (r == 0)
        r = ratio_init(&ops[DWB_OPERATION_STANDARD], &ops[DWB_OPERATION_SEPARABLE_FUSED],
                       figures->alpha, &figures->ratio_fused);
    if (r == 0)
        r = canary_init(figures);
    return r;
}

/* By floors, as everything that is said of savings; NAN loses against a number. */
static void choose_separable(struct dwb_figures *figures)
{
    const struct dwb_ratio_figures *apart = &figures->ratio, *fused = &figures->ratio_fused;

    if (fused->floor < apart->floor || (isnan(apart->floor) && !isnan(fused->floor)))
        figures->best_separable = DWB_OPERATION_SEPARABLE_FUSED;
    figures->saving_delivered = figures->theory.ratio / apart->floor;
    figures->saving_delivered_best = figures->theory.ratio / fmin(apart->floor, fused->floor);
}

int dwb_figures_init(const struct dwb_figures_input *input, struct dwb_figures *ret_figures)
{
    struct dwb_figures figures = {.input = *input, .alpha = dwb_figures_alpha(input->spec)};
    int r;

    r = dwb_theory_of(input->layer, &figures.theory);
    if (r < 0)
        return r;
    set_unknown(&figures);
    if (input->n_records > 0) {
        r = measure_init(&figures);
        if (r < 0) {
            dwb_figures_deinit(&figures);
            return r;
        }
        dwb_bounds_machine(&figures);
    }
    choose_separable(&figures);
    judge(&figures);
    *ret_figures = figures;
    return 0;
}

void dwb_figures_deinit(struct dwb_figures *figures)
{
    for (unsigned k = 0; k < DWB_FIGURES_N_OPERATIONS; k++)
        dwb_series_deinit(&figures->operations[k].series);
    free(figures->disturbed);
    figures->disturbed = NULL;
}
