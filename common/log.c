#include "common/log.h"

#include "common/diag.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *program_name = "dwbench";
static enum dwb_log_level max_level = DWB_LOG_INFO;
static bool to_journal;

struct allowance {
    uint64_t full_ns; /* when a burst's worth of lines is there again, CLOCK_MONOTONIC */
    uint64_t n_left_out;
};

static struct allowance allowances[DWB_LOG_DEBUG + 1];

/* sd-daemon(3): JOURNAL_STREAM is "device:inode" of the stream that journald reads. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

void dwb_log_init(const char *program, enum dwb_log_level level)
{
    program_name = program;
    max_level = level;
    to_journal = stderr_is_journal();
}

/* Whether one more line may be written now. */
static bool take(struct allowance *allowance)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    if (allowance->full_ns < now_ns)
        allowance->full_ns = now_ns;
    if (allowance->full_ns - now_ns > (DWB_LOG_BURST - 1) * (uint64_t)DWB_LOG_REFILL_NS)
        return false;
    allowance->full_ns += DWB_LOG_REFILL_NS;
    return true;
}

/* One write a line: lines of several processes on one pipe do not mix. */
static void put(enum dwb_log_level level, const char *text)
{
    char escaped[460], line[512];
    int n;

    dwb_escape(escaped, sizeof(escaped), text, strlen(text));
    if (to_journal)
        n = snprintf(line, sizeof(line), "<%d>%s\n", (int)level, escaped);
    else
        n = snprintf(line, sizeof(line), "%s: %s%s\n", program_name,
                     level == DWB_LOG_WARNING ? "warning: " : "", escaped);
    /* A log that cannot be written has nobody to tell. */
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
        return;
}

void dwb_log(enum dwb_log_level level, const char *format, ...)
{
    struct allowance *allowance = &allowances[level];
    char text[1024];
    va_list arguments;

    if (level > max_level)
        return;
    if (level > DWB_LOG_ERROR && !take(allowance)) {
        allowance->n_left_out++;
        return;
    }
    if (allowance->n_left_out > 0) {
        snprintf(text, sizeof(text), "%llu lines like the next were left out",
                 (unsigned long long)allowance->n_left_out);
        allowance->n_left_out = 0;
        put(level, text);
    }
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    put(level, text);
}
