#include "kernels/backends/plugin_guard.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *volatile dwb_plugin_guard_text;

static void say(const char *before, const char *what)
{
    char line[512];
    size_t n = 0;
    const char *parts[] = {before, what, "\n"};

    for (size_t i = 0; i < 3; i++) /* no stdio: this is a signal handler's */
        for (const char *c = parts[i]; *c && n < sizeof(line); c++)
            line[n++] = *c;
    if (write(STDERR_FILENO, line, n) < 0)
        return;
}

static void on_signal(int number)
{
    const char *text = dwb_plugin_guard_text;

    if (text)
        say("died in ", text);
    else
        say("died outside of any call into a plugin; one may have overwritten memory", "");
    dwb_plugin_guard_leave();
    /* The handler is gone: what faulted does so again, and what was sent comes again. */
    raise(number);
}

static void on_exit_called(void)
{
    if (!dwb_plugin_guard_text)
        return;
    say("exit was called in ", dwb_plugin_guard_text);
    _exit(EXIT_FAILURE); /* no status of a plugin's may look like one of ours */
}

void dwb_plugin_guard_start(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    static char stack[64 * 1024]; /* a plugin may have used up the other */
    static bool started;
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_RESETHAND};

    if (started)
        return;
    started = true;
    sigaltstack(&alternate, NULL);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaction(numbers[i], &action, NULL);
    atexit(on_exit_called);
}
