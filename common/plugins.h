#pragma once

/*
 * Plugins as files: how they are named, which of them may be loaded. A plugin is a shared object
 * that a user has built (include/dwbench/kernel.h); a job names it by its file name, and the
 * directory it is looked up in is the daemon's business, never the job's. Nothing here loads code.
 *
 * What may be loaded runs with the rights of whoever loads it. So a directory of plugins, and each
 * file in it, must belong to root or to this process's user and be writable by nobody else; a
 * symbolic link is refused, for what it leads to would have to be examined as well.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DWB_PLUGINS_MAX       2  /* of one job */
#define DWB_PLUGIN_FILE_MAX   52 /* "mine.so" with its NUL: 48 characters before the suffix */
#define DWB_PLUGIN_SUFFIX     ".so"
#define DWB_PLUGIN_PREFIX     "plugin:" /* of the backend's name: "plugin:mine" */
#define DWB_BACKEND_NAME_MAX  64
#define DWB_PLUGINS_TEXT_MAX  (DWB_PLUGINS_MAX * DWB_PLUGIN_FILE_MAX)
#define DWB_PLUGIN_REASON_MAX 256

struct dwb_plugin_names {
    char items[DWB_PLUGINS_MAX][DWB_PLUGIN_FILE_MAX];
    uint32_t n;
};

/* Letters, digits, dots, underscores and hyphens, not a dot first, ".so" at the end. */
bool dwb_plugin_name_valid(const char *name);

/* "a.so,b.so" -> names; -EINVAL: a name that is not valid, one twice, none, too many. */
int dwb_plugins_from_text(const char *text, struct dwb_plugin_names *ret_names);
void dwb_plugins_to_text(const struct dwb_plugin_names *names, char buffer[DWB_PLUGINS_TEXT_MAX]);

/* "mine.so" -> "plugin:mine". */
void dwb_plugin_backend_name(const char *name, char buffer[DWB_BACKEND_NAME_MAX]);

/* Is this file a shared object for this machine? 0, or a negative errno with one sentence. */
int dwb_plugin_check_object(const char *path, char reason[DWB_PLUGIN_REASON_MAX]);

/* May `name` in `directory` be loaded? 0; -ENOENT, -EACCES, -EINVAL, ... with one sentence. */
int dwb_plugin_check(const char *directory, const char *name, char reason[DWB_PLUGIN_REASON_MAX]);

/* [{name, available, reason}] of all files *.so in it, by name. 0 or a negative errno with one
 * sentence. */
int dwb_plugins_list(const char *directory, char reason[DWB_PLUGIN_REASON_MAX], json_t **ret_list);
