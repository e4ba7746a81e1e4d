/*
 * The sampler. See the header for the rules; here is why the order is what it is: the steal ticks
 * come from a text file that takes the kernel 5 us to write, so they are read before the warm-up
 * call; rusage and the CPU number cost 0.3 us and are read right around the sample. The wall clock
 * is innermost (vDSO, 30 ns), the thread's CPU clock (a system call) around it.
 *
 * Invariant: every block that was begun is finished, so each of its pairs is whole.
 */

#include "measure/sampler.h"

#include "common/cleanup.h"
#include "measure/machine.h"
#include "measure/random.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define ESTIMATE_NS  UINT64_C(1000000) /* a call's duration is known well enough after this */
#define N_CALLS_MAX  (1u << 20)
#define COUNTED_MAX  32
#define ORDER_STREAM UINT64_C(0x6f72646572)

struct signals {
    uint64_t n_switches;
    uint64_t n_faults;
    int cpu; /* -1 = unknown */
};

struct tally { /* of one task and counter in the current block */
    uint64_t value;
    uint32_t n_calls;
};

struct run {
    struct dwb_sampler *sampler;
    struct dwb_record *record;
    struct dwb_random random;
    uint32_t *order;
    struct tally *tallies; /* [task][counter] */
    size_t n_counters;
    size_t samples_room, readings_room;
    uint64_t used_ns; /* timed calls and their preparation so far */
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* The one place where anything is called that a time is taken of. */
__attribute__((noinline)) static void timed_calls(dwb_call_fn *call, void *context,
                                                  uint32_t n_calls, uint64_t *ret_wall_ns,
                                                  uint64_t *ret_cpu_ns)
{
    uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    uint64_t wall_ns = clock_ns(CLOCK_MONOTONIC);

    for (uint32_t i = 0; i < n_calls; i++)
        call(context);
    *ret_wall_ns = clock_ns(CLOCK_MONOTONIC) - wall_ns;
    *ret_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
}

/* What cannot be read is the same on both sides and flags nothing. */
static struct signals read_signals(void)
{
    struct signals signals = {.cpu = sched_getcpu()};
    struct rusage usage;

    if (getrusage(RUSAGE_THREAD, &usage) == 0) {
        signals.n_switches = (uint64_t)usage.ru_nvcsw + (uint64_t)usage.ru_nivcsw;
        signals.n_faults = (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
    }
    return signals;
}

static uint64_t read_steal(const struct run *run)
{
    uint64_t ticks;

    return dwb_machine_steal(run->sampler->stat_fd, run->sampler->cpu, &ticks) == 0 ? ticks : 0;
}

static uint32_t flags_of(const struct signals *before, const struct signals *after, bool stolen,
                         const struct dwb_sample *sample)
{
    uint32_t flags = stolen ? DWB_SAMPLE_STOLEN : 0;

    if (after->n_switches != before->n_switches)
        flags |= DWB_SAMPLE_SWITCHED;
    if (after->cpu != before->cpu)
        flags |= DWB_SAMPLE_MIGRATED;
    if (sample->wall_ns > sample->cpu_ns &&
        sample->wall_ns - sample->cpu_ns >= (sample->wall_ns + 99) / 100)
        flags |= DWB_SAMPLE_GAP;
    return flags;
}

static bool goes_cold(const struct run *run, const struct dwb_task *task)
{
    return run->sampler->cache == DWB_CACHE_COLD && !task->keeps_warm;
}

/* What comes before a sample: one call, or flushed caches. It counts as time used. */
static void prepare(struct run *run, const struct dwb_task *task)
{
    uint64_t wall_ns, cpu_ns;

    if (goes_cold(run, task)) {
        uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);

        run->sampler->flush(run->sampler->flush_userdata);
        wall_ns = clock_ns(CLOCK_MONOTONIC) - start_ns;
    } else {
        timed_calls(task->call, task->context, 1, &wall_ns, &cpu_ns);
    }
    run->used_ns += wall_ns;
}

/* Roughly how long a call takes, once warm: the fastest of some batches. Nobody needs to know a
 * call that is longer than a whole window precisely. */
static void estimate(struct run *run, struct dwb_task *task)
{
    uint64_t total_ns = 0;
    uint32_t n = 1;

    task->call_ns = UINT64_MAX;
    for (uint32_t batch = 0; batch < 2 || total_ns < ESTIMATE_NS; batch++) {
        uint64_t wall_ns, cpu_ns;

        timed_calls(task->call, task->context, n, &wall_ns, &cpu_ns);
        total_ns += wall_ns;
        if (wall_ns / n < task->call_ns)
            task->call_ns = wall_ns / n;
        if (wall_ns > DWB_SAMPLE_WINDOW_MAX_NS)
            break;
        if (wall_ns < ESTIMATE_NS / 4 && n < N_CALLS_MAX)
            n *= 2;
    }
    if (task->call_ns == 0)
        task->call_ns = 1;
    run->used_ns += total_ns;
}

static uint64_t calls_for(uint64_t window_ns, uint64_t call_ns)
{
    uint64_t n = (window_ns + call_ns - 1) / call_ns;

    return n < 1 ? 1 : n > N_CALLS_MAX ? N_CALLS_MAX : n;
}

static uint64_t common_multiple(uint64_t a, uint64_t b)
{
    uint64_t x = a, y = b;

    while (y) { /* Euclid */
        uint64_t rest = x % y;

        x = y;
        y = rest;
    }
    return a / x * b;
}

/* The faster of a pair gets its millisecond, unless the slower would then pass 5 ms: longer samples
 * are disturbed more often, and all of a pair must run the same number of calls. */
static uint64_t calls_of_pair(const struct dwb_task *tasks, size_t n_tasks, uint32_t pair)
{
    uint64_t fastest_ns = UINT64_MAX, slowest_ns = 1, multiple_of = 1, n, most;

    for (size_t i = 0; i < n_tasks; i++)
        if (tasks[i].pair == pair) {
            fastest_ns = tasks[i].call_ns < fastest_ns ? tasks[i].call_ns : fastest_ns;
            slowest_ns = tasks[i].call_ns > slowest_ns ? tasks[i].call_ns : slowest_ns;
            if (tasks[i].multiple_of)
                multiple_of = common_multiple(multiple_of, tasks[i].multiple_of);
        }
    n = calls_for(DWB_SAMPLE_WINDOW_NS, fastest_ns);
    most = DWB_SAMPLE_WINDOW_MAX_NS / slowest_ns;
    if (n > most)
        n = most < 1 ? 1 : most;
    return (n + multiple_of - 1) / multiple_of * multiple_of;
}

void dwb_sampler_plan(struct dwb_task *tasks, size_t n_tasks, enum dwb_cache_mode cache)
{
    for (size_t i = 0; i < n_tasks; i++) {
        uint64_t n = tasks[i].pair ? calls_of_pair(tasks, n_tasks, tasks[i].pair)
                                   : calls_for(tasks[i].window_ns, tasks[i].call_ns);

        tasks[i].n_calls = cache == DWB_CACHE_COLD && !tasks[i].keeps_warm ? 1 : (uint32_t)n;
    }
}

static void tally(struct run *run, size_t task, uint32_t counter, uint64_t value, uint32_t n_calls)
{
    struct tally *at = &run->tallies[task * run->n_counters + counter];

    at->value += value;
    at->n_calls += n_calls;
}

static void add_sample(struct run *run, uint32_t index, uint32_t block, uint32_t half)
{
    const struct dwb_sampler *sampler = run->sampler;
    const struct dwb_task *task = &sampler->tasks[index];
    struct dwb_counters *counters = sampler->counters;
    size_t n_groups = dwb_counters_n_groups(counters), n_counted = 0;
    size_t group = n_groups ? (block + sampler->replicate) % n_groups : 0;
    struct dwb_sample *sample = &run->record->samples[run->record->n_samples];
    struct dwb_counted counted[COUNTED_MAX];
    struct signals before, after;
    uint64_t steal_ticks = read_steal(run);

    *sample = (struct dwb_sample){
        .subject = index, .block = block, .half = half, .n_calls = task->n_calls};
    prepare(run, task);
    before = read_signals();
    if (n_groups)
        dwb_counters_start(counters, group);
    timed_calls(task->call, task->context, task->n_calls, &sample->wall_ns, &sample->cpu_ns);
    if (n_groups)
        n_counted = dwb_counters_stop(counters, group, counted, COUNTED_MAX);
    after = read_signals();

    run->used_ns += sample->wall_ns;
    if (sample->wall_ns == 0) /* a clock of coarse ticks */
        sample->wall_ns = 1;
    sample->flags = flags_of(&before, &after, read_steal(run) != steal_ticks, sample);
    run->record->n_samples++;
    for (size_t i = 0; i < n_counted; i++)
        tally(run, index, counted[i].counter, counted[i].value, task->n_calls);
    tally(run, index, dwb_counters_software(counters, DWB_SOFTWARE_TASK_CLOCK), sample->cpu_ns,
          task->n_calls);
    tally(run, index, dwb_counters_software(counters, DWB_SOFTWARE_CONTEXT_SWITCHES),
          after.n_switches - before.n_switches, task->n_calls);
    tally(run, index, dwb_counters_software(counters, DWB_SOFTWARE_PAGE_FAULTS),
          after.n_faults - before.n_faults, task->n_calls);
    if (sampler->progress)
        sampler->progress(run->used_ns, sampler->progress_userdata);
}

/* Room for one more block of everything. 0 or -ENOMEM. */
static int reserve(struct run *run)
{
    struct dwb_record *record = run->record;
    size_t n_samples = record->n_samples + 2 * run->sampler->n_tasks;
    size_t n_readings = record->n_readings + run->sampler->n_tasks * run->n_counters;

    if (n_samples > run->samples_room) {
        struct dwb_sample *samples = realloc(record->samples, 2 * n_samples * sizeof *samples);

        if (!samples)
            return -ENOMEM;
        record->samples = samples;
        run->samples_room = 2 * n_samples;
    }
    if (n_readings > run->readings_room) {
        struct dwb_reading *readings = realloc(record->readings, 2 * n_readings * sizeof *readings);

        if (!readings)
            return -ENOMEM;
        record->readings = readings;
        run->readings_room = 2 * n_readings;
    }
    return 0;
}

static void shuffle(struct run *run, uint32_t *items, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        uint32_t j = dwb_random_below(&run->random, (uint32_t)i), swap = items[i - 1];

        items[i - 1] = items[j];
        items[j] = swap;
    }
}

/* The tasks of a pair to the front of order[0..n), in the order they have; returns how many. */
static size_t gather_pair(const struct run *run, uint32_t *order, size_t n)
{
    const struct dwb_task *tasks = run->sampler->tasks;
    uint32_t pair = tasks[order[0]].pair;
    size_t n_pair = 1;

    for (size_t i = 1; pair && i < n; i++)
        if (tasks[order[i]].pair == pair) {
            uint32_t found = order[i];

            memmove(order + n_pair + 1, order + n_pair, (i - n_pair) * sizeof *order);
            order[n_pair++] = found;
        }
    return n_pair;
}

/* Order of the tasks of a block; returns how many take part. */
static size_t draw_order(struct run *run, uint32_t block)
{
    size_t n = 0;

    for (size_t i = 0; i < run->sampler->n_tasks; i++)
        if (block == 0 || !run->sampler->tasks[i].first_block_only)
            run->order[n++] = (uint32_t)i;
    shuffle(run, run->order, n);
    return n;
}

static void add_readings(struct run *run, uint32_t block)
{
    for (size_t i = 0; i < run->sampler->n_tasks; i++)
        for (size_t k = 0; k < run->n_counters; k++) {
            struct tally *at = &run->tallies[i * run->n_counters + k];

            if (at->n_calls > 0)
                run->record->readings[run->record->n_readings++] = (struct dwb_reading){
                    .subject = (uint32_t)i,
                    .counter = (uint32_t)k,
                    .block = block,
                    .n_calls = at->n_calls,
                    .value = at->value,
                };
            *at = (struct tally){0};
        }
}

static int add_block(struct run *run, uint32_t block)
{
    int r = reserve(run);
    size_t n;

    if (r < 0)
        return r;
    n = draw_order(run, block);
    for (size_t at = 0, n_part; at < n; at += n_part) {
        uint32_t *part = run->order + at;

        n_part = run->sampler->mirrors_pairs ? gather_pair(run, part, n - at) : n;
        for (size_t i = 0; i < n_part; i++)
            add_sample(run, part[i], block, 0);
        for (size_t i = n_part; i > 0; i--)
            add_sample(run, part[i - 1], block, 1);
    }
    add_readings(run, block);
    return 0;
}

/* Another block? Yes while at least half of it still falls into the slice, and it fits a record. */
static bool goes_on(const struct run *run, uint32_t n_blocks, uint64_t block_ns)
{
    const struct dwb_sampler *sampler = run->sampler;

    if (n_blocks < DWB_SAMPLER_BLOCKS_MIN)
        return true;
    if (run->record->n_samples + 2 * sampler->n_tasks > DWB_SAMPLER_SAMPLES_MAX ||
        run->record->n_readings + sampler->n_tasks * run->n_counters > DWB_SAMPLER_READINGS_MAX)
        return false;
    return run->used_ns + block_ns / 2 < sampler->slice_ns;
}

int dwb_sampler_run(struct dwb_sampler *sampler, struct dwb_record *record)
{
    dwb_cleanup_free uint32_t *order = NULL;
    dwb_cleanup_free struct tally *tallies = NULL;
    struct run run = {.sampler = sampler, .record = record};
    uint64_t block_ns = 0;
    int r = 0;

    dwb_counters_list(sampler->counters, &run.n_counters);
    order = calloc(sampler->n_tasks, sizeof *order);
    tallies = calloc(sampler->n_tasks * run.n_counters, sizeof *tallies);
    if (!order || !tallies)
        return -ENOMEM;
    run.order = order;
    run.tallies = tallies;
    run.random = dwb_random_stream(sampler->seed, ORDER_STREAM + sampler->replicate);
    for (size_t i = 0; i < sampler->n_tasks; i++)
        estimate(&run, &sampler->tasks[i]);
    dwb_sampler_plan(sampler->tasks, sampler->n_tasks, sampler->cache);
    for (uint32_t block = 0; r == 0 && goes_on(&run, block, block_ns); block++) {
        uint64_t before_ns = run.used_ns;

        r = add_block(&run, block);
        block_ns = run.used_ns - before_ns;
    }
    record->kernel_ns += run.used_ns;
    return r;
}
