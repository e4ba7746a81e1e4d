/*
 * The outside of a simulation: finds Valgrind, starts it on this program once an operation, and
 * reads what it has counted.
 *
 * All that passes between the two processes is in memory files (memfd), so nothing is left behind
 * whenever either of them is killed: descriptor 0 has the request, 1 takes the child's answer, 2
 * its complaints, and 3, as /proc/self/fd/3, what Callgrind writes. The child's environment,
 * directory and layer name are fixed, for their lengths would move its stack and heap and with them
 * some simulated misses.
 */

#include "measure/simulate.h"

#include "common/cleanup.h"
#include "measure/callgrind.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_BYTES_MAX (8u << 20)
#define TICK_MS          1000
#define COLUMNS_MAX      32

enum { STREAM_REQUEST, STREAM_ANSWER, STREAM_ERRORS, STREAM_COUNTS, N_STREAMS };

struct child {
    const char *program;
    char *const *arguments;
    int streams[N_STREAMS]; /* memory files at 10 and above */
};

static int complain(char *error, int r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int complain(char *error, int r, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, DWB_SIMULATE_ERROR_MAX, format, arguments);
    va_end(arguments);
    return r;
}

/* ---- processes ---- */

static void close_streams(struct child *child)
{
    for (size_t i = 0; i < N_STREAMS; i++)
        dwb_closep(&child->streams[i]);
}

static int open_streams(struct child *child, const char *request)
{
    size_t n = strlen(request);

    for (size_t i = 0; i < N_STREAMS; i++) {
        dwb_cleanup_close int fd = memfd_create("dwbench", MFD_CLOEXEC);

        if (fd >= 0)
            child->streams[i] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
        if (child->streams[i] < 0)
            return -errno;
    }
    if (pwrite(child->streams[STREAM_REQUEST], request, n, 0) != (ssize_t)n)
        return -EIO;
    return 0;
}

static void __attribute__((noreturn)) child_run(const struct child *child, pid_t parent)
{
    char *const environment[] = {(char *)"PATH=/usr/local/bin:/usr/bin:/bin",
                                 (char *)"OMP_NUM_THREADS=1", (char *)"LC_ALL=C", NULL};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before the line above */
        _exit(127);
    for (int i = 0; i < N_STREAMS; i++)
        if (dup2(child->streams[i], i) < 0)
            _exit(127);
    close_range(N_STREAMS, ~0u, 0);
    if (chdir("/") < 0)
        _exit(127);
    execve(child->program, child->arguments, environment);
    dprintf(STDERR_FILENO, "%s: %s\n", child->program, strerror(errno));
    _exit(127);
}

/* Waits for the end; tick once a second. The wait status, or a negative errno. */
static int wait_for(pid_t pid, void (*tick)(void *userdata), void *userdata)
{
    dwb_cleanup_close int pidfd = pidfd_open(pid, 0);
    int status;

    while (pidfd >= 0 && poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, TICK_MS) == 0)
        if (tick)
            tick(userdata);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return status;
}

/* What a stream holds, as a string to free; NULL without memory or when it is too long. */
static char *text_of(const struct child *child, int stream)
{
    dwb_cleanup_free char *text = NULL;
    struct stat status;

    if (fstat(child->streams[stream], &status) < 0 || status.st_size > OUTPUT_BYTES_MAX)
        return NULL;
    text = calloc(1, (size_t)status.st_size + 1);
    if (!text || pread(child->streams[stream], text, (size_t)status.st_size, 0) != status.st_size)
        return NULL;
    return dwb_steal(text);
}

/* The line that says most: the first of Valgrind's own, which begin "==PID==" and end in advice, or
 * else the last of all. */
static void telling_line(const struct child *child, char *buffer, size_t size)
{
    dwb_cleanup_free char *text = text_of(child, STREAM_ERRORS);
    char *save = NULL;

    buffer[0] = '\0';
    for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
         line = strtok_r(NULL, "\n", &save)) {
        char *mark = strncmp(line, "==", 2) == 0 ? strstr(line + 2, "==") : NULL;

        line = mark ? mark + 2 : line;
        line += strspn(line, " \t");
        if (*line)
            snprintf(buffer, size, "%s", line);
        if (*line && mark)
            break;
    }
    for (char *c = buffer; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

/* Starts the program and waits. 0, or a negative errno with a sentence in error. */
static int run_child(struct child *child, void (*tick)(void *userdata), void *userdata, char *error)
{
    pid_t parent = getpid(), pid = fork();
    char line[200];
    int status;

    if (pid < 0)
        return complain(error, -errno, "no process for valgrind: %s", strerror(errno));
    if (pid == 0)
        child_run(child, parent);
    status = wait_for(pid, tick, userdata);
    if (status < 0)
        return complain(error, status, "valgrind was lost: %s", strerror(-status));
    if (status == 0)
        return 0;
    telling_line(child, line, sizeof line);
    if (WIFSIGNALED(status))
        return complain(error, -EIO, "valgrind was killed by SIG%s%s%s",
                        sigabbrev_np(WTERMSIG(status)), line[0] ? ": " : "", line);
    return complain(error, -EIO, "valgrind ended with status %d%s%s", WEXITSTATUS(status),
                    line[0] ? ": " : "", line);
}

/* ---- the tool ---- */

static int find_valgrind(char *path, size_t size)
{
    const char *directories = getenv("PATH");
    dwb_cleanup_free char *copy =
        strdup(directories ? directories : "/usr/local/bin:/usr/bin:/bin");
    char *save = NULL;

    for (char *at = copy ? strtok_r(copy, ":", &save) : NULL; at; at = strtok_r(NULL, ":", &save))
        if (snprintf(path, size, "%s/valgrind", at) < (int)size && at[0] == '/' &&
            access(path, X_OK) == 0)
            return 0;
    return -ENOENT;
}

/* Valgrind translates code and then runs it. Its launcher, which says the version, does not. */
static bool may_write_code(void)
{
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page =
        mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return false;
    munmap(page, size);
    return true;
}

int dwb_simulate_available(char error[DWB_SIMULATE_ERROR_MAX], char *tool, size_t tool_size)
{
    char path[4096];
    char *const arguments[] = {path, (char *)"--version", NULL};
    struct child child = {.program = path, .arguments = arguments, .streams = {-1, -1, -1, -1}};
    dwb_cleanup_free char *version = NULL;
    int r;

    if (!dwb_callgrind_built_in())
        return complain(error, -ENOTSUP,
                        "cannot simulate: dwbench-worker was built without Valgrind's header; "
                        "install the package valgrind and build again");
    if (find_valgrind(path, sizeof path) < 0)
        return complain(error, -ENOENT,
                        "cannot simulate: valgrind is not installed (sudo apt-get install "
                        "valgrind)");
    if (!may_write_code())
        return complain(error, -EPERM,
                        "cannot simulate: valgrind writes code, which is forbidden here "
                        "(MemoryDenyWriteExecute= of the unit; the drop-in onednn.conf allows "
                        "it)");
    r = open_streams(&child, "");
    if (r < 0)
        complain(error, r, "cannot simulate: no memory file: %s", strerror(-r));
    else
        r = run_child(&child, NULL, NULL, error);
    if (r == 0)
        version = text_of(&child, STREAM_ANSWER);
    close_streams(&child);
    if (r == -EIO) { /* it is there, and does not start */
        char said[160];

        snprintf(said, sizeof said, "%.150s", error);
        return complain(error, r, "cannot simulate: %s", said);
    }
    if (r < 0)
        return r;
    if (!version || strncmp(version, "valgrind-", 9) != 0)
        return complain(error, -EINVAL, "cannot simulate: %s does not say its version", path);
    snprintf(tool, tool_size, "%.*s, callgrind", (int)strcspn(version, "\n"), version);
    return 0;
}

static uint64_t power_of_two_below(uint64_t n)
{
    return n ? UINT64_C(1) << (63 - __builtin_clzll(n)) : 0;
}

static int shape_of(const struct dwb_cache_level *level, struct dwb_cache_shape *shape, bool *exact)
{
    uint64_t way_bytes = (uint64_t)level->ways * level->line_bytes, n_sets;

    if (way_bytes == 0 || level->bytes < way_bytes)
        return -ENODATA;
    n_sets = power_of_two_below(level->bytes / way_bytes);
    shape->line_bytes = level->line_bytes;
    shape->ways = (uint32_t)(level->bytes / level->line_bytes / n_sets);
    shape->bytes = n_sets * shape->ways * shape->line_bytes;
    *exact = *exact && shape->bytes == level->bytes && shape->ways == level->ways;
    return dwb_cache_shape_valid(shape) ? 0 : -ENODATA;
}

int dwb_simulate_geometry(const struct dwb_caches *caches, struct dwb_geometry *ret_geometry,
                          bool *ret_exact)
{
    struct dwb_geometry geometry;
    bool exact = true;
    size_t last = 3;

    while (last > 0 && caches->levels[last].bytes == 0)
        last--;
    if (shape_of(&caches->instruction, &geometry.i1, &exact) < 0 ||
        shape_of(&caches->levels[0], &geometry.d1, &exact) < 0 ||
        shape_of(&caches->levels[last], &geometry.ll, &exact) < 0)
        return -ENODATA;
    *ret_geometry = geometry;
    *ret_exact = exact;
    return 0;
}

int dwb_simulate_prepare(const struct dwb_request *request, uint32_t cpu,
                         char error[DWB_SIMULATE_ERROR_MAX], struct dwb_simulation **ret_simulation)
{
    DWB_CLEANUP(dwb_simulation_freep)
    struct dwb_simulation *simulation = calloc(1, sizeof *simulation);
    struct dwb_caches caches;
    bool exact;
    int r;

    if (!simulation)
        return complain(error, -ENOMEM, "out of memory");
    r = dwb_simulate_available(error, simulation->tool, sizeof simulation->tool);
    if (r < 0)
        return r;
    if (request->geometry[0]) {
        r = dwb_geometry_parse(request->geometry, &simulation->geometry);
        snprintf(simulation->origin, sizeof simulation->origin, "given");
    } else {
        dwb_machine_caches("", cpu, &caches);
        r = dwb_simulate_geometry(&caches, &simulation->geometry, &exact);
        snprintf(simulation->origin, sizeof simulation->origin,
                 r == 0 && !exact ? "sysfs, fitted to a power of two of sets" : "sysfs");
    }
    if (r < 0)
        return complain(error, r,
                        "cannot simulate: sysfs does not say what caches CPU %u has; give them: "
                        "geometry 32768,8,64/49152,12,64/33554432,16,64",
                        cpu);
    *ret_simulation = dwb_steal(simulation);
    return 0;
}

/* ---- one operation ---- */

/* Valgrind's CPU has no AVX-512: AUTO becomes AVX2 by itself there, and so does what was forced. */
static enum dwb_isa simulated_isa(enum dwb_isa isa)
{
    return isa == DWB_ISA_AVX512 ? DWB_ISA_AVX2 : isa;
}

/* The plugin whose backend it is, and where that is; nothing when it is none. */
static int add_plugin(const struct dwb_request *request, const char *backend, json_t *object)
{
    char name[DWB_BACKEND_NAME_MAX];

    for (uint32_t i = 0; i < request->plugins.n; i++) {
        dwb_plugin_backend_name(request->plugins.items[i], name);
        if (strcmp(name, backend) != 0)
            continue;
        return json_object_set_new(object, "plugin", json_string(request->plugins.items[i])) |
               json_object_set_new(object, "plugin_dir", json_string(request->plugin_dir));
    }
    return 0;
}

static bool is_plugin(const char *backend)
{
    return strncmp(backend, DWB_PLUGIN_PREFIX, strlen(DWB_PLUGIN_PREFIX)) == 0;
}

/* No count depends on the inputs' values, so a seed of more than JSON's 63 bits may lose one. */
static char *make_request(const struct dwb_request *request, const struct dwb_subject *subject)
{
    bool alone = strcmp(subject->backend, dwb_backend_name(0)) == 0 || is_plugin(subject->backend);
    struct dwb_layer layer = request->layer;
    char backends[DWB_BACKEND_NAME_MAX + 8];
    json_t *object;
    char *text;

    snprintf(backends, sizeof backends, "%s%s%s", dwb_backend_name(0), alone ? "" : ",",
             alone ? "" : subject->backend);
    snprintf(layer.name, sizeof layer.name, "layer");
    object = json_pack("{s:o, s:s, s:s, s:s, s:I}", "layer", dwb_layer_to_json(&layer), "isa",
                       dwb_isa_name(simulated_isa(request->isa)), "cache",
                       dwb_cache_mode_name(request->cache), "backends", backends, "seed",
                       (json_int_t)(request->seed & INT64_MAX));
    text = object && add_plugin(request, subject->backend, object) == 0
               ? json_dumps(object, JSON_COMPACT)
               : NULL;
    json_decref(object);
    return text;
}

int dwb_simulate_parse(const char *text, uint64_t counts[DWB_N_SIMULATED])
{
    static const struct {
        const char *event;
        enum dwb_simulated_count count;
    } table[] = {
        {"Ir", DWB_SIMULATED_INSTRUCTIONS},    {"Dr", DWB_SIMULATED_DATA_REFERENCES},
        {"Dw", DWB_SIMULATED_DATA_REFERENCES}, {"I1mr", DWB_SIMULATED_L1I_MISSES},
        {"D1mr", DWB_SIMULATED_L1D_MISSES},    {"D1mw", DWB_SIMULATED_L1D_MISSES},
        {"ILmr", DWB_SIMULATED_LL_MISSES},     {"DLmr", DWB_SIMULATED_LL_MISSES},
        {"DLmw", DWB_SIMULATED_LL_MISSES},
    };
    const char *events = strstr(text, "\nevents:"), *totals = strstr(text, "\ntotals:");
    uint64_t sums[DWB_N_SIMULATED] = {0};
    unsigned seen = 0;

    if (!events || !totals)
        return -EINVAL;
    events += strlen("\nevents:");
    totals += strlen("\ntotals:");
    for (size_t column = 0; column < COLUMNS_MAX; column++) {
        size_t length = strcspn(events += strspn(events, " "), " \n"), k = 0;
        unsigned long long value = 0;
        int n = 0;

        if (length == 0)
            break;
        if (sscanf(totals, " %llu%n", &value, &n) == 1) /* zeros at the end are left out */
            totals += n;
        while (k < sizeof table / sizeof *table &&
               (strlen(table[k].event) != length || strncmp(table[k].event, events, length) != 0))
            k++;
        if (k < sizeof table / sizeof *table) {
            sums[table[k].count] += value;
            seen |= 1u << k;
        }
        events += length;
    }
    if (seen != (1u << sizeof table / sizeof *table) - 1 || sums[DWB_SIMULATED_INSTRUCTIONS] == 0)
        return -EINVAL;
    memcpy(counts, sums, sizeof sums);
    return 0;
}

/* The child's line: which kernel ran, and whether its outputs were right. */
static int take_answer(const struct child *child, struct dwb_simulated *item)
{
    dwb_cleanup_free char *text = text_of(child, STREAM_ANSWER);
    json_t *answer = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *kernel = json_string_value(json_object_get(answer, "kernel"));
    const char *isa = json_string_value(json_object_get(answer, "isa"));
    json_int_t mismatched = json_integer_value(json_object_get(answer, "mismatched"));
    int r = kernel && isa ? 0 : -EINVAL;

    if (r == 0) {
        snprintf(item->kernel, sizeof item->kernel, "%s", kernel);
        snprintf(item->isa, sizeof item->isa, "%s", isa);
    }
    if (r < 0)
        snprintf(item->reason, sizeof item->reason, "the simulated process gave no answer");
    else if (mismatched > 0)
        snprintf(item->reason, sizeof item->reason, "outputs wrong at %lld positions",
                 (long long)mismatched);
    json_decref(answer);
    return r == 0 && mismatched == 0 ? 0 : -EIO;
}

struct step {
    dwb_simulate_progress_fn *progress;
    void *userdata;
    struct dwb_simulate_progress at;
    struct timespec start;
};

static void on_tick(void *userdata)
{
    struct step *step = userdata;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    step->at.elapsed_ns = (uint64_t)((now.tv_sec - step->start.tv_sec) * 1000000000LL +
                                     now.tv_nsec - step->start.tv_nsec);
    if (step->progress)
        step->progress(&step->at, step->userdata);
}

static void shape_argument(char *buffer, size_t size, const char *flag,
                           const struct dwb_cache_shape *shape)
{
    snprintf(buffer, size, "--%s=%llu,%u,%u", flag, (unsigned long long)shape->bytes, shape->ways,
             shape->line_bytes);
}

static void simulate(const struct dwb_request *request, struct step *step,
                     const struct dwb_geometry *geometry, struct dwb_simulated *item)
{
    char valgrind[4096], own[4096] = "", caches[3][64], call[128], error[DWB_SIMULATE_ERROR_MAX];
    char *const arguments[] = {valgrind,
                               (char *)"-q",
                               (char *)"--tool=callgrind",
                               (char *)"--vgdb=no",
                               (char *)"--cache-sim=yes",
                               (char *)"--instr-atstart=no",
                               (char *)"--collect-atstart=no",
                               (char *)"--callgrind-out-file=/proc/self/fd/3",
                               caches[0],
                               caches[1],
                               caches[2],
                               own,
                               (char *)"--simulated-call",
                               call,
                               NULL};
    struct child child = {.program = valgrind, .arguments = arguments, .streams = {-1, -1, -1, -1}};
    dwb_cleanup_free char *text = make_request(request, step->at.subject), *counts = NULL;
    int r = text ? open_streams(&child, text) : -ENOMEM;

    shape_argument(caches[0], sizeof caches[0], "I1", &geometry->i1);
    shape_argument(caches[1], sizeof caches[1], "D1", &geometry->d1);
    shape_argument(caches[2], sizeof caches[2], "LL", &geometry->ll);
    snprintf(call, sizeof call, "%s:%s", step->at.subject->backend,
             dwb_operation_name(step->at.subject->operation));
    if (r == 0 && (find_valgrind(valgrind, sizeof valgrind) < 0 ||
                   readlink("/proc/self/exe", own, sizeof own - 1) < 0))
        r = -ENOENT;
    if (r < 0) {
        snprintf(item->reason, sizeof item->reason, "valgrind cannot be started: %s", strerror(-r));
    } else {
        on_tick(step);
        r = run_child(&child, on_tick, step, error);
        if (r < 0)
            snprintf(item->reason, sizeof item->reason, "%.250s", error);
    }
    if (r == 0)
        r = take_answer(&child, item);
    if (r == 0)
        counts = text_of(&child, STREAM_COUNTS);
    item->counted = r == 0 && counts && dwb_simulate_parse(counts, item->counts) == 0;
    if (r == 0 && !item->counted)
        snprintf(item->reason, sizeof item->reason, "what callgrind wrote cannot be read");
    close_streams(&child);
}

int dwb_simulate_run(const struct dwb_request *request, const struct dwb_subject *subjects,
                     size_t n_subjects, dwb_simulate_progress_fn *progress, void *userdata,
                     struct dwb_simulation *simulation)
{
    struct step step = {.progress = progress, .userdata = userdata};

    simulation->items = calloc(n_subjects + 1, sizeof *simulation->items);
    if (!simulation->items)
        return -ENOMEM;
    for (size_t i = 0; i < n_subjects; i++)
        step.at.n_steps += subjects[i].backend[0] != '\0';
    for (size_t i = 0; i < n_subjects; i++) {
        struct dwb_simulated *item = &simulation->items[simulation->n];

        if (subjects[i].backend[0] == '\0') /* the canary and the probes */
            continue;
        item->subject = (uint32_t)i;
        step.at.subject = &subjects[i];
        step.at.step = (uint32_t)++simulation->n;
        clock_gettime(CLOCK_MONOTONIC, &step.start);
        simulate(request, &step, &simulation->geometry, item);
        if (strcmp(subjects[i].isa, "avx512") == 0 && strcmp(item->isa, "avx2") == 0)
            snprintf(simulation->note, sizeof simulation->note,
                     "valgrind has no AVX-512: the AVX2 kernels were simulated in place of the "
                     "AVX-512 ones that were measured");
    }
    return 0;
}
