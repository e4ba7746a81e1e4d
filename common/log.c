#include "common/log.h"

#include "common/diag.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *program_name = "dwbench";
static enum dwb_log_level max_level = DWB_LOG_INFO;
static bool to_journal;

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

void dwb_log(enum dwb_log_level level, const char *format, ...)
{
    char text[1024], escaped[460], line[512];
    va_list arguments;
    int n;

    if (level > max_level)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    dwb_escape(escaped, sizeof(escaped), text, strlen(text));
    if (to_journal)
        n = snprintf(line, sizeof(line), "<%d>%s\n", (int)level, escaped);
    else
        n = snprintf(line, sizeof(line), "%s: %s%s\n", program_name,
                     level == DWB_LOG_WARNING ? "warning: " : "", escaped);
    /* One write a line: lines of several processes on one pipe do not mix. A log that cannot be
     * written has nobody to tell. */
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
        return;
}
