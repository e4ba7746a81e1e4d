#include "daemon/spawn.h"

/* See spawn.h. Between fork and exec only async-signal-safe calls: the store has a thread. */

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_ARGUMENTS_MAX 16

struct child {
    const char *program;
    char *argv[N_ARGUMENTS_MAX + 2];
    char **environment;
    const cpu_set_t *affinity;
    int streams[3];
    pid_t parent;
};

static bool is_private_variable(const char *entry)
{
    static const char *const prefixes[] = {"NOTIFY_SOCKET=",  "WATCHDOG_",      "LISTEN_",
                                           "JOURNAL_STREAM=", "INVOCATION_ID=", "STATE_DIRECTORY="};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* The daemon's environment without what systemd said to the daemon. Entries are borrowed. */
static char **child_environment(void)
{
    size_t n = 0, kept = 0;

    while (environ[n])
        n++;
    char **entries = calloc(n + 1, sizeof(*entries));
    for (size_t i = 0; entries && i < n; i++)
        if (!is_private_variable(environ[i]))
            entries[kept++] = environ[i];
    return entries;
}

static void __attribute__((noreturn)) child_fail(int error)
{
    const char *text = strerrordesc_np(error);

    if (text && write(STDERR_FILENO, text, strlen(text)) < 0)
        _exit(DWB_SPAWN_EXIT_EXEC);
    _exit(DWB_SPAWN_EXIT_EXEC);
}

static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        sigaction(i, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn)) child_run(const struct child *child)
{
    /* Streams sit at 3 and above: dup2 clears CLOEXEC and cannot hit one of the others. */
    for (int i = 0; i < 3; i++)
        if (dup2(child->streams[i], i) < 0)
            child_fail(errno);
    if (close_range(3, ~0u, 0) < 0)
        child_fail(errno);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        child_fail(errno);
    if (getppid() != child->parent) /* it died before the line above */
        _exit(DWB_SPAWN_EXIT_EXEC);
    setpgid(0, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    sched_setaffinity(0, sizeof(*child->affinity), child->affinity);
    reset_signals();
    execve(child->program, child->argv, child->environment);
    child_fail(errno);
}

/* A pipe whose end `ours` (0 read, 1 write) is non-blocking; both ends are at 3 or above. */
static int make_pipe(int ours, int *ret_ours, int *ret_theirs)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    for (int i = 0; i < 2; i++)
        if (ends[i] < 3) {
            int moved = fcntl(ends[i], F_DUPFD_CLOEXEC, 3);
            int error = errno;
            close(ends[i]);
            ends[i] = moved;
            if (moved < 0) {
                close(ends[1 - i]);
                return -error;
            }
        }
    fcntl(ends[ours], F_SETFL, O_NONBLOCK);
    *ret_ours = ends[ours];
    *ret_theirs = ends[1 - ours];
    return 0;
}

static void close_streams(const int streams[3])
{
    for (int i = 0; i < 3; i++)
        if (streams[i] >= 0)
            close(streams[i]);
}

static int start(struct child *child, struct dwb_spawned *process)
{
    int r = make_pipe(1, &process->input_fd, &child->streams[0]);
    if (r == 0)
        r = make_pipe(0, &process->output_fd, &child->streams[1]);
    if (r == 0)
        r = make_pipe(0, &process->error_fd, &child->streams[2]);
    if (r < 0)
        return r;
    child->parent = getpid();
    process->pid = fork();
    if (process->pid < 0)
        return -errno;
    if (process->pid == 0)
        child_run(child);
    setpgid(process->pid, process->pid); /* whoever is first: a kill of the group works at once */
    process->pid_fd = pidfd_open(process->pid, 0);
    if (process->pid_fd >= 0)
        return 0;
    r = -errno;
    kill(process->pid, SIGKILL);
    waitpid(process->pid, NULL, 0);
    return r;
}

int dwb_spawn(const char *program, const char *const *arguments, const cpu_set_t *affinity,
              struct dwb_spawned *ret_process)
{
    struct dwb_spawned process = {0, -1, -1, -1, -1};
    struct child child = {.program = program, .affinity = affinity, .streams = {-1, -1, -1}};
    dwb_cleanup_free char **environment = child_environment();

    if (!environment)
        return -ENOMEM;
    child.environment = environment;
    child.argv[0] = (char *)program;
    for (size_t i = 0; arguments && arguments[i]; i++) {
        if (i >= N_ARGUMENTS_MAX)
            return -E2BIG;
        child.argv[i + 1] = (char *)arguments[i];
    }
    int r = start(&child, &process);
    close_streams(child.streams);
    if (r < 0) {
        dwb_spawned_close(&process);
        return r;
    }
    *ret_process = process;
    return 0;
}

void dwb_spawned_close(struct dwb_spawned *process)
{
    int *fds[] = {&process->pid_fd, &process->input_fd, &process->output_fd, &process->error_fd};

    for (size_t i = 0; i < 4; i++) {
        dwb_closep(fds[i]);
        *fds[i] = -1;
    }
}

uint64_t dwb_spawned_resident_bytes(const struct dwb_spawned *process)
{
    char path[64];
    unsigned long long total, resident = 0;

    if (process->pid <= 0)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)process->pid);
    dwb_cleanup_file FILE *file = fopen(path, "re");
    if (!file || fscanf(file, "%llu %llu", &total, &resident) != 2)
        return 0;
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}
