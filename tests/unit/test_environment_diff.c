/* What differs between two environments: which members, in which order, and which are left out. */

#include "analysis/environment.h"

#include "tests/unit/result_fixture.h"

#include <check.h>
#include <string.h>

START_TEST(test_environment_diff)
{
    json_t *a = json_pack("{s:{s:s, s:s, s:{s:i}}, s:s, s:{s:i, s:i}, s:i, s:[i], s:{s:i}, s:s,"
                          " s:i, s:n}",
                          "cpu", "model", "x", "microcode", "0x1", "deep", "er", 1, "cpu-x", "1",
                          "range", "min", 1, "max", 2, "seed", 1, "load", 3, "during", "faults", 1,
                          "only_a", "a", "memory_available_bytes", 5, "absent");
    json_t *b = json_pack("{s:{s:s, s:s, s:{s:i}}, s:s, s:{s:i, s:i}, s:i, s:[i], s:{s:i, s:i},"
                          " s:{s:b}, s:i}",
                          "cpu", "model", "x", "microcode", "0x2", "deep", "er", 2, "cpu-x", "2",
                          "range", "min", 1, "max", 3, "seed", 2, "load", 4, "during", "faults", 2,
                          "more", 1, "group", "only_b", 1, "memory_available_bytes", 6);
    json_t *rows = dwb_environment_diff(a, b), *none = dwb_environment_diff(a, a), *row;
    char members[256] = "";
    size_t i;

    json_array_foreach(rows, i, row)
    {
        strcat(members, text(row, "member"));
        strcat(members, " ");
    }
    ck_assert_str_eq(members, "cpu-x cpu.deep.er cpu.microcode group.only_b only_a range ");
    ck_assert_str_eq(text(rows, "2.a"), "0x1");
    ck_assert_str_eq(text(rows, "2.b"), "0x2");
    ck_assert(is_null(rows, "3.a") && json_is_true(at(rows, "3.b")));
    ck_assert(is_null(rows, "4.b"));
    ck_assert_uint_eq(json_array_size(none), 0);
    json_decref(none);
    json_decref(rows);
    json_decref(a);
    json_decref(b);
    rows = dwb_environment_diff(NULL, NULL);
    ck_assert_uint_eq(json_array_size(rows), 0);
    json_decref(rows);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, test_environment_diff);
}

int main(int argc, char **argv)
{
    return result_main(argc, argv, "environment_diff", add_tests);
}
