#pragma once

/* What the test programs of specifications share: a document in, its findings looked at. */

#include "common/spec.h"

#include <stdbool.h>

extern struct dwb_diags *diags; /* of the last parse */

void setup(void);
void teardown(void);

/* NULL with findings, or a specification without; the test fails otherwise. */
struct dwb_spec *parse(const char *text);

/* Is there this finding, its message with this part? If not, all are printed. */
bool found(unsigned line, unsigned column, const char *field, const char *part);
