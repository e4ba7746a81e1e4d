#pragma once

/*
 * The inside of a simulation: this process runs under Valgrind, which measure/simulate.c has
 * started, and tells Callgrind which call to count. The only file that sees Valgrind's header.
 */

#include "common/record.h"
#include "measure/request.h"

#define DWB_CALLGRIND_ERROR_MAX 320

/* Was the worker built with Valgrind's header? */
bool dwb_callgrind_built_in(void);

/*
 * Calls one operation of one backend so that Callgrind counts that call alone. In warm mode one
 * call that is not counted leaves its lines in the simulated caches; in cold mode they are empty.
 * Outputs are compared with the oracle as in a measurement. 0 and the subject; a negative errno
 * with a sentence in error.
 */
int dwb_callgrind_run(const struct dwb_request *request, const char *backend,
                      enum dwb_operation operation, char error[DWB_CALLGRIND_ERROR_MAX],
                      struct dwb_subject *ret_subject);
