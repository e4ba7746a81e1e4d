#pragma once

/*
 * A user's shared object (include/dwbench/kernel.h) as a backend: loaded, checked, and adapted to
 * struct dwb_backend, so that whoever measures a peer's library measures a plugin the same way.
 *
 * Everything that the plugin says of itself is checked once, at the load; what it computes is not
 * checked here, but by whoever verifies outputs. From the load on the process runs foreign code:
 * plugin_guard.h sees to it that its last words name the plugin.
 */

#include "common/plugins.h"
#include "kernels/backends/backend.h"

/*
 * The plugin `name` ("mine.so") of `directory` as a backend "plugin:mine". Its prepare() returns
 * -ENOSYS for what the plugin has no kernel for: the operation, the layer, the ISA that was asked
 * for, or this CPU. 0; what dwb_plugin_check returns; -ELIBBAD (it cannot be loaded, or what it
 * says of itself is not in order), -ENOMEM; with one sentence in error. It stays loaded, and the
 * backend valid, until the process ends.
 */
int dwb_plugin_load(const char *directory, const char *name, char error[DWB_BACKEND_ERROR_MAX],
                    const struct dwb_backend **ret_backend);
