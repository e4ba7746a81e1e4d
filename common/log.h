#pragma once

/*
 * Log lines for mains (libraries return errors, they do not log). On a terminal or a pipe a line is
 * "program: text"; when journald is at the other end (JOURNAL_STREAM names stderr) it carries the
 * "<N>" priority prefix of sd-daemon(3). Text from outside is escaped and a line is capped at 512
 * bytes, so that no client can forge a line or make it long; nor can it fill the log: of each level
 * below an error, at most DWB_LOG_BURST lines are written at once, and one more for each
 * DWB_LOG_REFILL_NS after that. What was left out is counted, and the count leads the next line of
 * the level that is written. Each level counts for itself, so that what clients cause at will (jobs
 * that come and go, at info) keeps no warning out. Errors are always written: they end a program.
 *
 * One thread logs.
 */

#define DWB_LOG_BURST     500
#define DWB_LOG_REFILL_NS 100000000

enum dwb_log_level { DWB_LOG_ERROR = 3, DWB_LOG_WARNING = 4, DWB_LOG_INFO = 6, DWB_LOG_DEBUG = 7 };

/* Once, at the start of main. Lines above `level` are dropped. */
void dwb_log_init(const char *program, enum dwb_log_level level);

void dwb_log(enum dwb_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
