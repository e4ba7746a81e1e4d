#pragma once

/*
 * Log lines for mains (libraries return errors, they do not log). On a terminal or a pipe a line is
 * "program: text"; when journald is at the other end (JOURNAL_STREAM names stderr) it carries the
 * "<N>" priority prefix of sd-daemon(3). Text from outside is escaped and a line is capped at 512
 * bytes, so that no client can forge or flood a line.
 */

enum dwb_log_level { DWB_LOG_ERROR = 3, DWB_LOG_WARNING = 4, DWB_LOG_INFO = 6, DWB_LOG_DEBUG = 7 };

/* Once, at the start of main. Lines above `level` are dropped. */
void dwb_log_init(const char *program, enum dwb_log_level level);

void dwb_log(enum dwb_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
