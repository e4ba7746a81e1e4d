#pragma once

/*
 * Following a job to its end over GET /v1/jobs/ID/events. The stream may end early (a daemon that
 * restarts): it is asked for again, and what is replayed is not shown twice.
 */

#include "client/http.h"
#include "client/progress.h"

/*
 * patient: a daemon that is away may come back (a service); else the first lost connection is final
 * (a private one). DWB_EXIT_OK when the job is done; DWB_EXIT_FAILED when it failed or was
 * cancelled (told on stderr); else why it could not be followed.
 */
int dwb_watch(struct dwb_http *http, const char *id, bool patient, struct dwb_progress_bar *bar);
