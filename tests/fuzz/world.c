/*
 * See world.h. A connection that neither answers nor ends within dwb_world_stall_ns is cut. Nothing
 * is measured: the queue is never started.
 */

#include "daemon/api.h"
#include "daemon/clock.h"
#include "daemon/listen.h"
#include "daemon/persist.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DONE_ID   "0000000000000000d0ne"
#define SEND_MAX  (100u << 10)
#define LAYER     "{\"Dk\":3,\"Dx\":8,\"M\":8,\"N\":8}"
#define TINY_POST "POST /v1/jobs HTTP/1.1\r\nHost: l\r\nContent-Length: 27\r\n\r\n" LAYER

uint64_t dwb_world_stall_ns = 4000000;

static struct world {
    char directory[64];
    struct dwb_config config;
    struct dwb_loop *loop;
    struct dwb_store *store;
    struct dwb_persist *persist;
    struct dwb_metrics *metrics;
    struct dwb_api api;
    struct dwb_loop_source *store_source, *stall_timer;
    int listen_fd;
    char job[64];
} world;

static struct client {
    int fd;
    char answer[65536];
    size_t length;
} client;

static int on_store(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    dwb_store_dispatch(world.store);
    return 0;
}

static int on_stall(struct dwb_loop_source *source, uint64_t n_expired, void *userdata)
{
    dwb_loop_stop(world.loop);
    return 0;
}

static int on_answer(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    char rest[4096];
    bool full = client.length == sizeof(client.answer);
    ssize_t n = full ? read(client.fd, rest, sizeof(rest))
                     : read(client.fd, client.answer + client.length,
                            sizeof(client.answer) - client.length);

    if (n <= 0) {
        dwb_loop_stop(world.loop);
        return 0;
    }
    client.length += full ? 0 : (size_t)n;
    dwb_loop_set_timer(world.stall_timer, dwb_world_stall_ns, 0);
    return 0;
}

static void path_of(char *buffer, size_t size, const char *name)
{
    snprintf(buffer, size, "%s/%s", world.directory, name);
}

static int connect_client(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    path_of(address.sun_path, sizeof(address.sun_path), "s");
    dwb_target_must(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* What is over the socket's buffer is not sent. */
size_t dwb_world_exchange(const char *data, size_t length, void (*before)(void),
                          const char **ret_answer)
{
    struct dwb_loop_source *source;

    client.fd = connect_client();
    client.length = 0;
    if (send(client.fd, data, length, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
        dwb_target_must(0, "send");
    shutdown(client.fd, SHUT_WR);
    dwb_target_must(dwb_loop_add_poll(world.loop, client.fd, POLLIN, on_answer, NULL, &source) == 0,
                    "poll");
    dwb_loop_set_timer(world.stall_timer, dwb_world_stall_ns, 0);
    if (before)
        before();
    dwb_target_must(dwb_loop_run(world.loop) == 0, "the loop goes on");
    dwb_loop_remove(source);
    close(client.fd);
    *ret_answer = client.answer;
    return client.length;
}

static void ignore(int status, void *userdata)
{
    dwb_target_must(status == 0, "the store takes what the fixture writes");
    ++*(int *)userdata;
}

static void add_done_job(void)
{
    struct dwb_job_row row = {.id = DONE_ID,
                              .uid = getuid(),
                              .name = "done",
                              .spec = LAYER,
                              .reason = "",
                              .created_ns = 1};
    int n = 0;

    dwb_store_add_job(world.store, &row, ignore, &n);
    dwb_store_set_state(world.store, DONE_ID, DWB_JOB_RUNNING, "", 2, NULL, ignore, &n);
    dwb_store_set_state(world.store, DONE_ID, DWB_JOB_DONE, "", 3, "{\"schema\":\"x\"}", ignore,
                        &n);
    while (n < 3) {
        struct pollfd ready = {dwb_store_fd(world.store), POLLIN, 0};
        poll(&ready, 1, 1000);
        dwb_store_dispatch(world.store);
    }
}

static void start_server(void)
{
    struct dwb_http_options options = {world.config.header_deadline_ns,
                                       world.config.idle_timeout_ns,
                                       world.config.head_bytes_max,
                                       world.config.body_bytes_max,
                                       1000,
                                       1000};
    struct dwb_jobs_options jobs = {
        .supervisor = {.loop = world.loop,
                       .store = world.store,
                       .persist = world.persist,
                       .metrics = world.metrics,
                       .worker = "/nonexistent"},
        .queued_jobs_per_uid = 60,
        .queued_jobs_total = 60,
    };

    world.api = (struct dwb_api){.config = &world.config,
                                 .loop = world.loop,
                                 .store = world.store,
                                 .metrics = world.metrics,
                                 .started_ns = 1,
                                 .memory_bytes_max = UINT64_C(1) << 30};
    dwb_target_must(dwb_jobs_new(&jobs, NULL, NULL, &world.api.jobs) == 0 &&
                        dwb_http_new(world.loop, world.listen_fd, &options, dwb_api_handle,
                                     dwb_api_observe, &world.api, &world.api.http) == 0,
                    "the server starts");
}

struct dwb_api *dwb_world_api(void)
{
    return &world.api;
}

struct dwb_config *dwb_world_config(void)
{
    return &world.config;
}

void dwb_world_open(void)
{
    char path[128], error[256] = "";
    const char *answer;
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    snprintf(world.directory, sizeof(world.directory), "%s/fuzz-http-XXXXXX", base);
    dwb_target_must(mkdtemp(world.directory) != NULL, "a directory");
    dwb_log_init("fuzz_http", DWB_LOG_ERROR);
    dwb_config_init(&world.config);
    path_of(path, sizeof(path), "s");
    world.listen_fd = dwb_listen_open(path, 0600, (gid_t)-1);
    dwb_target_must(world.listen_fd >= 0 && dwb_loop_new(DWB_LOOP_EPOLL, &world.loop) == 0,
                    "a loop with a socket");
    path_of(path, sizeof(path), "db");
    dwb_target_must(dwb_store_open(path, error, sizeof(error), &world.store) == 0 &&
                        dwb_persist_new(world.loop, world.store, &world.persist) == 0 &&
                        dwb_metrics_new(&world.metrics) == 0 &&
                        dwb_loop_add_poll(world.loop, dwb_store_fd(world.store), POLLIN, on_store,
                                          NULL, &world.store_source) == 0 &&
                        dwb_loop_add_timer(world.loop, dwb_world_stall_ns, 0, on_stall, NULL,
                                           &world.stall_timer) == 0,
                    "a store");
    add_done_job();
    start_server();
    uint64_t stall_ns = dwb_world_stall_ns;

    dwb_world_stall_ns = UINT64_C(5000000000); /* this one is needed, however busy the machine is */
    size_t length = dwb_world_exchange(TINY_POST, strlen(TINY_POST), NULL, &answer);
    dwb_world_stall_ns = stall_ns;
    const char *id = memmem(answer, length, "/v1/jobs/", 9);
    dwb_target_must(id != NULL, "a job is queued");
    snprintf(world.job, sizeof(world.job), "%.20s", id + 9);
}

void dwb_world_close(void)
{
    static const char *const names[] = {"s", "db", "db-wal", "db-shm", "db.lock", "s.lock"};
    char path[128];

    if (!world.loop)
        return;
    dwb_http_stop_accepting(world.api.http);
    dwb_loop_remove(world.store_source);
    dwb_store_close(world.store);
    dwb_jobs_free(world.api.jobs);
    dwb_persist_free(world.persist);
    dwb_http_free(world.api.http);
    dwb_metrics_free(world.metrics);
    dwb_loop_remove(world.stall_timer);
    dwb_loop_free(world.loop);
    close(world.listen_fd);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        path_of(path, sizeof(path), names[i]);
        unlink(path);
    }
    rmdir(world.directory);
    memset(&world, 0, sizeof(world));
}

/* Copies data with its placeholders replaced; returns the length. */
size_t dwb_world_fill_in(const char *data, size_t size, char *out, size_t room)
{
    size_t n = 0;

    for (size_t i = 0; i < size && n + 64 < room;) {
        const char *id = size - i >= 5 && memcmp(data + i, "{JOB}", 5) == 0    ? world.job
                         : size - i >= 6 && memcmp(data + i, "{DONE}", 6) == 0 ? DONE_ID
                                                                               : NULL;

        if (id) {
            n += (size_t)snprintf(out + n, room - n, "%s", id);
            i += id == world.job ? 5 : 6;
        } else {
            out[n++] = data[i++];
        }
    }
    return n;
}
