#pragma once

/* Shared by spec.c (the object, its options, its canonical form) and spec_parse.c (documents). */

#include "common/spec.h"
#include "common/yaml.h"

#define DWB_SPEC_MESSAGE_MAX 256

/* Plain decimal digits within [min, max]. 0 or -EINVAL. */
int dwb_spec_integer(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value);

/* Sets one option, alpha or resolution. -ENOENT: no such key; -EINVAL: message says what is
 * allowed. */
int dwb_spec_option(struct dwb_spec *spec, const char *key, const char *value,
                    char message[DWB_SPEC_MESSAGE_MAX]);

struct dwb_spec *dwb_spec_new(void);

/* At least as many parser events as the canonical form of a suite has. */
size_t dwb_spec_canonical_events(const struct dwb_spec *spec);

/*
 * Computes spec->layers from declared, alpha and resolution and checks what only shows then. line
 * and column (of layer i, or 0) place the findings. 0, -EINVAL with findings.
 */
int dwb_spec_resolve(struct dwb_spec *spec, const struct dwb_yaml_node *const *places,
                     struct dwb_diags *diags);
