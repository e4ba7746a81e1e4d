/*
 * The environment record. One table of plain files (what is in them is copied as text or number),
 * and a function for each answer that needs more than a file. Every value goes through put(), which
 * turns "could not be read" into null, so a missing file can never make a member vanish.
 */

#include "measure/environment.h"

#include "common/cleanup.h"
#include "measure/machine.h"
#include "measure/pmu.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <gnu/libc-version.h>
#include <inttypes.h>
#include <link.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#define NOTE_ALIGN(n) (((n) + 3u) & ~3u)

/* Sets a member; no value is null. */
static void put(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value ? value : json_null());
}

static json_t *text_of_file(const char *path)
{
    char text[512];

    return dwb_machine_read(path, text, sizeof text) == 0 ? json_string(text) : NULL;
}

static json_t *int_of_file(const char *path)
{
    int64_t value;

    return dwb_machine_read_int(path, &value) == 0 ? json_integer(value) : NULL;
}

static json_t *cpu_file(uint32_t cpu, const char *name)
{
    char path[160];

    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/%s", cpu, name);
    return text_of_file(path);
}

/* What stands in [brackets] of a line such as "always [madvise] never". */
static json_t *chosen_of_file(const char *path)
{
    char text[256], *open_bracket, *close_bracket;

    if (dwb_machine_read(path, text, sizeof text) < 0)
        return NULL;
    open_bracket = strchr(text, '[');
    close_bracket = open_bracket ? strchr(open_bracket, ']') : NULL;
    if (!close_bracket)
        return json_string(text);
    return json_stringn(open_bracket + 1, (size_t)(close_bracket - open_bracket - 1));
}

static json_t *cpuinfo_text(const char *key)
{
    char text[4096];

    return dwb_machine_cpuinfo(key, text, sizeof text) == 0 ? json_string(text) : NULL;
}

static json_t *cpuinfo_int(const char *key)
{
    char text[64];
    long long value;

    if (dwb_machine_cpuinfo(key, text, sizeof text) < 0 || sscanf(text, "%lli", &value) != 1)
        return NULL;
    return json_integer(value);
}

static json_t *cpuinfo_words(const char *key)
{
    char text[8192], *save = NULL;
    json_t *words;

    if (dwb_machine_cpuinfo(key, text, sizeof text) < 0)
        return NULL;
    words = json_array();
    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
        json_array_append_new(words, json_string(word));
    return words;
}

static json_t *cpu_of(uint32_t cpu)
{
    json_t *object = json_object();
    char model[128];
    uint64_t midr;

    put(object, "model",
        dwb_machine_cpu_model(model, sizeof model) == 0 ? json_string(model) : NULL);
    if (dwb_machine_midr(&midr) == 0) {
        put(object, "vendor", json_integer((json_int_t)(midr >> 24) & 0xff));
        put(object, "family", NULL);
        put(object, "model_number", json_integer((json_int_t)(midr >> 4) & 0xfff));
        put(object, "stepping", json_sprintf("r%dp%d", (int)(midr >> 20) & 15, (int)midr & 15));
        put(object, "flags", cpuinfo_words("Features"));
    } else {
        put(object, "vendor", cpuinfo_text("vendor_id"));
        put(object, "family", cpuinfo_int("cpu family"));
        put(object, "model_number", cpuinfo_int("model"));
        put(object, "stepping", cpuinfo_int("stepping"));
        put(object, "flags", cpuinfo_words("flags"));
    }
    put(object, "microcode", cpuinfo_text("microcode"));
    put(object, "pinned", json_integer(cpu));
    return object;
}

static json_t *boost(void)
{
    int64_t value;

    if (dwb_machine_read_int("/sys/devices/system/cpu/cpufreq/boost", &value) == 0)
        return json_boolean(value != 0);
    if (dwb_machine_read_int("/sys/devices/system/cpu/intel_pstate/no_turbo", &value) == 0)
        return json_boolean(value == 0);
    return NULL;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static json_t *mitigations(void)
{
    static const char directory[] = "/sys/devices/system/cpu/vulnerabilities";
    struct dirent **entries = NULL;
    int n = scandir(directory, &entries, is_visible, alphasort);
    json_t *object;

    if (n < 0)
        return NULL;
    object = json_object();
    for (int i = 0; i < n; i++) {
        char path[512];

        snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        put(object, entries[i]->d_name, text_of_file(path));
        free(entries[i]);
    }
    free(entries);
    return object;
}

static json_t *caches_of(uint32_t cpu)
{
    static const char *const names[] = {"L1", "L2", "L3", "L4"};
    struct dwb_caches caches;
    json_t *array = json_array();

    dwb_machine_caches(cpu, &caches);
    for (size_t i = 0; i < 4; i++) {
        const struct dwb_cache_level *level = &caches.levels[i];

        if (level->bytes)
            json_array_append_new(array, json_pack("{s:s, s:I, s:i, s:i}", "level", names[i],
                                                   "bytes", (json_int_t)level->bytes, "line_bytes",
                                                   (int)level->line_bytes, "shared_by",
                                                   (int)level->n_sharing));
    }
    if (json_array_size(array) > 0)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *kernel_text(void)
{
    struct utsname name;

    if (uname(&name) < 0)
        return NULL;
    return json_sprintf("%s %s %s %s", name.sysname, name.release, name.version, name.machine);
}

static json_t *load(const struct dwb_environment_files *files)
{
    char text[128] = "";
    double one, five, fifteen;

    if (pread(files->loadavg_fd, text, sizeof text - 1, 0) <= 0 ||
        sscanf(text, "%lf %lf %lf", &one, &five, &fifteen) != 3)
        return NULL;
    return json_pack("[f, f, f]", one, five, fifteen);
}

static json_t *memory_bytes(const char *key)
{
    dwb_cleanup_file FILE *file = fopen("/proc/meminfo", "re");
    char line[256], name[64];
    uint64_t kib;

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "%63[^:]: %" SCNu64, name, &kib) == 2 && strcmp(name, key) == 0)
            return json_integer((json_int_t)(kib * 1024));
    return NULL;
}

static json_t *steal_ticks(const struct dwb_environment_files *files, uint32_t cpu)
{
    uint64_t ticks;

    return dwb_machine_steal(files->stat_fd, cpu, &ticks) == 0 ? json_integer((json_int_t)ticks)
                                                               : NULL;
}

/* The NT_GNU_BUILD_ID note of this program, its first loaded object. */
static int find_build_id(struct dl_phdr_info *info, size_t size, void *userdata)
{
    char *text = userdata;

    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        const char *at = (const char *)(info->dlpi_addr + header->p_vaddr);
        const char *end = at + header->p_memsz;

        if (header->p_type != PT_NOTE)
            continue;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            ElfW(Nhdr) note;
            const char *name = at + sizeof note;
            const unsigned char *value;

            memcpy(&note, at, sizeof note);
            value = (const unsigned char *)name + NOTE_ALIGN(note.n_namesz);
            at = (const char *)value + NOTE_ALIGN(note.n_descsz);
            if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 ||
                memcmp(name, "GNU", 4) != 0 || note.n_descsz > 32)
                continue;
            for (size_t k = 0; k < note.n_descsz; k++)
                snprintf(text + 2 * k, 3, "%02x", value[k]);
            return 1;
        }
    }
    return 1; /* only the first object is this program */
}

static json_t *build(void)
{
    char id[80] = "";

    dl_iterate_phdr(find_build_id, id);
    return json_pack("{s:s, s:s, s:s, s:o}", "version", DWB_VERSION, "compiler", DWB_COMPILER,
                     "flags", DWB_COMPILER_FLAGS, "build_id",
                     id[0] ? json_string(id) : json_null());
}

static json_t *libraries(void)
{
    char pfm[32];

    dwb_pmu_library_version(pfm, sizeof pfm);
    return json_pack("{s:s, s:s, s:s}", "libpfm4", pfm, "jansson", jansson_version_str(), "glibc",
                     gnu_get_libc_version());
}

static void put_files(json_t *object, uint32_t cpu)
{
    static const struct {
        const char *key, *path;
        bool number;
    } files[] = {
        {"clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource", false},
        {"smt_active", "/sys/devices/system/cpu/smt/active", true},
        {"aslr", "/proc/sys/kernel/randomize_va_space", true},
        {"perf_event_paranoid", "/proc/sys/kernel/perf_event_paranoid", true},
        {"nmi_watchdog", "/proc/sys/kernel/nmi_watchdog", true},
        {"cpus_online", "/sys/devices/system/cpu/online", false},
        {"cpus_isolated", "/sys/devices/system/cpu/isolated", false},
        {"numa_nodes", "/sys/devices/system/node/online", false},
    };

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        put(object, files[i].key,
            files[i].number ? int_of_file(files[i].path) : text_of_file(files[i].path));
    put(object, "thp", chosen_of_file("/sys/kernel/mm/transparent_hugepage/enabled"));
    put(object, "governor", cpu_file(cpu, "cpufreq/scaling_governor"));
    put(object, "frequency_khz_max", cpu_file(cpu, "cpufreq/cpuinfo_max_freq"));
    put(object, "smt_siblings", cpu_file(cpu, "topology/thread_siblings_list"));
}

void dwb_environment_files_init(struct dwb_environment_files *files)
{
    files->stat_fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    files->loadavg_fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
}

void dwb_environment_files_deinit(struct dwb_environment_files *files)
{
    dwb_closep(&files->stat_fd);
    dwb_closep(&files->loadavg_fd);
}

json_t *dwb_environment_new(uint32_t cpu, uint64_t seed, uint64_t fp_control)
{
    DWB_CLEANUP(dwb_environment_files_deinit) struct dwb_environment_files files;
    json_t *object = json_object();
    char text[128];

    dwb_environment_files_init(&files);

    if (!object)
        return NULL;
    put(object, "cpu", cpu_of(cpu));
    put(object, "hypervisor",
        dwb_machine_hypervisor(text, sizeof text) == 0 ? json_string(text) : NULL);
    put(object, "caches", caches_of(cpu));
    put(object, "memory_bytes", memory_bytes("MemTotal"));
    put(object, "memory_available_bytes", memory_bytes("MemAvailable"));
    put(object, "kernel", kernel_text());
    put_files(object, cpu);
    put(object, "boost", boost());
    put(object, "mitigations", mitigations());
    put(object, "build", build());
    put(object, "libraries", libraries());
    put(object, "seed", json_sprintf("%" PRIu64, seed));
#if defined(__x86_64__)
    put(object, "mxcsr", json_sprintf("0x%" PRIx64, fp_control));
    put(object, "fpcr", NULL);
#else
    put(object, "mxcsr", NULL);
    put(object, "fpcr", json_sprintf("0x%" PRIx64, fp_control));
#endif
    put(object, "load", load(&files));
    put(object, "steal_ticks", steal_ticks(&files, cpu));
    put(object, "sandbox", NULL);
    put(object, "during", NULL);
    return object;
}

int dwb_environment_finish(json_t *environment, uint32_t cpu,
                           const struct dwb_environment_files *files)
{
    json_t *before = json_object_get(environment, "steal_ticks");
    json_t *during = json_object(), *after = steal_ticks(files, cpu);
    struct rusage usage;

    if (!during) {
        json_decref(after);
        return -ENOMEM;
    }
    put(during, "steal_ticks",
        json_is_integer(before) && after
            ? json_integer(json_integer_value(after) - json_integer_value(before))
            : NULL);
    json_decref(after);
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        put(during, "voluntary_switches", json_integer(usage.ru_nvcsw));
        put(during, "involuntary_switches", json_integer(usage.ru_nivcsw));
        put(during, "major_faults", json_integer(usage.ru_majflt));
        put(during, "memory_peak_bytes", json_integer((json_int_t)usage.ru_maxrss * 1024));
    } else {
        put(during, "voluntary_switches", NULL);
        put(during, "involuntary_switches", NULL);
        put(during, "major_faults", NULL);
        put(during, "memory_peak_bytes", NULL);
    }
    put(during, "load_after", load(files));
    return json_object_set_new(environment, "during", during) < 0 ? -ENOMEM : 0;
}
