#include "daemon/metrics.h"

/*
 * See metrics.h. The two formats differ in three things: a counter's family is named without _total
 * in OpenMetrics, units and the info type exist only there, and it ends in # EOF.
 */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/memstream.h"

#define REQUESTS_MAX 512
#define N_BUCKETS    10
#define N_ROUTES_MAX 16

static const double bucket_bounds_s[N_BUCKETS] = {0.0005, 0.001, 0.0025, 0.005, 0.01,
                                                  0.025,  0.05,  0.1,    0.5,   1};

struct request_count {
    const char *route;
    const char *method;
    unsigned status;
    uint64_t n;
};

struct latency {
    const char *route;
    uint64_t buckets[N_BUCKETS + 1]; /* not cumulated; the last is +Inf */
    double sum_s;
};

struct ratio {
    char suite[DWB_NAME_MAX];
    char layer[DWB_NAME_MAX];
    double measured, theory;
};

struct dwb_metrics {
    struct request_count requests[REQUESTS_MAX];
    size_t n_requests;
    struct latency latencies[N_ROUTES_MAX];
    size_t n_latencies;
    uint64_t replicates;
    uint64_t failures[DWB_N_WORKER_OUTCOMES];
    struct ratio ratios[DWB_METRICS_RATIOS_MAX];
    size_t n_ratios;
};

int dwb_metrics_new(struct dwb_metrics **ret_metrics)
{
    struct dwb_metrics *metrics = calloc(1, sizeof(*metrics));

    if (!metrics)
        return -ENOMEM;
    *ret_metrics = metrics;
    return 0;
}

void dwb_metrics_free(struct dwb_metrics *metrics)
{
    free(metrics);
}

static const char *known_method(const char *method)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS"};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strcmp(methods[i], method) == 0)
            return methods[i];
    return "other";
}

static void observe_latency(struct dwb_metrics *metrics, const char *route, double seconds)
{
    size_t i = 0, bucket = 0;

    while (i < metrics->n_latencies && strcmp(metrics->latencies[i].route, route) != 0)
        i++;
    if (i == N_ROUTES_MAX)
        return;
    if (i == metrics->n_latencies)
        metrics->latencies[metrics->n_latencies++].route = route;
    while (bucket < N_BUCKETS && seconds > bucket_bounds_s[bucket])
        bucket++;
    metrics->latencies[i].buckets[bucket]++;
    metrics->latencies[i].sum_s += seconds;
}

void dwb_metrics_count_request(struct dwb_metrics *metrics, const char *route, const char *method,
                               unsigned status, uint64_t duration_ns)
{
    const char *known = known_method(method);

    observe_latency(metrics, route, (double)duration_ns / 1e9);
    for (size_t i = 0; i < metrics->n_requests; i++) {
        struct request_count *count = &metrics->requests[i];
        if (count->status == status && count->method == known && strcmp(count->route, route) == 0) {
            count->n++;
            return;
        }
    }
    if (metrics->n_requests < REQUESTS_MAX)
        metrics->requests[metrics->n_requests++] = (struct request_count){route, known, status, 1};
}

void dwb_metrics_count_replicate(struct dwb_metrics *metrics)
{
    metrics->replicates++;
}

void dwb_metrics_count_failure(struct dwb_metrics *metrics, enum dwb_worker_outcome outcome)
{
    metrics->failures[outcome]++;
}

void dwb_metrics_set_ratio(struct dwb_metrics *metrics, const char *suite, const char *layer,
                           double measured, double theory)
{
    size_t i = 0;

    while (i < metrics->n_ratios && (strcmp(metrics->ratios[i].suite, suite) != 0 ||
                                     strcmp(metrics->ratios[i].layer, layer) != 0))
        i++;
    if (i == DWB_METRICS_RATIOS_MAX)
        return;
    struct ratio *ratio = &metrics->ratios[i];
    if (i == metrics->n_ratios)
        metrics->n_ratios++;
    snprintf(ratio->suite, sizeof(ratio->suite), "%s", suite);
    snprintf(ratio->layer, sizeof(ratio->layer), "%s", layer);
    ratio->measured = measured;
    ratio->theory = theory;
}

/* ---- text ---- */

struct page {
    FILE *stream;
    bool openmetrics;
};

enum family { GAUGE, COUNTER, HISTOGRAM, INFO };

/* name is without _total and _info; unit is its last word, or "". */
static void head(const struct page *page, enum family family, const char *name, const char *unit,
                 const char *help)
{
    static const char *const types[] = {"gauge", "counter", "histogram", "info"};
    const char *suffix = "";

    if (!page->openmetrics)
        suffix = family == COUNTER ? "_total" : family == INFO ? "_info" : "";
    fprintf(page->stream, "# HELP %s%s %s\n", name, suffix, help);
    fprintf(page->stream, "# TYPE %s%s %s\n", name, suffix,
            family == INFO && !page->openmetrics ? "gauge" : types[family]);
    if (page->openmetrics && unit[0])
        fprintf(page->stream, "# UNIT %s %s\n", name, unit);
}

static void label(const struct page *page, const char *separator, const char *name,
                  const char *value)
{
    fprintf(page->stream, "%s%s=\"", separator, name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            fputc('\\', page->stream);
        if (*value == '\n')
            fputs("\\n", page->stream);
        else
            fputc(*value, page->stream);
    }
    fputc('"', page->stream);
}

static void one(const struct page *page, const char *name, const char *label_name,
                const char *label_value, double value)
{
    fputs(name, page->stream);
    if (label_name && label_value) {
        label(page, "{", label_name, label_value);
        fputc('}', page->stream);
    }
    fprintf(page->stream, " %.17g\n", value);
}

static void render_jobs(const struct dwb_metrics *metrics, const struct page *page,
                        const struct dwb_metrics_view *view)
{
    head(page, GAUGE, "dwbench_jobs", "", "Jobs in the store, by state.");
    for (int state = 0; state < DWB_N_JOB_STATES; state++)
        one(page, "dwbench_jobs", "state", dwb_job_state_name((enum dwb_job_state)state),
            (double)view->jobs[state]);
    head(page, GAUGE, "dwbench_queue_depth", "", "Jobs that wait for the measuring CPU.");
    one(page, "dwbench_queue_depth", NULL, NULL, (double)view->queue_depth);
    head(page, COUNTER, "dwbench_replicates", "", "Replicates measured and stored.");
    one(page, "dwbench_replicates_total", NULL, NULL, (double)metrics->replicates);
    head(page, COUNTER, "dwbench_worker_failures", "", "Replicates that failed, by reason.");
    for (int i = DWB_WORKER_OK + 1; i < DWB_N_WORKER_OUTCOMES; i++)
        if (i != DWB_WORKER_KILLED)
            one(page, "dwbench_worker_failures_total", "reason",
                dwb_worker_outcome_name((enum dwb_worker_outcome)i), (double)metrics->failures[i]);
}

static void render_latency(const struct page *page, const struct latency *latency)
{
    uint64_t n = 0;

    for (size_t i = 0; i <= N_BUCKETS; i++) {
        n += latency->buckets[i];
        fputs("dwbench_http_request_duration_seconds_bucket", page->stream);
        label(page, "{", "route", latency->route);
        if (i < N_BUCKETS)
            fprintf(page->stream, ",le=\"%g%s\"} %llu\n", bucket_bounds_s[i],
                    bucket_bounds_s[i] == 1 ? ".0" : "", (unsigned long long)n);
        else
            fprintf(page->stream, ",le=\"+Inf\"} %llu\n", (unsigned long long)n);
    }
    one(page, "dwbench_http_request_duration_seconds_sum", "route", latency->route, latency->sum_s);
    one(page, "dwbench_http_request_duration_seconds_count", "route", latency->route, (double)n);
}

static void render_http(const struct dwb_metrics *metrics, const struct page *page,
                        const struct dwb_metrics_view *view)
{
    head(page, COUNTER, "dwbench_http_requests", "", "Requests answered.");
    for (size_t i = 0; i < metrics->n_requests; i++) {
        const struct request_count *count = &metrics->requests[i];
        fputs("dwbench_http_requests_total", page->stream);
        label(page, "{", "route", count->route);
        label(page, ",", "method", count->method);
        fprintf(page->stream, ",code=\"%u\"} %llu\n", count->status, (unsigned long long)count->n);
    }
    head(page, HISTOGRAM, "dwbench_http_request_duration_seconds", "seconds",
         "From a request's head to its answer (of a stream: to its start).");
    for (size_t i = 0; i < metrics->n_latencies; i++)
        render_latency(page, &metrics->latencies[i]);
    head(page, GAUGE, "dwbench_http_connections", "", "Open connections.");
    one(page, "dwbench_http_connections", NULL, NULL, (double)view->connections);
}

static void render_ratio(const struct dwb_metrics *metrics, const struct page *page, bool measured,
                         const char *name)
{
    for (size_t i = 0; i < metrics->n_ratios; i++) {
        const struct ratio *ratio = &metrics->ratios[i];
        double value = measured ? ratio->measured : ratio->theory;
        if (isnan(value))
            continue;
        fputs(name, page->stream);
        label(page, "{", "suite", ratio->suite);
        label(page, ",", "layer", ratio->layer);
        fprintf(page->stream, "} %.17g\n", value);
    }
}

static void render_layers(const struct dwb_metrics *metrics, const struct page *page,
                          const struct dwb_metrics_view *view)
{
    const char *name;
    size_t i;
    const json_t *counter;

    head(page, GAUGE, "dwbench_layer_ratio_measured", "",
         "Last measured time of the separable form over the standard convolution.");
    render_ratio(metrics, page, true, "dwbench_layer_ratio_measured");
    head(page, GAUGE, "dwbench_layer_ratio_theory", "", "What theory says: 1/N + 1/Dk^2.");
    render_ratio(metrics, page, false, "dwbench_layer_ratio_theory");
    head(page, GAUGE, "dwbench_counters_available", "", "Whether this machine counts it.");
    json_array_foreach(view->counters, i, counter)
    {
        name = json_string_value(json_object_get(counter, "name"));
        if (name && i < 64)
            one(page, "dwbench_counters_available", "counter", name,
                json_is_string(json_object_get(counter, "source")));
    }
}

/* Outcome of the probe: "counted", or a name of the closed list in docs/counters.md. */
static void render_outcomes(const struct page *page, const struct dwb_metrics_view *view)
{
    const json_t *counter;
    size_t i;

    head(page, GAUGE, "dwbench_counters_outcome", "",
         "1 for what came of the attempt to count it here.");
    json_array_foreach(view->counters, i, counter)
    {
        const char *name = json_string_value(json_object_get(counter, "name"));
        const char *outcome = json_string_value(json_object_get(counter, "outcome"));

        if (!name || !outcome || i >= 64)
            continue;
        fputs("dwbench_counters_outcome", page->stream);
        label(page, "{", "counter", name);
        label(page, ",", "outcome", outcome);
        fputs("} 1\n", page->stream);
    }
}

static double read_start_time(void)
{
    unsigned long long started = 0, boot_s = 0;
    char line[512];

    dwb_cleanup_file FILE *self = fopen("/proc/self/stat", "re");
    if (!self || !fgets(line, sizeof(line), self))
        return NAN;
    const char *rest = strrchr(line, ')'); /* the name may hold spaces: field 3 comes after it */
    if (!rest || sscanf(rest + 1,
                        " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                        "%*s %*s %*s %llu",
                        &started) != 1)
        return NAN;
    dwb_cleanup_file FILE *stat = fopen("/proc/stat", "re");
    while (stat && fgets(line, sizeof(line), stat))
        if (sscanf(line, "btime %llu", &boot_s) == 1)
            break;
    return (double)boot_s + (double)started / (double)sysconf(_SC_CLK_TCK);
}

static double read_resident_bytes(void)
{
    unsigned long long total, resident;

    dwb_cleanup_file FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%llu %llu", &total, &resident) != 2)
        return NAN;
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* The kernel says it as the directory's size (since Linux 6.2; 0 before): reading the directory is
 * slow where there are thousands. */
static double count_descriptors(void)
{
    struct stat status;
    double n = 0;
    DIR *directory;

    if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0)
        return (double)status.st_size;
    directory = opendir("/proc/self/fd");
    if (!directory)
        return NAN;
    for (const struct dirent *entry; (entry = readdir(directory));)
        n += entry->d_name[0] != '.';
    closedir(directory);
    return n - 1; /* the directory itself */
}

static void process_value(const struct page *page, enum family family, const char *name,
                          const char *unit, const char *help, double value)
{
    char sample[64];

    if (isnan(value))
        return;
    snprintf(sample, sizeof(sample), "%s%s", name, family == COUNTER ? "_total" : "");
    head(page, family, name, unit, help);
    one(page, sample, NULL, NULL, value);
}

static void render_process(const struct page *page, const struct dwb_metrics_view *view)
{
    struct timespec cpu;

    head(page, GAUGE, "dwbench_loop_backend", "", "Event loop in use.");
    one(page, "dwbench_loop_backend", "backend", view->loop_backend, 1);
    if (view->loop_fallback_errno < 0) {
        const char *error = strerrorname_np(-view->loop_fallback_errno);
        head(page, GAUGE, "dwbench_loop_fallback", "", "Why io_uring was not to be had.");
        one(page, "dwbench_loop_fallback", "error", error ? error : "unknown", 1);
    }
    head(page, INFO, "dwbench_build", "", "Version of the daemon and compiler.");
    fputs("dwbench_build_info", page->stream);
    label(page, "{", "version", view->version);
    label(page, ",", "compiler", __VERSION__);
    fputs("} 1\n", page->stream);
    process_value(page, GAUGE, "process_start_time_seconds", "seconds",
                  "Start of the process, in seconds since 1970.", read_start_time());
    process_value(page, GAUGE, "process_resident_memory_bytes", "bytes", "Resident memory.",
                  read_resident_bytes());
    process_value(page, GAUGE, "process_open_fds", "", "Open descriptors.", count_descriptors());
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    process_value(page, COUNTER, "process_cpu_seconds", "seconds", "CPU time of the daemon.",
                  (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
}

int dwb_metrics_render(const struct dwb_metrics *metrics, const struct dwb_metrics_view *view,
                       bool openmetrics, char **ret_text, size_t *ret_length)
{
    char *text;
    size_t length;
    struct page page = {dwb_memstream_open(&text, &length), openmetrics};
    int r;

    if (!page.stream)
        return -ENOMEM;
    render_jobs(metrics, &page, view);
    render_http(metrics, &page, view);
    render_layers(metrics, &page, view);
    render_outcomes(&page, view);
    render_process(&page, view);
    if (openmetrics)
        fputs("# EOF\n", page.stream);
    r = dwb_memstream_close(page.stream, &text);
    if (r < 0)
        return r;
    *ret_text = text;
    *ret_length = length;
    return 0;
}

/* ---- negotiation (RFC 9110, 12.5.1) ---- */

static double quality(const char *range, size_t length)
{
    for (size_t i = 0; i + 2 < length; i++)
        if (range[i] == ';') {
            size_t j = i + 1;
            while (j < length && isspace((unsigned char)range[j]))
                j++;
            if (j + 2 <= length && tolower((unsigned char)range[j]) == 'q' && range[j + 1] == '=')
                return strtod(range + j + 2, NULL);
        }
    return 1;
}

static bool is_type(const char *range, size_t length, const char *type)
{
    size_t n = strlen(type);

    return length >= n && strncasecmp(range, type, n) == 0 &&
           (length == n || range[n] == ';' || isspace((unsigned char)range[n]));
}

bool dwb_metrics_prefers_openmetrics(const char *accept)
{
    double open = 0, plain = 0;

    while (accept && *accept) {
        accept += strspn(accept, " \t,");
        size_t length = strcspn(accept, ",");
        double q = quality(accept, length);
        if (is_type(accept, length, "application/openmetrics-text"))
            open = q > open ? q : open;
        else if (is_type(accept, length, "text/plain"))
            plain = q > plain ? q : plain;
        accept += length;
    }
    return open > 0 && open >= plain;
}
