#pragma once

/* What the test programs of result documents share: jobs of made-up machines, their documents, and
 * paths into them. */

#include "analysis/result.h"

#include "synthetic.h"

#include <check.h>
#include <math.h>

#define N           10
#define MEASURED_NS 7e9 /* that a job took, whatever its records say */

struct job {
    struct dwb_spec *spec;
    struct dwb_record *records[2 * N];
    uint32_t layer_of[2 * N];
    size_t n;
};

struct job make_job(const struct synthetic *s, size_t n);
void free_job(struct job *job);

/* With --dump the document goes to NAME.json as well. */
json_t *build(const struct job *job, const char *name);

/* A dotted path; digits index arrays. Borrowed; fails the test when it leads nowhere. */
json_t *at(json_t *root, const char *path);
double number(json_t *root, const char *path);
const char *text(json_t *root, const char *path);
bool is_null(json_t *root, const char *path);

#define ck_near(value, truth, relative) ck_assert_double_eq_tol(value, truth, (relative) * (truth))

/* The main program: runs the tests that `add` adds. `--dump DIRECTORY`: documents are written there
 * too, for the check against docs/result.schema.json. */
int result_main(int argc, char **argv, const char *name, void (*add)(TCase *tests));
