#include "client/plugins.h"

#include "client/cli.h"
#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define COPY_BYTES 65536

static bool is_taken(const struct dwb_plugin_names *names, const char *name)
{
    for (uint32_t i = 0; i < names->n; i++)
        if (strcmp(names->items[i], name) == 0)
            return true;
    return false;
}

/* The last part of the path; of a second mine.so mine-2.so. */
static int choose_name(const struct dwb_plugin_names *names, const char *path, char *name)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    size_t stem = strlen(file) - strlen(DWB_PLUGIN_SUFFIX);

    if (!dwb_plugin_name_valid(file))
        return -EINVAL;
    snprintf(name, DWB_PLUGIN_FILE_MAX, "%s", file);
    if (!is_taken(names, name))
        return 0;
    if (stem + strlen("-2" DWB_PLUGIN_SUFFIX) >= DWB_PLUGIN_FILE_MAX)
        return -EINVAL;
    snprintf(name, DWB_PLUGIN_FILE_MAX, "%.*s-2" DWB_PLUGIN_SUFFIX, (int)stem, file);
    return is_taken(names, name) ? -EINVAL : 0;
}

int dwb_plugin_files_add(struct dwb_plugin_files *files, const char *path, const char **ret_name)
{
    char reason[DWB_PLUGIN_REASON_MAX], absolute[PATH_MAX], name[DWB_PLUGIN_FILE_MAX];
    uint32_t n = files->names.n, at = 0;

    if (dwb_plugin_check_object(path, reason) < 0) {
        dwb_say("--plugin: %s", reason);
        return DWB_EXIT_USAGE;
    }
    if (!realpath(path, absolute)) {
        dwb_say("--plugin: %s: %s", path, strerror(errno));
        return DWB_EXIT_USAGE;
    }
    while (at < n && strcmp(files->paths[at], absolute) != 0)
        at++;
    if (at == DWB_PLUGINS_MAX) {
        dwb_say("--plugin: %s: at most %d plugins can be raced at once", path, DWB_PLUGINS_MAX);
        return DWB_EXIT_USAGE;
    }
    if (at == n) {
        if (choose_name(&files->names, path, name) < 0) {
            dwb_say("--plugin: %s: a plugin's file name has up to 48 letters, digits, dots, "
                    "underscores or hyphens, then .so",
                    path);
            return DWB_EXIT_USAGE;
        }
        memcpy(files->paths[n], absolute, sizeof(absolute));
        memcpy(files->names.items[n], name, sizeof(name));
        files->names.n++;
    }
    if (ret_name)
        *ret_name = files->names.items[at];
    return DWB_EXIT_OK;
}

int dwb_plugin_files_name(const struct dwb_plugin_files *files, struct dwb_spec *spec)
{
    struct dwb_plugin_names *plugins = &spec->options.plugins;

    if (files->names.n == 0 && plugins->n > 0) {
        dwb_say("the document names the plugin %s: say where the file is, --plugin PATH/%s",
                plugins->items[0], plugins->items[0]);
        return DWB_EXIT_USAGE;
    }
    *plugins = files->names;
    return DWB_EXIT_OK;
}

static int copy(int from, int to)
{
    char buffer[COPY_BYTES];
    ssize_t n;

    while ((n = read(from, buffer, sizeof(buffer))) > 0)
        for (ssize_t done = 0, part; done < n; done += part) {
            part = write(to, buffer + done, (size_t)(n - done));
            if (part < 0)
                return -errno;
        }
    return n < 0 ? -errno : 0;
}

static int copy_file(const char *path, const char *directory, const char *name)
{
    char target[PATH_MAX];
    dwb_cleanup_close int from = open(path, O_RDONLY | O_CLOEXEC), to = -1;

    if (from < 0)
        return -errno;
    if (snprintf(target, sizeof(target), "%s/%s", directory, name) >= (int)sizeof(target))
        return -ENAMETOOLONG;
    to = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0500);
    return to < 0 ? -errno : copy(from, to);
}

int dwb_plugin_files_copy(const struct dwb_plugin_files *files, const char *directory)
{
    int r = mkdir(directory, 0700) < 0 ? -errno : 0;

    for (uint32_t i = 0; r == 0 && i < files->names.n; i++)
        r = copy_file(files->paths[i], directory, files->names.items[i]);
    return r;
}
