#pragma once

/*
 * Plugins as a person gives them: paths of files here. A private daemon gets copies in a directory
 * of its own, under names that a job can say. A copy, so that building a plugin again while its job
 * runs does not put two kernels into one result; and whatever the rights of the file are, nobody
 * else can write to the copy.
 */

#include "common/plugins.h"
#include "common/spec.h"

#include <limits.h>

struct dwb_plugin_files {
    char paths[DWB_PLUGINS_MAX][PATH_MAX];
    struct dwb_plugin_names names; /* in the daemon's directory; distinct */
};

/*
 * Adds the shared object at `path`; `ret_name` (or NULL) is the name that a job gives it: the
 * file's own, or one with a number where that is taken. The same path twice is one plugin.
 * DWB_EXIT_OK, or DWB_EXIT_USAGE with the reason said: no such file, not a shared object for this
 * machine, a name that cannot be one, too many.
 */
int dwb_plugin_files_add(struct dwb_plugin_files *files, const char *path, const char **ret_name);

/* Names them in the spec, in place of what a document has named. DWB_EXIT_OK; DWB_EXIT_USAGE when
 * the document names plugins and `files` is empty: then nobody has said where they are. */
int dwb_plugin_files_name(const struct dwb_plugin_files *files, struct dwb_spec *spec);

/* Makes `directory` and puts copies into it. 0 or a negative errno. */
int dwb_plugin_files_copy(const struct dwb_plugin_files *files, const char *directory);
