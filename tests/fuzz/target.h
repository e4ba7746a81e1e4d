#pragma once

/*
 * What the fuzz targets and the corpus test do with one hostile input: the real parser reads it,
 * and what must hold for every input is checked. A violation aborts, which a fuzzer keeps as a
 * crash. Each returns what the parser returned: 0 = accepted, -EINVAL = refused with findings in
 * *diags, which the call empties first; -ENOMEM.
 */

#include "common/diag.h"

#include <stdbool.h>
#include <stddef.h>

typedef int dwb_target_fn(const char *text, size_t length, struct dwb_diags *diags);

dwb_target_fn dwb_target_spec;    /* a layer or suite document */
dwb_target_fn dwb_target_config;  /* the daemon's configuration */
dwb_target_fn dwb_target_record;  /* a line of a worker's output */
dwb_target_fn dwb_target_flag;    /* --layer text */
dwb_target_fn dwb_target_request; /* what a worker reads */

/* Whether -ENOMEM may be the truth: set by a test that makes allocations fail. */
extern bool dwb_target_memory_may_fail;

/* Ends the program, with the reason on stderr, when `holds` is false. */
void dwb_target_must(int holds, const char *what);
