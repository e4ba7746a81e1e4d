#pragma once

/*
 * Ctrl-C (and SIGTERM, SIGHUP) as a flag, for verbs that have something to say or to clean up on
 * the way out. The others keep the default: the signal ends them.
 */

#include <stdbool.h>

/* From now on the signals set the flag and interrupt blocking calls. */
void dwb_interrupt_install(void);
bool dwb_interrupted(void);
