/* See api_fixture.h. */

#include "tests/unit/api_fixture.h"

#include "daemon/api.h"
#include "tests/fuzz/world.h"

#include <check.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_MANY 30
/* 40 letters */
#define LONG_NAME "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct api_says says;
static unsigned n_key_searches, n_lists;
static json_t *machine;
static char directory[] = "/tmp/test_api.XXXXXX";

/* ---- functions in place of others ---- */

#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

WRAP(uid_t, dwb_http_uid, const struct dwb_http_exchange *exchange)
{
    if (says.by_root)
        return 0;
    return says.uid ? says.uid : __real_dwb_http_uid(exchange);
}

WRAP(enum dwb_http_refusal, dwb_http_refusal, const struct dwb_http_exchange *exchange)
{
    return says.refusal ? says.refusal : __real_dwb_http_refusal(exchange);
}

WRAP(int, dwb_store_failed, const struct dwb_store *store)
{
    return says.store_failed ? says.store_failed : __real_dwb_store_failed(store);
}

WRAP(int, dwb_store_get_job, struct dwb_store *store, const char *id, dwb_store_job_fn *fn,
     void *userdata)
{
    struct dwb_job_row row = {.id = id, .uid = 4711, .name = "", .spec = says.spec, .reason = ""};

    if (says.get_job)
        return says.get_job;
    return says.spec ? fn(&row, userdata) : __real_dwb_store_get_job(store, id, fn, userdata);
}

WRAP(int, dwb_store_get_result, struct dwb_store *store, const char *id, char **ret_result)
{
    return says.get_result ? says.get_result : __real_dwb_store_get_result(store, id, ret_result);
}

WRAP(int, dwb_store_list_jobs, struct dwb_store *store, int state, const char *after,
     uint32_t limit, dwb_store_job_fn *fn, void *userdata)
{
    return says.list_jobs ? says.list_jobs
                          : __real_dwb_store_list_jobs(store, state, after, limit, fn, userdata);
}

WRAP(int, dwb_store_list_replicates, struct dwb_store *store, const char *id,
     dwb_store_replicate_fn *fn, void *userdata)
{
    int r = says.list_replicates[n_lists++ % 2];

    if (r)
        return r;
    if (!says.replicates)
        return __real_dwb_store_list_replicates(store, id, fn, userdata);
    r = fn(0, 0, "{}", userdata);
    return r < 0 ? r : fn(7, 0, "{}", userdata);
}

WRAP(int, dwb_store_find_key, struct dwb_store *store, uid_t uid, const char *key, char *ret_id,
     size_t size)
{
    if (says.key_comes_late && n_key_searches++ == 0)
        return -ENOENT;
    return __real_dwb_store_find_key(store, uid, key, ret_id, size);
}

WRAP(int, dwb_jobs_status, const struct dwb_jobs *jobs, const char *id,
     struct dwb_jobs_status *ret_status)
{
    if (!says.running)
        return __real_dwb_jobs_status(jobs, id, ret_status);
    *ret_status = (struct dwb_jobs_status){.running = true, .totals = {.layers_done = 3}};
    return 0;
}

WRAP(int, dwb_jobs_listen, struct dwb_jobs *jobs, const char *id, struct dwb_event_sink *sink)
{
    return says.listen ? says.listen : __real_dwb_jobs_listen(jobs, id, sink);
}

WRAP(int, dwb_jobs_cancel, struct dwb_jobs *jobs, const char *id, const char *reason,
     dwb_jobs_done_fn *fn, void *userdata)
{
    return says.cancel ? says.cancel : __real_dwb_jobs_cancel(jobs, id, reason, fn, userdata);
}

WRAP(int, dwb_jobs_submit, struct dwb_jobs *jobs, const struct dwb_jobs_submission *submission,
     dwb_jobs_done_fn *fn, void *userdata)
{
    if (says.submit)
        return says.submit;
    if (!says.submitted)
        return __real_dwb_jobs_submit(jobs, submission, fn, userdata);
    fn(says.submitted, NULL, userdata);
    return 0;
}

WRAP(int, dwb_loop_fallback_errno, const struct dwb_loop *loop)
{
    return says.fallback ? says.fallback : __real_dwb_loop_fallback_errno(loop);
}

WRAP(int, dwb_metrics_render, const struct dwb_metrics *metrics,
     const struct dwb_metrics_view *view, bool openmetrics, char **ret_text, size_t *ret_length)
{
    return says.metrics
               ? says.metrics
               : __real_dwb_metrics_render(metrics, view, openmetrics, ret_text, ret_length);
}

/* The API's probe is none of its own here: see api_let. */
WRAP(const json_t *, dwb_probe_document, const struct dwb_probe *probe)
{
    return machine;
}

WRAP(const char *, dwb_probe_error, const struct dwb_probe *probe)
{
    return says.probe_error;
}

/* ---- what they say ---- */

void api_unquote(const char *text, char *buffer, size_t size)
{
    snprintf(buffer, size, "%s", text);
    for (char *c = buffer; *c; c++)
        if (*c == '\'')
            *c = '"';
}

static json_t *load_machine(const char *text)
{
    char buffer[4096];
    json_t *loaded;

    if (!text)
        return NULL;
    api_unquote(text, buffer, sizeof(buffer));
    loaded = json_loads(buffer, 0, NULL);
    ck_assert_ptr_nonnull(loaded);
    return loaded;
}

void api_let(const struct api_says *new_says)
{
    struct dwb_config *config = dwb_world_config();
    struct dwb_api *api = dwb_world_api();
    static const struct api_says nothing;

    says = new_says ? *new_says : nothing;
    n_key_searches = n_lists = 0;
    json_decref(machine);
    machine = load_machine(says.machine);
    dwb_world_stall_ns = says.stalls ? UINT64_C(100000000) : UINT64_C(5000000000);
    api->draining = says.draining;
    api->memory_bytes_max = says.memory_bytes ? says.memory_bytes : UINT64_C(1) << 30;
    api->probe = machine || says.probe_error ? (struct dwb_probe *)&says : NULL; /* only passed */
    dwb_config_init(config);
    config->job_time_ns = says.job_time_ns ? says.job_time_ns : config->job_time_ns;
    config->admins[0] = says.admin;
    config->n_admins = says.admin != 0;
    snprintf(config->worker_a, sizeof(config->worker_a), "%s", says.worker_a ? says.worker_a : "");
    if (says.plugin_dir && says.plugin_dir[0] == '@')
        snprintf(config->plugin_dir, sizeof(config->plugin_dir), "%s%s", directory,
                 says.plugin_dir + 1);
    else if (says.plugin_dir)
        snprintf(config->plugin_dir, sizeof(config->plugin_dir), "%s", says.plugin_dir);
}

/* ---- plugins ---- */

static void path_of(char path[256], const char *name)
{
    snprintf(path, 256, "%s/%s", directory, name);
}

static void write_file(const char *name, const void *data, size_t length)
{
    char path[256];
    int fd;

    path_of(path, name);
    fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, length), (ssize_t)length);
    close(fd);
}

void api_make_plugins(void)
{
    char path[256];
    Elf64_Ehdr header;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    ck_assert_int_eq(read(fd, &header, sizeof(header)), sizeof(header));
    close(fd);
    header.e_type = ET_DYN;
    ck_assert_ptr_nonnull(mkdtemp(directory));
    write_file("good.so", &header, sizeof(header));
    write_file("text.so", "text", 4);
    path_of(path, "none");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    path_of(path, "many");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    for (int i = 0; i < N_MANY; i++) {
        char name[64];

        snprintf(name, sizeof(name), "many/" LONG_NAME "%02d.so", i);
        write_file(name, "", 0);
    }
}

void api_remove_plugins(void)
{
    char path[256], name[64];

    for (int i = 0; i < N_MANY; i++) {
        snprintf(name, sizeof(name), "many/" LONG_NAME "%02d.so", i);
        path_of(path, name);
        unlink(path);
    }
    static const char *const names[] = {"good.so", "text.so", "none", "many", ""};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        path_of(path, names[i]);
        remove(path);
    }
}
