#include "client/private_daemon.h"

#include "client/cli.h"
#include "common/cleanup.h"
#include "common/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define LISTEN_FD   3 /* the first descriptor of sd_listen_fds(3) */
#define STOP_MS     5000
#define EXPLAIN_MS  500
#define LOG_TAIL    2048
#define DIR_PATTERN "dwbench-run-XXXXXX"
#define PLUGINS     "plugins"

/* The user's runtime directory is memory and private; a socket's path must stay short. */
static int make_directory(struct dwb_private_daemon *daemon)
{
    const char *candidates[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp"};
    int error = ENOENT;

    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        if (!candidates[i] || candidates[i][0] != '/')
            continue;
        if (snprintf(daemon->directory, sizeof(daemon->directory), "%s/" DIR_PATTERN,
                     candidates[i]) >= (int)sizeof(daemon->directory))
            continue;
        if (mkdtemp(daemon->directory)) {
            snprintf(daemon->socket_path, sizeof(daemon->socket_path), "%s/s", daemon->directory);
            snprintf(daemon->log_path, sizeof(daemon->log_path), "%s/log", daemon->directory);
            return 0;
        }
        error = errno;
    }
    daemon->directory[0] = '\0';
    return -error;
}

static int listen_on(const char *path, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    dwb_cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(path, 0600) < 0 || listen(fd, 16) < 0)
        return -errno;
    *ret_fd = dwb_steal_fd(&fd);
    return 0;
}

/* In the child, which has one thread: everything may be called until exec. */
static void become_daemon(const struct dwb_private_daemon *daemon, const char *program,
                          const struct dwb_private_daemon_options *options, int listen_fd,
                          int log_fd, pid_t parent)
{
    char state_dir[128], plugin_dir[128], pid[16];
    /* It is reached by the user who starts it alone, who may be root. */
    const char *arguments[11] = {program, "--allow-root", "--state-dir", state_dir};
    size_t n = 4;
    sigset_t none;
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before the line above */
        _exit(1);
    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    snprintf(state_dir, sizeof(state_dir), "%s/state", daemon->directory);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    unsetenv("LISTEN_FDNAMES");
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    unsetenv("JOURNAL_STREAM");
    dup2(null_fd, STDIN_FILENO);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    if (listen_fd == LISTEN_FD)
        fcntl(listen_fd, F_SETFD, 0);
    else
        dup2(listen_fd, LISTEN_FD);
    if (options->worker_a) {
        arguments[n++] = "--worker-a";
        arguments[n++] = options->worker_a;
    }
    if (options->worker_b) {
        arguments[n++] = "--worker-b";
        arguments[n++] = options->worker_b;
    }
    if (options->plugins) {
        snprintf(plugin_dir, sizeof(plugin_dir), "%s/" PLUGINS, daemon->directory);
        arguments[n++] = "--plugin-dir";
        arguments[n++] = plugin_dir;
    }
    execv(program, (char *const *)(uintptr_t)arguments); /* exec does not write to them */
    dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
    _exit(127);
}

static int copy_plugins(const struct dwb_private_daemon *daemon,
                        const struct dwb_plugin_files *plugins)
{
    char directory[128];

    snprintf(directory, sizeof(directory), "%s/" PLUGINS, daemon->directory);
    return plugins ? dwb_plugin_files_copy(plugins, directory) : 0;
}

int dwb_private_daemon_start(const struct dwb_private_daemon_options *options,
                             struct dwb_private_daemon *ret_daemon)
{
    struct dwb_private_daemon daemon = {0};
    dwb_cleanup_close int listen_fd = -1, log_fd = -1;
    char program[4096];
    pid_t parent = getpid();
    int r = dwb_paths_program("dwbenchd", program, sizeof(program));

    if (r < 0) {
        dwb_say("dwbenchd is not installed beside dwbenchctl: %s", strerror(-r));
        return DWB_EXIT_UNREACHABLE;
    }
    r = make_directory(&daemon);
    if (r == 0)
        r = listen_on(daemon.socket_path, &listen_fd);
    if (r == 0)
        r = copy_plugins(&daemon, options->plugins);
    if (r == 0) {
        log_fd = open(daemon.log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        r = log_fd < 0 ? -errno : 0;
    }
    if (r == 0) {
        daemon.pid = fork();
        if (daemon.pid == 0)
            become_daemon(&daemon, program, options, listen_fd, log_fd, parent);
        r = daemon.pid < 0 ? -errno : 0;
    }
    if (r < 0) {
        dwb_say("a private daemon cannot be started%s%s: %s", daemon.directory[0] ? " in " : "",
                daemon.directory, strerror(-r));
        daemon.pid = 0;
        dwb_private_daemon_stop(&daemon);
        return DWB_EXIT_UNREACHABLE;
    }
    *ret_daemon = daemon;
    return DWB_EXIT_OK;
}

static void say_log_tail(const char *path)
{
    dwb_cleanup_file FILE *file = fopen(path, "re");
    char tail[LOG_TAIL + 1];
    size_t n;

    if (!file)
        return;
    if (fseek(file, -LOG_TAIL, SEEK_END) < 0)
        rewind(file);
    n = fread(tail, 1, LOG_TAIL, file);
    tail[n] = '\0';
    if (n > 0)
        dwb_say("%s", tail);
}

void dwb_private_daemon_explain(struct dwb_private_daemon *daemon)
{
    dwb_cleanup_close int pidfd = daemon->pid > 0 ? pidfd_open(daemon->pid, 0) : -1;
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    int status;

    /* Its sockets close a moment before it can be waited for. */
    if (pidfd < 0 || poll(&poll_fd, 1, EXPLAIN_MS) <= 0 ||
        waitpid(daemon->pid, &status, WNOHANG) != daemon->pid)
        return;
    daemon->pid = 0;
    if (WIFSIGNALED(status))
        dwb_say("the private daemon was killed by signal %d; its last words:", WTERMSIG(status));
    else
        dwb_say("the private daemon ended with status %d; its last words:", WEXITSTATUS(status));
    say_log_tail(daemon->log_path);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    remove(path);
    return 0;
}

void dwb_private_daemon_stop(struct dwb_private_daemon *daemon)
{
    if (daemon->pid > 0) {
        dwb_cleanup_close int pidfd = pidfd_open(daemon->pid, 0);
        struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
        int r;

        kill(daemon->pid, SIGTERM);
        do /* a second Ctrl-C must not leave it behind */
            r = poll(&poll_fd, 1, STOP_MS);
        while (r < 0 && errno == EINTR);
        if (r <= 0 || pidfd < 0)
            kill(daemon->pid, SIGKILL);
        while (waitpid(daemon->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        daemon->pid = 0;
    }
    if (daemon->directory[0])
        nftw(daemon->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    daemon->directory[0] = '\0';
}
