#include "common/plugins.h"

#include "common/cleanup.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#else
#define OWN_MACHINE EM_NONE
#endif

#define SUFFIX_BYTES strlen(DWB_PLUGIN_SUFFIX)

static int __attribute__((format(printf, 3, 4)))
refuse(char reason[DWB_PLUGIN_REASON_MAX], int r, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, DWB_PLUGIN_REASON_MAX, format, arguments);
    va_end(arguments);
    return r;
}

bool dwb_plugin_name_valid(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strlen(name);

    return n > SUFFIX_BYTES && n < DWB_PLUGIN_FILE_MAX && name[0] != '.' &&
           name[strspn(name, allowed)] == '\0' &&
           strcmp(name + n - SUFFIX_BYTES, DWB_PLUGIN_SUFFIX) == 0;
}

int dwb_plugins_from_text(const char *text, struct dwb_plugin_names *ret_names)
{
    struct dwb_plugin_names names = {0};

    for (const char *name = text; name;) {
        size_t n = strcspn(name, ",");
        char *item;

        if (names.n == DWB_PLUGINS_MAX || n >= DWB_PLUGIN_FILE_MAX)
            return -EINVAL;
        item = names.items[names.n];
        memcpy(item, name, n);
        if (!dwb_plugin_name_valid(item))
            return -EINVAL;
        for (uint32_t i = 0; i < names.n; i++)
            if (strcmp(names.items[i], item) == 0)
                return -EINVAL;
        names.n++;
        name = name[n] == ',' ? name + n + 1 : NULL;
    }
    *ret_names = names;
    return 0;
}

void dwb_plugins_to_text(const struct dwb_plugin_names *names, char buffer[DWB_PLUGINS_TEXT_MAX])
{
    size_t n = 0;

    buffer[0] = '\0';
    for (uint32_t i = 0; i < names->n; i++)
        n += (size_t)snprintf(buffer + n, DWB_PLUGINS_TEXT_MAX - n, "%s%s", i ? "," : "",
                              names->items[i]);
}

void dwb_plugin_backend_name(const char *name, char buffer[DWB_BACKEND_NAME_MAX])
{
    snprintf(buffer, DWB_BACKEND_NAME_MAX, DWB_PLUGIN_PREFIX "%.*s",
             (int)(strlen(name) - SUFFIX_BYTES), name);
}

static int check_header(int fd, const char *name, char *reason)
{
    Elf64_Ehdr header;

    if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return refuse(reason, -EINVAL, "%s is not an ELF file: build it with cc -shared", name);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != OWN_MACHINE)
        return refuse(reason, -EINVAL, "%s was built for another machine than this one", name);
    if (header.e_type != ET_DYN)
        return refuse(reason, -EINVAL, "%s is not a shared object: build it with cc -fPIC -shared",
                      name);
    return 0;
}

int dwb_plugin_check_object(const char *path, char reason[DWB_PLUGIN_REASON_MAX])
{
    dwb_cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return refuse(reason, -errno, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return refuse(reason, -EINVAL, "%s is not a file", path);
    return check_header(fd, path, reason);
}

/* Whoever can change what is loaded decides what runs here. */
static int check_rights(const struct stat *status, const char *what, char *reason)
{
    if (status->st_uid != 0 && status->st_uid != geteuid())
        return refuse(reason, -EACCES, "%s belongs to another user (uid %u)", what,
                      (unsigned)status->st_uid);
    if (status->st_mode & (S_IWGRP | S_IWOTH))
        return refuse(reason, -EACCES, "%s is writable by others than its owner: chmod go-w", what);
    return 0;
}

static int open_directory(const char *directory, char *reason, int *ret_fd)
{
    dwb_cleanup_close int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    int r;

    if (fd < 0 || fstat(fd, &status) < 0)
        return refuse(reason, -errno, "the directory of plugins cannot be opened: %s",
                      strerror(errno));
    r = check_rights(&status, "the directory of plugins", reason);
    if (r == 0)
        *ret_fd = dwb_steal_fd(&fd);
    return r;
}

static int check_in(int directory_fd, const char *name, char *reason)
{
    dwb_cleanup_close int fd =
        openat(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    int r;

    if (fd < 0 && errno == ELOOP)
        return refuse(reason, -EINVAL, "%s is a symbolic link: put the file itself there", name);
    if (fd < 0 && errno == ENOENT)
        return refuse(reason, -ENOENT, "there is no %s in the directory of plugins", name);
    if (fd < 0 || fstat(fd, &status) < 0)
        return refuse(reason, -errno, "%s: %s", name, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return refuse(reason, -EINVAL, "%s is not a file", name);
    r = check_rights(&status, name, reason);
    return r < 0 ? r : check_header(fd, name, reason);
}

int dwb_plugin_check(const char *directory, const char *name, char reason[DWB_PLUGIN_REASON_MAX])
{
    dwb_cleanup_close int fd = -1;
    int r = open_directory(directory, reason, &fd);

    return r < 0 ? r : check_in(fd, name, reason);
}

static int select_plugin(const struct dirent *entry)
{
    return dwb_plugin_name_valid(entry->d_name);
}

int dwb_plugins_list(const char *directory, char reason[DWB_PLUGIN_REASON_MAX], json_t **ret_list)
{
    dwb_cleanup_close int fd = -1;
    struct dirent **entries = NULL;
    json_t *list = json_array();
    int r = open_directory(directory, reason, &fd);
    int n = r < 0 ? 0 : scandir(directory, &entries, select_plugin, alphasort);

    if (n < 0)
        r = refuse(reason, -errno, "the directory of plugins cannot be read: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        char why[DWB_PLUGIN_REASON_MAX] = "";
        bool available = check_in(fd, entries[i]->d_name, why) == 0;

        json_array_append_new(list, json_pack("{s:s, s:b, s:s}", "name", entries[i]->d_name,
                                              "available", available, "reason", why));
        free(entries[i]);
    }
    free(entries);
    if (r < 0)
        json_decref(list);
    else
        *ret_list = list;
    return r;
}
