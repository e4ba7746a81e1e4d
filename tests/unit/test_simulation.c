/*
 * Simulated counts, without Valgrind: geometries, the codec, the caches that Callgrind can take,
 * and what it writes. With Valgrind: tests/integration/test_simulate.py.
 */

#include "common/simulation.h"
#include "measure/simulate.h"

#include "common/cleanup.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#define GEOMETRY "32768,8,64/49152,12,64/33554432,16,64"

START_TEST(test_geometry)
{
    struct dwb_geometry geometry;
    char text[DWB_GEOMETRY_TEXT_MAX];

    ck_assert_int_eq(dwb_geometry_parse(GEOMETRY, &geometry), 0);
    ck_assert_uint_eq(geometry.d1.bytes, 49152);
    ck_assert_uint_eq(geometry.d1.ways, 12);
    ck_assert_uint_eq(geometry.ll.line_bytes, 64);
    dwb_geometry_text(&geometry, text);
    ck_assert_str_eq(text, GEOMETRY);
}
END_TEST

static const char *const bad_geometries[] = {
    "",
    "32768,8,64",
    "32768,8,64/49152,12,64",
    GEOMETRY "/1,1,1",
    GEOMETRY " ",
    " " GEOMETRY,
    "-32768,8,64/49152,12,64/33554432,16,64",
    "32768,8,64/49152,12,48/33554432,16,64", /* line */
    "32768,8,8/49152,12,64/33554432,16,64",  /* line too short */
    "32768,8,64/49152,8,64/33554432,16,64",  /* 96 sets */
    "32768,0,64/49152,12,64/33554432,16,64",
    "64,1,64/49152,12,64/33554432,16,64", /* one line */
    "99999999999999999999,8,64/49152,12,64/33554432,16,64",
    "32768,8,64/49152,12,64/33554432,16,64,1",
};

START_TEST(test_bad_geometry)
{
    struct dwb_geometry geometry;

    ck_assert_msg(dwb_geometry_parse(bad_geometries[_i], &geometry) == -EINVAL, "%s",
                  bad_geometries[_i]);
}
END_TEST

static struct dwb_simulated items[] = {
    {.subject = 1, .counted = true, .kernel = "k", .isa = "avx2", .counts = {100, 30, 0, 5, 1}},
    {.subject = 0, .reason = "valgrind was killed by SIGILL"},
};

static json_t *sample(void)
{
    struct dwb_simulation simulation = {.tool = "valgrind-3.19.0, callgrind",
                                        .note = "a note",
                                        .origin = "sysfs",
                                        .items = items,
                                        .n = 2};

    ck_assert_int_eq(dwb_geometry_parse(GEOMETRY, &simulation.geometry), 0);
    return dwb_simulation_to_json(&simulation);
}

START_TEST(test_round_trip)
{
    DWB_CLEANUP(dwb_simulation_freep) struct dwb_simulation *simulation = NULL;
    json_t *object = sample(), *again;

    ck_assert_int_eq(dwb_simulation_from_json(object, 2, &simulation), 0);
    ck_assert_uint_eq(simulation->n, 2);
    ck_assert_uint_eq(simulation->items[0].counts[DWB_SIMULATED_L1D_MISSES], 5);
    ck_assert(!simulation->items[1].counted);
    again = dwb_simulation_to_json(simulation);
    ck_assert(json_equal(object, again));
    json_decref(object);
    json_decref(again);
}
END_TEST

static json_t *item(json_t *object, size_t i)
{
    return json_array_get(json_object_get(object, "items"), i);
}

static void set(json_t *object, const char *key, json_t *value)
{
    ck_assert_int_eq(json_object_set_new(object, key, value), 0);
}

START_TEST(test_nothing_else_comes_in)
{
    struct dwb_simulation *simulation = NULL;
    json_t *object = sample();

    switch (_i) {
    case 0:
        set(object, "surplus", json_true());
        break;
    case 1:
        json_object_del(object, "tool");
        break;
    case 2:
        set(object, "geometry", json_string("1,2,3"));
        break;
    case 3:
        set(item(object, 0), "subject", json_integer(2));
        break;
    case 4: /* counts and a reason */
        set(item(object, 0), "reason", json_string("why"));
        break;
    case 5: /* neither */
        set(item(object, 1), "reason", json_string(""));
        break;
    case 6:
        json_array_remove(json_object_get(item(object, 0), "counts"), 0);
        break;
    case 7:
        json_array_set_new(json_object_get(item(object, 0), "counts"), 0, json_integer(-1));
        break;
    case 8:
        set(object, "note", json_string("two\nlines"));
        break;
    default:
        json_array_append(json_object_get(object, "items"), item(object, 0));
    }
    ck_assert_int_eq(dwb_simulation_from_json(object, 2, &simulation), -EINVAL);
    ck_assert_ptr_null(simulation);
    json_decref(object);
}
END_TEST

static const struct dwb_caches zen = {
    .instruction = {32768, 64, 8, 1},
    .levels = {{49152, 64, 12, 1}, {1048576, 64, 16, 1}, {33554432, 64, 16, 8}},
};

START_TEST(test_machine_geometry)
{
    struct dwb_caches caches = zen;
    struct dwb_geometry geometry;
    char text[DWB_GEOMETRY_TEXT_MAX];
    bool exact;

    ck_assert_int_eq(dwb_simulate_geometry(&caches, &geometry, &exact), 0);
    ck_assert(exact);
    dwb_geometry_text(&geometry, text);
    ck_assert_str_eq(text, GEOMETRY);

    /* The last level is whatever is last. */
    caches.levels[2].bytes = 0;
    ck_assert_int_eq(dwb_simulate_geometry(&caches, &geometry, &exact), 0);
    ck_assert_uint_eq(geometry.ll.bytes, 1048576);

    /* 53,248 sets of 11 ways, as a Skylake server has: 32,768 sets of 17. */
    caches.levels[2] = (struct dwb_cache_level){53248ull * 11 * 64, 64, 11, 28};
    ck_assert_int_eq(dwb_simulate_geometry(&caches, &geometry, &exact), 0);
    ck_assert(!exact);
    ck_assert_uint_eq(geometry.ll.ways, 17);
    ck_assert_uint_eq(geometry.ll.bytes, 32768ull * 17 * 64);
    ck_assert(dwb_cache_shape_valid(&geometry.ll));

    /* A last level that is not known in full, or smaller than one of its ways, is none. */
    caches.levels[2] = (struct dwb_cache_level){.bytes = 64, .line_bytes = 64, .ways = 11};
    ck_assert_int_eq(dwb_simulate_geometry(&caches, &geometry, &exact), -ENODATA);
    caches = zen;
    caches.levels[0].line_bytes = 0;
    ck_assert_int_eq(dwb_simulate_geometry(&caches, &geometry, &exact), -ENODATA);
    caches = zen;
    caches.instruction.ways = 0;
    ck_assert_int_eq(dwb_simulate_geometry(&caches, &geometry, &exact), -ENODATA);
    caches = (struct dwb_caches){0};
    ck_assert_int_eq(dwb_simulate_geometry(&caches, &geometry, &exact), -ENODATA);
}
END_TEST

START_TEST(test_parse)
{
    static const char text[] = "version: 1\nevents: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw\n"
                               "fn=(1) x\n0 1 2 3\n\ntotals: 1000 200 100 1 40 2 0 7\n";
    uint64_t counts[DWB_N_SIMULATED];

    ck_assert_int_eq(dwb_simulate_parse(text, counts), 0);
    ck_assert_uint_eq(counts[DWB_SIMULATED_INSTRUCTIONS], 1000);
    ck_assert_uint_eq(counts[DWB_SIMULATED_DATA_REFERENCES], 300);
    ck_assert_uint_eq(counts[DWB_SIMULATED_L1I_MISSES], 1);
    ck_assert_uint_eq(counts[DWB_SIMULATED_L1D_MISSES], 42);
    ck_assert_uint_eq(counts[DWB_SIMULATED_LL_MISSES], 7);
}
END_TEST

static const char *const bad_outputs[] = {
    "",
    "\nevents: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw\n",
    "\ntotals: 1\n",
    "\nevents: Ir\n\ntotals: 1000\n",                                  /* no cache was simulated */
    "\nevents: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw\n\ntotals: 0\n", /* nothing was collected */
    "\nevents: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw\n\ntotals: \n",
};

START_TEST(test_parse_refuses)
{
    uint64_t counts[DWB_N_SIMULATED] = {77};

    ck_assert_int_eq(dwb_simulate_parse(bad_outputs[_i], counts), -EINVAL);
    ck_assert_uint_eq(counts[0], 77);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("simulation");
    TCase *tests = tcase_create("simulation");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_test(tests, test_geometry);
    tcase_add_loop_test(tests, test_bad_geometry, 0,
                        sizeof bad_geometries / sizeof bad_geometries[0]);
    tcase_add_test(tests, test_round_trip);
    tcase_add_loop_test(tests, test_nothing_else_comes_in, 0, 10);
    tcase_add_test(tests, test_machine_geometry);
    tcase_add_test(tests, test_parse);
    tcase_add_loop_test(tests, test_parse_refuses, 0, sizeof bad_outputs / sizeof bad_outputs[0]);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
