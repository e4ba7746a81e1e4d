#include "kernels/backends/backend.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int dwb_backend_load(const char *directory, const char *name, char error[DWB_BACKEND_ERROR_MAX],
                     const struct dwb_backend **ret_backend)
{
    const struct dwb_backend *backend;
    char path[4096];
    void *module;
    int n = snprintf(path, sizeof(path), "%s/dwbench-backend-%s.so", directory, name);

    if (n < 0 || (size_t)n >= sizeof(path))
        return -ENAMETOOLONG;
    if (access(path, R_OK) < 0) {
        snprintf(error, DWB_BACKEND_ERROR_MAX,
                 "the backend %s is not part of this installation (its library was not there when "
                 "dwbench was built)",
                 name);
        return -ENOENT;
    }
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    backend = module ? dlsym(module, "dwb_backend_module") : NULL;
    if (!backend || backend->abi != DWB_BACKEND_ABI) {
        const char *reason = dlerror();

        snprintf(error, DWB_BACKEND_ERROR_MAX, "the backend %s cannot be loaded: %s", name,
                 reason ? reason : "it was built for another version of dwbench");
        return -ELIBBAD;
    }
    *ret_backend = backend;
    return 0;
}
