/*
 * A log line is one line, whatever a client sends, and carries journald's priority only when
 * journald is the reader. A flood of lines is cut, at its own level only, and what is missing is
 * said.
 */

#include "common/diag.h"
#include "common/log.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char line[2048];

/* Runs in Check's forked child: stderr is a file from here on. */
static int stderr_to_file(void)
{
    char path[] = "/tmp/dwbench-test-log-XXXXXX";
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    unlink(path);
    ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
    return fd;
}

static const char *written(int fd)
{
    ssize_t n = pread(fd, line, sizeof(line) - 1, 0);

    ck_assert_int_ge(n, 0);
    line[n] = '\0';
    return line;
}

START_TEST(test_plain)
{
    int fd = stderr_to_file();

    unsetenv("JOURNAL_STREAM");
    dwb_log_init("prog", DWB_LOG_INFO);
    dwb_log(DWB_LOG_DEBUG, "not shown");
    dwb_log(DWB_LOG_WARNING, "job '%s'", "a\n<0>forged\x1b[2J");
    ck_assert_str_eq(written(fd), "prog: warning: job 'a\\x0a<0>forged\\x1b[2J'\n");
}
END_TEST

START_TEST(test_journal)
{
    int fd = stderr_to_file();
    struct stat status;
    char stream[64];

    ck_assert_int_eq(fstat(fd, &status), 0);
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    dwb_log_init("prog", DWB_LOG_DEBUG);
    dwb_log(DWB_LOG_ERROR, "broken");
    ck_assert_str_eq(written(fd), "<3>broken\n");

    setenv("JOURNAL_STREAM", "1:1", 1); /* somebody else's stream */
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert_int_eq(lseek(STDERR_FILENO, 0, SEEK_SET), 0);
    dwb_log_init("prog", DWB_LOG_DEBUG);
    dwb_log(DWB_LOG_ERROR, "broken");
    ck_assert_str_eq(written(fd), "prog: broken\n");
}
END_TEST

START_TEST(test_cap)
{
    int fd = stderr_to_file();
    char text[5000];

    memset(text, '\n', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    dwb_log_init("prog", DWB_LOG_INFO);
    dwb_log(DWB_LOG_INFO, "%s", text);
    written(fd);
    ck_assert_uint_le(strlen(line), 512);
    ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
    ck_assert(strstr(line, "..."));
}
END_TEST

struct seen {
    size_t n_lines, n_left_out; /* of the flood; as the log says between its lines */
};

static struct seen look(int fd)
{
    struct seen seen = {0};
    char *text = NULL;
    size_t size = 0, n;
    int copy = dup(fd);
    FILE *in = fdopen(copy, "r");

    ck_assert_ptr_nonnull(in);
    rewind(in);
    while (getline(&text, &size, in) > 0) {
        if (sscanf(text, "prog: %zu lines like the next were left out", &n) == 1)
            seen.n_left_out += n;
        else
            seen.n_lines++;
    }
    free(text);
    fclose(in);
    return seen;
}

static void empty(int fd)
{
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert_int_eq(lseek(STDERR_FILENO, 0, SEEK_SET), 0);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

START_TEST(test_rate)
{
    int fd = stderr_to_file();
    uint64_t begin_ns = now_ns();

    unsetenv("JOURNAL_STREAM");
    dwb_log_init("prog", DWB_LOG_INFO);
    for (int i = 0; i < 20000; i++)
        dwb_log(DWB_LOG_INFO, "line %d", i);
    uint64_t n_refilled = (now_ns() - begin_ns) / DWB_LOG_REFILL_NS;
    struct seen flood = look(fd);
    ck_assert_uint_ge(flood.n_lines, DWB_LOG_BURST);
    ck_assert_uint_le(flood.n_lines, DWB_LOG_BURST + n_refilled + 1);

    /* A flood at one level keeps out nothing of another. */
    empty(fd);
    dwb_log(DWB_LOG_WARNING, "something");
    ck_assert_str_eq(written(fd), "prog: warning: something\n");

    /* Nor does anything keep out an error. */
    for (int i = 0; i < 2 * DWB_LOG_BURST; i++)
        dwb_log(DWB_LOG_ERROR, "line %d", i);
    ck_assert_uint_eq(look(fd).n_lines, 1 + 2 * DWB_LOG_BURST);

    /* The flood over, the next line says how much is missing. */
    usleep(3 * DWB_LOG_REFILL_NS / 1000);
    empty(fd);
    dwb_log(DWB_LOG_INFO, "quiet again");
    struct seen after = look(fd);
    ck_assert_uint_eq(flood.n_lines + flood.n_left_out + after.n_left_out, 20000);
    ck_assert_uint_gt(after.n_left_out, 0);
    ck_assert(strstr(written(fd), "\nprog: quiet again\n"));
}
END_TEST

/* ---- what an input said, in a message ---- */

static const struct {
    const char *text, *escaped;
} inputs[] = {
    {"\xc2\xb5 \xe2\x82\xac", "\xc2\xb5 \xe2\x82\xac"}, /* text is as it was */
    {"\xc2z", "\\xc2z"},                                /* another byte has to follow */
    {"\xe2\x82z", "\\xe2\\x82z"},                       /* and one more */
    {"\xe0\x80\x80", "\\xe0\\x80\\x80"},                /* longer than need be */
    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},       /* past the last one */
    {"\xed\xa0\x80", "\\xed\\xa0\\x80"},                /* half of a pair */
    {"\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80"},       /* begins nothing */
    {"\x1b[1m\x7f", "\\x1b[1m\\x7f"},
};

START_TEST(test_escape)
{
    char text[64] = "same";

    dwb_escape(text, sizeof(text), inputs[_i].text, strlen(inputs[_i].text));
    ck_assert_str_eq(text, inputs[_i].escaped);
    text[0] = '#';
    dwb_escape(text, 0, "x", 1); /* no room, not even for an end */
    ck_assert_int_eq(text[0], '#');
}
END_TEST

/* More findings than are kept are counted. */
START_TEST(test_findings)
{
    struct dwb_diags *diags = dwb_diags_new();
    char *text = NULL;
    size_t n, n_lines = 0;
    FILE *stream = open_memstream(&text, &n);

    for (unsigned i = 0; i < DWB_DIAGS_MAX + 3; i++)
        dwb_diags_add(diags, i, 2, i % 2 ? "field" : NULL, i % 2 ? "value" : NULL, "wrong");
    dwb_diags_print(diags, "file", stream);
    ck_assert_int_eq(fclose(stream), 0);
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        n_lines++;
    ck_assert_uint_eq(n_lines, DWB_DIAGS_MAX + 1);
    ck_assert(strncmp(text, "file: wrong\nfile:1:2: field: 'value' wrong\n", 43) == 0);
    ck_assert(strstr(text, "\nfile: and 3 more\n"));
    free(text);
    dwb_diags_free(diags);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tests = tcase_create("log");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_test(tests, test_plain);
    tcase_add_test(tests, test_journal);
    tcase_add_test(tests, test_cap);
    tcase_add_test(tests, test_rate);
    tcase_add_loop_test(tests, test_escape, 0, sizeof(inputs) / sizeof(inputs[0]));
    tcase_add_test(tests, test_findings);
    suite_add_tcase(suite, tests);
    srunner_set_fork_status(runner, CK_FORK); /* the tests redirect stderr */
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
