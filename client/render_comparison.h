#pragma once

/*
 * A comparison for people: a layer and operation a row. Takes the document of `compare`
 * (dwbench.compare/1) and that of a gate (dwbench.gate/1), whose comparisons have the same shape;
 * members that one of them lacks are left out.
 */

#include "client/terminal.h"

#include <jansson.h>
#include <stdio.h>

/* 0, -EINVAL when it is not a comparison document, -ENOMEM. */
int dwb_render_comparison(const json_t *document, const struct dwb_terminal *terminal, FILE *out);
