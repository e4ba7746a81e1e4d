#include "daemon/config.h"

/* See config.h. */

#include "common/cleanup.h"
#include "common/spec.h"
#include "common/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum type { TEXT, PATH, COUNT, MODE, CPU, BYTES, DURATION, LOOP, LOG_LEVEL, UIDS };

struct key {
    const char *name;
    enum type type;
    size_t offset;
    size_t size; /* of a text field */
    const char *initial;
    uint64_t min, max;
};

#define FIELD(member_)                                                                             \
    offsetof(struct dwb_config, member_), sizeof(((struct dwb_config *)0)->member_)
#define MS  UINT64_C(1000000)
#define S   UINT64_C(1000000000)
#define KIB UINT64_C(1024)

static const struct key keys[] = {
    {"socket", PATH, FIELD(socket), "auto", 0, 0},
    {"socket_group", TEXT, FIELD(socket_group), "auto", 0, 0},
    {"socket_mode", MODE, FIELD(socket_mode), "0660", 0, 0777},
    {"state_dir", PATH, FIELD(state_dir), "auto", 0, 0},
    {"worker", PATH, FIELD(worker), "auto", 0, 0},
    {"worker_a", PATH, FIELD(worker_a), "none", 0, 0},
    {"worker_b", PATH, FIELD(worker_b), "none", 0, 0},
    {"plugin_dir", PATH, FIELD(plugin_dir), "none", 0, 0},
    {"measure_cpu", CPU, FIELD(measure_cpu), "auto", 0, 4095},
    {"loop", LOOP, FIELD(loop), "auto", 0, 0},
    {"log_level", LOG_LEVEL, FIELD(log_level), "info", 0, 0},
    {"drain_timeout", DURATION, FIELD(drain_timeout_ns), "10s", 100 * MS, 600 * S},
    {"admins", UIDS, FIELD(admins), NULL, 0, UINT32_MAX - 1},
    {"quotas.connections_per_uid", COUNT, FIELD(connections_per_uid), "32", 1, 100000},
    {"quotas.connections_total", COUNT, FIELD(connections_total), "1024", 1, 100000},
    {"quotas.queued_jobs_per_uid", COUNT, FIELD(queued_jobs_per_uid), "64", 1, 100000},
    {"quotas.queued_jobs_total", COUNT, FIELD(queued_jobs_total), "512", 1, 100000},
    {"limits.memory", BYTES, FIELD(memory_bytes), "auto", 1024 * KIB, UINT64_C(1) << 46},
    {"limits.job_time", DURATION, FIELD(job_time_ns), "4h", S, 7 * 86400 * S},
    {"limits.worker_deadline", DURATION, FIELD(worker_deadline_ns), "60s", 100 * MS, 86400 * S},
    {"limits.worker_failures", COUNT, FIELD(worker_failures), "3", 1, 1000},
    {"http.header_deadline", DURATION, FIELD(header_deadline_ns), "5s", 100 * MS, 600 * S},
    {"http.idle_timeout", DURATION, FIELD(idle_timeout_ns), "60s", 100 * MS, 86400 * S},
    {"http.head_max", BYTES, FIELD(head_bytes_max), "8KiB", KIB, 64 * KIB},
    {"http.body_max", BYTES, FIELD(body_bytes_max), "64KiB", KIB, 64 * KIB},
};

#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

struct place { /* of the value at hand, for its finding */
    struct dwb_diags *diags;
    unsigned line, column;
    const char *field;
    const char *value;
};

static void finding(const struct place *place, const char *message)
{
    dwb_diags_add(place->diags, place->line, place->column, place->field, place->value, "%s",
                  message);
}

static int parse_number(const char *text, int base, const char **ret_rest, uint64_t *ret_number)
{
    char *rest;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    unsigned long long number = strtoull(text, &rest, base);
    if (errno)
        return -ERANGE;
    *ret_rest = rest;
    *ret_number = number;
    return 0;
}

/* "64KiB", "2GiB", "4096" */
static int parse_bytes(const char *text, uint64_t *ret_bytes)
{
    static const struct {
        const char *unit;
        unsigned shift;
    } units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
    const char *rest;
    uint64_t number;

    int r = parse_number(text, 10, &rest, &number);
    if (r < 0)
        return r;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(rest, units[i].unit) != 0)
            continue;
        if (number > UINT64_MAX >> units[i].shift)
            return -ERANGE;
        *ret_bytes = number << units[i].shift;
        return 0;
    }
    return -EINVAL;
}

/* The number of a key whose type has a range; -EINVAL when the text has not the form of one. */
static int parse_ranged(const struct key *key, const char *text, uint64_t *ret_number)
{
    const char *rest = "";
    uint64_t number = 0;
    int r;

    switch (key->type) {
    case BYTES:
        r = parse_bytes(text, &number);
        break;
    case DURATION:
        r = dwb_duration_parse(text, &number);
        break;
    case MODE:
        r = parse_number(text, 8, &rest, &number);
        break;
    default:
        r = parse_number(text, 10, &rest, &number);
    }
    if (r < 0)
        return r;
    if (*rest)
        return -EINVAL;
    if (number < key->min || number > key->max)
        return -ERANGE;
    *ret_number = number;
    return 0;
}

static void format_range(const struct key *key, char *buffer, size_t size)
{
    if (key->type == DURATION)
        snprintf(buffer, size, "must be a duration from %gs to %gs, such as 500ms, 5s or 2h",
                 (double)key->min / 1e9, (double)key->max / 1e9);
    else if (key->type == BYTES)
        snprintf(buffer, size, "must be a size from %llu to %llu bytes, such as 64KiB or 2GiB",
                 (unsigned long long)key->min, (unsigned long long)key->max);
    else if (key->type == MODE)
        snprintf(buffer, size, "must be octal permission bits, such as 0660");
    else
        snprintf(buffer, size, "must be a whole number from %llu to %llu%s",
                 (unsigned long long)key->min, (unsigned long long)key->max,
                 key->type == CPU ? ", or auto" : "");
}

static int set_word(const struct key *key, const char *text, const struct place *place,
                    uint64_t *field)
{
    static const struct {
        enum type type;
        const char *word;
        uint64_t value;
    } words[] = {
        {LOOP, "auto", DWB_LOOP_AUTO},           {LOOP, "uring", DWB_LOOP_URING},
        {LOOP, "epoll", DWB_LOOP_EPOLL},         {LOG_LEVEL, "error", DWB_LOG_ERROR},
        {LOG_LEVEL, "warning", DWB_LOG_WARNING}, {LOG_LEVEL, "info", DWB_LOG_INFO},
        {LOG_LEVEL, "debug", DWB_LOG_DEBUG},
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (words[i].type == key->type && strcmp(words[i].word, text) == 0) {
            *field = words[i].value;
            return 0;
        }
    finding(place, key->type == LOOP ? "must be auto, uring or epoll"
                                     : "must be error, warning, info or debug");
    return -EINVAL;
}

static int set_text(const struct key *key, const char *text, const struct place *place, char *field)
{
    char message[64];

    if (strcmp(text, key->initial) == 0) { /* "auto", or "none" */
        field[0] = '\0';
        return 0;
    }
    if (key->type == PATH && text[0] != '/') {
        snprintf(message, sizeof(message), "must be an absolute path, or %s", key->initial);
        finding(place, message);
        return -EINVAL;
    }
    if (text[0] == '\0' || strlen(text) >= key->size) {
        snprintf(message, sizeof(message), "must have 1 to %zu bytes", key->size - 1);
        finding(place, message);
        return -EINVAL;
    }
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            finding(place, "must have no control characters");
            return -EINVAL;
        }
    snprintf(field, key->size, "%s", text);
    return 0;
}

static int set_scalar(struct dwb_config *config, const struct key *key, const char *text,
                      const struct place *place)
{
    char *field = (char *)config + key->offset;
    char message[160];

    if (key->type == TEXT || key->type == PATH)
        return set_text(key, text, place, field);
    if (key->type == LOOP || key->type == LOG_LEVEL)
        return set_word(key, text, place, (uint64_t *)field);
    if (key->type == CPU && strcmp(text, "auto") == 0) {
        *(uint64_t *)field = DWB_CONFIG_CPU_AUTO;
        return 0;
    }
    if (key->type == BYTES && key->initial[0] == 'a' && strcmp(text, "auto") == 0) {
        *(uint64_t *)field = 0;
        return 0;
    }
    if (parse_ranged(key, text, (uint64_t *)field) == 0)
        return 0;
    format_range(key, message, sizeof(message));
    finding(place, message);
    return -EINVAL;
}

static int set_uids(struct dwb_config *config, const struct key *key,
                    const struct dwb_yaml_node *node, struct dwb_diags *diags)
{
    int result = 0;

    if (node->type != DWB_YAML_SEQUENCE || node->n_items > DWB_CONFIG_ADMINS_MAX) {
        dwb_diags_add(diags, node->line, node->column, key->name, NULL,
                      "must be a list of at most %d user ids", DWB_CONFIG_ADMINS_MAX);
        return -EINVAL;
    }
    config->n_admins = 0;
    for (size_t i = 0; i < node->n_items; i++) {
        const struct dwb_yaml_node *item = node->items[i];
        uint64_t uid;
        if (item->type == DWB_YAML_SCALAR && parse_ranged(key, item->text, &uid) == 0) {
            config->admins[config->n_admins++] = (uid_t)uid;
            continue;
        }
        dwb_diags_add(diags, item->line, item->column, key->name, item->text,
                      "must be a numeric user id");
        result = -EINVAL;
    }
    return result;
}

static const struct key *find_key(const char *name)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static bool is_section(const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < N_KEYS; i++)
        if (strncmp(keys[i].name, name, length) == 0 && keys[i].name[length] == '.')
            return true;
    return false;
}

/* in_section: name is the path of a key below a section, which is how a finding names it; a
 * document does not write it with a dot. */
static int set_node(struct dwb_config *config, const char *name, bool in_section,
                    const struct dwb_yaml_node *node, struct dwb_diags *diags)
{
    const struct key *key = in_section || !strchr(name, '.') ? find_key(name) : NULL;
    struct place place = {diags, node->line, node->column, name, node->text};

    if (!key) {
        finding(&place, "is not a key of dwbenchd's configuration");
        return -EINVAL;
    }
    if (key->type == UIDS)
        return set_uids(config, key, node, diags);
    if (node->type != DWB_YAML_SCALAR) {
        finding(&place, "must be a single value");
        return -EINVAL;
    }
    return set_scalar(config, key, node->text, &place);
}

static int set_mapping(struct dwb_config *config, const char *section,
                       const struct dwb_yaml_node *mapping, struct dwb_diags *diags)
{
    int result = 0;

    if (mapping->type != DWB_YAML_MAPPING) {
        dwb_diags_add(diags, mapping->line, mapping->column, section, mapping->text,
                      "must be a mapping of keys to values");
        return -EINVAL;
    }
    for (size_t i = 0; i < mapping->n_items; i++) {
        const char *key = mapping->keys[i]->text;
        char name[96];
        int r;
        snprintf(name, sizeof(name), "%s%s%s", section, *section ? "." : "", key);
        if (!*section && !strchr(key, '.') && is_section(key))
            r = set_mapping(config, name, mapping->items[i], diags);
        else
            r = set_node(config, name, *section, mapping->items[i], diags);
        if (r < 0)
            result = r;
    }
    return result;
}

void dwb_config_init(struct dwb_config *config)
{
    struct place place = {0};

    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < N_KEYS; i++)
        if (keys[i].initial)
            set_scalar(config, &keys[i], keys[i].initial, &place);
}

int dwb_config_parse(struct dwb_config *config, const char *text, size_t length,
                     struct dwb_diags *diags)
{
    DWB_CLEANUP(dwb_yaml_freep) struct dwb_yaml_node *root = NULL;

    int r = dwb_yaml_parse(text, length, diags, &root);
    if (r < 0)
        return r;
    return set_mapping(config, "", root, diags);
}

int dwb_config_read(struct dwb_config *config, const char *path, struct dwb_diags *diags)
{
    dwb_cleanup_free char *text = malloc(DWB_YAML_BYTES_MAX + 1);
    size_t length = 0;
    ssize_t n;

    if (!text)
        return -ENOMEM;
    dwb_cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int r = -errno;
        dwb_diags_add(diags, 0, 0, NULL, NULL, "cannot be opened: %s", strerror(-r));
        return r;
    }
    while ((n = read(fd, text + length, DWB_YAML_BYTES_MAX + 1 - length)) > 0)
        length += (size_t)n;
    if (n < 0) {
        int r = -errno;
        dwb_diags_add(diags, 0, 0, NULL, NULL, "cannot be read: %s", strerror(-r));
        return r;
    }
    return dwb_config_parse(config, text, length, diags);
}

int dwb_config_set(struct dwb_config *config, const char *key, const char *value,
                   struct dwb_diags *diags)
{
    const struct key *found = find_key(key);
    struct place place = {diags, 0, 0, key, value};

    if (!found || found->type == UIDS) {
        finding(&place, "cannot be set from text");
        return -EINVAL;
    }
    return set_scalar(config, found, value, &place);
}

const char *dwb_config_key(size_t i, const char **ret_default)
{
    if (i >= N_KEYS)
        return NULL;
    *ret_default = keys[i].initial;
    return keys[i].name;
}
