#include "daemon/daemon.h"

/* See daemon.h. */

#include "common/cleanup.h"
#include "common/json_memory.h"
#include "common/paths.h"
#include "daemon/api.h"
#include "daemon/clock.h"
#include "daemon/cpus.h"
#include "daemon/listen.h"
#include "daemon/places.h"
#include "daemon/suites.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define PROBE_DEADLINE_NS  UINT64_C(30000000000)
#define RESTORED_RESULTS   100
#define DESCRIPTORS_WANTED 65536
#ifndef LINGER_NS                     /* a trial that stops it thousands of times has less */
#define LINGER_NS UINT64_C(200000000) /* for the last answers to leave */
#endif

struct daemon {
    const struct dwb_config *config;
    struct dwb_places places;
    int listen_fd;
    bool inherited; /* the listening socket: it outlives this process */
    cpu_set_t allowed;
    struct dwb_loop *loop;
    struct dwb_store *store;
    struct dwb_persist *persist;
    struct dwb_metrics *metrics;
    struct dwb_suites *suites;
    struct dwb_jobs *jobs;
    struct dwb_loop_source *signals;
    struct dwb_loop_source *store_source;
    struct dwb_loop_source *watchdog;
    struct dwb_loop_source *end_timer;
    struct dwb_api api;
    int status;
};

static int __attribute__((format(printf, 3, 4)))
report(int r, const char *what, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    dwb_log(DWB_LOG_ERROR, "%s: %s", what, text);
    return r;
}

/* ---- while it runs ---- */

static int on_store(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    struct daemon *daemon = userdata;

    (void)source;
    (void)revents;
    dwb_store_dispatch(daemon->store);
    if (dwb_store_failed(daemon->store) < 0) {
        report(0, "the store has failed", "%s; nothing more is acknowledged, a restart recovers",
               dwb_store_failed_text(daemon->store));
        daemon->status = DWB_EXIT_FAILURE;
        daemon->api.draining = true;
        dwb_loop_set_timer(daemon->end_timer, LINGER_NS, 0);
    }
    return 0;
}

static int on_watchdog(struct dwb_loop_source *source, uint64_t n_expired, void *userdata)
{
    (void)source;
    (void)n_expired;
    (void)userdata;
    sd_notify(0, "WATCHDOG=1");
    return 0;
}

static int on_end(struct dwb_loop_source *source, uint64_t n_expired, void *userdata)
{
    struct daemon *daemon = userdata;

    (void)source;
    (void)n_expired;
    if (daemon->api.draining)
        dwb_loop_stop(daemon->loop);
    return 0;
}

static void on_drained(void *userdata)
{
    struct daemon *daemon = userdata;

    dwb_loop_set_timer(daemon->end_timer, LINGER_NS, 0);
}

static int on_signal(struct dwb_loop_source *source, const struct signalfd_siginfo *info,
                     void *userdata)
{
    struct daemon *daemon = userdata;
    uint64_t timeout_ns = daemon->config->drain_timeout_ns;

    (void)source;
    if (daemon->api.draining) {
        dwb_log(DWB_LOG_WARNING, "second signal: leaving at once");
        daemon->status = DWB_EXIT_FAILURE;
        dwb_loop_stop(daemon->loop);
        return 0;
    }
    dwb_log(DWB_LOG_INFO, "signal %u: finishing", info->ssi_signo);
    sd_notify(0, "STOPPING=1\nSTATUS=finishing the replicate that is measured");
    daemon->api.draining = true;
    /* A socket of systemd's goes on listening: whoever connects waits for the next daemon. */
    if (daemon->inherited)
        dwb_http_stop_accepting(daemon->api.http);
    dwb_loop_set_timer(daemon->end_timer, timeout_ns, 0);
    dwb_jobs_drain(daemon->jobs, timeout_ns / 2, on_drained, daemon);
    return 0;
}

static void on_result(const json_t *document, void *userdata)
{
    struct daemon *daemon = userdata;

    if (daemon->suites)
        dwb_suites_publish(daemon->suites, document, daemon->metrics);
}

static void on_probed(void *userdata)
{
    struct daemon *daemon = userdata;

    dwb_jobs_start(daemon->jobs);
}

/* ---- setting up ---- */

static int restore_result(const struct dwb_job_row *row, void *userdata)
{
    struct daemon *daemon = userdata;
    dwb_cleanup_free char *text = NULL;

    if (dwb_store_get_result(daemon->store, row->id, &text) < 0)
        return 0;
    json_t *document = dwb_json_memory_load(text, strlen(text), 0, NULL);
    on_result(document, daemon);
    json_decref(document);
    return 0;
}

static int collect_id(const struct dwb_job_row *row, void *userdata)
{
    json_array_append_new(userdata, json_string(row->id));
    return 0;
}

/* The last ratios of the shipped suites, as an earlier daemon left them. A broken one is no reason
 * not to start. The list is newest first, and the newest is to win: so it is put last. */
static void restore_ratios(struct daemon *daemon)
{
    char directory[4096];
    json_t *ids = json_array();

    if (dwb_paths_data("suites", directory, sizeof(directory)) == 0 &&
        dwb_suites_new(directory, &daemon->suites) == 0 &&
        dwb_store_list_jobs(daemon->store, DWB_JOB_DONE, NULL, RESTORED_RESULTS, collect_id, ids) ==
            0)
        for (size_t i = json_array_size(ids); i-- > 0;)
            dwb_store_get_job(daemon->store, json_string_value(json_array_get(ids, i)),
                              restore_result, daemon);
    json_decref(ids);
}

static int open_store(struct daemon *daemon)
{
    char path[PATH_MAX + 16], error[256] = "";

    snprintf(path, sizeof(path), "%s/dwbench.db", daemon->places.state_dir);
    int r = dwb_store_open(path, error, sizeof(error), &daemon->store);
    if (r == -EBUSY)
        return report(r, path, "another dwbenchd uses this state directory");
    if (r < 0)
        return report(r, path, "%s", error[0] ? error : strerror(-r));
    return 0;
}

static int open_socket(struct daemon *daemon)
{
    const char *path = daemon->places.socket;

    daemon->listen_fd = dwb_listen_inherited();
    if (daemon->listen_fd >= 0) {
        daemon->inherited = true;
        return 0;
    }
    if (daemon->listen_fd != -ENOENT)
        return report(daemon->listen_fd, "socket activation",
                      "needs exactly one listening Unix stream socket");
    daemon->listen_fd =
        dwb_listen_open(path, (mode_t)daemon->config->socket_mode, daemon->places.socket_group);
    if (daemon->listen_fd == -EADDRINUSE)
        return report(daemon->listen_fd, path, "another daemon answers on this socket");
    if (daemon->listen_fd < 0)
        return report(daemon->listen_fd, path, "cannot listen: %s", strerror(-daemon->listen_fd));
    return 0;
}

static int open_loop(struct daemon *daemon)
{
    sigset_t set;

    int r = dwb_loop_new((enum dwb_loop_backend)daemon->config->loop, &daemon->loop);
    if (r < 0)
        return report(r, "event loop", "%s", strerror(-r));
    if (dwb_loop_fallback_errno(daemon->loop) < 0)
        dwb_log(DWB_LOG_INFO, "io_uring is not available (%s): using epoll",
                strerror(-dwb_loop_fallback_errno(daemon->loop)));
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    r = dwb_loop_add_signals(daemon->loop, &set, on_signal, daemon, &daemon->signals);
    if (r == 0)
        r = dwb_loop_add_timer(daemon->loop, 1, 0, on_end, daemon, &daemon->end_timer);
    return r < 0 ? report(r, "signals", "%s", strerror(-r)) : 0;
}

/* Where the measuring happens; the store's thread is started after this and inherits it. */
static int settle_cpus(struct daemon *daemon)
{
    if (sched_getaffinity(0, sizeof(daemon->allowed), &daemon->allowed) < 0)
        return report(-errno, "affinity", "%s", strerror(errno));
    int r =
        dwb_cpus_choose(&daemon->allowed, daemon->config->measure_cpu, &daemon->api.measure_cpu);
    if (r < 0)
        return report(r, "measure_cpu", "CPU %llu may not be used by this process",
                      (unsigned long long)daemon->config->measure_cpu);
    r = dwb_cpus_avoid(&daemon->allowed, daemon->api.measure_cpu);
    if (r < 0)
        dwb_log(DWB_LOG_WARNING, "cannot keep off CPU %u: %s", daemon->api.measure_cpu,
                strerror(-r));
    return 0;
}

static int start_jobs(struct daemon *daemon)
{
    const struct dwb_config *config = daemon->config;
    struct dwb_jobs_options options = {
        .supervisor =
            {
                .loop = daemon->loop,
                .store = daemon->store,
                .persist = daemon->persist,
                .metrics = daemon->metrics,
                .worker = daemon->places.worker,
                .worker_a = config->worker_a,
                .worker_b = config->worker_b,
                .plugin_dir = config->plugin_dir,
                .measure_cpu = daemon->api.measure_cpu,
                .affinity = daemon->allowed,
                .memory_bytes_max = daemon->api.memory_bytes_max,
                .job_time_ns = config->job_time_ns,
                .worker_deadline_ns = config->worker_deadline_ns,
                .worker_failures = (uint32_t)config->worker_failures,
            },
        .queued_jobs_per_uid = config->queued_jobs_per_uid,
        .queued_jobs_total = config->queued_jobs_total,
    };

    int r = dwb_jobs_new(&options, on_result, daemon, &daemon->jobs);
    if (r < 0)
        return r;
    uint64_t deadline_ns = config->worker_deadline_ns < PROBE_DEADLINE_NS
                               ? config->worker_deadline_ns
                               : PROBE_DEADLINE_NS;
    return dwb_probe_start(daemon->loop, daemon->places.worker, daemon->api.measure_cpu,
                           &daemon->allowed, deadline_ns, on_probed, daemon, &daemon->api.probe);
}

static int start_http(struct daemon *daemon)
{
    const struct dwb_config *config = daemon->config;
    struct dwb_http_options options = {
        .header_deadline_ns = config->header_deadline_ns,
        .idle_timeout_ns = config->idle_timeout_ns,
        .head_bytes_max = config->head_bytes_max,
        .body_bytes_max = config->body_bytes_max,
        .connections_per_uid = config->connections_per_uid,
        .connections_total = config->connections_total,
    };

    return dwb_http_new(daemon->loop, daemon->listen_fd, &options, dwb_api_handle, dwb_api_observe,
                        &daemon->api, &daemon->api.http);
}

static int start_watchdog(struct daemon *daemon)
{
    uint64_t period_us;

    if (sd_watchdog_enabled(0, &period_us) <= 0)
        return 0;
    return dwb_loop_add_timer(daemon->loop, period_us * 500, period_us * 500, on_watchdog, daemon,
                              &daemon->watchdog);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int start(struct daemon *daemon)
{
    int r = dwb_places_find(daemon->config, &daemon->places);
    if (r == 0)
        r = settle_cpus(daemon);
    if (r == 0)
        r = open_loop(daemon);
    if (r == 0)
        r = open_socket(daemon);
    if (r == 0)
        r = open_store(daemon);
    if (r < 0)
        return r;
    restore_ratios(daemon);
    daemon->api.config = daemon->config;
    daemon->api.loop = daemon->loop;
    daemon->api.store = daemon->store;
    daemon->api.metrics = daemon->metrics;
    daemon->api.memory_bytes_max = daemon->places.memory_bytes_max;
    daemon->api.started_ns = dwb_clock_real_ns();
    r = dwb_persist_new(daemon->loop, daemon->store, &daemon->persist);
    if (r == 0)
        r = dwb_loop_add_poll(daemon->loop, dwb_store_fd(daemon->store), POLLIN, on_store, daemon,
                              &daemon->store_source);
    if (r == 0)
        r = start_jobs(daemon);
    daemon->api.jobs = daemon->jobs;
    if (r == 0)
        r = start_http(daemon);
    if (r == 0)
        r = start_watchdog(daemon);
    return r < 0 ? report(r, "start", "%s", strerror(-r)) : 0;
}

static void stop(struct daemon *daemon)
{
    if (daemon->api.http)
        dwb_http_stop_accepting(daemon->api.http);
    dwb_loop_remove(daemon->store_source);
    dwb_store_close(daemon->store);
    dwb_probe_free(daemon->api.probe);
    dwb_jobs_free(daemon->jobs);
    dwb_persist_free(daemon->persist);
    dwb_http_free(daemon->api.http);
    dwb_suites_free(daemon->suites);
    dwb_metrics_free(daemon->metrics);
    dwb_loop_remove(daemon->watchdog);
    dwb_loop_remove(daemon->end_timer);
    dwb_loop_remove(daemon->signals);
    dwb_loop_free(daemon->loop);
    if (daemon->listen_fd >= 0 && !daemon->inherited)
        unlink(daemon->places.socket);
    dwb_closep(&daemon->listen_fd);
}

int dwb_daemon_main(const struct dwb_config *config)
{
    struct daemon daemon = {.config = config, .listen_fd = -1};

    signal(SIGPIPE, SIG_IGN);
    dwb_json_memory_watch();
    raise_descriptor_limit();
    if (dwb_metrics_new(&daemon.metrics) < 0)
        return report(DWB_EXIT_FAILURE, "start", "no memory");
    int r = start(&daemon);
    if (r == 0) {
        dwb_log(DWB_LOG_INFO, "ready: %s, measuring on CPU %u, %s",
                daemon.inherited ? "inherited socket" : daemon.places.socket,
                daemon.api.measure_cpu, dwb_loop_backend_name(daemon.loop));
        sd_notifyf(0, "READY=1\nSTATUS=measuring on CPU %u, loop %s", daemon.api.measure_cpu,
                   dwb_loop_backend_name(daemon.loop));
        r = dwb_loop_run(daemon.loop);
        if (r < 0)
            report(r, "event loop", "%s", strerror(-r));
        if (r < 0 || !daemon.api.draining)
            daemon.status = DWB_EXIT_FAILURE;
    } else {
        daemon.status = DWB_EXIT_USAGE;
    }
    stop(&daemon);
    return daemon.status;
}
