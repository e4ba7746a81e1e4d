#include "daemon/worker.h"

/*
 * See worker.h. A worker ends when its process is reaped AND its output has been read to the end
 * (or what is left in the pipe after the process has gone: a grandchild that keeps the pipe open
 * cannot hold the daemon up, the group is killed with the process).
 *
 * Invariants: at most one outcome is set, the first one wins; `pid` is valid until the reap, so a
 * signal never reaches a recycled pid.
 */

#include "common/cleanup.h"
#include "common/diag.h"
#include "common/json_memory.h"
#include "daemon/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STDERR_TAIL_BYTES  4096
#define PROGRESS_BYTES_MAX (1u << 20) /* of all lines that are not the record */
#define CHECK_PERIOD_NS    UINT64_C(200000000)
#define READ_BYTES         65536
#define READS_A_CALL       16 /* a worker that writes without end must not starve the loop */

struct dwb_worker {
    struct dwb_loop *loop;
    struct dwb_spawned process;
    struct dwb_loop_source *exit_source;
    struct dwb_loop_source *input_source;
    struct dwb_loop_source *output_source;
    struct dwb_loop_source *error_source;
    struct dwb_loop_source *deadline_source;
    struct dwb_loop_source *check_source;
    dwb_worker_progress_fn *on_progress;
    dwb_worker_end_fn *on_end;
    void *userdata;
    char record_type[16];
    char *request;
    size_t request_length, request_written;
    uint64_t memory_bytes_max;
    char *line; /* the line that is being read */
    size_t line_length, line_size;
    uint64_t other_bytes; /* of lines that were not the record */
    char error_tail[STDERR_TAIL_BYTES];
    size_t error_length;
    struct dwb_worker_end end;
    bool has_outcome;
};

const char *dwb_worker_outcome_name(enum dwb_worker_outcome outcome)
{
    static const char *const names[DWB_N_WORKER_OUTCOMES] = {
        [DWB_WORKER_OK] = "ok",
        [DWB_WORKER_WRONG_OUTPUTS] = "wrong_outputs",
        [DWB_WORKER_BAD_REQUEST] = "bad_request",
        [DWB_WORKER_EXIT] = "exit_status",
        [DWB_WORKER_SIGNAL] = "signal",
        [DWB_WORKER_DEADLINE] = "deadline",
        [DWB_WORKER_MEMORY] = "memory",
        [DWB_WORKER_OUTPUT] = "output",
        [DWB_WORKER_SPAWN] = "spawn",
        [DWB_WORKER_KILLED] = "killed",
    };

    return names[outcome];
}

static void __attribute__((format(printf, 3, 4)))
set_outcome(struct dwb_worker *worker, enum dwb_worker_outcome outcome, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    if (worker->has_outcome)
        return;
    worker->has_outcome = true;
    worker->end.outcome = outcome;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    size_t length = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    dwb_escape(worker->end.reason, sizeof(worker->end.reason), text, length);
}

static void kill_group(struct dwb_worker *worker)
{
    if (worker->process.pid > 0) {
        kill(-worker->process.pid, SIGKILL);
        kill(worker->process.pid, SIGKILL); /* before it has made its group */
    }
}

static void abort_with(struct dwb_worker *worker, enum dwb_worker_outcome outcome,
                       const char *reason)
{
    set_outcome(worker, outcome, "%s", reason);
    kill_group(worker);
}

static void abort_for_shortage(struct dwb_worker *worker, int r, const char *reason)
{
    if (!worker->has_outcome)
        worker->end.shortage = r;
    abort_with(worker, DWB_WORKER_SPAWN, reason);
}

/* The last non-empty line of stderr, or "". */
static void last_error_line(const struct dwb_worker *worker, char *buffer, size_t size)
{
    size_t end = worker->error_length;

    while (end > 0 && worker->error_tail[end - 1] == '\n')
        end--;
    size_t start = end;
    while (start > 0 && worker->error_tail[start - 1] != '\n')
        start--;
    if (end - start > size - 1)
        end = start + size - 1;
    memcpy(buffer, worker->error_tail + start, end - start);
    buffer[end - start] = '\0';
}

static void keep_record(struct dwb_worker *worker, json_t *document)
{
    if (worker->end.line) {
        abort_with(worker, DWB_WORKER_OUTPUT, "wrote more than one record");
        return;
    }
    worker->end.document = json_incref(document);
    worker->end.line = strdup(worker->line);
    if (!worker->end.line)
        abort_for_shortage(worker, -ENOMEM, "no memory for the record");
}

static void take_line(struct dwb_worker *worker)
{
    dwb_json_memory_begin();
    json_t *document =
        dwb_json_memory_load(worker->line, worker->line_length, JSON_REJECT_DUPLICATES, NULL);
    const char *type = json_string_value(json_object_get(document, "type"));

    if (!document && dwb_json_memory_was_short())
        abort_for_shortage(worker, -ENOMEM, "no memory for its output");
    else if (!type)
        abort_with(worker, DWB_WORKER_OUTPUT,
                   document ? "wrote a line without a type" : "wrote a line that is not JSON");
    else if (strcmp(type, worker->record_type) == 0)
        keep_record(worker, document);
    else if (strcmp(type, "progress") == 0 && worker->on_progress && !worker->has_outcome)
        worker->on_progress(document, worker->userdata);
    if (type && strcmp(type, worker->record_type) != 0) {
        worker->other_bytes += worker->line_length + 1;
        if (worker->other_bytes > PROGRESS_BYTES_MAX)
            abort_with(worker, DWB_WORKER_OUTPUT, "wrote too many lines");
    }
    json_decref(document);
}

static int append_to_line(struct dwb_worker *worker, const char *data, size_t n)
{
    if (worker->line_length + n > DWB_RECORD_BYTES_MAX) {
        abort_with(worker, DWB_WORKER_OUTPUT, "wrote a line past the limit of a record");
        return -E2BIG;
    }
    if (worker->line_length + n + 1 > worker->line_size) {
        size_t size = 2 * (worker->line_length + n + 1);
        char *line = realloc(worker->line, size);
        if (!line) {
            abort_for_shortage(worker, -ENOMEM, "no memory for its output");
            return -ENOMEM;
        }
        worker->line = line;
        worker->line_size = size;
    }
    memcpy(worker->line + worker->line_length, data, n);
    worker->line_length += n;
    worker->line[worker->line_length] = '\0';
    return 0;
}

static void take_output(struct dwb_worker *worker, const char *data, size_t n)
{
    while (n > 0 && !worker->has_outcome) {
        const char *newline = memchr(data, '\n', n);
        size_t part = newline ? (size_t)(newline - data) : n;
        if (append_to_line(worker, data, part) < 0)
            return;
        if (!newline)
            return;
        take_line(worker);
        worker->line_length = 0;
        data += part + 1;
        n -= part + 1;
    }
}

static void take_error(struct dwb_worker *worker, const char *data, size_t n)
{
    if (n > STDERR_TAIL_BYTES) {
        data += n - STDERR_TAIL_BYTES;
        n = STDERR_TAIL_BYTES;
    }
    size_t drop = worker->error_length + n > STDERR_TAIL_BYTES
                      ? worker->error_length + n - STDERR_TAIL_BYTES
                      : 0;
    memmove(worker->error_tail, worker->error_tail + drop, worker->error_length - drop);
    worker->error_length -= drop;
    memcpy(worker->error_tail + worker->error_length, data, n);
    worker->error_length += n;
}

static void close_pipe(struct dwb_loop_source **source, int *fd)
{
    dwb_loop_remove(*source);
    *source = NULL;
    dwb_closep(fd);
    *fd = -1;
}

/* Reads what is there, up to a cap a call. Returns false at the end of the pipe. */
static bool read_pipe(struct dwb_worker *worker, int fd,
                      void (*take)(struct dwb_worker *, const char *, size_t))
{
    char buffer[READ_BYTES];

    for (int i = 0; i < READS_A_CALL; i++) {
        ssize_t n = read(fd, buffer, sizeof(buffer));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n < 0) {
            abort_for_shortage(worker, -errno, "its output cannot be read");
            return false;
        }
        if (n == 0)
            return false;
        take(worker, buffer, (size_t)n);
    }
    return true;
}

static int on_output(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    struct dwb_worker *worker = userdata;

    (void)source;
    (void)revents;
    if (!read_pipe(worker, worker->process.output_fd, take_output))
        close_pipe(&worker->output_source, &worker->process.output_fd);
    return 0;
}

static int on_error(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    struct dwb_worker *worker = userdata;

    (void)source;
    (void)revents;
    if (!read_pipe(worker, worker->process.error_fd, take_error))
        close_pipe(&worker->error_source, &worker->process.error_fd);
    return 0;
}

static int on_input(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    struct dwb_worker *worker = userdata;

    (void)source;
    (void)revents;
    ssize_t n = write(worker->process.input_fd, worker->request + worker->request_written,
                      worker->request_length - worker->request_written);
    if (n > 0)
        worker->request_written += (size_t)n;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0 && errno != EPIPE) /* that is how a worker ends early: its status says why */
        abort_for_shortage(worker, -errno, "its request cannot be written");
    if (n < 0 || worker->request_written == worker->request_length)
        close_pipe(&worker->input_source, &worker->process.input_fd);
    return 0;
}

static void describe_exit(struct dwb_worker *worker, int status)
{
    char line[384];

    last_error_line(worker, line, sizeof(line));
    const char *colon = line[0] ? ": " : "";
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        set_outcome(worker, DWB_WORKER_SIGNAL, "killed by SIG%s%s%s", name ? name : "?", colon,
                    line);
        return;
    }
    switch (WEXITSTATUS(status)) {
    case 0:
        if (worker->line_length > 0)
            set_outcome(worker, DWB_WORKER_OUTPUT, "its last line was cut off%s%s", colon, line);
        else if (!worker->end.line)
            set_outcome(worker, DWB_WORKER_OUTPUT, "ended without a record%s%s", colon, line);
        return;
    case 2:
        set_outcome(worker, DWB_WORKER_BAD_REQUEST, "refused the request%s%s", colon, line);
        return;
    case 4:
        set_outcome(worker, DWB_WORKER_WRONG_OUTPUTS, "outputs wrong%s%s", colon, line);
        return;
    case DWB_SPAWN_EXIT_EXEC:
        set_outcome(worker, DWB_WORKER_SPAWN, "cannot be started%s%s", colon, line);
        return;
    default:
        set_outcome(worker, DWB_WORKER_EXIT, "exit status %d%s%s", WEXITSTATUS(status), colon,
                    line);
    }
}

static void remove_sources(struct dwb_worker *worker)
{
    struct dwb_loop_source **sources[] = {&worker->exit_source,     &worker->input_source,
                                          &worker->output_source,   &worker->error_source,
                                          &worker->deadline_source, &worker->check_source};

    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        dwb_loop_remove(*sources[i]);
        *sources[i] = NULL;
    }
}

static void release(struct dwb_worker *worker)
{
    remove_sources(worker);
    dwb_spawned_close(&worker->process);
    free(worker->request);
    free(worker->line);
    free(worker->end.line);
    json_decref(worker->end.document);
    free(worker);
}

static int on_exit_seen(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    struct dwb_worker *worker = userdata;
    int status;

    (void)source;
    (void)revents;
    pid_t pid = waitpid(worker->process.pid, &status, WNOHANG);
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return 0;
    kill(-worker->process.pid, SIGKILL); /* what it left behind in its group */
    worker->process.pid = 0;
    while (worker->process.output_fd >= 0 && !worker->has_outcome &&
           poll(&(struct pollfd){worker->process.output_fd, POLLIN, 0}, 1, 0) > 0)
        on_output(NULL, 0, worker);
    if (worker->process.error_fd >= 0)
        on_error(NULL, 0, worker);
    if (pid < 0)
        set_outcome(worker, DWB_WORKER_SPAWN, "was lost: %s", strerror(errno));
    else
        describe_exit(worker, status);
    remove_sources(worker);
    worker->on_end(&worker->end, worker->userdata);
    release(worker);
    return 0;
}

static int on_deadline(struct dwb_loop_source *source, uint64_t n_expired, void *userdata)
{
    struct dwb_worker *worker = userdata;
    char line[384];

    (void)source;
    (void)n_expired;
    last_error_line(worker, line, sizeof(line));
    set_outcome(worker, DWB_WORKER_DEADLINE, "did not end before its deadline%s%s",
                line[0] ? ": " : "", line);
    kill_group(worker);
    return 0;
}

static int on_check(struct dwb_loop_source *source, uint64_t n_expired, void *userdata)
{
    struct dwb_worker *worker = userdata;

    (void)source;
    (void)n_expired;
    if (dwb_spawned_resident_bytes(&worker->process) > worker->memory_bytes_max)
        abort_with(worker, DWB_WORKER_MEMORY, "used more memory than the limit");
    return 0;
}

static int add_sources(struct dwb_worker *worker, uint64_t deadline_ns)
{
    struct dwb_spawned *process = &worker->process;
    int r;

    r = dwb_loop_add_poll(worker->loop, process->pid_fd, POLLIN, on_exit_seen, worker,
                          &worker->exit_source);
    if (r == 0)
        r = dwb_loop_add_poll(worker->loop, process->output_fd, POLLIN, on_output, worker,
                              &worker->output_source);
    if (r == 0)
        r = dwb_loop_add_poll(worker->loop, process->error_fd, POLLIN, on_error, worker,
                              &worker->error_source);
    if (r == 0 && worker->request_length > 0)
        r = dwb_loop_add_poll(worker->loop, process->input_fd, POLLOUT, on_input, worker,
                              &worker->input_source);
    else if (r == 0)
        close_pipe(&worker->input_source, &process->input_fd);
    if (r == 0)
        r = dwb_loop_add_timer(worker->loop, deadline_ns, 0, on_deadline, worker,
                               &worker->deadline_source);
    if (r == 0 && worker->memory_bytes_max > 0)
        r = dwb_loop_add_timer(worker->loop, CHECK_PERIOD_NS, CHECK_PERIOD_NS, on_check, worker,
                               &worker->check_source);
    return r;
}

int dwb_worker_start(struct dwb_loop *loop, const struct dwb_worker_options *options,
                     dwb_worker_progress_fn *on_progress, dwb_worker_end_fn *on_end, void *userdata,
                     struct dwb_worker **ret_worker)
{
    DWB_CLEANUP(dwb_worker_freep) struct dwb_worker *worker = calloc(1, sizeof(*worker));

    if (!worker)
        return -ENOMEM;
    worker->loop = loop;
    worker->on_progress = on_progress;
    worker->on_end = on_end;
    worker->userdata = userdata;
    worker->memory_bytes_max = options->memory_bytes_max;
    worker->process = (struct dwb_spawned){0, -1, -1, -1, -1};
    snprintf(worker->record_type, sizeof(worker->record_type), "%s", options->record_type);
    worker->request = strdup(options->request ? options->request : "");
    if (!worker->request)
        return -ENOMEM;
    worker->request_length = strlen(worker->request);
    int r = dwb_spawn(options->program, options->arguments, options->affinity, &worker->process);
    if (r < 0)
        return r;
    r = add_sources(worker, options->deadline_ns);
    if (r < 0)
        return r;
    *ret_worker = dwb_steal(worker);
    return 0;
}

void dwb_worker_kill(struct dwb_worker *worker)
{
    abort_with(worker, DWB_WORKER_KILLED, "killed");
}

void dwb_worker_free(struct dwb_worker *worker)
{
    if (!worker)
        return;
    remove_sources(worker);
    if (worker->process.pid > 0) {
        kill_group(worker);
        while (waitpid(worker->process.pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    release(worker);
}
