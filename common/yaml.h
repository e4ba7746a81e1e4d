#pragma once

/*
 * YAML in, a tree of nodes with their places out. Only what dwbench's own files need: mappings,
 * sequences, scalars. Anchors, aliases, tags, directives with a version other than 1.x, a second
 * document, duplicate keys, NUL or non-UTF-8 bytes are findings, not features. Scalars stay text:
 * in YAML 1.1 the key `N` is the boolean false, and here it is "N".
 *
 * Limits: DWB_YAML_BYTES_MAX bytes, DWB_YAML_DEPTH_MAX levels, DWB_YAML_EVENTS_MAX parser events.
 * A document past a limit is a finding. JSON is YAML: the same call takes it.
 */

#include "common/diag.h"

#include <stdbool.h>
#include <stddef.h>

#define DWB_YAML_BYTES_MAX  65536
#define DWB_YAML_DEPTH_MAX  16
#define DWB_YAML_EVENTS_MAX 4096

enum dwb_yaml_type { DWB_YAML_SCALAR, DWB_YAML_SEQUENCE, DWB_YAML_MAPPING };

struct dwb_yaml_node {
    enum dwb_yaml_type type;
    unsigned line, column;        /* 1-based, of the node's first character */
    bool quoted;                  /* scalar: written in quotes or as a block */
    char *text;                   /* scalar: NUL-terminated UTF-8 without inner NUL; else NULL */
    struct dwb_yaml_node **items; /* sequence: its items; mapping: its values */
    struct dwb_yaml_node **keys;  /* mapping: its keys (scalars), keys[i] belongs to items[i] */
    size_t n_items;
};

/*
 * Parses text[0..length). 0 and *ret_root (free with dwb_yaml_free) when nothing was found;
 * -EINVAL with findings in diags; -ENOMEM.
 */
int dwb_yaml_parse(const char *text, size_t length, struct dwb_diags *diags,
                   struct dwb_yaml_node **ret_root);

void dwb_yaml_free(struct dwb_yaml_node *root);
static inline void dwb_yaml_freep(struct dwb_yaml_node **root)
{
    dwb_yaml_free(*root);
}

/* Value of a key in a mapping (exact text), or NULL. Borrowed until the tree is freed. */
struct dwb_yaml_node *dwb_yaml_get(const struct dwb_yaml_node *mapping, const char *key);
