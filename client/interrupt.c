#include "client/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void dwb_interrupt_install(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: poll returns at once */

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

bool dwb_interrupted(void)
{
    return interrupted != 0;
}
