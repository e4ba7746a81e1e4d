/*
 * The sampler's rules on made-up tasks: mirrored blocks, one n_calls for a pair, at least two
 * blocks, flags and readings that add up, the cap of a record, cold mode.
 */

#include "measure/sampler.h"

#include "common/cleanup.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define N_TASKS 5

struct spin {
    uint64_t ns;
    uint64_t n_calls;
};

static uint64_t n_flushes, n_progress, progress_ns;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void spin_call(void *context)
{
    struct spin *spin = context;
    uint64_t end_ns = now_ns() + spin->ns;

    spin->n_calls++;
    while (now_ns() < end_ns)
        ;
}

static void sleep_call(void *context)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static void count_flush(void *userdata)
{
    n_flushes++;
}

static void count_progress(uint64_t done_ns, void *userdata)
{
    ck_assert_uint_ge(done_ns, progress_ns);
    progress_ns = done_ns;
    n_progress++;
}

static int refuse_open(void *userdata, const struct perf_event_attr *attr, int group_fd)
{
    return -2; /* ENOENT: no PMU */
}

static struct dwb_counters *no_pmu(void)
{
    static const struct dwb_perf perf = {.open = refuse_open};
    const struct dwb_counters_config config = {.perf = &perf};
    struct dwb_counters *counters;

    ck_assert_int_eq(dwb_counters_new(&config, &counters), 0);
    return counters;
}

struct lab {
    struct spin spins[N_TASKS];
    struct dwb_task tasks[N_TASKS];
    struct dwb_sampler sampler;
    struct dwb_record *record;
    struct dwb_counters *counters;
};

static struct lab lab;

/* 0 and 1 are a pair, 2 keeps warm, 3 is for the first block only. */
static void setup(void)
{
    static const uint64_t durations_ns[N_TASKS] = {400000, 50000, 20000, 30000, 100000};

    memset(&lab, 0, sizeof lab);
    n_flushes = n_progress = progress_ns = 0;
    for (size_t i = 0; i < N_TASKS; i++) {
        lab.spins[i].ns = durations_ns[i];
        lab.tasks[i] = (struct dwb_task){
            .call = spin_call,
            .context = &lab.spins[i],
            .window_ns = 500000,
            .pair = i < 2,
            .keeps_warm = i == 2,
            .first_block_only = i == 3,
        };
    }
    lab.record = calloc(1, sizeof *lab.record);
    lab.counters = no_pmu();
    lab.sampler = (struct dwb_sampler){
        .tasks = lab.tasks,
        .n_tasks = N_TASKS,
        .slice_ns = 400000000, /* many blocks, also when the test is preempted a lot */
        .seed = 7,
        .flush = count_flush,
        .counters = lab.counters,
        .stat_fd = open("/proc/stat", O_RDONLY | O_CLOEXEC),
        .progress = count_progress,
    };
}

static void teardown(void)
{
    close(lab.sampler.stat_fd);
    dwb_record_free(lab.record);
    dwb_counters_free(lab.counters);
}

static uint32_t n_blocks(void)
{
    return lab.record->samples[lab.record->n_samples - 1].block + 1;
}

/* Every block: some order, each task of it once, then the same order from behind. */
static void assert_mirrored(void)
{
    size_t at = 0;

    for (uint32_t block = 0; block < n_blocks(); block++) {
        const struct dwb_sample *samples = &lab.record->samples[at];
        size_t n = block == 0 ? N_TASKS : N_TASKS - 1;
        uint32_t seen = 0;

        ck_assert_uint_le(at + 2 * n, lab.record->n_samples);
        for (size_t i = 0; i < n; i++) {
            ck_assert_uint_eq(samples[i].block, block);
            ck_assert_uint_eq(samples[2 * n - 1 - i].block, block);
            ck_assert_uint_eq(samples[i].half, 0);
            ck_assert_uint_eq(samples[2 * n - 1 - i].half, 1);
            ck_assert_uint_eq(samples[i].subject, samples[2 * n - 1 - i].subject);
            seen |= 1u << samples[i].subject;
        }
        ck_assert_uint_eq(seen, block == 0 ? 0x1f : 0x17);
        at += 2 * n;
    }
    ck_assert_uint_eq(at, lab.record->n_samples);
}

START_TEST(test_blocks)
{
    bool orders_differ = false;

    ck_assert_int_eq(dwb_sampler_run(&lab.sampler, lab.record), 0);
    ck_assert_uint_ge(n_blocks(), 3);
    assert_mirrored();
    for (size_t i = 0; i < N_TASKS - 1; i++)
        orders_differ |= lab.record->samples[2 * N_TASKS + i].subject !=
                         lab.record->samples[4 * N_TASKS - 2 + i].subject;
    for (size_t i = 0; !orders_differ && i < N_TASKS - 1; i++)
        orders_differ |=
            lab.record->samples[i].subject != lab.record->samples[2 * N_TASKS + i].subject;
    ck_assert(orders_differ);
    /* The slice is kept within a block or so: all the time that is used is counted. */
    ck_assert_uint_ge(lab.record->kernel_ns, lab.sampler.slice_ns / 2);
    ck_assert_uint_eq(lab.record->kernel_ns, progress_ns);
    ck_assert_uint_eq(n_progress, lab.record->n_samples);
    ck_assert_uint_eq(n_flushes, 0);
}
END_TEST

START_TEST(test_n_calls)
{
    uint64_t n_calls[N_TASKS] = {0};

    ck_assert_int_eq(dwb_sampler_run(&lab.sampler, lab.record), 0);
    for (size_t i = 0; i < lab.record->n_samples; i++) {
        const struct dwb_sample *sample = &lab.record->samples[i];

        ck_assert_uint_eq(sample->n_calls, lab.tasks[sample->subject].n_calls);
        ck_assert_uint_ge(sample->wall_ns, sample->n_calls * lab.spins[sample->subject].ns);
        n_calls[sample->subject] += sample->n_calls + 1; /* the warm-up */
    }
    ck_assert_uint_eq(lab.tasks[0].n_calls, lab.tasks[1].n_calls);
    for (size_t i = 0; i < N_TASKS; i++) /* and those of the estimate */
        ck_assert_uint_gt(lab.spins[i].n_calls, n_calls[i]);
}
END_TEST

START_TEST(test_two_blocks_at_least)
{
    lab.sampler.slice_ns = 1;
    ck_assert_int_eq(dwb_sampler_run(&lab.sampler, lab.record), 0);
    ck_assert_uint_eq(n_blocks(), DWB_SAMPLER_BLOCKS_MIN);
    assert_mirrored();
}
END_TEST

START_TEST(test_same_seed_same_order)
{
    struct dwb_sample first[2 * N_TASKS];

    lab.sampler.slice_ns = 1;
    ck_assert_int_eq(dwb_sampler_run(&lab.sampler, lab.record), 0);
    memcpy(first, lab.record->samples, sizeof first);
    for (uint32_t replicate = 0; replicate < 6; replicate++) {
        bool same = true;

        dwb_record_free(lab.record);
        lab.record = calloc(1, sizeof *lab.record);
        lab.sampler.replicate = replicate;
        progress_ns = 0;
        ck_assert_int_eq(dwb_sampler_run(&lab.sampler, lab.record), 0);
        for (size_t i = 0; i < 2 * N_TASKS; i++)
            same = same && first[i].subject == lab.record->samples[i].subject;
        if (replicate == 0)
            ck_assert(same);
        else if (!same)
            return;
    }
    ck_abort_msg("the replicate does not change the order");
}
END_TEST

START_TEST(test_cold)
{
    size_t n_cold = 0;

    lab.sampler.cache = DWB_CACHE_COLD;
    lab.sampler.slice_ns = 1;
    ck_assert_int_eq(dwb_sampler_run(&lab.sampler, lab.record), 0);
    for (size_t i = 0; i < lab.record->n_samples; i++) {
        n_cold += lab.record->samples[i].subject != 2;
        if (lab.record->samples[i].subject != 2)
            ck_assert_uint_eq(lab.record->samples[i].n_calls, 1);
    }
    ck_assert_uint_gt(lab.tasks[2].n_calls, 1);
    ck_assert_uint_eq(n_flushes, n_cold);
}
END_TEST

/* A task that sleeps: the thread's CPU clock stands still and the kernel switches. */
START_TEST(test_flags)
{
    size_t n_asleep = 0;

    lab.tasks[4].call = sleep_call;
    lab.sampler.slice_ns = 1;
    ck_assert_int_eq(dwb_sampler_run(&lab.sampler, lab.record), 0);
    for (size_t i = 0; i < lab.record->n_samples; i++) {
        const struct dwb_sample *sample = &lab.record->samples[i];

        if (sample->subject != 4)
            continue;
        ck_assert(sample->flags & DWB_SAMPLE_SWITCHED);
        ck_assert(sample->flags & DWB_SAMPLE_GAP);
        ck_assert_uint_lt(sample->cpu_ns, sample->wall_ns);
        n_asleep++;
    }
    ck_assert_uint_eq(n_asleep, 4);
}
END_TEST

/* A reading is the sum over both halves of a block; task_clock is the samples' own CPU time. */
START_TEST(test_readings)
{
    uint32_t task_clock = dwb_counters_software(lab.counters, DWB_SOFTWARE_TASK_CLOCK);
    size_t n_checked = 0;

    ck_assert_int_eq(dwb_sampler_run(&lab.sampler, lab.record), 0);
    for (size_t i = 0; i < lab.record->n_readings; i++) {
        const struct dwb_reading *reading = &lab.record->readings[i];
        uint64_t cpu_ns = 0, n_calls = 0;

        if (reading->counter != task_clock)
            continue;
        for (size_t k = 0; k < lab.record->n_samples; k++)
            if (lab.record->samples[k].subject == reading->subject &&
                lab.record->samples[k].block == reading->block) {
                cpu_ns += lab.record->samples[k].cpu_ns;
                n_calls += lab.record->samples[k].n_calls;
            }
        ck_assert_uint_eq(reading->value, cpu_ns);
        ck_assert_uint_eq(reading->n_calls, n_calls);
        n_checked++;
    }
    ck_assert_uint_eq(n_checked, lab.record->n_samples / 2);
}
END_TEST

/* Sides: each pair is a b b a by itself, whatever the order of the block; both run as many calls.
 */
START_TEST(test_pairs_mirrored_by_themselves)
{
    lab.sampler.mirrors_pairs = true;
    lab.tasks[2].pair = lab.tasks[4].pair = 2;
    lab.tasks[1].multiple_of = 7;
    ck_assert_int_eq(dwb_sampler_run(&lab.sampler, lab.record), 0);
    ck_assert_uint_eq(lab.tasks[0].n_calls, lab.tasks[1].n_calls);
    ck_assert_uint_eq(lab.tasks[0].n_calls % 7, 0);
    ck_assert_uint_eq(lab.tasks[2].n_calls, lab.tasks[4].n_calls);
    for (size_t at = 0; at < lab.record->n_samples;) {
        const struct dwb_sample *s = &lab.record->samples[at];
        uint32_t pair = lab.tasks[s->subject].pair;
        size_t n = pair ? 2 : 1;

        ck_assert_uint_le(at + 2 * n, lab.record->n_samples);
        for (size_t i = 0; i < n; i++) {
            ck_assert_uint_eq(lab.tasks[s[i].subject].pair, pair);
            ck_assert_uint_eq(s[i].subject, s[2 * n - 1 - i].subject);
            ck_assert_uint_eq(s[i].block, s[0].block);
            ck_assert_uint_eq(s[2 * n - 1 - i].block, s[0].block);
            ck_assert_uint_eq(s[i].half, 0);
            ck_assert_uint_eq(s[2 * n - 1 - i].half, 1);
        }
        if (pair)
            ck_assert_uint_ne(s[0].subject, s[1].subject);
        at += 2 * n;
    }
}
END_TEST

/* Every task of a block is sampled twice, also where pairs are gathered from anywhere in it. */
START_TEST(test_pairs_are_whole)
{
    size_t n[N_TASKS] = {0};
    uint32_t first_of_pair = 0;

    lab.sampler.mirrors_pairs = true;
    lab.tasks[2].pair = lab.tasks[4].pair = 2;
    lab.sampler.slice_ns = 1;
    for (lab.sampler.seed = 0; lab.sampler.seed < 8; lab.sampler.seed++) {
        dwb_record_free(lab.record);
        lab.record = calloc(1, sizeof *lab.record);
        progress_ns = 0;
        ck_assert_int_eq(dwb_sampler_run(&lab.sampler, lab.record), 0);
        ck_assert_uint_eq(n_blocks(), DWB_SAMPLER_BLOCKS_MIN);
        memset(n, 0, sizeof n);
        for (size_t i = 0; i < lab.record->n_samples; i++)
            n[lab.record->samples[i].subject]++;
        for (size_t i = 0; i < 2 * N_TASKS; i++)
            if (lab.tasks[lab.record->samples[i].subject].pair == 1) {
                first_of_pair |= 1u << lab.record->samples[i].subject;
                break;
            }
        for (size_t i = 0; i < N_TASKS; i++)
            ck_assert_uint_eq(n[i], i == 3 ? 2 : 4);
    }
    ck_assert_uint_eq(first_of_pair, 3); /* a b b a, and b a a b */
}
END_TEST

static void empty_call(void *context)
{
}

/* A long slice of short samples must not outgrow a record. */
START_TEST(test_cap)
{
    lab.sampler.n_tasks = 2;
    for (size_t i = 0; i < 2; i++)
        lab.tasks[i] = (struct dwb_task){.call = empty_call, .window_ns = 1};
    lab.sampler.slice_ns = UINT64_C(3600000000000);
    ck_assert_int_eq(dwb_sampler_run(&lab.sampler, lab.record), 0);
    ck_assert_uint_le(lab.record->n_samples, DWB_SAMPLER_SAMPLES_MAX);
    ck_assert_uint_le(lab.record->n_readings, DWB_SAMPLER_READINGS_MAX);
    ck_assert_uint_ge(lab.record->n_samples, DWB_SAMPLER_SAMPLES_MAX / 2);
}
END_TEST

static const struct {
    uint64_t slow_ns, fast_ns;
    uint32_t n_calls;
} pairs[] = {
    {20000000, 2000000, 1}, /* one call is longer than any window */
    {9000000, 1000000, 1},  /* standard past 5 ms: the separable's 1 ms has to do */
    {2000000, 250000, 2},   /* 1.2 ms for the fast one would take 10 ms of the slow one */
    {800000, 100000, 6},    /* bounded by the slow one */
    {100000, 25000, 48},    /* the fast one gets its window */
    {90, 30, 40000},        /* short calls */
    {1, 1, 1u << 20},       /* the cap */
};

START_TEST(test_plan)
{
    struct dwb_task tasks[3] = {
        {.pair = 1, .call_ns = pairs[_i].slow_ns},
        {.pair = 1, .call_ns = pairs[_i].fast_ns},
        {.call_ns = 300000, .window_ns = 1000000},
    };

    dwb_sampler_plan(tasks, 3, DWB_CACHE_WARM);
    ck_assert_uint_eq(tasks[0].n_calls, pairs[_i].n_calls);
    ck_assert_uint_eq(tasks[1].n_calls, pairs[_i].n_calls);
    ck_assert_uint_eq(tasks[2].n_calls, 4);
}
END_TEST

static const struct {
    uint64_t call_ns;
    uint32_t multiples[2];
    uint32_t n_calls;
} planted[] = {
    {100000, {0, 0}, 12},                            /* as it was */
    {100000, {1, 0}, 12},                            /* any number is a multiple of 1 */
    {100000, {0, 5}, 15},                            /* up to the next multiple */
    {100000, {5, 5}, 15},    {100000, {3, 5}, 15},   /* of both */
    {100000, {4, 6}, 12},    {9000000, {0, 20}, 20}, /* however long that takes */
    {1, {0, 1000}, 1049000}, /* past the cap of a sample that plants nothing */
};

START_TEST(test_plan_planted)
{
    struct dwb_task tasks[3] = {
        {.pair = 1, .call_ns = planted[_i].call_ns, .multiple_of = planted[_i].multiples[0]},
        {.pair = 1, .call_ns = planted[_i].call_ns, .multiple_of = planted[_i].multiples[1]},
        {.pair = 2, .call_ns = 100000},
    };

    dwb_sampler_plan(tasks, 3, DWB_CACHE_WARM);
    ck_assert_uint_eq(tasks[0].n_calls, planted[_i].n_calls);
    ck_assert_uint_eq(tasks[1].n_calls, planted[_i].n_calls);
    ck_assert_uint_eq(tasks[2].n_calls, 12); /* what is planted elsewhere does not matter */
    dwb_sampler_plan(tasks, 3, DWB_CACHE_COLD);
    ck_assert_uint_eq(tasks[0].n_calls, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampler");
    TCase *tests = tcase_create("sampler");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, test_blocks);
    tcase_add_test(tests, test_n_calls);
    tcase_add_test(tests, test_two_blocks_at_least);
    tcase_add_test(tests, test_same_seed_same_order);
    tcase_add_test(tests, test_cold);
    tcase_add_test(tests, test_flags);
    tcase_add_test(tests, test_readings);
    tcase_add_test(tests, test_cap);
    tcase_add_loop_test(tests, test_plan, 0, sizeof pairs / sizeof pairs[0]);
    tcase_add_loop_test(tests, test_plan_planted, 0, sizeof planted / sizeof planted[0]);
    tcase_add_test(tests, test_pairs_mirrored_by_themselves);
    tcase_add_test(tests, test_pairs_are_whole);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
