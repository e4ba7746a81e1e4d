#pragma once

/*
 * The last words of a process that runs a user's code. Around each call into a plugin a text says
 * what is under way; when the process dies of a signal or is left through exit(3) inside of such a
 * call, that text is what standard error ends with, and so the reason that the daemon tells. What
 * cannot be caught (_exit, SIGKILL at the deadline) is told by what the worker said at its start.
 *
 * One thread. A signal still kills the process as it would have: the handler writes and returns.
 */

/* Sets the handlers; once is enough, more do no harm. */
void dwb_plugin_guard_start(void);

/* `text` is borrowed until the leave: a few words without a newline. */
extern const char *volatile dwb_plugin_guard_text;

static inline void dwb_plugin_guard_enter(const char *text)
{
    dwb_plugin_guard_text = text;
}

static inline void dwb_plugin_guard_leave(void)
{
    dwb_plugin_guard_text = 0;
}
