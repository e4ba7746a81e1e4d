/*
 * Where the programs look: sockets, state and worker by configuration, by what systemd says, by the
 * user's directories, and what is said no to; where the daemon listens; what a report goes to. Each
 * test is a process of its own, as a plain user where it matters.
 */

#include "client/terminal.h"
#include "common/paths.h"
#include "daemon/listen.h"
#include "daemon/places.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/test-places-XXXXXX";
static struct dwb_config config;

static void make(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(chmod(directory, 0777), 0);
}

static int drop(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status, (void)type, (void)at;
    return remove(path);
}

static void clean(void)
{
    nftw(directory, drop, 8, FTW_DEPTH | FTW_PHYS);
}

static void setup(void)
{
    static const char *const names[] = {"DWBENCH_SOCKET", "XDG_RUNTIME_DIR", "XDG_STATE_HOME",
                                        "STATE_DIRECTORY"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
    setenv("HOME", directory, 1);
    dwb_config_init(&config);
}

static void become_plain(void)
{
    if (geteuid() == 0)
        ck_assert(setgid(65534) == 0 && setuid(65534) == 0);
}

static const char *below(const char *name)
{
    static char path[8][512];
    static unsigned at;
    char *own = path[at++ % 8];

    snprintf(own, sizeof(path[0]), "%s/%s", directory, name);
    return own;
}

static void set(char *buffer, size_t size, const char *text)
{
    snprintf(buffer, size, "%s", text);
}

#define SET(member_, text_) set(config.member_, sizeof(config.member_), text_)

START_TEST(test_configured)
{
    struct dwb_places places;

    SET(socket, "/run/x/s");
    SET(state_dir, below("a/b/c"));
    SET(worker, "/bin/true");
    SET(socket_group, "4711");
    config.memory_bytes = 12345;
    ck_assert_int_eq(dwb_places_find(&config, &places), 0);
    ck_assert_str_eq(places.socket, "/run/x/s");
    ck_assert_str_eq(places.state_dir, below("a/b/c"));
    ck_assert_str_eq(places.worker, "/bin/true");
    ck_assert_uint_eq(places.socket_group, 4711);
    ck_assert_uint_eq(places.memory_bytes_max, 12345);
    ck_assert_int_eq(access(places.state_dir, W_OK), 0);
    ck_assert_int_eq(dwb_places_find(&config, &places), 0); /* it is there now */
}
END_TEST

START_TEST(test_state_of_whom)
{
    struct dwb_places places;

    SET(worker, "/bin/true");
    SET(socket, "/run/x/s");
    setenv("STATE_DIRECTORY", below("systemd"), 1);
    ck_assert_int_eq(dwb_places_find(&config, &places), 0);
    ck_assert_str_eq(places.state_dir, below("systemd"));
    unsetenv("STATE_DIRECTORY");
    become_plain();
    ck_assert_int_eq(dwb_places_find(&config, &places), 0);
    ck_assert_str_eq(places.state_dir, below(".local/state/dwbench"));
    setenv("XDG_STATE_HOME", below("xdg"), 1);
    ck_assert_int_eq(dwb_places_find(&config, &places), 0);
    ck_assert_str_eq(places.state_dir, below("xdg/dwbench"));
    setenv("XDG_STATE_HOME", "relative", 1);
    setenv("HOME", "relative", 1);
    ck_assert_int_eq(dwb_places_find(&config, &places), -ENOENT);
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    ck_assert_int_eq(dwb_places_find(&config, &places), -ENOENT);
    setenv("STATE_DIRECTORY", "relative", 1);
    ck_assert_int_eq(dwb_places_find(&config, &places), -ENOENT);
    SET(state_dir, "/proc/1/dwbench");
    ck_assert_int_lt(dwb_places_find(&config, &places), 0);
    SET(state_dir, "/usr"); /* there, and not to be written */
    ck_assert_int_eq(dwb_places_find(&config, &places), -EACCES);
}
END_TEST

START_TEST(test_refused)
{
    struct dwb_places places;
    char longest[sizeof(config.worker)];

    SET(worker, "/bin/true");
    SET(state_dir, below("state"));
    SET(socket_group, "no such group");
    ck_assert_int_eq(dwb_places_find(&config, &places), -ENOENT);
    SET(socket_group, "99999999999");
    ck_assert_int_eq(dwb_places_find(&config, &places), -ENOENT);
    SET(socket_group, "root");
    ck_assert_int_eq(dwb_places_find(&config, &places), 0);
    ck_assert_uint_eq(places.socket_group, 0);
    SET(worker, below("no-worker"));
    ck_assert_int_eq(dwb_places_find(&config, &places), -ENOENT);
    SET(worker, directory);
    SET(state_dir, "/dev/null/state");
    ck_assert_int_eq(dwb_places_find(&config, &places), -ENOTDIR);
    SET(state_dir, "/dev/null/state/deeper");
    ck_assert_int_eq(dwb_places_find(&config, &places), -ENOTDIR);
    memset(longest, 'x', sizeof(longest) - 1);
    longest[0] = '/';
    longest[sizeof(longest) - 1] = '\0';
    setenv("DWBENCH_SOCKET", longest, 1);
    config.socket[0] = '\0';
    ck_assert_int_eq(dwb_places_find(&config, &places), -ENAMETOOLONG);
}
END_TEST

START_TEST(test_sockets)
{
    char path[108];

    ck_assert_int_eq(dwb_paths_socket(0, path, sizeof(path)), 0);
    ck_assert_str_eq(path, "/run/dwbench/dwbench.sock");
    setenv("XDG_RUNTIME_DIR", directory, 1);
    ck_assert_int_eq(dwb_paths_socket(0, path, sizeof(path)), 0);
    ck_assert_str_eq(path, "/run/dwbench/dwbench.sock"); /* a client goes where one is */
    ck_assert_int_eq(dwb_paths_socket(1, path, sizeof(path)), 0);
    ck_assert_str_eq(path, below("dwbench/dwbench.sock"));
    ck_assert_int_eq(mkdir(below("dwbench"), 0700), 0);
    ck_assert_int_ge(open(below("dwbench/dwbench.sock"), O_CREAT | O_RDWR, 0600), 0);
    ck_assert_int_eq(dwb_paths_socket(0, path, sizeof(path)), 0);
    ck_assert_str_eq(path, below("dwbench/dwbench.sock"));
    ck_assert_int_eq(dwb_paths_socket(0, path, 20), -ENAMETOOLONG);
    setenv("DWBENCH_SOCKET", "/mine", 1);
    ck_assert_int_eq(dwb_paths_socket(1, path, sizeof(path)), 0);
    ck_assert_str_eq(path, "/mine");
    setenv("DWBENCH_SOCKET", "", 1);
    setenv("XDG_RUNTIME_DIR", "relative", 1);
    ck_assert_int_eq(dwb_paths_socket(1, path, sizeof(path)), 0);
    ck_assert_str_eq(path, "/run/dwbench/dwbench.sock");
}
END_TEST

START_TEST(test_programs_and_data)
{
    char path[4096];

    ck_assert_int_eq(dwb_paths_program("no-such-program", path, sizeof(path)), -ENOENT);
    for (size_t size = 1; size < 9; size++) {
        ck_assert_int_eq(dwb_paths_program("no-such-program", path, size), -ENAMETOOLONG);
        ck_assert_int_eq(dwb_paths_modules(path, size), -ENAMETOOLONG);
        ck_assert_int_eq(dwb_paths_data("suites", path, size), -ENAMETOOLONG);
    }
    ck_assert_int_eq(dwb_paths_data("suites", path, sizeof(path)), 0);
    ck_assert_int_eq(access(path, R_OK), 0);
    ck_assert_int_eq(dwb_paths_data("no-such-data", path, sizeof(path)), -ENOENT);
    ck_assert_int_eq(dwb_paths_modules(path, sizeof(path)), 0);
}
END_TEST

START_TEST(test_listening)
{
    char longest[200];

    ck_assert_int_eq(mkdir(below("l"), 0777), 0);
    ck_assert_int_eq(chmod(below("l"), 0777), 0);
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    ck_assert_int_eq(dwb_listen_open(longest, 0600, (gid_t)-1), -ENAMETOOLONG);
    ck_assert_int_eq(dwb_listen_open(below("l/no/such/s"), 0600, (gid_t)-1), -ENOENT);
    ck_assert_int_eq(dwb_listen_open("/dev/null/s", 0600, (gid_t)-1), -ENOTDIR);
    ck_assert_int_eq(mkdir(below("l/file"), 0700), 0);
    ck_assert_int_eq(dwb_listen_open(below("l/file"), 0600, (gid_t)-1), -EEXIST);
    int fd = dwb_listen_open(below("l/own/s"), 0660, (gid_t)-1);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(dwb_listen_open(below("l/own/s"), 0660, (gid_t)-1), -EADDRINUSE);
    close(fd);
    fd = dwb_listen_open(below("l/own/s"), 0660, (gid_t)-1); /* what nobody answers on goes */
    ck_assert_int_ge(fd, 0);
    become_plain();
    ck_assert_int_eq(dwb_listen_open(below("l/mine"), 0660, 0), -EPERM);
    ck_assert_int_eq(access(below("l/mine"), F_OK), -1);
    ck_assert_int_lt(dwb_listen_open("/s-of-a-plain-user", 0660, (gid_t)-1), 0);
    ck_assert_int_eq(dwb_listen_inherited(), -ENOENT);
}
END_TEST

START_TEST(test_handed_over)
{
    char pid[16];
    int fds[2];

    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "many", 1);
    ck_assert_int_eq(dwb_listen_inherited(), -EINVAL);
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(dup2(fds[0], 3), 3); /* no socket */
    ck_assert_int_eq(dwb_listen_inherited(), -EINVAL);
}
END_TEST

/* A report is as wide as where it goes to; colours only where somebody looks. */
START_TEST(test_terminals)
{
    struct winsize size = {.ws_row = 24, .ws_col = 77};
    struct dwb_terminal terminal;
    int fd, other;

    unsetenv("COLUMNS");
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    ck_assert_int_eq(openpty(&other, &fd, NULL, NULL, &size), 0);
    dwb_terminal_of(fd, &terminal);
    ck_assert(terminal.interactive && terminal.colour && terminal.columns == 77);
    setenv("NO_COLOR", "", 1);
    dwb_terminal_of(fd, &terminal);
    ck_assert(terminal.colour);
    setenv("NO_COLOR", "1", 1);
    setenv("COLUMNS", "90", 1);
    dwb_terminal_of(fd, &terminal);
    ck_assert(!terminal.colour && terminal.columns == 90);
    unsetenv("NO_COLOR");
    setenv("COLUMNS", "9000", 1);
    setenv("TERM", "dumb", 1);
    dwb_terminal_of(fd, &terminal);
    ck_assert(!terminal.colour && terminal.columns == 500);
    setenv("COLUMNS", "1", 1);
    unsetenv("TERM");
    dwb_terminal_of(fd, &terminal);
    ck_assert(!terminal.colour && terminal.columns == 40);
    unsetenv("COLUMNS");
    dwb_terminal_of(open("/dev/null", O_RDWR), &terminal);
    ck_assert(!terminal.interactive && !terminal.colour && terminal.columns == 120);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("places");
    TCase *tests = tcase_create("places");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_unchecked_fixture(tests, make, clean);
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, test_configured);
    tcase_add_test(tests, test_state_of_whom);
    tcase_add_test(tests, test_refused);
    tcase_add_test(tests, test_sockets);
    tcase_add_test(tests, test_programs_and_data);
    tcase_add_test(tests, test_listening);
    tcase_add_test(tests, test_handed_over);
    tcase_add_test(tests, test_terminals);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
