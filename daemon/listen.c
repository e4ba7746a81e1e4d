#include "daemon/listen.h"

/* See listen.h. */

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define BACKLOG      512
#define RING_EXIT_MS 5000

int dwb_listen_inherited(void)
{
    int n = sd_listen_fds(1);

    if (n < 0)
        return n;
    if (n == 0)
        return -ENOENT;
    int fd = SD_LISTEN_FDS_START;
    if (n != 1 || sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
        return -EINVAL;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

static int make_directory(const char *path)
{
    char directory[sizeof(((struct sockaddr_un *)0)->sun_path)];

    snprintf(directory, sizeof(directory), "%s", path);
    char *slash = strrchr(directory, '/');
    if (!slash || slash == directory)
        return 0;
    *slash = '\0';
    return mkdir(directory, 0750) < 0 && errno != EEXIST ? -errno : 0;
}

/* Does the process that called listen() on the socket at the other end still exist? */
static bool listener_is_gone(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0 &&
           kill(peer.pid, 0) < 0 && errno == ESRCH;
}

/* 0 when a socket is there that nobody listens on, -EADDRINUSE when somebody does, -EAGAIN when it
 * still takes connections for a process that is dead. */
static int try_address(const struct sockaddr_un *address)
{
    dwb_cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return listener_is_gone(fd) ? -EAGAIN : -EADDRINUSE;
    return errno == ECONNREFUSED ? 0 : errno == EAGAIN ? -EADDRINUSE : -errno;
}

/*
 * 0 when nothing answers at the address; a stale socket file is gone then. A daemon that was killed
 * keeps its socket open for a moment: the kernel takes an io_uring down, and with it the files its
 * polls refer to, after the process is gone. So a dead listener gets RING_EXIT_MS to let go.
 */
static int clear_stale(const struct sockaddr_un *address)
{
    struct stat file;
    int r;

    if (lstat(address->sun_path, &file) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(file.st_mode))
        return -EEXIST;
    r = try_address(address);
    for (int waited_ms = 0; r == -EAGAIN && waited_ms < RING_EXIT_MS; waited_ms += 10) {
        usleep(10000);
        r = try_address(address);
    }
    if (r < 0)
        return r == -EAGAIN ? -EADDRINUSE : r;
    return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

int dwb_listen_open(const char *path, mode_t mode, gid_t group)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int r = make_directory(path);
    if (r == 0)
        r = clear_stale(&address);
    if (r < 0)
        return r;
    dwb_cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    mode_t before = umask(0177); /* nobody else gets in before the mode is set */
    r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    umask(before);
    if (r < 0)
        return r;
    if ((group != (gid_t)-1 && chown(path, (uid_t)-1, group) < 0) || chmod(path, mode) < 0 ||
        listen(fd, BACKLOG) < 0) {
        r = -errno;
        unlink(path);
        return r;
    }
    return dwb_steal_fd(&fd);
}
