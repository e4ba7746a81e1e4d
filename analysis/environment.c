/*
 * Objects are merged, and compared, member by member, so that one changing figure does not hide the
 * rest of its group. What is nested deeper than environments are is compared as a whole. Nothing of
 * a record is shared with the document: they may belong to different threads.
 */

#include "analysis/environment.h"

#include "common/cleanup.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 4
#define PATH_SIZE 256

static json_t *merge_values(json_t **values, size_t n, unsigned depth);

static bool all_objects(json_t **values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!json_is_object(values[i]))
            return false;
    return n > 0;
}

static bool all_equal(json_t **values, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (!json_equal(values[0], values[i]))
            return false;
    return true;
}

static bool all_numbers(json_t **values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!json_is_number(values[i]))
            return false;
    return true;
}

static json_t *merge_members(json_t **values, size_t n, unsigned depth)
{
    json_t *merged = json_object();
    dwb_cleanup_free json_t **members = calloc(n, sizeof *members);

    for (size_t i = 0; merged && members && i < n; i++) {
        const char *key;
        json_t *unused;
        json_object_foreach(values[i], key, unused)
        {
            if (json_object_get(merged, key))
                continue;
            for (size_t k = 0; k < n; k++) {
                members[k] = json_object_get(values[k], key);
                if (!members[k])
                    members[k] = json_null(); /* a singleton: not counted */
            }
            if (json_object_set_new(merged, key, merge_values(members, n, depth + 1)) < 0) {
                json_decref(merged);
                return NULL;
            }
        }
    }
    if (members)
        return merged;
    json_decref(merged);
    return NULL;
}

static json_t *range_of(json_t **values, size_t n)
{
    json_t *min = values[0], *max = values[0];

    for (size_t i = 1; i < n; i++) {
        if (json_number_value(values[i]) < json_number_value(min))
            min = values[i];
        if (json_number_value(values[i]) > json_number_value(max))
            max = values[i];
    }
    return json_pack("{s:o, s:o}", "min", json_deep_copy(min), "max", json_deep_copy(max));
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* How many different values there are. 0 without memory. */
static size_t count_distinct(json_t **values, size_t n)
{
    dwb_cleanup_free char **texts = calloc(n, sizeof *texts);
    size_t n_texts = 0, n_distinct = 0;

    if (!texts)
        return 0;
    for (; n_texts < n; n_texts++) {
        texts[n_texts] =
            json_dumps(values[n_texts], JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
        if (!texts[n_texts])
            break;
    }
    if (n_texts == n) {
        qsort(texts, n, sizeof *texts, compare_texts);
        n_distinct = 1;
        for (size_t i = 1; i < n; i++)
            n_distinct += strcmp(texts[i - 1], texts[i]) != 0;
    }
    for (size_t i = 0; i < n_texts; i++)
        free(texts[i]);
    return n_distinct;
}

static json_t *merge_values(json_t **values, size_t n, unsigned depth)
{
    if (all_equal(values, n))
        return json_deep_copy(values[0]);
    if (depth < DEPTH_MAX && all_objects(values, n))
        return merge_members(values, n, depth);
    if (all_numbers(values, n))
        return range_of(values, n);
    size_t n_distinct = count_distinct(values, n);
    if (n_distinct == 0)
        return NULL;
    return json_pack("{s:o, s:o, s:I}", "first", json_deep_copy(values[0]), "last",
                     json_deep_copy(values[n - 1]), "distinct", (json_int_t)n_distinct);
}

json_t *dwb_environment_merge(struct dwb_record *const *records, size_t n_records)
{
    dwb_cleanup_free json_t **values = calloc(n_records + 1, sizeof *values);
    size_t n = 0;

    if (!values)
        return NULL;
    for (size_t i = 0; i < n_records; i++)
        if (json_is_object(records[i]->environment))
            values[n++] = records[i]->environment;
    return n ? merge_values(values, n, 0) : json_object();
}

/* ---- what differs ---- */

static bool is_volatile(const char *path)
{
    static const char *const members[] = {"load", "steal_ticks", "memory_available_bytes", "seed",
                                          "during"};

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (strcmp(path, members[i]) == 0)
            return true;
    return false;
}

/* A member on which processes differed: a value as a whole, see dwb_environment_merge. */
static bool is_merged(const json_t *value)
{
    return (json_object_size(value) == 2 && json_object_get(value, "min") &&
            json_object_get(value, "max")) ||
           (json_object_size(value) == 3 && json_object_get(value, "distinct"));
}

static bool is_group(const json_t *value)
{
    return json_is_object(value) && !is_merged(value);
}

static bool is_absent(const json_t *value)
{
    return !value || json_is_null(value);
}

static int diff_values(const char *path, json_t *a, json_t *b, json_t *rows);

/* Members of `from`, except those that `except` has too. */
static int diff_members(const char *path, json_t *from, const json_t *except, json_t *a, json_t *b,
                        json_t *rows)
{
    char member[PATH_SIZE];
    const char *key;
    json_t *unused;
    int r;

    json_object_foreach(from, key, unused)
    {
        if (json_object_get(except, key))
            continue;
        snprintf(member, sizeof member, "%s%s%s", path, path[0] ? "." : "", key);
        r = is_volatile(member)
                ? 0
                : diff_values(member, json_object_get(a, key), json_object_get(b, key), rows);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A group beside nothing is its members beside nothing: a row each, as when only one is missing. */
static int diff_values(const char *path, json_t *a, json_t *b, json_t *rows)
{
    if ((is_group(a) && (is_group(b) || is_absent(b))) || (is_absent(a) && is_group(b))) {
        int r = diff_members(path, a, NULL, a, b, rows);

        return r < 0 ? r : diff_members(path, b, a, a, b, rows);
    }
    if ((is_absent(a) && is_absent(b)) || (a && b && json_equal(a, b)))
        return 0;
    return json_array_append_new(rows, json_pack("{s:s, s:o, s:o}", "member", path, "a",
                                                 a ? json_deep_copy(a) : json_null(), "b",
                                                 b ? json_deep_copy(b) : json_null()));
}

static int compare_rows(const void *left, const void *right)
{
    return strcmp(json_string_value(json_object_get(*(json_t *const *)left, "member")),
                  json_string_value(json_object_get(*(json_t *const *)right, "member")));
}

json_t *dwb_environment_diff(const json_t *a, const json_t *b)
{
    json_t *found = json_array(), *sorted = json_array(), *row;
    dwb_cleanup_free json_t **rows = NULL;
    size_t i, n;
    int r = found && sorted ? diff_values("", (json_t *)a, (json_t *)b, found) : -1;

    n = json_array_size(found);
    rows = calloc(n + 1, sizeof *rows);
    if (r == 0 && rows) {
        json_array_foreach(found, i, row) rows[i] = row;
        if (n > 1)
            qsort(rows, n, sizeof *rows, compare_rows);
        for (i = 0; i < n && r == 0; i++)
            r = json_array_append(sorted, rows[i]);
    }
    json_decref(found);
    if (r == 0 && rows)
        return sorted;
    json_decref(sorted);
    return NULL;
}
