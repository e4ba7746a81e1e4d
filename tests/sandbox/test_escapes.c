/*
 * Tries every escape four times, each in a process of its own: free, behind Landlock alone, while
 * libraries are loaded, and sealed, where a kernel runs. The sandbox is entered by the worker's own
 * functions. Prints a table and a count; fails when sealed lets one pass, when loading lets one
 * pass that is not listed as open then, or when fewer than 50 were tried.
 *
 * An attempt that fails without the sandbox as well proves nothing: the table says so ("needs
 * privilege", "not in this kernel"), and it is not counted as tried. Free, an answer of the kernel
 * beyond "not permitted" is enough ("reached"): so nothing has to be harmed to see that a call gets
 * through.
 */

#include "measure/landlock.h"
#include "measure/sandbox.h"
#include "tests/sandbox/escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_WANTED 50

enum mode { FREE, LANDLOCK, LOADING, SEALED, N_MODES };

struct shared { /* between this process and the one that tries */
    enum { NOT_YET, TRYING, TRIED } state;
    int error; /* of the attempt; 0 = it worked */
    struct dwb_sandbox sandbox;
};

struct outcome {
    bool denied;
    bool proves; /* free: something can be denied at all */
    char text[40];
};

static struct shared *shared;

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "cannot prepare: %s: %s\n", what, strerror(errno));
    _exit(99);
}

/* ---- the process that tries ---- */

static void make_files(struct world *world)
{
    require(mkdir(world->directory, 0700) == 0, "directory");
    snprintf(world->file, sizeof world->file, "%s/file", world->directory);
    snprintf(world->other, sizeof world->other, "%s/other", world->directory);
    snprintf(world->empty, sizeof world->empty, "%s/empty", world->directory);
    require(mkdir(world->empty, 0700) == 0, "empty directory");
    world->file_fd = open(world->file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    require(world->file_fd >= 0 && write(world->file_fd, "text", 4) == 4, "file");
    world->directory_fd = open(world->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void make_world(struct world *world, enum mode mode)
{
    /* Mounts of one's own, where that is allowed: nothing is mounted for anybody else. */
    if (unshare(CLONE_NEWNS) == 0)
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    world->inherited_fd = 20;
    require(dup2(STDERR_FILENO, world->inherited_fd) == world->inherited_fd, "inherited");
    if (mode != FREE)
        dwb_sandbox_close_inherited();
    make_files(world);
    world->pty_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    world->namespace_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    world->victim_fd = (int)syscall(SYS_pidfd_open, world->victim, 0);
    world->unix_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    world->inet_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    world->cpu = sched_getcpu();
    require(world->unix_fd >= 0 && world->inet_fd >= 0, "sockets");
}

/* What foreign code could do between the two steps. */
static int open_while_loading(void)
{
    return open("/proc/cpuinfo", O_RDONLY);
}

static void enter(struct world *world, enum mode mode)
{
    static const struct dwb_sandbox_config config = {.profile = DWB_SANDBOX_MEASURE};
    int abi;

    if (mode == FREE)
        world->loaded_fd = open_while_loading();
    if (mode == LANDLOCK)
        require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                    dwb_landlock_enter(NULL, 0, &abi) == 0,
                "Landlock");
    if (mode == LOADING || mode == SEALED) {
        dwb_sandbox_enter(&config, &shared->sandbox);
        world->loaded_fd = open_while_loading();
    }
    if (mode == SEALED)
        dwb_sandbox_seal(&shared->sandbox);
}

static void __attribute__((noreturn))
try(const struct escape *escape, enum mode mode, struct world *world)
{
    long r;

    make_world(world, mode);
    enter(world, mode);
    shared->state = TRYING;
    errno = 0;
    r = escape->attempt(world);
    shared->error = r < 0 ? (errno ? errno : EIO) : 0;
    shared->state = TRIED;
    _exit(0);
}

/* ---- what came of it ---- */

static bool is_denial(const struct escape *escape, int error)
{
    return error == EPERM || error == EACCES ||
           (error == EBADF && (escape->flags & ESCAPE_CLOSED)) ||
           (error == ENOMEM && (escape->flags & ESCAPE_MEMORY));
}

static void judge(const struct escape *escape, enum mode mode, int status, struct outcome *outcome)
{
    bool as_program = (escape->flags & ESCAPE_RUNS_PROGRAM) && shared->state == TRYING &&
                      WIFEXITED(status) && WEXITSTATUS(status) == 0;
    int error = as_program ? 0 : shared->error;

    *outcome = (struct outcome){.denied = false};
    if (WIFSIGNALED(status)) {
        outcome->denied = mode != FREE && WTERMSIG(status) == SIGSYS;
        snprintf(outcome->text, sizeof outcome->text, "killed by SIG%s",
                 sigabbrev_np(WTERMSIG(status)));
        return;
    }
    if (shared->state != TRIED && !as_program) {
        snprintf(outcome->text, sizeof outcome->text, "exit status %d", WEXITSTATUS(status));
        return;
    }
    outcome->denied = is_denial(escape, error);
    outcome->proves = !outcome->denied && error != ENOSYS;
    if (error == 0)
        snprintf(outcome->text, sizeof outcome->text, "works");
    else if (mode == FREE)
        snprintf(outcome->text, sizeof outcome->text, "%s (%s)",
                 error == ENOSYS   ? "not in this kernel"
                 : outcome->denied ? "needs privilege"
                                   : "reached",
                 strerrorname_np(error));
    else
        snprintf(outcome->text, sizeof outcome->text, "%s%s",
                 outcome->denied ? "" : "reached: ", strerrorname_np(error));
}

static void run(const struct escape *escape, enum mode mode, struct world *world,
                struct outcome *outcome)
{
    char command[128];
    pid_t pid;
    int status = 0;

    memset(shared, 0, sizeof *shared);
    fflush(NULL);
    pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(EXIT_FAILURE);
    }
    if (pid == 0)
        try(escape, mode, world);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    judge(escape, mode, status, outcome);
    snprintf(command, sizeof command, "rm -rf '%s'", world->directory);
    if (system(command) != 0)
        exit(EXIT_FAILURE);
}

/* ---- the table ---- */

struct counts {
    size_t n_tried, n_open, n_defects, n_unproved;
};

static void defect(struct counts *counts, const char *what)
{
    printf("    NOT OK: %s\n", what);
    counts->n_defects++;
}

static bool is_left_out(const struct escape *escape)
{
#ifdef __SANITIZE_ADDRESS__
    return escape->flags & ESCAPE_MEMORY;
#else
    return escape->flags & 0;
#endif
}

static void try_everywhere(const struct escape *escape, struct world *world, int landlock,
                           struct counts *counts)
{
    struct outcome outcomes[N_MODES];
    bool with_landlock = escape->landlock > 0 && escape->landlock <= landlock;

    for (enum mode mode = FREE; mode < N_MODES; mode++) {
        outcomes[mode] = (struct outcome){.denied = true, .text = "-"};
        if (mode != LANDLOCK || with_landlock)
            run(escape, mode, world, &outcomes[mode]);
    }
    printf("%-34s %-28s %-10s %-18s %s\n", escape->what, outcomes[FREE].text,
           outcomes[LANDLOCK].text, outcomes[LOADING].text, outcomes[SEALED].text);
    if (outcomes[FREE].proves && outcomes[SEALED].denied)
        counts->n_tried++;
    counts->n_unproved += !outcomes[FREE].proves;
    counts->n_open += !outcomes[LOADING].denied;
    if (!outcomes[SEALED].denied)
        defect(counts, "not denied");
    if (!outcomes[LOADING].denied && !(escape->flags & ESCAPE_WHILE_LOADING))
        defect(counts, "not denied while libraries are loaded");
    if (outcomes[FREE].proves && !outcomes[LANDLOCK].denied)
        defect(counts, "not denied by Landlock alone");
}

static pid_t start_victim(void)
{
    pid_t parent = getpid(), pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            for (;;)
                pause();
        _exit(0);
    }
    return pid;
}

/* Enters the sandbox in a process of its own, to see what this kernel has. */
static struct dwb_sandbox look(struct world *world)
{
    pid_t pid;

    memset(shared, 0, sizeof *shared);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        enter(world, SEALED);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    return shared->sandbox;
}

int main(void)
{
    struct world world = {.loaded_fd = -1};
    struct counts counts = {0};
    struct dwb_sandbox sandbox;
    size_t n;
    const struct escape *list = escapes(&n);

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    world.victims_memory = calloc(1, 64);
    if (shared == MAP_FAILED || !world.victims_memory)
        return EXIT_FAILURE;
    sandbox = look(&world);
    if (!sandbox.seccomp) {
        printf("nothing can be denied here: %s\n", sandbox.reason);
        return 77;
    }
    snprintf(world.directory, sizeof world.directory, "/tmp/dwbench-escapes.%d", (int)getpid());
    world.victim = start_victim();
    printf("%-34s %-28s %-10s %-18s %s\n", "", "free", "Landlock", "while loading", "sealed");
    for (size_t i = 0; i < n; i++)
        if (!is_left_out(&list[i]))
            try_everywhere(&list[i], &world, sandbox.landlock, &counts);
    kill(world.victim, SIGKILL);
    free(world.victims_memory);
    printf("%zu that work without the sandbox were tried and denied in it; %zu cannot be shown "
           "here; %zu open while libraries are loaded; Landlock %d\n",
           counts.n_tried, counts.n_unproved, counts.n_open, sandbox.landlock);
    if (counts.n_tried < N_WANTED)
        printf("NOT OK: fewer than %d\n", N_WANTED);
    return counts.n_defects || counts.n_tried < N_WANTED ? EXIT_FAILURE : EXIT_SUCCESS;
}
