#include "result_fixture.h"

#include <string.h>

static const char *dump_directory;

struct job make_job(const struct synthetic *s, size_t n)
{
    struct job job = {.spec = synthetic_spec(s), .n = n};

    synthetic_records(s, 42, job.records, n);
    return job;
}

void free_job(struct job *job)
{
    synthetic_free(job->records, job->n);
    dwb_spec_free(job->spec);
}

json_t *build(const struct job *job, const char *name)
{
    json_t *about = json_pack("{s:s, s:s}", "id", "j1", "name", name);
    json_t *document = NULL;
    uint64_t kernel_ns = 0;

    for (size_t i = 0; i < job->n; i++)
        kernel_ns += job->records[i]->kernel_ns;
    json_object_set_new(about, "measuring",
                        json_pack("{s:I, s:I, s:I}", "wall_ns", (json_int_t)MEASURED_NS,
                                  "kernel_ns", (json_int_t)kernel_ns, "replicates",
                                  (json_int_t)job->n));
    ck_assert_int_eq(
        dwb_result_build(job->spec, about, job->records, job->layer_of, job->n, &document), 0);
    json_decref(about);
    if (dump_directory) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s.json", dump_directory, name);
        ck_assert_int_eq(json_dump_file(document, path, JSON_INDENT(1)), 0);
    }
    return document;
}

json_t *at(json_t *root, const char *path)
{
    char copy[128], *save = NULL;

    snprintf(copy, sizeof copy, "%s", path);
    for (char *step = strtok_r(copy, ".", &save); step; step = strtok_r(NULL, ".", &save)) {
        root = json_is_array(root) ? json_array_get(root, strtoul(step, NULL, 10))
                                   : json_object_get(root, step);
        ck_assert_msg(root != NULL, "%s: no %s", path, step);
    }
    return root;
}

double number(json_t *root, const char *path)
{
    json_t *value = at(root, path);

    ck_assert_msg(json_is_number(value), "%s is no number", path);
    return json_number_value(value);
}

const char *text(json_t *root, const char *path)
{
    json_t *value = at(root, path);

    ck_assert_msg(json_is_string(value), "%s is no string", path);
    return json_string_value(value);
}

bool is_null(json_t *root, const char *path)
{
    return json_is_null(at(root, path));
}

int result_main(int argc, char **argv, const char *name, void (*add)(TCase *tests))
{
    Suite *suite = suite_create(name);
    TCase *tests = tcase_create(name);
    SRunner *runner = srunner_create(suite);
    int n_failed;

    if (argc == 3 && strcmp(argv[1], "--dump") == 0)
        dump_directory = argv[2];
    tcase_set_timeout(tests, 60);
    add(tests);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
