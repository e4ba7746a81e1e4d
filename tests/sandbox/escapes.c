/*
 * The list. Run without a sandbox none does harm, also not as root: what would (the clock, the
 * host's name, modules, swap) sets what is already so, or has an argument that the kernel refuses
 * after it has let the caller in.
 */

#include "tests/sandbox/escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/acct.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fsuid.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <sys/io.h>
#endif

static long of_call(long r)
{
    return r;
}

/* ---- those that take more than one call ---- */

static long fork_and_wait(const struct world *w)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return pid < 0 ? -1 : waitpid(pid, NULL, 0);
}

static long vfork_and_wait(const struct world *w)
{
    pid_t pid = vfork();

    if (pid == 0)
        _exit(0);
    return pid < 0 ? -1 : waitpid(pid, NULL, 0);
}

static long clone3_and_wait(const struct world *w)
{
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);

    if (pid == 0)
        _exit(0);
    return pid < 0 ? -1 : waitpid((pid_t)pid, NULL, 0);
}

static void *idle(void *userdata)
{
    return userdata;
}

static long thread(const struct world *w)
{
    pthread_t id;
    int r = pthread_create(&id, NULL, idle, NULL);

    if (r == 0)
        return pthread_join(id, NULL);
    errno = r == EAGAIN ? EPERM : r; /* how the C library calls a refused clone */
    return -1;
}

static long execute(const struct world *w)
{
    return execl("/bin/true", "true", (char *)NULL);
}

static long execute_at(const struct world *w)
{
    char *arguments[] = {(char *)"true", NULL}, *none[] = {NULL};

    return syscall(SYS_execveat, AT_FDCWD, "/bin/true", arguments, none, 0);
}

/* A program that never was a file. */
static long execute_memory(const struct world *w)
{
    char *arguments[] = {(char *)"true", NULL}, *none[] = {NULL};
    int from = open("/bin/true", O_RDONLY), to = memfd_create("x", MFD_CLOEXEC);
    char block[65536];
    ssize_t n;

    if (to < 0)
        return -1;
    while (from >= 0 && (n = read(from, block, sizeof block)) > 0)
        if (write(to, block, (size_t)n) != n)
            return -1;
    return syscall(SYS_execveat, to, "", arguments, none, AT_EMPTY_PATH);
}

static long raise_limit(const struct world *w)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -1;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

static long same_host_name(const struct world *w)
{
    struct utsname name;

    return uname(&name) < 0 ? -1 : sethostname(name.nodename, strlen(name.nodename));
}

static long same_domain_name(const struct world *w)
{
    struct utsname name;

    return uname(&name) < 0 ? -1 : setdomainname(name.domainname, strlen(name.domainname));
}

static long to_another_cpu(const struct world *w)
{
    unsigned long mask = w->cpu == 0 ? 2 : 1;

    return sched_setaffinity(0, sizeof mask, (cpu_set_t *)&mask);
}

static long victims_memory(const struct world *w, bool writes)
{
    char text[16] = "x";
    struct iovec here = {text, sizeof text}, there = {w->victims_memory, sizeof text};

    return writes ? process_vm_writev(w->victim, &here, 1, &there, 1, 0)
                  : process_vm_readv(w->victim, &here, 1, &there, 1, 0);
}

static long victim_read(const struct world *w)
{
    return victims_memory(w, false);
}

static long victim_write(const struct world *w)
{
    return victims_memory(w, true);
}

static long victim_queue(const struct world *w)
{
    siginfo_t info = {.si_signo = SIGCONT, .si_code = SI_QUEUE};

    return syscall(SYS_rt_sigqueueinfo, w->victim, SIGCONT, &info);
}

static long by_handle(const struct world *w)
{
    struct {
        struct file_handle handle;
        unsigned char room[128];
    } named = {.handle = {.handle_bytes = 128}};
    int mount;

    if (name_to_handle_at(AT_FDCWD, w->file, &named.handle, &mount, 0) < 0)
        return -1;
    return open_by_handle_at(w->directory_fd, &named.handle, O_RDONLY);
}

static long to_handle(const struct world *w)
{
    struct {
        struct file_handle handle;
        unsigned char room[128];
    } named = {.handle = {.handle_bytes = 128}};
    int mount;

    return name_to_handle_at(AT_FDCWD, w->file, &named.handle, &mount, 0);
}

static long bind_abstract(const struct world *w)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "\0dwbench-escape"};

    return bind(w->unix_fd, (struct sockaddr *)&address, sizeof(sa_family_t) + 15);
}

/* To a port where nobody listens: the refusal comes from the network. */
static long connect_loopback(const struct world *w)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(1), .sin_addr = {htonl(INADDR_LOOPBACK)}};

    return connect(w->inet_fd, (struct sockaddr *)&address, sizeof address);
}

static long bind_loopback(const struct world *w)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};

    return bind(w->inet_fd, (struct sockaddr *)&address, sizeof address);
}

static long bpf_map(const struct world *w)
{
    union bpf_attr attr = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

    return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr);
}

static long open_counter(const struct world *w)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
                                   .size = sizeof attr,
                                   .config = PERF_COUNT_SW_TASK_CLOCK,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};

    return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static long set_ring(const struct world *w)
{
    unsigned char parameters[256] = {0};

    return syscall(SYS_io_uring_setup, 4, parameters);
}

static long of_memory(int protection)
{
    void *page = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return page == MAP_FAILED ? -1 : 0;
}

static long code_in_memory(const struct world *w)
{
    return of_memory(PROT_READ | PROT_EXEC);
}

static long writable_code(const struct world *w)
{
    return of_memory(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static long memory_to_code(const struct world *w)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return page == MAP_FAILED ? -1 : mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static long memory_to_code_by_key(const struct world *w)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return page == MAP_FAILED ? -1
                              : syscall(SYS_pkey_mprotect, page, 4096, PROT_READ | PROT_EXEC, -1);
}

static long code_of_stack(const struct world *w)
{
    char here;
    void *page = (void *)((uintptr_t)&here & ~(uintptr_t)4095);

    return mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static long much_memory(const struct world *w)
{
    void *area = mmap(NULL, UINT64_C(64) << 30, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return area == MAP_FAILED ? -1 : 0;
}

static long own_filter(const struct world *w)
{
    return prctl(PR_SET_SECCOMP, 2, NULL); /* EFAULT without a filter */
}

static long timer(const struct world *w)
{
    struct itimerval value = {.it_value = {.tv_sec = 100}};

    return setitimer(ITIMER_REAL, &value, NULL);
}

static long posix_timer(const struct world *w)
{
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    int id;

    return syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id);
}

static long type_into_terminal(const struct world *w)
{
    return ioctl(w->pty_fd, TIOCSTI, "x");
}

static long read_clock_state(const struct world *w)
{
    struct timex state = {.modes = 0};

    return adjtimex(&state);
}

static long invalid_time(const struct world *w)
{
    return syscall(SYS_clock_settime, CLOCK_REALTIME, &(struct timespec){.tv_nsec = -1});
}

static long attributes(const struct world *w)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attr = {.size = 48, .nice = 1};

    return syscall(SYS_sched_setattr, 0, &attr, 0);
}

static long mount_here(const struct world *w)
{
    return mount("tmpfs", w->empty, "tmpfs", 0, "size=4k");
}

static long write_process(const struct world *w)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/mem", (int)w->victim);
    return open(path, O_RDWR);
}

static long read_into_output(const struct world *w)
{
    return sendfile(STDERR_FILENO, w->file_fd, &(off_t){0}, 0);
}

static long open_how(const struct world *w)
{
    struct {
        uint64_t flags, mode, resolve;
    } how = {.flags = O_RDONLY};

    return syscall(SYS_openat2, AT_FDCWD, w->file, &how, sizeof how);
}

#if defined(__x86_64__)
/* getpid by the numbers of 32-bit x86 */
static long other_numbers(const struct world *w)
{
    long r = 20;

    __asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
    errno = r < 0 ? (int)-r : 0;
    return r < 0 ? -1 : 0;
}

static long local_descriptors(const struct world *w)
{
    char buffer[64];

    return syscall(SYS_modify_ldt, 0, buffer, sizeof buffer);
}
#endif

/* ---- those of one call: a function each ---- */

/* quotactl: QCMD(Q_GETFMT, USRQUOTA), whose macro shifts into the sign. */

#define CALLS(X)                                                                                   \
    X(open_read, open("/etc/passwd", O_RDONLY))                                                    \
    X(open_file, openat(w->directory_fd, "file", O_RDONLY))                                        \
    X(open_write, open(w->file, O_WRONLY))                                                         \
    X(open_directory, open("/", O_RDONLY | O_DIRECTORY))                                           \
    X(open_create, open(w->other, O_WRONLY | O_CREAT, 0600))                                       \
    X(open_unnamed, open(w->directory, O_RDWR | O_TMPFILE, 0600))                                  \
    X(open_device, open("/dev/zero", O_RDWR))                                                      \
    X(open_environment, open("/proc/self/environ", O_RDONLY))                                      \
    X(truncate_file, truncate(w->file, 0))                                                         \
    X(unlink_file, unlink(w->file))                                                                \
    X(rename_file, rename(w->file, w->other))                                                      \
    X(link_file, link(w->file, w->other))                                                          \
    X(symlink_file, symlink(w->file, w->other))                                                    \
    X(make_directory, mkdir(w->other, 0700))                                                       \
    X(remove_directory, rmdir(w->empty))                                                           \
    X(make_fifo, mknod(w->other, S_IFIFO | 0600, 0))                                               \
    X(chmod_file, chmod(w->file, 0777))                                                            \
    X(chown_file, chown(w->file, getuid(), getgid()))                                              \
    X(touch_file, utimensat(AT_FDCWD, w->file, NULL, 0))                                           \
    X(set_attribute, setxattr(w->file, "user.x", "x", 1, 0))                                       \
    X(stat_file, stat(w->file, &(struct stat){0}))                                                 \
    X(stat_system, statfs("/", &(struct statfs){0}))                                               \
    X(read_link, readlink("/proc/self/exe", (char[8]){0}, 8))                                      \
    X(change_directory, chdir("/"))                                                                \
    X(change_root, chroot(w->empty))                                                               \
    X(watch_files, inotify_init1(0))                                                               \
    X(watch_mounts, syscall(SYS_fanotify_init, 0, O_RDONLY))                                       \
    X(inherited_write, write(w->inherited_fd, "x", 1))                                             \
    X(loaded_read, pread(w->loaded_fd, (char[1]){0}, 1, 0))                                        \
    X(stdin_read, read(STDIN_FILENO, (char[1]){0}, 1))                                             \
    X(another_output, dup(STDOUT_FILENO))                                                          \
    X(another_output_by_fcntl, fcntl(STDOUT_FILENO, F_DUPFD, 100))                                 \
    X(signal_by_fcntl, fcntl(STDOUT_FILENO, F_SETOWN, w->victim))                                  \
    X(flags_by_fcntl, fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK))                                   \
    X(memory_file, memfd_create("x", 0))                                                           \
    X(secret_memory, syscall(SYS_memfd_secret, 0))                                                 \
    X(make_pipe, pipe((int[2]){0}))                                                                \
    X(make_epoll, epoll_create1(0))                                                                \
    X(make_eventfd, eventfd(0, 0))                                                                 \
    X(make_timerfd, timerfd_create(CLOCK_MONOTONIC, 0))                                            \
    X(make_signalfd, signalfd(-1, &(sigset_t){0}, 0))                                              \
    X(clone_user, syscall(SYS_unshare, CLONE_NEWUSER))                                             \
    X(unshare_mounts, unshare(CLONE_NEWNS))                                                        \
    X(unshare_network, unshare(CLONE_NEWNET))                                                      \
    X(enter_namespace, setns(w->namespace_fd, 0))                                                  \
    X(trace_victim, ptrace(PTRACE_ATTACH, w->victim, NULL, NULL))                                  \
    X(seize_victim, ptrace(PTRACE_SEIZE, w->victim, NULL, NULL))                                   \
    X(trace_me, ptrace(PTRACE_TRACEME, 0, NULL, NULL))                                             \
    X(kill_victim, kill(w->victim, SIGCONT))                                                       \
    X(kill_all, kill(-1, 0))                                                                       \
    X(kill_parent, kill(getppid(), 0))                                                             \
    X(tgkill_victim, syscall(SYS_tgkill, w->victim, w->victim, SIGCONT))                           \
    X(tkill_victim, syscall(SYS_tkill, w->victim, SIGCONT))                                        \
    X(pidfd_victim, syscall(SYS_pidfd_open, w->victim, 0))                                         \
    X(pidfd_signal, syscall(SYS_pidfd_send_signal, w->victim_fd, SIGCONT, NULL, 0))                \
    X(pidfd_steal, syscall(SYS_pidfd_getfd, w->victim_fd, STDOUT_FILENO, 0))                       \
    X(compare_victim, syscall(SYS_kcmp, getpid(), w->victim, 1, 0, 0))                             \
    X(limit_victim, prlimit(w->victim, RLIMIT_NOFILE, NULL, &(struct rlimit){0}))                  \
    X(advise_victim, syscall(SYS_process_madvise, w->victim_fd,                                    \
                             &(struct iovec){w->victims_memory, 64}, 1, MADV_COLD, 0))             \
    X(move_victim,                                                                                 \
      syscall(SYS_migrate_pages, w->victim, 64, &(unsigned long){1}, &(unsigned long){1}))         \
    X(pin_victim,                                                                                  \
      sched_setaffinity(w->victim, sizeof(unsigned long), (cpu_set_t *)&(unsigned long){1}))       \
    X(own_group, setpgid(0, 0))                                                                    \
    X(own_session, setsid())                                                                       \
    X(priority, setpriority(PRIO_PROCESS, 0, 1))                                                   \
    X(scheduler, sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}))                     \
    X(io_priority, syscall(SYS_ioprio_set, 1, 0, 0))                                               \
    X(same_user, syscall(SYS_setuid, getuid()))                                                    \
    X(same_users, syscall(SYS_setresuid, getuid(), getuid(), getuid()))                            \
    X(same_group, syscall(SYS_setgid, getgid()))                                                   \
    X(no_groups, syscall(SYS_setgroups, 0, NULL))                                                  \
    X(no_randomisation, personality(ADDR_NO_RANDOMIZE))                                            \
    X(not_dumpable, prctl(PR_SET_DUMPABLE, 0))                                                     \
    X(be_reaper, prctl(PR_SET_CHILD_SUBREAPER, 1))                                                 \
    X(survive_parent, prctl(PR_SET_PDEATHSIG, 0))                                                  \
    X(lock_memory, syscall(SYS_mlockall, MCL_CURRENT | MCL_ONFAULT))                               \
    X(sleep_long, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &(struct timespec){0}, NULL))   \
    X(socket_unix, socket(AF_UNIX, SOCK_STREAM, 0))                                                \
    X(socket_inet, socket(AF_INET, SOCK_STREAM, 0))                                                \
    X(socket_inet6, socket(AF_INET6, SOCK_DGRAM, 0))                                               \
    X(socket_netlink, socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE))                                 \
    X(socket_packet, socket(AF_PACKET, SOCK_RAW, 0))                                               \
    X(socket_pair, socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){0}))                               \
    X(send_message, sendto(w->unix_fd, "x", 1, 0, NULL, 0))                                        \
    X(listen_unix, listen(w->unix_fd, 1))                                                          \
    X(fault_handler, syscall(SYS_userfaultfd, 1))                                                  \
    X(keyring, syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -3, 1))                                  \
    X(new_key, syscall(SYS_add_key, "user", "dwbench", "x", 1, -2))                                \
    X(ask_key, syscall(SYS_request_key, "user", "dwbench-none", NULL, -2))                         \
    X(shared_memory, shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT))                                  \
    X(load_module, syscall(SYS_init_module, NULL, 0, ""))                                          \
    X(load_module_file, syscall(SYS_finit_module, -1, "", 0))                                      \
    X(unload_module, syscall(SYS_delete_module, "dwbench-none", O_NONBLOCK))                       \
    X(new_kernel, syscall(SYS_kexec_load, 0, 0, NULL, 0))                                          \
    X(restart, syscall(SYS_reboot, 0, 0, 0, NULL))                                                 \
    X(swap_on, swapon("/dwbench-none", 0))                                                         \
    X(swap_off, swapoff("/dwbench-none"))                                                          \
    X(account, acct("/dwbench-none"))                                                              \
    X(quota, quotactl((int)0x80000400u, "/dwbench-none", 0, (char[64]){0}))                        \
    X(set_time_of_day, syscall(SYS_settimeofday, NULL, NULL))                                      \
    X(kernel_log, klogctl(10, NULL, 0))                                                            \
    X(unmount, umount2("/dwbench-none", 0))                                                        \
    X(pivot, syscall(SYS_pivot_root, w->empty, w->empty))                                          \
    X(open_filesystem, syscall(SYS_fsopen, "tmpfs", 0))                                            \
    X(pick_filesystem, syscall(SYS_fspick, AT_FDCWD, "/", 0))                                      \
    X(open_mount, syscall(SYS_open_tree, AT_FDCWD, "/", 0))                                        \
    X(move_a_mount, syscall(SYS_move_mount, AT_FDCWD, "/dwbench-none", AT_FDCWD, w->empty, 0))

#define FUNCTION(name, call)                                                                       \
    static long name(const struct world *w)                                                        \
    {                                                                                              \
        return of_call(call);                                                                      \
    }
CALLS(FUNCTION)

#if defined(__x86_64__)
static long port_privilege(const struct world *w)
{
    return iopl(0);
}

static long ports(const struct world *w)
{
    return ioperm(0x80, 1, 0);
}
#endif

/* Since which version Landlock denies it: the first, the third and the fourth. */
#define FILES    1
#define TRUNCATE 3
#define TCP      4
#define LOADING  ESCAPE_WHILE_LOADING
#define PROGRAM  ESCAPE_RUNS_PROGRAM

static const struct escape list[] = {
    {"open /etc/passwd", FILES, 0, open_read},
    {"open by a directory's descriptor", FILES, 0, open_file},
    {"open to write", FILES, 0, open_write},
    {"open a directory", FILES, 0, open_directory},
    {"create a file", FILES, 0, open_create},
    {"create a file without a name", FILES, 0, open_unnamed},
    {"open a device", FILES, 0, open_device},
    {"open one's own environment", FILES, 0, open_environment},
    {"open with openat2", FILES, 0, open_how},
    {"open another's memory", FILES, 0, write_process},
    {"truncate", TRUNCATE, 0, truncate_file},
    {"unlink", FILES, 0, unlink_file},
    {"rename", FILES, 0, rename_file},
    {"link", FILES, 0, link_file},
    {"symlink", FILES, 0, symlink_file},
    {"mkdir", FILES, 0, make_directory},
    {"rmdir", FILES, 0, remove_directory},
    {"mknod", FILES, 0, make_fifo},
    {"chmod", 0, 0, chmod_file},
    {"chown", 0, 0, chown_file},
    {"utimensat", 0, 0, touch_file},
    {"setxattr", 0, 0, set_attribute},
    {"stat", 0, LOADING, stat_file},
    {"statfs", 0, LOADING, stat_system},
    {"readlink", 0, LOADING, read_link},
    {"chdir", 0, 0, change_directory},
    {"chroot", 0, 0, change_root},
    {"name_to_handle_at", 0, 0, to_handle},
    {"open_by_handle_at", 0, 0, by_handle},
    {"inotify", 0, 0, watch_files},
    {"fanotify", 0, 0, watch_mounts},
    {"sendfile from an open file", 0, 0, read_into_output},
    {"write to an inherited descriptor", 0, ESCAPE_CLOSED, inherited_write},
    {"read what loading left open", 0, ESCAPE_CLOSED | LOADING, loaded_read},
    {"read standard input", 0, ESCAPE_CLOSED | LOADING, stdin_read},
    {"dup", 0, 0, another_output},
    {"F_DUPFD", 0, 0, another_output_by_fcntl},
    {"F_SETOWN", 0, 0, signal_by_fcntl},
    {"F_SETFL", 0, 0, flags_by_fcntl},
    {"memfd_create", 0, 0, memory_file},
    {"memfd_secret", 0, 0, secret_memory},
    {"pipe", 0, 0, make_pipe},
    {"epoll", 0, 0, make_epoll},
    {"eventfd", 0, 0, make_eventfd},
    {"timerfd", 0, 0, make_timerfd},
    {"signalfd", 0, 0, make_signalfd},
    {"fork", 0, 0, fork_and_wait},
    {"vfork", 0, 0, vfork_and_wait},
    {"clone3", 0, 0, clone3_and_wait},
    {"clone: a thread", 0, 0, thread},
    {"execve", 0, PROGRAM, execute},
    {"execveat", 0, PROGRAM, execute_at},
    {"execveat of a memory file", 0, PROGRAM, execute_memory},
    {"unshare: user", 0, 0, clone_user},
    {"unshare: mounts", 0, 0, unshare_mounts},
    {"unshare: network", 0, 0, unshare_network},
    {"setns", 0, 0, enter_namespace},
    {"ptrace: attach", 0, 0, trace_victim},
    {"ptrace: seize", 0, 0, seize_victim},
    {"ptrace: be traced", 0, 0, trace_me},
    {"process_vm_readv", 0, 0, victim_read},
    {"process_vm_writev", 0, 0, victim_write},
    {"kill another", 0, 0, kill_victim},
    {"kill everybody", 0, 0, kill_all},
    {"kill the parent", 0, 0, kill_parent},
    {"tgkill another", 0, 0, tgkill_victim},
    {"tkill another", 0, 0, tkill_victim},
    {"rt_sigqueueinfo", 0, 0, victim_queue},
    {"pidfd_open", 0, 0, pidfd_victim},
    {"pidfd_send_signal", 0, 0, pidfd_signal},
    {"pidfd_getfd", 0, 0, pidfd_steal},
    {"kcmp", 0, 0, compare_victim},
    {"prlimit of another", 0, 0, limit_victim},
    {"process_madvise", 0, 0, advise_victim},
    {"migrate_pages", 0, 0, move_victim},
    {"sched_setaffinity of another", 0, 0, pin_victim},
    /* It would measure there, beside whatever runs there, and the record would name the first. */
    {"sched_setaffinity to another CPU", 0, 0, to_another_cpu},
    {"sched_setscheduler", 0, 0, scheduler},
    {"sched_setattr", 0, 0, attributes},
    {"setpriority", 0, 0, priority},
    {"ioprio_set", 0, 0, io_priority},
    {"setpgid", 0, 0, own_group},
    {"setsid", 0, 0, own_session},
    {"setuid", 0, 0, same_user},
    {"setresuid", 0, 0, same_users},
    {"setgid", 0, 0, same_group},
    {"setgroups", 0, 0, no_groups},
    {"personality", 0, 0, no_randomisation},
    {"prctl: dumpable", 0, 0, not_dumpable},
    {"prctl: subreaper", 0, 0, be_reaper},
    {"prctl: parent's death", 0, 0, survive_parent},
    {"prctl: seccomp", 0, 0, own_filter},
    {"a higher limit", 0, LOADING, raise_limit},
    {"setitimer", 0, 0, timer},
    {"timer_create", 0, 0, posix_timer},
    {"clock_nanosleep", 0, 0, sleep_long},
    {"mlockall", 0, 0, lock_memory},
    {"memory that is code", 0, 0, code_in_memory},
    {"memory that is writable code", 0, 0, writable_code},
    {"mprotect: memory to code", 0, 0, memory_to_code},
    {"pkey_mprotect: memory to code", 0, 0, memory_to_code_by_key},
    {"mprotect: the stack to code", 0, 0, code_of_stack},
    {"64 GiB of memory", 0, ESCAPE_MEMORY | LOADING, much_memory},
    {"socket: Unix", 0, 0, socket_unix},
    {"socket: IPv4", 0, 0, socket_inet},
    {"socket: IPv6", 0, 0, socket_inet6},
    {"socket: netlink", 0, 0, socket_netlink},
    {"socket: packet", 0, 0, socket_packet},
    {"socketpair", 0, 0, socket_pair},
    {"bind: abstract", 0, 0, bind_abstract},
    {"bind: TCP", TCP, 0, bind_loopback},
    {"connect: TCP", TCP, 0, connect_loopback},
    {"listen", 0, 0, listen_unix},
    {"send", 0, 0, send_message},
    {"io_uring_setup", 0, 0, set_ring},
    {"bpf", 0, 0, bpf_map},
    {"perf_event_open", 0, 0, open_counter},
    {"userfaultfd", 0, 0, fault_handler},
    {"keyctl", 0, 0, keyring},
    {"add_key", 0, 0, new_key},
    {"request_key", 0, 0, ask_key},
    {"shmget", 0, 0, shared_memory},
    {"init_module", 0, 0, load_module},
    {"finit_module", 0, 0, load_module_file},
    {"delete_module", 0, 0, unload_module},
    {"kexec_load", 0, 0, new_kernel},
    {"reboot", 0, 0, restart},
    {"swapon", 0, 0, swap_on},
    {"swapoff", 0, 0, swap_off},
    {"acct", 0, 0, account},
    {"quotactl", 0, 0, quota},
    {"settimeofday", 0, 0, set_time_of_day},
    {"clock_settime", 0, 0, invalid_time},
    {"adjtimex", 0, 0, read_clock_state},
    {"sethostname", 0, 0, same_host_name},
    {"setdomainname", 0, 0, same_domain_name},
    {"syslog", 0, 0, kernel_log},
    {"ioctl: TIOCSTI", 0, 0, type_into_terminal},
    {"mount", 0, 0, mount_here},
    {"umount", 0, 0, unmount},
    {"pivot_root", 0, 0, pivot},
    {"fsopen", 0, 0, open_filesystem},
    {"fspick", 0, 0, pick_filesystem},
    {"open_tree", 0, 0, open_mount},
    {"move_mount", 0, 0, move_a_mount},
#if defined(__x86_64__)
    {"iopl", 0, 0, port_privilege},
    {"ioperm", 0, 0, ports},
    {"modify_ldt", 0, 0, local_descriptors},
    {"a call by 32-bit numbers", 0, 0, other_numbers},
#endif
};

const struct escape *escapes(size_t *ret_n)
{
    *ret_n = sizeof list / sizeof list[0];
    return list;
}
