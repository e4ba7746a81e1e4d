/*
 * Coverage builds only: writes a process's counters when it could not. gcov writes them at exit,
 * into files, which a sealed worker may not open and a killed process never reaches; what such a
 * process ran would count as not run.
 *
 * Before main() the pages of the counters (counters.ld) become shared memory, and a second process,
 * the keeper, waits for the end of the first and then writes them. The code under test is the same
 * as in every other build, its sandbox too.
 *
 * Writing adds what the file has to the counters in memory. So whoever writes first takes the pages
 * back as its own, or the next one would add the file's counts to themselves.
 *
 * Invariants: the keeper holds no descriptor, directory, session or child slot of its process, and
 * shares nothing else with it; a process that wrote its counters itself is not counted twice; where
 * any of it is not possible, all is as without this file.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct note { /* what the process tells its keeper */
    volatile pid_t pid;
    volatile bool has_written;
};

extern char dwb_counters_begin[], dwb_counters_end[];
void __gcov_dump(void);

/* Where calls fail on demand (tests/crash/faults.c): not those that follow. */
__attribute__((weak)) void dwb_faults_end(void);

static struct note *note;

/* A plain call: the sources that are linked with this may replace that of the C library. */
static void *map(void *at, size_t size, int flags)
{
    return (void *)syscall(SYS_mmap, at, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1,
                           0);
}

/* With the counts so far, or none. */
static bool make_private(bool keeps_counts)
{
    size_t size = (size_t)(dwb_counters_end - dwb_counters_begin);
    char *copy = map(NULL, size, MAP_PRIVATE);

    if (copy == MAP_FAILED)
        return false;
    memcpy(copy, dwb_counters_begin, size);
    if (map(dwb_counters_begin, size, MAP_PRIVATE | MAP_FIXED) == MAP_FAILED)
        return false;
    if (keeps_counts)
        memcpy(dwb_counters_begin, copy, size);
    return true;
}

static void __attribute__((noreturn)) keep(void)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    setsid();
    if (chdir("/") < 0)
        _exit(1);
    close_range(0, ~0u, 0);
    int fd = (int)syscall(SYS_pidfd_open, note->pid, 0);
    struct pollfd ends = {.fd = fd, .events = POLLIN};

    /* Without a descriptor the process has gone by now. */
    while (fd >= 0 && syscall(SYS_ppoll, &ends, 1, NULL, NULL, 0) < 0 && errno == EINTR)
        ;
    if (dwb_faults_end)
        dwb_faults_end();
    if (!note->has_written && make_private(true))
        __gcov_dump();
    _exit(0);
}

/* After gcov's own, which have priority 100. */
static void __attribute__((constructor(200))) start_keeper(void)
{
    size_t size = (size_t)(dwb_counters_end - dwb_counters_begin);
    int status;

    if (size == 0)
        return;
    struct note *shared = map(NULL, sizeof(*note), MAP_SHARED);
    if (shared == MAP_FAILED || map(dwb_counters_begin, size, MAP_SHARED | MAP_FIXED) == MAP_FAILED)
        return;
    note = shared;
    note->pid = getpid();
    pid_t middle = _Fork(); /* not fork(): handlers of other libraries have no part in it */
    if (middle == 0) {
        if (_Fork() == 0)
            keep();
        _exit(0);
    }
    while (middle > 0 && waitpid(middle, &status, 0) < 0 && errno == EINTR)
        ;
}

/* Before gcov's own, which then finds nothing left to do. The counts of a process that was forked
 * are in its parent's pages and are written with those. */
static void __attribute__((destructor(101))) write_counters(void)
{
    if (!note)
        return;
    bool is_forked = note->pid != getpid();
    int fd = open(DWB_BUILD_ROOT, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        close(STDERR_FILENO); /* gcov would say of each file that it may not open it either */
        return;
    }
    close(fd);
    if (!make_private(!is_forked) || is_forked)
        return;
    __gcov_dump();
    note->has_written = true;
}
