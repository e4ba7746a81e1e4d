#include "daemon/places.h"

/* See places.h. */

#include "common/paths.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int format_path(char *buffer, size_t size, const char *base, const char *rest)
{
    return snprintf(buffer, size, "%s%s", base, rest) >= (int)size ? -ENAMETOOLONG : 0;
}

static int find_state_dir(const struct dwb_config *config, char *buffer, size_t size)
{
    const char *systemd = getenv("STATE_DIRECTORY");
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");

    if (config->state_dir[0])
        return format_path(buffer, size, config->state_dir, "");
    if (systemd && systemd[0] == '/')
        return format_path(buffer, size, systemd, "");
    if (geteuid() == 0)
        return format_path(buffer, size, "/var/lib/dwbench", "");
    if (xdg && xdg[0] == '/')
        return format_path(buffer, size, xdg, "/dwbench");
    if (home && home[0] == '/')
        return format_path(buffer, size, home, "/.local/state/dwbench");
    dwb_log(DWB_LOG_ERROR, "state_dir: neither $XDG_STATE_HOME nor $HOME says where; set it");
    return -ENOENT;
}

static int make_directories(const char *path)
{
    char part[PATH_MAX];

    snprintf(part, sizeof(part), "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0750) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
            return -errno;
        *slash = '/';
    }
    if (mkdir(part, 0750) < 0 && errno != EEXIST)
        return -errno;
    return access(part, W_OK | X_OK) < 0 ? -errno : 0;
}

static int find_group(const char *name, gid_t *ret_group)
{
    char *rest;

    *ret_group = (gid_t)-1;
    if (!name[0])
        return 0;
    const struct group *group = getgrnam(name);
    if (group) {
        *ret_group = group->gr_gid;
        return 0;
    }
    unsigned long number = strtoul(name, &rest, 10);
    if (*rest || number >= UINT32_MAX) {
        dwb_log(DWB_LOG_ERROR, "socket_group: there is no group %s", name);
        return -ENOENT;
    }
    *ret_group = (gid_t)number;
    return 0;
}

static int find_worker(const struct dwb_config *config, char *buffer, size_t size)
{
    int r = 0;

    if (config->worker[0])
        r = format_path(buffer, size, config->worker, "");
    else
        r = dwb_paths_program("dwbench-worker", buffer, size);
    if (r == 0 && access(buffer, X_OK) < 0)
        r = -errno;
    if (r < 0)
        dwb_log(DWB_LOG_ERROR, "worker: %s: %s", config->worker[0] ? buffer : "dwbench-worker",
                strerror(-r));
    return r;
}

static uint64_t half_of_memory(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 2;
}

int dwb_places_find(const struct dwb_config *config, struct dwb_places *ret_places)
{
    struct dwb_places places = {0};

    places.memory_bytes_max = config->memory_bytes ? config->memory_bytes : half_of_memory();
    int r = config->socket[0]
                ? format_path(places.socket, sizeof(places.socket), config->socket, "")
                : dwb_paths_socket(1, places.socket, sizeof(places.socket));
    if (r < 0) {
        dwb_log(DWB_LOG_ERROR, "socket: its path is too long for a socket");
        return r;
    }
    r = find_group(config->socket_group, &places.socket_group);
    if (r == 0)
        r = find_worker(config, places.worker, sizeof(places.worker));
    if (r == 0)
        r = find_state_dir(config, places.state_dir, sizeof(places.state_dir));
    if (r < 0)
        return r;
    r = make_directories(places.state_dir);
    if (r < 0) {
        dwb_log(DWB_LOG_ERROR, "state_dir: %s: %s", places.state_dir, strerror(-r));
        return r;
    }
    *ret_places = places;
    return 0;
}
