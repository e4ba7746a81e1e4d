/*
 * Linked into a dwbenchd of its own (dwbenchd-faults): fallible calls of the process, of its
 * libraries too, fail when a trial says so. The program's own definitions come before those of the
 * C library, and under AddressSanitizer before the sanitizer's, to which the real calls still go.
 *
 * The trial and the daemon share a file that is mapped by both, named by DWB_FAULTS; `struct
 * control` is its head. While `is_armed`, calls are counted from 1; the call `fail_at`, and with
 * `for_good` each one after it, fails with what the kernel or library could say there.
 *
 * With `by_stack`, `fail_at` counts the calls of one stack, `stack`, alone, and the table behind
 * the head (tests/crash/stacks.h) has each stack that was seen, and how often.
 */

#undef _FILE_OFFSET_BITS

#include "tests/crash/stacks.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct io_uring;
struct io_uring_params;

struct control { /* scripts/faulty.py and test_disk.py know this layout */
    _Atomic uint64_t is_armed;
    _Atomic uint64_t fail_at; /* 0 = none */
    _Atomic uint64_t for_good;
    _Atomic uint64_t n_calls;
    _Atomic uint64_t n_failed;
    _Atomic uint64_t full_disk; /* what cannot be written has no space (else: an I/O error) */
    char name[32];              /* of the call that failed first */
    char only[32];              /* "" = calls of every name are counted */
    _Atomic uint64_t by_stack;
    _Atomic uint64_t stack;      /* 0 = none: they are counted only */
    _Atomic uint64_t own_memory; /* of allocations only the program's own and jansson's: others'
                                    libraries crash without memory, and that is theirs */
};

#define TABLE_OFFSET 4096

static struct control *control;
static struct dwb_stacks *stacks;  /* NULL: the file has no table */
static _Thread_local bool is_bare; /* what this thread calls now is no call of the program */

__attribute__((constructor)) static void map_control(void)
{
    const char *path = getenv("DWB_FAULTS");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    off_t size = (off_t)syscall(SYS_lseek, fd, 0, SEEK_END);
    bool has_table = size >= (off_t)(TABLE_OFFSET + sizeof(struct dwb_stacks));
    char *memory = (char *)syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (memory == MAP_FAILED)
        return;
    dwb_stacks_prepare();
    if (has_table)
        stacks = (struct dwb_stacks *)(memory + TABLE_OFFSET);
    control = (struct control *)memory;
}

/* What comes after main(), and a coverage build's counters (tests/coverage/keeper.c), is not of the
 * program under test. */
void dwb_faults_end(void);
__attribute__((destructor)) void dwb_faults_end(void)
{
    control = NULL;
}

/* Whether the nth call is one to fail; with `by_stack` it is the nth of its stack. */
static bool is_meant(uint64_t n)
{
    uint64_t at = control->fail_at;

    if (control->n_failed > 0 && control->for_good)
        return true;
    if (control->by_stack && stacks)
        return dwb_stacks_count(stacks, control->stack) == at && at != 0;
    return at != 0 && (n == at || (n > at && control->for_good));
}

/* Whether this call has to fail; errno is set then. The first calls come while AddressSanitizer
 * starts: no local variable here may need its shadow. */
static bool fails(const char *name, int error)
{
    if (!control || !control->is_armed || is_bare ||
        (control->only[0] && strcmp(control->only, name) != 0))
        return false;
    is_bare = true;
    bool now = is_meant(++control->n_calls);
    is_bare = false;
    if (!now)
        return false;
    if (control->n_failed++ == 0)
        strncpy(control->name, name, sizeof(control->name) - 1);
    errno = error;
    return true;
}

extern const char __executable_start[], etext[];

static __attribute__((noinline)) bool is_of_others(const void *caller)
{
    Dl_info library;

    return ((const char *)caller < __executable_start || (const char *)caller >= etext) &&
           (!dladdr(caller, &library) || !library.dli_fname ||
            !strstr(library.dli_fname, "libjansson"));
}

static bool allocation_fails(const char *name, const void *caller)
{
    if (!control || !control->is_armed || (control->own_memory && is_of_others(caller)))
        return false;
    return fails(name, ENOMEM);
}

static int disk_error(void)
{
    return control && control->full_disk ? ENOSPC : EIO;
}

/* ---- memory ---- */

#ifdef __SANITIZE_ADDRESS__
#define REAL_ALLOC(name_) __interceptor_##name_

/* LeakSanitizer knows the dynamic linker's own memory by who called malloc, and here this file did.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:ld-linux";
}
#else
#define REAL_ALLOC(name_) __libc_##name_
#endif

void *REAL_ALLOC(malloc)(size_t size);
void *REAL_ALLOC(calloc)(size_t n, size_t size);
void *REAL_ALLOC(realloc)(void *memory, size_t size);

#define CALLER __builtin_return_address(0)

void *malloc(size_t size)
{
    return allocation_fails("malloc", CALLER) ? NULL : REAL_ALLOC(malloc)(size);
}

void *calloc(size_t n, size_t size)
{
    return allocation_fails("calloc", CALLER) ? NULL : REAL_ALLOC(calloc)(n, size);
}

void *realloc(void *memory, size_t size)
{
    return allocation_fails("realloc", CALLER) ? NULL : REAL_ALLOC(realloc)(memory, size);
}

void *reallocarray(void *memory, size_t n, size_t size)
{
    size_t all;

    if (__builtin_mul_overflow(n, size, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return allocation_fails("realloc", CALLER) ? NULL : REAL_ALLOC(realloc)(memory, all);
}

static char *copy_text(const char *text, size_t length, const void *caller)
{
    char *copy = allocation_fails("malloc", caller) ? NULL : REAL_ALLOC(malloc)(length + 1);

    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

char *strndup(const char *text, size_t size)
{
    return copy_text(text, strnlen(text, size), CALLER);
}

char *strdup(const char *text)
{
    return copy_text(text, strlen(text), CALLER);
}

void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t offset)
{
    if (fails("mmap", ENOMEM))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return mmap64(at, size, protection, flags, fd, offset);
}

/* ---- files ---- */

#define CALL(name_, error_, real_)      return fails(name_, error_) ? -1 : (int)(real_)
#define CALL_SIZE(name_, error_, real_) return fails(name_, error_) ? -1 : (ssize_t)(real_)

static int open_by(const char *path, int flags, va_list arguments)
{
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;

    CALL("open", EMFILE, syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

#define DEFINE_OPEN(name_)                                                                         \
    int name_(const char *path, int flags, ...)                                                    \
    {                                                                                              \
        va_list arguments;                                                                         \
                                                                                                   \
        va_start(arguments, flags);                                                                \
        int fd = open_by(path, flags, arguments);                                                  \
        va_end(arguments);                                                                         \
        return fd;                                                                                 \
    }

DEFINE_OPEN(open)
DEFINE_OPEN(open64)

ssize_t read(int fd, void *buffer, size_t size)
{
    CALL_SIZE("read", EIO, syscall(SYS_read, fd, buffer, size));
}

ssize_t write(int fd, const void *buffer, size_t size)
{
    CALL_SIZE("write", disk_error(), syscall(SYS_write, fd, buffer, size));
}

ssize_t pread64(int fd, void *buffer, size_t size, off64_t offset)
{
    CALL_SIZE("pread", EIO, syscall(SYS_pread64, fd, buffer, size, offset));
}

ssize_t pwrite64(int fd, const void *buffer, size_t size, off64_t offset)
{
    CALL_SIZE("pwrite", disk_error(), syscall(SYS_pwrite64, fd, buffer, size, offset));
}

int ftruncate64(int fd, off64_t size)
{
    CALL("ftruncate", disk_error(), syscall(SYS_ftruncate, fd, size));
}

int fsync(int fd)
{
    CALL("fsync", EIO, syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
    CALL("fdatasync", EIO, syscall(SYS_fdatasync, fd));
}

/* ---- descriptors of other kinds ---- */

int socket(int domain, int type, int protocol)
{
    CALL("socket", EMFILE, syscall(SYS_socket, domain, type, protocol));
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    CALL("accept4", EMFILE, syscall(SYS_accept4, fd, address, length, flags));
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    CALL("getsockopt", ENOBUFS, syscall(SYS_getsockopt, fd, level, name, value, length));
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    CALL_SIZE("recv", ENOBUFS, syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL));
}

ssize_t send(int fd, const void *buffer, size_t size, int flags)
{
    CALL_SIZE("send", ENOBUFS, syscall(SYS_sendto, fd, buffer, size, flags, NULL, 0));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    CALL_SIZE("sendmsg", ENOBUFS, syscall(SYS_sendmsg, fd, message, flags));
}

int epoll_create1(int flags)
{
    CALL("epoll_create1", EMFILE, syscall(SYS_epoll_create1, flags));
}

/* Removing what is there cannot fail, and libmicrohttpd rightly aborts when it does. */
int epoll_ctl(int fd, int operation, int target, struct epoll_event *event)
{
    if (operation == EPOLL_CTL_DEL)
        return (int)syscall(SYS_epoll_ctl, fd, operation, target, event);
    CALL("epoll_ctl", operation == EPOLL_CTL_ADD ? ENOSPC : ENOMEM,
         syscall(SYS_epoll_ctl, fd, operation, target, event));
}

int timerfd_create(int clock, int flags)
{
    CALL("timerfd_create", EMFILE, syscall(SYS_timerfd_create, clock, flags));
}

int eventfd(unsigned value, int flags)
{
    CALL("eventfd", EMFILE, syscall(SYS_eventfd2, value, flags));
}

int signalfd(int fd, const sigset_t *mask, int flags)
{
    CALL("signalfd", EMFILE, syscall(SYS_signalfd4, fd, mask, (size_t)8, flags));
}

int pipe2(int fds[2], int flags)
{
    CALL("pipe2", EMFILE, syscall(SYS_pipe2, fds, flags));
}

int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

    /* aarch64 has no older call */
    CALL("poll", ENOMEM, syscall(SYS_ppoll, fds, n, timeout_ms < 0 ? NULL : &timeout, NULL, 0));
}

int pidfd_open(pid_t pid, unsigned flags)
{
    CALL("pidfd_open", EMFILE, syscall(SYS_pidfd_open, pid, flags));
}

/* ---- what has no system call of its own: the next definition in the order of libraries ---- */

#define NEXT(name_) ((__typeof__(&(name_)))dlsym(RTLD_NEXT, #name_))

pid_t fork(void)
{
    return fails("fork", EAGAIN) ? -1 : NEXT(fork)();
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *userdata)
{
    if (fails("pthread_create", EAGAIN))
        return EAGAIN;
    return NEXT(pthread_create)(thread, attributes, run, userdata);
}

#ifdef __SANITIZE_ADDRESS__
/* AddressSanitizer asks when a thread starts, and ends the process when it gets no answer. */
int pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes)
{
    is_bare = true;
    int r = NEXT(pthread_getattr_np)(thread, attributes);
    is_bare = false;
    return r;
}
#endif

int io_uring_queue_init_params(unsigned n, struct io_uring *ring, struct io_uring_params *params);
int io_uring_submit(struct io_uring *ring);
int io_uring_submit_and_wait(struct io_uring *ring, unsigned n);

int io_uring_queue_init_params(unsigned n, struct io_uring *ring, struct io_uring_params *params)
{
    return fails("io_uring_setup", ENOMEM) ? -ENOMEM
                                           : NEXT(io_uring_queue_init_params)(n, ring, params);
}

int io_uring_submit(struct io_uring *ring)
{
    return fails("io_uring_enter", EAGAIN) ? -EAGAIN : NEXT(io_uring_submit)(ring);
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned n)
{
    return fails("io_uring_enter", EAGAIN) ? -EAGAIN : NEXT(io_uring_submit_and_wait)(ring, n);
}
