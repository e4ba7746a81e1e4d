/*
 * Objects are merged member by member, so that one changing figure does not hide the rest of its
 * group. What is nested deeper than environments are is compared as a whole. Nothing of a record is
 * shared with the document: they may belong to different threads.
 */

#include "analysis/environment.h"

#include "common/cleanup.h"

#include <string.h>

#define DEPTH_MAX 4

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
