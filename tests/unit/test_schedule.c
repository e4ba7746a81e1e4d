/* The order of replicates: complete, interleaved, repeatable, and what stops a layer. */

#include "daemon/schedule.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define N_LAYERS 5
#define N_MIN    4

static struct dwb_schedule *make(uint64_t seed)
{
    struct dwb_layer layers[N_LAYERS] = {0};
    struct dwb_spec spec = {
        .layers = layers, .n_layers = N_LAYERS, .options = {.replicates = N_MIN, .seed = seed}};
    struct dwb_schedule *schedule;

    ck_assert_int_eq(dwb_schedule_new(&spec, &schedule), 0);
    return schedule;
}

/* Measures to the end; order[i] = layer * 100 + replicate. */
static size_t drain(struct dwb_schedule *schedule, uint32_t *order)
{
    uint32_t layer, replicate;
    size_t n = 0;

    while (dwb_schedule_next(schedule, &layer, &replicate)) {
        ck_assert_uint_lt(n, N_LAYERS * N_MIN * 2);
        order[n++] = layer * 100 + replicate;
        ck_assert_int_eq(dwb_schedule_have(schedule, layer, replicate), 0);
    }
    return n;
}

START_TEST(every_replicate_once_in_rounds)
{
    struct dwb_schedule *schedule = make(1);
    uint32_t order[N_LAYERS * N_MIN * 2];

    ck_assert_uint_eq(drain(schedule, order), N_LAYERS * N_MIN * 2);
    for (uint32_t round = 0; round < N_MIN * 2; round++) {
        uint32_t seen = 0;
        for (size_t i = 0; i < N_LAYERS; i++) {
            ck_assert_uint_eq(order[round * N_LAYERS + i] % 100, round);
            seen |= 1u << (order[round * N_LAYERS + i] / 100);
        }
        ck_assert_uint_eq(seen, (1u << N_LAYERS) - 1);
    }
    dwb_schedule_free(schedule);
}
END_TEST

START_TEST(the_seed_decides_the_order)
{
    uint32_t a[40], b[40], c[40];
    struct dwb_schedule *schedules[] = {make(7), make(7), make(8)};

    drain(schedules[0], a);
    drain(schedules[1], b);
    drain(schedules[2], c);
    ck_assert_mem_eq(a, b, sizeof(a));
    ck_assert_mem_ne(a, c, sizeof(a));
    for (size_t i = 0; i < 3; i++)
        dwb_schedule_free(schedules[i]);
}
END_TEST

START_TEST(next_stays_until_it_is_had)
{
    struct dwb_schedule *schedule = make(3);
    uint32_t layer, replicate, again, replicate_again;

    ck_assert(dwb_schedule_next(schedule, &layer, &replicate));
    ck_assert(dwb_schedule_next(schedule, &again, &replicate_again));
    ck_assert_uint_eq(layer, again);
    ck_assert_uint_eq(replicate, replicate_again);
    dwb_schedule_free(schedule);
}
END_TEST

START_TEST(a_settled_layer_stops_at_the_minimum)
{
    struct dwb_schedule *schedule = make(1);
    struct dwb_schedule_totals totals;
    uint32_t order[N_LAYERS * N_MIN * 2];

    dwb_schedule_settle(schedule, 2); /* too early: it still gets its minimum */
    ck_assert_uint_eq(drain(schedule, order), N_LAYERS * N_MIN * 2 - N_MIN);
    ck_assert_uint_eq(dwb_schedule_count(schedule, 2), N_MIN);
    ck_assert_uint_eq(dwb_schedule_count(schedule, 1), N_MIN * 2);
    dwb_schedule_totals(schedule, &totals);
    ck_assert_uint_eq(totals.layers_done, N_LAYERS);
    ck_assert_double_eq(totals.fraction, 1);
    dwb_schedule_free(schedule);
}
END_TEST

START_TEST(a_layer_settled_in_mid_round_leaves_it)
{
    struct dwb_schedule *schedule = make(1);
    uint32_t layer, replicate;

    for (uint32_t l = 0; l < N_LAYERS; l++)
        for (uint32_t r = 0; r < N_MIN; r++)
            ck_assert_int_eq(dwb_schedule_have(schedule, l, r), 0);
    ck_assert(dwb_schedule_next(schedule, &layer, &replicate));
    ck_assert_uint_eq(replicate, N_MIN);
    for (uint32_t l = 0; l < N_LAYERS; l++)
        dwb_schedule_settle(schedule, l);
    ck_assert(!dwb_schedule_next(schedule, &layer, &replicate));
    dwb_schedule_free(schedule);
}
END_TEST

START_TEST(what_is_there_is_not_measured_again)
{
    struct dwb_schedule *schedule = make(1);
    uint32_t order[N_LAYERS * N_MIN * 2];

    ck_assert_int_eq(dwb_schedule_have(schedule, 0, 0), 0);
    ck_assert_int_eq(dwb_schedule_have(schedule, 3, 2), 0);
    ck_assert_int_eq(dwb_schedule_have(schedule, 3, 2), -EEXIST);
    ck_assert_int_eq(dwb_schedule_have(schedule, N_LAYERS, 0), -ERANGE);
    ck_assert_int_eq(dwb_schedule_have(schedule, 0, N_MIN * 2), -ERANGE);
    size_t n = drain(schedule, order);
    ck_assert_uint_eq(n, N_LAYERS * N_MIN * 2 - 2);
    for (size_t i = 0; i < n; i++)
        ck_assert(order[i] != 0 && order[i] != 302);
    dwb_schedule_free(schedule);
}
END_TEST

START_TEST(a_failure_goes_to_the_end_of_its_round)
{
    struct dwb_schedule *schedule = make(1);
    struct dwb_schedule_totals totals;
    uint32_t first, replicate, layer, order[N_LAYERS * N_MIN * 2];

    ck_assert(dwb_schedule_next(schedule, &first, &replicate));
    ck_assert_uint_eq(dwb_schedule_failed(schedule, first, replicate), 1);
    ck_assert(dwb_schedule_next(schedule, &layer, &replicate));
    ck_assert_uint_ne(layer, first);
    drain(schedule, order);
    ck_assert_uint_eq(order[N_LAYERS - 1], first * 100);
    dwb_schedule_totals(schedule, &totals);
    ck_assert_uint_eq(totals.failures, 1);
    ck_assert_uint_eq(totals.replicates_done, N_LAYERS * N_MIN * 2);
    dwb_schedule_free(schedule);
}
END_TEST

START_TEST(the_fraction_never_falls)
{
    struct dwb_schedule *schedule = make(5);
    struct dwb_schedule_totals totals;
    uint32_t layer, replicate;
    double before = 0;

    for (int i = 0; dwb_schedule_next(schedule, &layer, &replicate); i++) {
        if (i % 7 == 3)
            dwb_schedule_failed(schedule, layer, replicate);
        else
            dwb_schedule_have(schedule, layer, replicate);
        if (i % 5 == 4)
            dwb_schedule_settle(schedule, layer);
        dwb_schedule_totals(schedule, &totals);
        ck_assert_double_ge(totals.fraction, before);
        before = totals.fraction;
    }
    ck_assert_double_eq(before, 1);
    ck_assert_uint_eq(totals.replicates_min, N_LAYERS * N_MIN);
    ck_assert_uint_eq(totals.replicates_max, 2 * N_LAYERS * N_MIN);
    dwb_schedule_free(schedule);
}
END_TEST

/* ---- two programs: neighbours 2k and 2k + 1 ---- */

#define N_PAIRED (N_LAYERS * N_MIN * 2 * 2)

static struct dwb_schedule *make_paired(uint64_t seed)
{
    struct dwb_layer layers[N_LAYERS] = {0};
    struct dwb_spec spec = {.layers = layers,
                            .n_layers = N_LAYERS,
                            .options = {.replicates = N_MIN,
                                        .seed = seed,
                                        .has_a = true,
                                        .has_b = true,
                                        .a = {.kind = DWB_SIDE_WORKER, .name = "a"},
                                        .b = {.kind = DWB_SIDE_WORKER, .name = "b"}}};
    struct dwb_schedule *schedule;

    ck_assert_int_eq(dwb_schedule_new(&spec, &schedule), 0);
    return schedule;
}

static size_t drain_paired(struct dwb_schedule *schedule, uint32_t *order)
{
    uint32_t layer, replicate;
    size_t n = 0;

    while (dwb_schedule_next(schedule, &layer, &replicate)) {
        ck_assert_uint_lt(n, N_PAIRED);
        order[n++] = layer * 100 + replicate;
        ck_assert_int_eq(dwb_schedule_have(schedule, layer, replicate), 0);
    }
    return n;
}

START_TEST(neighbours_are_measured_in_one_turn)
{
    struct dwb_schedule *schedule = make_paired(1);
    struct dwb_schedule_totals totals;
    uint32_t order[N_PAIRED];

    dwb_schedule_totals(schedule, &totals);
    ck_assert_uint_eq(totals.replicates_min, N_LAYERS * N_MIN * 2);
    ck_assert_uint_eq(totals.replicates_max, N_PAIRED);
    ck_assert_uint_eq(drain_paired(schedule, order), N_PAIRED);
    for (size_t i = 0; i < N_PAIRED; i += 2) {
        ck_assert_uint_eq(order[i] % 2, 0);
        ck_assert_uint_eq(order[i + 1], order[i] + 1);
        ck_assert_uint_eq(order[i] % 100 / 2, i / 2 / N_LAYERS); /* a round has every layer */
    }
    dwb_schedule_free(schedule);
}
END_TEST

START_TEST(neighbours_of_a_settled_layer_stop_at_the_minimum)
{
    struct dwb_schedule *schedule = make_paired(2);
    struct dwb_schedule_totals totals;
    uint32_t order[N_PAIRED];

    dwb_schedule_settle(schedule, 3); /* too early */
    ck_assert_uint_eq(drain_paired(schedule, order), N_PAIRED - N_MIN * 2);
    ck_assert_uint_eq(dwb_schedule_count(schedule, 3), N_MIN * 2);
    dwb_schedule_totals(schedule, &totals);
    ck_assert_uint_eq(totals.layers_done, N_LAYERS);
    ck_assert_double_eq(totals.fraction, 1);
    dwb_schedule_free(schedule);
}
END_TEST

/* The daemon went down between the two of a turn: the other one of it comes first. */
START_TEST(a_restart_ends_the_turn)
{
    struct dwb_schedule *schedule = make_paired(1);
    uint32_t order[N_PAIRED];

    for (uint32_t i = 0; i < 3; i++)
        ck_assert_int_eq(dwb_schedule_have(schedule, 2, i), 0);
    ck_assert_int_eq(dwb_schedule_have(schedule, 4, 1), 0);
    ck_assert_int_eq(dwb_schedule_have(schedule, 2, N_MIN * 4), -ERANGE);
    ck_assert_uint_eq(drain_paired(schedule, order), N_PAIRED - 4);
    for (size_t i = 0, of_two = 0, of_four = 0; i < N_PAIRED - 4; i++) {
        if (order[i] / 100 == 2 && of_two++ == 0)
            ck_assert_uint_eq(order[i], 203);
        if (order[i] / 100 == 4 && of_four++ == 0)
            ck_assert_uint_eq(order[i], 400);
    }
    for (size_t i = 0; i + 1 < N_PAIRED - 4; i++) /* all others are still neighbours */
        if (order[i] % 2 == 0 && order[i] != 400)
            ck_assert_uint_eq(order[i + 1], order[i] + 1);
    dwb_schedule_free(schedule);
}
END_TEST

/* The second of a turn fails: it is measured before the layer's next turn, and only it. */
START_TEST(a_failure_in_a_turn_keeps_what_is_there)
{
    struct dwb_schedule *schedule = make_paired(1);
    uint32_t first, layer, replicate, order[N_PAIRED];
    size_t n_other = 0;

    ck_assert(dwb_schedule_next(schedule, &first, &replicate));
    ck_assert_uint_eq(replicate, 0);
    ck_assert_int_eq(dwb_schedule_have(schedule, first, 0), 0);
    ck_assert(dwb_schedule_next(schedule, &layer, &replicate));
    ck_assert_uint_eq(layer, first);
    ck_assert_uint_eq(replicate, 1);
    ck_assert_uint_eq(dwb_schedule_failed(schedule, first, 1), 1);
    ck_assert_uint_eq(drain_paired(schedule, order), N_PAIRED - 1);
    while (order[n_other] / 100 != first)
        n_other++;
    ck_assert_uint_eq(n_other, 2 * (N_LAYERS - 1)); /* the others' turns of this round */
    ck_assert_uint_eq(order[n_other], first * 100 + 1);
    dwb_schedule_free(schedule);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule");
    TCase *tcase = tcase_create("schedule");

    tcase_add_test(tcase, every_replicate_once_in_rounds);
    tcase_add_test(tcase, the_seed_decides_the_order);
    tcase_add_test(tcase, next_stays_until_it_is_had);
    tcase_add_test(tcase, a_settled_layer_stops_at_the_minimum);
    tcase_add_test(tcase, a_layer_settled_in_mid_round_leaves_it);
    tcase_add_test(tcase, what_is_there_is_not_measured_again);
    tcase_add_test(tcase, a_failure_goes_to_the_end_of_its_round);
    tcase_add_test(tcase, the_fraction_never_falls);
    tcase_add_test(tcase, neighbours_are_measured_in_one_turn);
    tcase_add_test(tcase, neighbours_of_a_settled_layer_stop_at_the_minimum);
    tcase_add_test(tcase, a_restart_ends_the_turn);
    tcase_add_test(tcase, a_failure_in_a_turn_keeps_what_is_there);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
