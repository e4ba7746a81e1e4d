/*
 * The environment record. One table of plain files (what is in them is copied as text or number),
 * and a function for each answer that needs more than a file. Every value goes through put(), which
 * turns "could not be read" into null and keeps why, so a missing file can never make a member
 * vanish. A reader that has no answer returns NULL and leaves its reason in env->why.
 */

#include "measure/environment.h"

#include "common/cleanup.h"
#include "measure/machine.h"
#include "measure/pmu.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <inttypes.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#define NOTE_ALIGN(n) (((n) + 3u) & ~3u)
#define SYSFS_CPU     "/sys/devices/system/cpu"

struct env {
    const char *root; /* before /proc and /sys */
    uint32_t cpu;
    const struct dwb_environment_files *files; /* read again from there; NULL = by path */
    json_t *unreadable;                        /* borrowed: member -> why it is null */
    char why[256];                             /* of what could not be read last */
};

/* For `return because(...)`. */
static json_t *because(struct env *env, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static json_t *because(struct env *env, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(env->why, sizeof env->why, format, arguments);
    va_end(arguments);
    return NULL;
}

/* Sets a member: the last part of its dotted path, in the object of the others. */
static void put(struct env *env, json_t *object, const char *path, json_t *value)
{
    const char *dot = strrchr(path, '.');

    if (!value)
        json_object_set_new(env->unreadable, path,
                            json_string(env->why[0] ? env->why : "no memory"));
    env->why[0] = '\0';
    json_object_set_new(object, dot ? dot + 1 : path, value ? value : json_null());
}

/* The first line of a file; false with the reason kept. */
static bool read_text(struct env *env, const char *path, char *buffer, size_t size)
{
    char rooted[4096];
    int r;

    snprintf(rooted, sizeof rooted, "%s%s", env->root, path);
    r = dwb_machine_read(rooted, buffer, size);
    if (r < 0)
        because(env, "%s: %s", path, r == -ENODATA ? "is empty" : strerror(-r));
    return r == 0;
}

static json_t *text_of_file(struct env *env, const char *path)
{
    char text[512];

    return read_text(env, path, text, sizeof text) ? json_string(text) : NULL;
}

static json_t *int_of_file(struct env *env, const char *path)
{
    char text[64], *end;
    long long value;

    if (!read_text(env, path, text, sizeof text))
        return NULL;
    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno || end == text)
        return because(env, "%s: is not a number", path);
    return json_integer(value);
}

static json_t *cpu_file(struct env *env, const char *name)
{
    char path[160];

    snprintf(path, sizeof path, SYSFS_CPU "/cpu%u/%s", env->cpu, name);
    return text_of_file(env, path);
}

/* An empty list is an answer here: none is. */
static json_t *cpus_isolated(struct env *env)
{
    static const char path[] = SYSFS_CPU "/isolated";
    char rooted[4096], text[512] = "";
    int r;

    snprintf(rooted, sizeof rooted, "%s%s", env->root, path);
    r = dwb_machine_read(rooted, text, sizeof text);
    return r == 0 || r == -ENODATA ? json_string(text) : because(env, "%s: %s", path, strerror(-r));
}

/* What stands in [brackets] of a line such as "always [madvise] never". */
static json_t *chosen_of_file(struct env *env, const char *path)
{
    char text[256], *open_bracket, *close_bracket;

    if (!read_text(env, path, text, sizeof text))
        return NULL;
    open_bracket = strchr(text, '[');
    close_bracket = open_bracket ? strchr(open_bracket, ']') : NULL;
    if (!close_bracket)
        return json_string(text);
    return json_stringn(open_bracket + 1, (size_t)(close_bracket - open_bracket - 1));
}

static bool read_cpuinfo(struct env *env, const char *key, char *buffer, size_t size)
{
    int r = dwb_machine_cpuinfo(env->root, key, buffer, size);

    if (r == -ENODATA)
        because(env, "/proc/cpuinfo: has no %s", key);
    else if (r < 0)
        because(env, "/proc/cpuinfo: %s", strerror(-r));
    return r == 0;
}

static json_t *cpuinfo_text(struct env *env, const char *key)
{
    char text[4096];

    return read_cpuinfo(env, key, text, sizeof text) ? json_string(text) : NULL;
}

static json_t *cpuinfo_int(struct env *env, const char *key)
{
    char text[64];
    long long value;

    if (!read_cpuinfo(env, key, text, sizeof text))
        return NULL;
    if (sscanf(text, "%lli", &value) != 1)
        return because(env, "/proc/cpuinfo: %s is not a number", key);
    return json_integer(value);
}

static json_t *cpuinfo_words(struct env *env, const char *key)
{
    char text[8192], *save = NULL;
    json_t *words;

    if (!read_cpuinfo(env, key, text, sizeof text))
        return NULL;
    words = json_array();
    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
        json_array_append_new(words, json_string(word));
    return words;
}

static json_t *cpu_model(struct env *env)
{
    char model[128];
    int r = dwb_machine_cpu_model(env->root, model, sizeof model);

    return r == 0 ? json_string(model) : because(env, "/proc/cpuinfo: %s", strerror(-r));
}

static json_t *cpu_of(struct env *env)
{
    json_t *object = json_object();
    uint64_t midr;

    put(env, object, "cpu.model", cpu_model(env));
    if (dwb_machine_midr(&midr) == 0) {
        put(env, object, "cpu.vendor", json_integer((json_int_t)(midr >> 24) & 0xff));
        put(env, object, "cpu.family", because(env, "an ARM core has none"));
        put(env, object, "cpu.model_number", json_integer((json_int_t)(midr >> 4) & 0xfff));
        put(env, object, "cpu.stepping",
            json_sprintf("r%dp%d", (int)(midr >> 20) & 15, (int)midr & 15));
        put(env, object, "cpu.flags", cpuinfo_words(env, "Features"));
    } else {
        put(env, object, "cpu.vendor", cpuinfo_text(env, "vendor_id"));
        put(env, object, "cpu.family", cpuinfo_int(env, "cpu family"));
        put(env, object, "cpu.model_number", cpuinfo_int(env, "model"));
        put(env, object, "cpu.stepping", cpuinfo_int(env, "stepping"));
        put(env, object, "cpu.flags", cpuinfo_words(env, "flags"));
    }
    put(env, object, "cpu.microcode", cpuinfo_text(env, "microcode"));
    put(env, object, "cpu.pinned", json_integer(env->cpu));
    return object;
}

/* Each driver has its own switch: of all CPUs, of the pinned one, or upside down. */
static json_t *boost(struct env *env)
{
    char path[160];
    const struct {
        const char *path;
        int on;
    } switches[] = {
        {SYSFS_CPU "/cpufreq/boost", 1}, {path, 1}, {SYSFS_CPU "/intel_pstate/no_turbo", 0}};

    snprintf(path, sizeof path, SYSFS_CPU "/cpu%u/cpufreq/boost", env->cpu);
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++) {
        json_t *value = int_of_file(env, switches[i].path);
        bool on = (json_integer_value(value) != 0) == switches[i].on;

        if (!value)
            continue;
        json_decref(value);
        return json_boolean(on);
    }
    return because(env, "no frequency driver tells: neither cpufreq/boost nor "
                        "intel_pstate/no_turbo is under " SYSFS_CPU);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static json_t *mitigations(struct env *env)
{
    static const char directory[] = SYSFS_CPU "/vulnerabilities";
    char path[4096];
    struct dirent **entries = NULL;
    json_t *object;
    int n;

    snprintf(path, sizeof path, "%s%s", env->root, directory);
    n = scandir(path, &entries, is_visible, alphasort);
    if (n < 0)
        return because(env, "%s: %s", directory, strerror(errno));
    object = json_object();
    for (int i = 0; i < n; i++) {
        char member[300];

        snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        snprintf(member, sizeof member, "mitigations.%s", entries[i]->d_name);
        put(env, object, member, text_of_file(env, path));
        free(entries[i]);
    }
    free(entries);
    return object;
}

static json_t *caches_of(struct env *env)
{
    static const char *const names[] = {"L1", "L2", "L3", "L4"};
    struct dwb_caches caches;
    json_t *array = json_array();

    dwb_machine_caches(env->root, env->cpu, &caches);
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
    return because(env, SYSFS_CPU "/cpu%u/cache: tells of none", env->cpu);
}

static json_t *hypervisor(struct env *env)
{
    char text[128];

    return dwb_machine_hypervisor(text, sizeof text) == 0
               ? json_string(text)
               : because(env, "no sign of one, which is no proof of none");
}

static json_t *kernel_text(struct env *env)
{
    struct utsname name;

    if (uname(&name) < 0)
        return because(env, "uname: %s", strerror(errno));
    return json_sprintf("%s %s %s %s", name.sysname, name.release, name.version, name.machine);
}

/* Whether this very process has its addresses drawn at random: `setarch -R` turns it off for one,
 * whatever the kernel's switch says. */
static json_t *aslr_of_process(struct env *env)
{
    int persona = personality(0xffffffff); /* asks, and changes nothing */

    if (persona < 0)
        return because(env, "personality: %s", strerror(errno));
    return json_boolean(!(persona & ADDR_NO_RANDOMIZE));
}

/* The file as it is now, whether it is still open or can be opened again. */
static bool read_again(struct env *env, const char *path, int fd, char *text, size_t size)
{
    ssize_t n;

    if (!env->files)
        return read_text(env, path, text, size);
    n = pread(fd, text, size - 1, 0);
    if (n <= 0) {
        because(env, "%s: %s", path, n < 0 ? strerror(errno) : "is empty");
        return false;
    }
    text[n] = '\0';
    return true;
}

static json_t *load(struct env *env)
{
    char text[128] = "";
    double one, five, fifteen;

    if (!read_again(env, "/proc/loadavg", env->files ? env->files->loadavg_fd : -1, text,
                    sizeof text))
        return NULL;
    if (sscanf(text, "%lf %lf %lf", &one, &five, &fifteen) != 3)
        return because(env, "/proc/loadavg: is not three numbers");
    return json_pack("[f, f, f]", one, five, fifteen);
}

static json_t *memory_bytes(struct env *env, const char *key)
{
    char path[4096];
    dwb_cleanup_file FILE *file = NULL;
    char line[256], name[64];
    uint64_t kib;

    snprintf(path, sizeof path, "%s/proc/meminfo", env->root);
    file = fopen(path, "re");
    if (!file)
        return because(env, "/proc/meminfo: %s", strerror(errno));
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "%63[^:]: %" SCNu64, name, &kib) == 2 && strcmp(name, key) == 0)
            return json_integer((json_int_t)(kib * 1024));
    return because(env, "/proc/meminfo: has no %s", key);
}

static json_t *steal_ticks(struct env *env)
{
    char path[4096];
    dwb_cleanup_close int own_fd = -1;
    int fd = env->files ? env->files->stat_fd : -1;
    uint64_t ticks;

    if (!env->files) {
        snprintf(path, sizeof path, "%s/proc/stat", env->root);
        fd = own_fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0)
        return because(env, "/proc/stat: %s", strerror(errno));
    if (dwb_machine_steal(fd, env->cpu, &ticks) < 0)
        return because(env, "/proc/stat: has no steal of cpu%u", env->cpu);
    return json_integer((json_int_t)ticks);
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

static json_t *build(struct env *env)
{
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s}", "version", DWB_VERSION, "compiler", DWB_COMPILER, "flags",
                  DWB_COMPILER_FLAGS, "kernel_flags", DWB_KERNEL_FLAGS);
    char id[80] = "";

    dl_iterate_phdr(find_build_id, id);
    put(env, object, "build.build_id",
        id[0] ? json_string(id) : because(env, "the program was linked without one"));
    return object;
}

/* Those of the peers are in the process only where a job asks for them. */
static json_t *libraries(struct env *env)
{
    json_t *object;
    char pfm[32], member[64];

    dwb_pmu_library_version(pfm, sizeof pfm);
    object = json_pack("{s:s, s:s, s:s}", "glibc", gnu_get_libc_version(), "libpfm4", pfm,
                       "jansson", jansson_version_str());
    for (unsigned bit = 1; bit < DWB_N_BACKENDS; bit++) {
        snprintf(member, sizeof member, "libraries.%s", dwb_backend_name(bit));
        put(env, object, member, because(env, "not loaded: the job did not ask for it"));
    }
    return object;
}

static void put_files(struct env *env, json_t *object)
{
    static const struct {
        const char *key, *path;
        bool number;
    } files[] = {
        {"clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource", false},
        {"smt_active", SYSFS_CPU "/smt/active", true},
        {"aslr", "/proc/sys/kernel/randomize_va_space", true},
        {"perf_event_paranoid", "/proc/sys/kernel/perf_event_paranoid", true},
        {"nmi_watchdog", "/proc/sys/kernel/nmi_watchdog", true},
        {"cpus_online", SYSFS_CPU "/online", false},
        {"numa_nodes", "/sys/devices/system/node/online", false},
    };

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        put(env, object, files[i].key,
            files[i].number ? int_of_file(env, files[i].path) : text_of_file(env, files[i].path));
    put(env, object, "cpus_isolated", cpus_isolated(env));
    put(env, object, "thp", chosen_of_file(env, "/sys/kernel/mm/transparent_hugepage/enabled"));
    put(env, object, "governor", cpu_file(env, "cpufreq/scaling_governor"));
    put(env, object, "frequency_driver", cpu_file(env, "cpufreq/scaling_driver"));
    put(env, object, "frequency_khz_max", cpu_file(env, "cpufreq/cpuinfo_max_freq"));
    put(env, object, "smt_siblings", cpu_file(env, "topology/thread_siblings_list"));
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

static void put_fp_control(struct env *env, json_t *object, uint64_t fp_control)
{
#if defined(__x86_64__)
    static const char own[] = "mxcsr", other[] = "fpcr";
#else
    static const char own[] = "fpcr", other[] = "mxcsr";
#endif

    put(env, object, own, json_sprintf("0x%" PRIx64, fp_control));
    put(env, object, other, because(env, "a register of another architecture"));
}

json_t *dwb_environment_new(const struct dwb_environment_options *options)
{
    struct env env = {.root = options->root, .cpu = options->cpu, .unreadable = json_object()};
    json_t *object = json_object();

    if (json_object_set_new(object, "unreadable", env.unreadable) < 0) { /* takes it anyway */
        json_decref(object);
        return NULL;
    }
    put(&env, object, "cpu", cpu_of(&env));
    put(&env, object, "hypervisor", hypervisor(&env));
    put(&env, object, "caches", caches_of(&env));
    put(&env, object, "memory_bytes", memory_bytes(&env, "MemTotal"));
    put(&env, object, "memory_available_bytes", memory_bytes(&env, "MemAvailable"));
    put(&env, object, "kernel", kernel_text(&env));
    put_files(&env, object);
    put(&env, object, "aslr_of_process", aslr_of_process(&env));
    put(&env, object, "boost", boost(&env));
    put(&env, object, "mitigations", mitigations(&env));
    put(&env, object, "build", build(&env));
    put(&env, object, "libraries", libraries(&env));
    put(&env, object, "seed", json_sprintf("%" PRIu64, options->seed));
    put_fp_control(&env, object, options->fp_control);
    put(&env, object, "load", load(&env));
    put(&env, object, "steal_ticks", steal_ticks(&env));
    put(&env, object, "counter_window_ns", because(&env, "no hardware counter is read"));
    put(&env, object, "sandbox", because(&env, "not entered"));
    put(&env, object, "during", because(&env, "nothing was measured"));
    return object;
}

void dwb_environment_set(json_t *environment, const char *key, json_t *value)
{
    json_object_del(json_object_get(environment, "unreadable"), key);
    json_object_set_new(environment, key, value);
}

void dwb_environment_set_library(json_t *environment, unsigned bit, const char *version)
{
    char member[64];

    snprintf(member, sizeof member, "libraries.%s", dwb_backend_name(bit));
    json_object_del(json_object_get(environment, "unreadable"), member);
    json_object_set_new(json_object_get(environment, "libraries"), dwb_backend_name(bit),
                        json_string(version));
}

static json_t *usage_count(struct env *env, bool known, long value)
{
    return known ? json_integer(value) : because(env, "getrusage: %s", strerror(errno));
}

int dwb_environment_finish(json_t *environment, const struct dwb_environment_options *options,
                           const struct dwb_environment_files *files)
{
    struct env env = {.root = options->root,
                      .cpu = options->cpu,
                      .files = files,
                      .unreadable = json_object_get(environment, "unreadable")};
    json_t *before = json_object_get(environment, "steal_ticks"), *after = steal_ticks(&env);
    json_t *during = json_object();
    struct rusage usage = {0};
    bool known = getrusage(RUSAGE_SELF, &usage) == 0;

    if (!during) {
        json_decref(after);
        return -ENOMEM;
    }
    put(&env, during, "during.steal_ticks",
        json_is_integer(before) && after
            ? json_integer(json_integer_value(after) - json_integer_value(before))
        : after ? because(&env, "not readable before")
                : NULL);
    json_decref(after);
    put(&env, during, "during.voluntary_switches", usage_count(&env, known, usage.ru_nvcsw));
    put(&env, during, "during.involuntary_switches", usage_count(&env, known, usage.ru_nivcsw));
    put(&env, during, "during.major_faults", usage_count(&env, known, usage.ru_majflt));
    put(&env, during, "during.memory_peak_bytes", usage_count(&env, known, usage.ru_maxrss * 1024));
    put(&env, during, "during.load_after", load(&env));
    dwb_environment_set(environment, "during", during);
    return 0;
}
