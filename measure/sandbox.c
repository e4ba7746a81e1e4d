/*
 * The order inside of a step: no_new_privs, for the two others ask for it; Landlock, which needs a
 * descriptor; limits; last the filter, which denies what came before it.
 *
 * Invariants: a list of paths that overflows grants less, never more; a descriptor that was not
 * open when nothing foreign had run yet is closed by sealing.
 */

#include "measure/sandbox.h"

#include "common/cleanup.h"
#include "measure/landlock.h"
#include "measure/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MEMORY_MORE                                                                                \
    (UINT64_C(1) << 30) /* samples and the record, and what a library still takes                  \
                         */
#define OUTPUT_BYTES                                                                               \
    (UINT64_C(64) << 20) /* more than any record; a file may have something in it */
#define N_FDS_LOAD 256
#define PATHS_MAX  96

#ifdef __SANITIZE_ADDRESS__
/* LeakSanitizer stops the process at its exit, by a clone that traces it: just what is denied. The
 * sandbox is the same in every build, and this hook leaves the check out where it is entered; with
 * --no-sandbox it is made. */
static bool entered;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return entered;
}
#endif

struct paths {
    struct dwb_landlock_path items[PATHS_MAX];
    size_t n, used;
    char text[16384];
};

static void add(struct paths *paths, uint32_t access, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(struct paths *paths, uint32_t access, const char *format, ...)
{
    char *at = paths->text + paths->used;
    size_t room = sizeof paths->text - paths->used;
    va_list arguments;

    va_start(arguments, format);
    int n = vsnprintf(at, room, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= room || paths->n == PATHS_MAX)
        return;
    paths->used += (size_t)n + 1;
    paths->items[paths->n++] = (struct dwb_landlock_path){.path = at, .access = access};
}

/* Each absolute entry of a list with colons. */
static void add_list(struct paths *paths, uint32_t access, const char *list, const char *below)
{
    for (const char *at = list; at && *at; at += strcspn(at, ":"), at += *at == ':')
        if (*at == '/')
            add(paths, access, "%.*s%s", (int)strcspn(at, ":"), at, below);
}

/* What the loader reads, and what libraries ask about the CPU. */
static void add_libraries(struct paths *paths, const struct dwb_sandbox_config *config)
{
    static const char *const places[] = {
        "/lib",          "/lib64",         "/usr/lib",
        "/usr/lib64",    "/usr/local/lib", "/etc/ld.so.cache",
        "/proc/cpuinfo", "/proc/meminfo",  "/sys/devices/system",
    };

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        add(paths, DWB_LANDLOCK_READ, "%s", places[i]);
    add_list(paths, DWB_LANDLOCK_READ, getenv("LD_LIBRARY_PATH"), "");
    add_list(paths, DWB_LANDLOCK_READ, config->modules, "");
    add_list(paths, DWB_LANDLOCK_READ, config->directories, "");
}

/* Valgrind: a shell script, a launcher, a tool, this program with its libraries, /proc; it keeps a
 * temporary file. */
static void add_programs(struct paths *paths)
{
    static const char *const places[] = {"/usr", "/bin", "/sbin", "/lib", "/lib64"};
    const uint32_t run = DWB_LANDLOCK_READ | DWB_LANDLOCK_EXECUTE;
    char own[4096] = "";

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        add(paths, run, "%s", places[i]);
    add_list(paths, run, getenv("PATH"), "");
    add_list(paths, run, getenv("PATH"), "/../libexec/valgrind");
    add_list(paths, run, getenv("PATH"), "/../lib/valgrind");
    if (readlink("/proc/self/exe", own, sizeof own - 1) > 0)
        add(paths, run, "%s", own);
    add(paths, DWB_LANDLOCK_READ, "/proc");
    add(paths, DWB_LANDLOCK_READ, "/dev/urandom");
    add(paths, DWB_LANDLOCK_READ | DWB_LANDLOCK_WRITE, "/dev/null");
    add(paths, DWB_LANDLOCK_READ | DWB_LANDLOCK_WRITE | DWB_LANDLOCK_MAKE, "/tmp");
}

static void complain(struct dwb_sandbox *sandbox, const char *what, int r)
{
    size_t n = strlen(sandbox->reason);

    snprintf(sandbox->reason + n, sizeof sandbox->reason - n, "%s%s: %s", n ? "; " : "", what,
             strerror(-r));
}

static void restrict_files(struct dwb_sandbox *sandbox, const struct paths *paths)
{
    int abi = 0, r = dwb_landlock_enter(paths->items, paths->n, &abi);

    if (r == 0)
        sandbox->landlock = abi;
    else
        complain(sandbox, "no Landlock", r);
}

/* Lowers only; what cannot be lowered is as it was. */
static void limit(__rlimit_resource_t resource, uint64_t value)
{
    struct rlimit now;

    if (getrlimit(resource, &now) == 0 && (now.rlim_max == RLIM_INFINITY || now.rlim_max > value))
        setrlimit(resource, &(struct rlimit){value, value});
}

/* A core would be of no use and large; the output may be a file, and have something in it. */
static void limit_output(void)
{
    uint64_t largest = 0;

    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        struct stat status;

        if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
            (uint64_t)status.st_size > largest)
            largest = (uint64_t)status.st_size;
    }
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, largest + OUTPUT_BYTES);
    limit(RLIMIT_NOFILE, N_FDS_LOAD);
}

/* What is mapped now, and some more: a library that takes without end gets no memory, and the
 * supervisor need not be faster than it. AddressSanitizer has mapped terabytes of shadow. */
static void limit_memory(const struct dwb_sandbox *sandbox)
{
#ifndef __SANITIZE_ADDRESS__
    unsigned long long pages;
    char text[128] = "";

    if (pread(sandbox->statm_fd, text, sizeof text - 1, 0) > 0 && sscanf(text, "%llu", &pages) == 1)
        limit(RLIMIT_AS, pages * (uint64_t)sysconf(_SC_PAGESIZE) + MEMORY_MORE);
#endif
}

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};

    syscall(SYS_capset, &header, none); /* fewer capabilities are always granted */
}

static void note_open(struct dwb_sandbox *sandbox)
{
    for (int fd = 0; fd < DWB_SANDBOX_FDS_MAX; fd++)
        sandbox->kept[fd] = fcntl(fd, F_GETFD) >= 0;
    sandbox->kept[STDIN_FILENO] = false; /* the request has been read */
}

static void close_others(const struct dwb_sandbox *sandbox)
{
    for (int fd = 0; fd < DWB_SANDBOX_FDS_MAX; fd++)
        if (!sandbox->kept[fd])
            close(fd);
    close_range(DWB_SANDBOX_FDS_MAX, ~0u, 0);
}

void dwb_sandbox_close_inherited(void)
{
    close_range(STDERR_FILENO + 1, ~0u, 0);
}

void dwb_sandbox_enter(const struct dwb_sandbox_config *config, struct dwb_sandbox *ret_sandbox)
{
    struct dwb_sandbox sandbox = {.profile = config->profile, .statm_fd = -1};
    enum dwb_syscalls calls =
        config->profile == DWB_SANDBOX_SIMULATE ? DWB_SYSCALLS_PROGRAM : DWB_SYSCALLS_LOAD;
    struct paths paths = {.n = 0};
    int r;

    if (config->profile == DWB_SANDBOX_OFF) {
        snprintf(sandbox.reason, sizeof sandbox.reason, "--no-sandbox");
        *ret_sandbox = sandbox;
        return;
    }
    note_open(&sandbox);
    sandbox.statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    sandbox.no_new_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    if (!sandbox.no_new_privs)
        complain(&sandbox, "no_new_privs", -errno);
    add_libraries(&paths, config);
    if (config->profile == DWB_SANDBOX_SIMULATE)
        add_programs(&paths);
    restrict_files(&sandbox, &paths);
    limit_output();
    r = dwb_syscalls_enter(calls, config->writes_code);
    sandbox.seccomp = r == 0;
    if (r < 0)
        complain(&sandbox, "no seccomp", r);
#ifdef __SANITIZE_ADDRESS__
    entered = true;
#endif
    *ret_sandbox = sandbox;
}

void dwb_sandbox_seal(struct dwb_sandbox *sandbox)
{
    int r = 0;

    if (sandbox->profile == DWB_SANDBOX_OFF)
        return;
    if (sandbox->profile == DWB_SANDBOX_MEASURE) {
        if (sandbox->landlock)
            restrict_files(sandbox, &(struct paths){.n = 0});
        limit_memory(sandbox);
        drop_capabilities();
    }
    close_others(sandbox); /* and statm_fd, which came after them */
    sandbox->statm_fd = -1;
    if (sandbox->profile != DWB_SANDBOX_MEASURE)
        return;
    limit(RLIMIT_NOFILE, 0);
    limit(RLIMIT_NPROC, 0);
    if (sandbox->seccomp)
        r = dwb_syscalls_enter(DWB_SYSCALLS_MEASURE, false);
    if (r < 0) {
        sandbox->seccomp = false;
        complain(sandbox, "no seccomp after loading", r);
    }
}

json_t *dwb_sandbox_to_json(const struct dwb_sandbox *sandbox)
{
    static const char *const names[] = {"off", "measure", "simulate"};

    return json_pack("{s:s, s:b, s:o, s:b, s:s}", "profile", names[sandbox->profile],
                     "no_new_privs", sandbox->no_new_privs, "landlock",
                     sandbox->landlock ? json_integer(sandbox->landlock) : json_null(), "seccomp",
                     sandbox->seccomp, "reason", sandbox->reason);
}
