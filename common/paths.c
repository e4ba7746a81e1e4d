#include "common/paths.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int format_path(char *buffer, size_t size, const char *directory, const char *middle,
                       const char *name)
{
    int n = snprintf(buffer, size, "%s%s%s", directory, middle, name);

    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* Directory of the running binary, without the slash at the end. */
static int own_directory(char *buffer, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", buffer, size - 1);
    char *slash;

    if (n < 0)
        return -errno;
    buffer[n] = '\0';
    slash = strrchr(buffer, '/');
    if (!slash)
        return -ENOENT;
    *slash = '\0';
    return 0;
}

static bool in_build_tree(const char *directory)
{
    size_t n = strlen(DWB_BUILD_ROOT);

    return strncmp(directory, DWB_BUILD_ROOT, n) == 0 && directory[n] == '/';
}

int dwb_paths_program(const char *program, char *buffer, size_t size)
{
    static const char *const rooms[] = {"/../daemon/", "/../measure/", "/../client/"};
    char own[4096];
    int r = own_directory(own, sizeof(own));

    if (r < 0)
        return r;
    r = format_path(buffer, size, own, "/", program);
    if (r < 0 || access(buffer, X_OK) == 0)
        return r;
    for (size_t i = 0; in_build_tree(own) && i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        r = format_path(buffer, size, own, rooms[i], program);
        if (r < 0 || access(buffer, X_OK) == 0)
            return r;
    }
    r = format_path(buffer, size, DWB_PREFIX_LIBEXEC, "/", program);
    if (r < 0 || access(buffer, X_OK) == 0)
        return r;
    r = format_path(buffer, size, DWB_PREFIX_BIN, "/", program);
    if (r < 0 || access(buffer, X_OK) == 0)
        return r;
    return -ENOENT;
}

int dwb_paths_modules(char *buffer, size_t size)
{
    char own[4096];
    int r = own_directory(own, sizeof(own));

    if (r < 0)
        return r;
    if (in_build_tree(own))
        return format_path(buffer, size, DWB_BUILD_ROOT, "/", "kernels/backends");
    return format_path(buffer, size, own, "", "");
}

int dwb_paths_data(const char *directory, char *buffer, size_t size)
{
    char own[4096];
    int r = own_directory(own, sizeof(own));

    if (r < 0)
        return r;
    r = format_path(buffer, size, in_build_tree(own) ? DWB_SOURCE_CONFIGS : DWB_PREFIX_DATA, "/",
                    directory);
    if (r < 0)
        return r;
    return access(buffer, R_OK | X_OK) == 0 ? 0 : -ENOENT;
}

int dwb_paths_socket(int for_daemon, char *buffer, size_t size)
{
    const char *socket_path = getenv("DWBENCH_SOCKET");
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    int r;

    if (socket_path && socket_path[0] != '\0')
        return format_path(buffer, size, socket_path, "", "");
    if (runtime && runtime[0] == '/') {
        r = format_path(buffer, size, runtime, "", "/dwbench/dwbench.sock");
        if (r < 0 || for_daemon || access(buffer, F_OK) == 0)
            return r;
    }
    return format_path(buffer, size, "/run/dwbench/dwbench.sock", "", "");
}
