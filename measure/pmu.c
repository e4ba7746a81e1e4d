/*
 * The libpfm4 adapter. LIBPFM_ENCODE_INACTIVE, the library's own variable, makes it encode events
 * of PMUs that this machine lacks; the tests of the catalogue use that.
 *
 * A machine with two kinds of cores has two core PMUs in sysfs, each with a `cpus` list and a type
 * number. A raw event needs that number as its type; a generic one carries it in the upper half of
 * config (PERF_PMU_CAP_EXTENDED_HW_TYPE).
 */

#include "measure/pmu.h"

#include "common/cleanup.h"
#include "measure/machine.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <perfmon/pfmlib.h>
#include <perfmon/pfmlib_perf_event.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DEVICES "%s/sys/bus/event_source/devices"

/* pfm_get_version() says 4.0 in every release of libpfm4; the file's name knows better. */
void dwb_pmu_library_version(char *buffer, size_t size)
{
    dwb_cleanup_free char *path = NULL;
    const char *suffix = NULL;
    Dl_info info;

    if (dladdr((void *)(uintptr_t)pfm_initialize, &info) != 0 && info.dli_fname)
        path = realpath(info.dli_fname, NULL);
    if (path)
        suffix = strstr(path, "libpfm.so.");
    if (suffix)
        snprintf(buffer, size, "%s", suffix + strlen("libpfm.so."));
    else
        snprintf(buffer, size, "%d", PFM_MAJ_VERSION(pfm_get_version()));
}

/* Type number of the core PMU of cpu when there are several; 0 when there is one or none. */
static uint32_t core_type(const char *root, uint32_t cpu)
{
    char devices[512];
    struct dirent *entry;
    uint32_t n_core_pmus = 0, type = 0;
    DIR *dir;

    snprintf(devices, sizeof devices, DEVICES, root);
    dir = opendir(devices);
    if (!dir)
        return 0;
    while ((entry = readdir(dir))) {
        char path[1024], cpus[512];
        int64_t value;

        snprintf(path, sizeof path, "%s/%s/cpus", devices, entry->d_name);
        if (entry->d_name[0] == '.' || dwb_machine_read(path, cpus, sizeof cpus) < 0)
            continue;
        n_core_pmus++;
        snprintf(path, sizeof path, "%s/%s/type", devices, entry->d_name);
        if (dwb_machine_list_has(cpus, cpu) && dwb_machine_read_int(path, &value) == 0)
            type = (uint32_t)value;
    }
    closedir(dir);
    return n_core_pmus > 1 ? type : 0;
}

int dwb_pmu_detect(const char *root, uint32_t cpu, char *buffer, size_t size)
{
    bool is_hybrid = core_type(root, cpu) != 0;

    if (pfm_initialize() != PFM_SUCCESS)
        return -ENOSYS;
    for (int i = 0; i < PFM_PMU_MAX && !is_hybrid; i++) {
        pfm_pmu_info_t info;

        memset(&info, 0, sizeof info);
        info.size = sizeof info;
        if (pfm_get_pmu_info((pfm_pmu_t)i, &info) == PFM_SUCCESS && info.is_present &&
            info.type == PFM_PMU_TYPE_CORE && strncmp(info.name, "ix86arch", 8) != 0) {
            snprintf(buffer, size, "%s", info.name);
            return 0;
        }
    }
    snprintf(buffer, size, "%s", DWB_PMU_GENERIC);
    return 0;
}

int dwb_pmu_encode(const char *root, const char *pmu, const char *event, uint32_t cpu,
                   struct perf_event_attr *ret_attr, char *error, size_t error_size)
{
    struct perf_event_attr attr;
    pfm_perf_encode_arg_t arg;
    char text[256];
    uint32_t type;
    int r = pfm_initialize();

    memset(&attr, 0, sizeof attr);
    memset(&arg, 0, sizeof arg);
    attr.size = sizeof attr;
    arg.attr = &attr;
    arg.size = sizeof arg;
    snprintf(text, sizeof text, "%s::%s", pmu, event);
    if (r == PFM_SUCCESS)
        r = pfm_get_os_event_encoding(text, PFM_PLM3, PFM_OS_PERF_EVENT_EXT, &arg);
    if (r != PFM_SUCCESS) {
        snprintf(error, error_size, "%s", pfm_strerror(r));
        return -ENOENT;
    }
    type = core_type(root, cpu);
    if (type && attr.type == PERF_TYPE_RAW)
        attr.type = type;
    else if (type && (attr.type == PERF_TYPE_HARDWARE || attr.type == PERF_TYPE_HW_CACHE))
        attr.config |= (uint64_t)type << 32;
    attr.exclude_kernel = 1;
    attr.exclude_hv = 1;
    *ret_attr = attr;
    return 0;
}
