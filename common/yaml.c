/*
 * The one file that sees libyaml. Its event API is walked with our own caps; its document loader
 * and aliases, where a small text can become a large tree, are not used. The walk keeps going after
 * a finding wherever the structure still makes sense, so that one run shows all of them.
 */

#include "common/yaml.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <yaml.h>

struct walker {
    yaml_parser_t parser;
    const char *text; /* the document without a byte order mark */
    struct dwb_diags *diags;
    unsigned n_events;
    size_t n_before; /* findings that were there already */
};

static void yaml_event_freep(yaml_event_t *event)
{
    yaml_event_delete(event);
}

void dwb_yaml_free(struct dwb_yaml_node *root)
{
    if (!root)
        return;
    for (size_t i = 0; i < root->n_items; i++) {
        dwb_yaml_free(root->items[i]);
        if (root->keys)
            dwb_yaml_free(root->keys[i]);
    }
    free(root->items);
    free(root->keys);
    free(root->text);
    free(root);
}

struct dwb_yaml_node *dwb_yaml_get(const struct dwb_yaml_node *mapping, const char *key)
{
    if (mapping->type != DWB_YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < mapping->n_items; i++) {
        if (strcmp(mapping->keys[i]->text, key) == 0)
            return mapping->items[i];
    }
    return NULL;
}

static void add_at(struct walker *walker, yaml_mark_t mark, const char *value, const char *message)
{
    dwb_diags_add(walker->diags, (unsigned)mark.line + 1, (unsigned)mark.column + 1, NULL, value,
                  "%s", message);
}

/* The reader is ahead of the scanner, whose mark is elsewhere: the place is counted from the byte.
 */
static void reader_error(struct walker *walker, const char *problem)
{
    const yaml_parser_t *parser = &walker->parser;
    unsigned line = 1, column = 1;

    for (size_t i = 0; i < parser->problem_offset; i++) {
        if (walker->text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)walker->text[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    if (parser->problem_value >= 0 && strstr(problem, "control"))
        dwb_diags_add(walker->diags, line, column, NULL, NULL,
                      "the character U+%04X is not allowed in a document",
                      (unsigned)parser->problem_value);
    else
        dwb_diags_add(walker->diags, line, column, NULL, NULL,
                      "not valid UTF-8 text at byte %zu: %s", parser->problem_offset, problem);
}

/* libyaml's own finding, in its words: "while X, Y". */
static int parser_error(struct walker *walker)
{
    const yaml_parser_t *parser = &walker->parser;
    const char *problem = parser->problem ? parser->problem : "cannot be parsed";
    yaml_mark_t mark = parser->problem_mark;

    /* libyaml takes some failures of malloc for the end of a token and words them as syntax, so
     * errno says it and not its error. */
    if (errno == ENOMEM)
        return -ENOMEM;
    if (parser->error == YAML_READER_ERROR) {
        reader_error(walker, problem);
        return -EINVAL;
    }
    if (parser->context)
        dwb_diags_add(walker->diags, (unsigned)mark.line + 1, (unsigned)mark.column + 1, NULL, NULL,
                      "not valid YAML: %s, %s", parser->context, problem);
    else
        dwb_diags_add(walker->diags, (unsigned)mark.line + 1, (unsigned)mark.column + 1, NULL, NULL,
                      "not valid YAML: %s", problem);
    return -EINVAL;
}

static int next_event(struct walker *walker, yaml_event_t *event)
{
    errno = 0;
    if (!yaml_parser_parse(&walker->parser, event)) {
        memset(event, 0, sizeof(*event));
        return parser_error(walker);
    }
    if (++walker->n_events > DWB_YAML_EVENTS_MAX) {
        dwb_diags_add(walker->diags, (unsigned)event->start_mark.line + 1,
                      (unsigned)event->start_mark.column + 1, NULL, NULL,
                      "the document has more than %d nodes; split it", DWB_YAML_EVENTS_MAX);
        return -EINVAL;
    }
    return 0;
}

static struct dwb_yaml_node *node_new(enum dwb_yaml_type type, const yaml_event_t *event)
{
    struct dwb_yaml_node *node = calloc(1, sizeof(*node));

    if (!node)
        return NULL;
    node->type = type;
    node->line = (unsigned)event->start_mark.line + 1;
    node->column = (unsigned)event->start_mark.column + 1;
    return node;
}

/* Takes key and item, also when it fails. */
static int node_append(struct dwb_yaml_node *node, struct dwb_yaml_node *key,
                       struct dwb_yaml_node *item)
{
    if ((node->n_items & (node->n_items - 1)) == 0) { /* full at 0 and at each power of two */
        size_t room = node->n_items > 0 ? node->n_items * 2 : 1;
        void *items = realloc(node->items, room * sizeof(*node->items));

        if (items)
            node->items = items;
        if (items && key) {
            void *keys = realloc(node->keys, room * sizeof(*node->keys));

            if (keys)
                node->keys = keys;
            else
                items = NULL;
        }
        if (!items) {
            dwb_yaml_free(key);
            dwb_yaml_free(item);
            return -ENOMEM;
        }
    }
    if (key)
        node->keys[node->n_items] = key;
    node->items[node->n_items++] = item;
    return 0;
}

static void check_properties(struct walker *walker, const yaml_event_t *event,
                             const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor)
        add_at(walker, event->start_mark, (const char *)anchor,
               "is an anchor; anchors and aliases are not allowed: write the value out");
    if (tag)
        add_at(walker, event->start_mark, (const char *)tag,
               "is a tag; tags are not allowed: write the plain value");
}

static int read_scalar(struct walker *walker, const yaml_event_t *event,
                       struct dwb_yaml_node **ret_node)
{
    DWB_CLEANUP(dwb_yaml_freep) struct dwb_yaml_node *node = node_new(DWB_YAML_SCALAR, event);
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;

    if (!node)
        return -ENOMEM;
    check_properties(walker, event, event->data.scalar.anchor, event->data.scalar.tag);
    if (memchr(text, '\0', length))
        add_at(walker, event->start_mark, text, "contains a NUL character");
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->text = strndup(text, length);
    if (!node->text)
        return -ENOMEM;
    *ret_node = dwb_steal(node);
    return 0;
}

static int read_node(struct walker *walker, const yaml_event_t *event, unsigned depth,
                     struct dwb_yaml_node **ret_node);

static int read_sequence(struct walker *walker, const yaml_event_t *start, unsigned depth,
                         struct dwb_yaml_node **ret_node)
{
    DWB_CLEANUP(dwb_yaml_freep) struct dwb_yaml_node *node = node_new(DWB_YAML_SEQUENCE, start);

    if (!node)
        return -ENOMEM;
    check_properties(walker, start, start->data.sequence_start.anchor,
                     start->data.sequence_start.tag);
    for (;;) {
        DWB_CLEANUP(yaml_event_freep) yaml_event_t event = {0};
        struct dwb_yaml_node *item;
        int r = next_event(walker, &event);

        if (r < 0)
            return r;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            break;
        r = read_node(walker, &event, depth, &item);
        if (r < 0)
            return r;
        if (item) {
            r = node_append(node, NULL, item);
            if (r < 0)
                return r;
        }
    }
    *ret_node = dwb_steal(node);
    return 0;
}

/* A key that is no scalar or is there twice is a finding; its entry is read and left out. */
static bool key_is_good(struct walker *walker, const struct dwb_yaml_node *mapping,
                        const struct dwb_yaml_node *key)
{
    if (!key)
        return false;
    if (key->type != DWB_YAML_SCALAR) {
        dwb_diags_add(walker->diags, key->line, key->column, NULL, NULL,
                      "a key must be plain text, not a list or a mapping");
        return false;
    }
    for (size_t i = 0; i < mapping->n_items; i++) {
        if (strcmp(mapping->keys[i]->text, key->text) == 0) {
            dwb_diags_add(walker->diags, key->line, key->column, key->text, NULL,
                          "is there twice; the first one is at line %u", mapping->keys[i]->line);
            return false;
        }
    }
    return true;
}

static int read_pair(struct walker *walker, const yaml_event_t *key_event, unsigned depth,
                     struct dwb_yaml_node *mapping)
{
    DWB_CLEANUP(dwb_yaml_freep) struct dwb_yaml_node *key = NULL;
    DWB_CLEANUP(dwb_yaml_freep) struct dwb_yaml_node *item = NULL;
    DWB_CLEANUP(yaml_event_freep) yaml_event_t event = {0};
    int r = read_node(walker, key_event, depth, &key);

    if (r < 0)
        return r;
    r = next_event(walker, &event);
    if (r < 0)
        return r;
    r = read_node(walker, &event, depth, &item);
    if (r < 0)
        return r;
    if (!key_is_good(walker, mapping, key) || !item)
        return 0;
    return node_append(mapping, dwb_steal(key), dwb_steal(item));
}

static int read_mapping(struct walker *walker, const yaml_event_t *start, unsigned depth,
                        struct dwb_yaml_node **ret_node)
{
    DWB_CLEANUP(dwb_yaml_freep) struct dwb_yaml_node *node = node_new(DWB_YAML_MAPPING, start);

    if (!node)
        return -ENOMEM;
    check_properties(walker, start, start->data.mapping_start.anchor,
                     start->data.mapping_start.tag);
    for (;;) {
        DWB_CLEANUP(yaml_event_freep) yaml_event_t event = {0};
        int r = next_event(walker, &event);

        if (r < 0)
            return r;
        if (event.type == YAML_MAPPING_END_EVENT)
            break;
        r = read_pair(walker, &event, depth, node);
        if (r < 0)
            return r;
    }
    *ret_node = dwb_steal(node);
    return 0;
}

/* *ret_node is NULL after an alias, which is a finding and no value. */
static int read_node(struct walker *walker, const yaml_event_t *event, unsigned depth,
                     struct dwb_yaml_node **ret_node)
{
    *ret_node = NULL;
    if (depth >= DWB_YAML_DEPTH_MAX && event->type != YAML_SCALAR_EVENT) {
        dwb_diags_add(walker->diags, (unsigned)event->start_mark.line + 1,
                      (unsigned)event->start_mark.column + 1, NULL, NULL,
                      "is nested deeper than %d levels", DWB_YAML_DEPTH_MAX);
        return -EINVAL;
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(walker, event, ret_node);
    case YAML_SEQUENCE_START_EVENT:
        return read_sequence(walker, event, depth + 1, ret_node);
    case YAML_MAPPING_START_EVENT:
        return read_mapping(walker, event, depth + 1, ret_node);
    default: /* an alias: the grammar has no other event where a value stands */
        add_at(walker, event->start_mark, (const char *)event->data.alias.anchor,
               "is an alias; anchors and aliases are not allowed: write the value out");
        return 0;
    }
}

static int expect_end(struct walker *walker)
{
    DWB_CLEANUP(yaml_event_freep) yaml_event_t end = {0};
    DWB_CLEANUP(yaml_event_freep) yaml_event_t after = {0};
    int r = next_event(walker, &end); /* the document's end */

    if (r < 0)
        return r;
    r = next_event(walker, &after);
    if (r < 0)
        return r;
    if (after.type != YAML_STREAM_END_EVENT) {
        add_at(walker, after.start_mark, NULL, "a second document starts here; give one a file");
        return -EINVAL;
    }
    return 0;
}

static int read_stream(struct walker *walker, struct dwb_yaml_node **ret_root)
{
    DWB_CLEANUP(dwb_yaml_freep) struct dwb_yaml_node *root = NULL;
    DWB_CLEANUP(yaml_event_freep) yaml_event_t stream = {0};
    DWB_CLEANUP(yaml_event_freep) yaml_event_t document = {0};
    DWB_CLEANUP(yaml_event_freep) yaml_event_t first = {0};
    int r = next_event(walker, &stream);

    if (r < 0)
        return r;
    r = next_event(walker, &document);
    if (r < 0)
        return r;
    if (document.type == YAML_STREAM_END_EVENT) {
        dwb_diags_add(walker->diags, 1, 1, NULL, NULL, "the document is empty");
        return -EINVAL;
    }
    r = next_event(walker, &first);
    if (r < 0)
        return r;
    r = read_node(walker, &first, 0, &root);
    if (r < 0)
        return r;
    r = expect_end(walker);
    if (r < 0)
        return r;
    if (walker->diags->n + walker->diags->n_dropped > walker->n_before)
        return -EINVAL; /* so it is where an alias is all there is */
    *ret_root = dwb_steal(root);
    return 0;
}

int dwb_yaml_parse(const char *text, size_t length, struct dwb_diags *diags,
                   struct dwb_yaml_node **ret_root)
{
    struct walker walker = {.diags = diags, .n_before = diags->n + diags->n_dropped};
    int r;

    if (length > DWB_YAML_BYTES_MAX) {
        dwb_diags_add(diags, 0, 0, NULL, NULL, "the document has %zu bytes; at most %d are allowed",
                      length, DWB_YAML_BYTES_MAX);
        return -EINVAL;
    }
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark is no text */
        text += 3;
        length -= 3;
    }
    if (!yaml_parser_initialize(&walker.parser))
        return -ENOMEM;
    walker.text = text;
    yaml_parser_set_encoding(&walker.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&walker.parser, (const unsigned char *)text, length);
    r = read_stream(&walker, ret_root);
    yaml_parser_delete(&walker.parser);
    return r;
}
