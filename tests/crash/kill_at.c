/*
 * Preloaded into the daemon: kills it with SIGKILL at the n-th call by which a file changes or is
 * made durable, right before or right after that call. Between two instructions of a commit is
 * where a kill by the clock hardly ever falls.
 *
 *   KILL_AT=N    before call N, counted from 1; -N is after it; absent or 0: never
 */

/* Both spellings of a call, whatever size of offset the caller was compiled with. */
#undef _FILE_OFFSET_BITS

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static long kill_at;
static atomic_long n_calls;

__attribute__((constructor)) static void read_environment(void)
{
    const char *text = getenv("KILL_AT");

    kill_at = text ? atol(text) : 0;
    unsetenv("KILL_AT"); /* workers run with the daemon's environment */
    unsetenv("LD_PRELOAD");
}

/* `side` is 1 before the call, -1 after it. */
static void die_at(long call, int side)
{
    if (kill_at == side * call)
        kill(getpid(), SIGKILL);
}

#define COUNTED(call_)                                                                             \
    do {                                                                                           \
        long number_ = ++n_calls, result_;                                                         \
                                                                                                   \
        die_at(number_, 1);                                                                        \
        result_ = (call_);                                                                         \
        die_at(number_, -1);                                                                       \
        return (__typeof__(call_))result_;                                                         \
    } while (0)

ssize_t pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
    COUNTED(syscall(SYS_pwrite64, fd, buffer, size, offset));
}

ssize_t pwrite64(int fd, const void *buffer, size_t size, off64_t offset)
{
    COUNTED(syscall(SYS_pwrite64, fd, buffer, size, offset));
}

int fdatasync(int fd)
{
    COUNTED(syscall(SYS_fdatasync, fd));
}

int fsync(int fd)
{
    COUNTED(syscall(SYS_fsync, fd));
}

int ftruncate(int fd, off_t size)
{
    COUNTED(syscall(SYS_ftruncate, fd, size));
}

int ftruncate64(int fd, off64_t size)
{
    COUNTED(syscall(SYS_ftruncate, fd, size));
}

int unlink(const char *path)
{
    COUNTED(syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}
