/*
 * A worker that measures nothing: it answers the daemon's request at once, or does what the name of
 * its layer says. It is for trials that need thousands of workers, where the start of an
 * interpreter would be all that is measured.
 *
 * The layer's name is MODE or MODE_anything: see `modes`. Every other name is a good record.
 */

#include "common/cleanup.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define LONG_LINE_BYTES (5u << 20)
#define HOARD_BYTES     (400u << 20)
#define N_BLOCKS        4

struct mode {
    const char *name;
    void (*run)(const char *record);
};

static void put(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(STDOUT_FILENO, text, length);
        if (n <= 0)
            _exit(1);
        text += n;
        length -= (size_t)n;
    }
}

static _Noreturn void hang(void)
{
    for (;;)
        pause();
}

static void die_of(int number)
{
    signal(number, SIG_DFL);
    kill(getpid(), number);
}

static void segv(const char *record)
{
    die_of(SIGSEGV);
}

static void ill(const char *record)
{
    die_of(SIGILL);
}

static void killed(const char *record)
{
    die_of(SIGKILL);
}

static void exits(const char *record)
{
    _exit(3);
}

static void exits_255(const char *record)
{
    put(record, strlen(record));
    _exit(255);
}

static void garbage(const char *record)
{
    put("\xff\x00\x80{]\n", 6);
}

static void half(const char *record)
{
    put(record, strlen(record) / 2);
    die_of(SIGSEGV);
}

static void cut(const char *record)
{
    put(record, strlen(record) / 2);
}

static void long_line(const char *record)
{
    dwb_cleanup_free char *line = malloc(LONG_LINE_BYTES);

    if (!line)
        _exit(1);
    memset(line, 'x', LONG_LINE_BYTES);
    put(line, LONG_LINE_BYTES);
}

static void closed(const char *record)
{
    put(record, strlen(record));
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    hang();
}

static void mute(const char *record)
{
    hang();
}

static void memory(const char *record)
{
    char *hoard = malloc(HOARD_BYTES);

    if (!hoard)
        _exit(1);
    memset(hoard, 1, HOARD_BYTES);
    __asm__ volatile("" : : "r"(hoard) : "memory"); /* it is wanted, though nobody reads it */
    hang();
}

static void slow(const char *record)
{
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    put(record, strlen(record));
}

static const struct mode modes[] = {
    {"segv", segv},      {"ill", ill},         {"kill", killed}, {"exit", exits},
    {"e255", exits_255}, {"garbage", garbage}, {"half", half},   {"cut", cut},
    {"long", long_line}, {"closed", closed},   {"mute", mute},   {"memory", memory},
    {"slow", slow},
};

/* ---- a record that the analysis takes ---- */

static json_t *subject(const char *operation, const char *backend, json_int_t macs,
                       json_int_t verified)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:I, s:i, s:f}", "operation",
                     operation, "backend", backend, "isa", backend[0] ? "portable" : "", "kernel",
                     "fast_worker", "algorithm", backend[0] ? "direct" : "", "level", "",
                     "macs_nominal", macs, "macs_executed", macs, "bytes", 0, "verified", verified,
                     "mismatched", 0, "worst_error", 0.1);
}

static json_t *subjects(const json_t *layer)
{
    json_int_t k = json_integer_value(json_object_get(layer, "Dk"));
    json_int_t m = json_integer_value(json_object_get(layer, "M"));
    json_int_t n = json_integer_value(json_object_get(layer, "N"));
    json_int_t y = json_integer_value(json_object_get(layer, "Dy"));
    json_int_t depthwise = k * k * m * y * y, pointwise = m * n * y * y;

    return json_pack("[o, o, o, o, o]", subject("standard", "native", depthwise * n, 100),
                     subject("depthwise", "native", depthwise, 100),
                     subject("pointwise", "native", pointwise, 100),
                     subject("separable", "native", depthwise + pointwise, 100),
                     subject("canary", "", 1000, 0));
}

static json_t *samples(json_int_t replicate)
{
    static const int call_ns[] = {800000, 20000, 95000, 115000, 100000};
    json_t *rows = json_array();

    for (int block = 0; block < N_BLOCKS; block++)
        for (int half_ = 0; half_ < 2; half_++)
            for (int i = 0; i < 5; i++) {
                json_int_t wall = 10 * (call_ns[i] + (replicate * 7 + block) % 50);
                json_array_append_new(
                    rows, json_pack("[i, i, i, i, I, I, i]", i, block, half_, 10, wall, wall, 0));
            }
    return rows;
}

static char *make_record(const json_t *request)
{
    json_t *layer = json_object_get(request, "layer");
    json_int_t replicate = json_integer_value(json_object_get(request, "replicate"));
    json_t *record =
        json_pack("{s:s, s:s, s:O, s:I, s:O, s:O, s:O, s:i, s:i, s:o, s:o, s:[], s:[], s:{}}",
                  "type", "replicate", "schema", "dwbench.replicate/1", "layer", layer, "replicate",
                  replicate, "cpu", json_object_get(request, "cpu"), "seed",
                  json_object_get(request, "seed"), "cache", json_object_get(request, "cache"),
                  "elapsed_ns", 20000000, "kernel_ns", 10000000, "subjects", subjects(layer),
                  "samples", samples(replicate), "counters", "readings", "environment");
    char *text = record ? json_dumps(record, JSON_COMPACT) : NULL;

    json_decref(record);
    return text;
}

static void probe(void)
{
    static const char text[] = "{\"type\":\"probe\",\"version\":\"0\",\"cpu\":{\"model\":\"none\","
                               "\"flags\":[]},\"isas\":[\"portable\"],\"isa_best\":\"portable\","
                               "\"kernels\":[],\"counters\":[],\"environment\":{}}\n";

    put(text, sizeof(text) - 1);
}

/* Where $FAST_WORKER_PIDS names a file, each worker leaves its process id and layer there. */
static void leave_pid(const char *name)
{
    const char *path = getenv("FAST_WORKER_PIDS");
    dwb_cleanup_close int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;

    if (fd >= 0)
        dprintf(fd, "%d %s\n", getpid(), name);
}

static bool is_mode(const char *name, const char *mode)
{
    size_t n = strlen(mode);

    return strncmp(name, mode, n) == 0 && (name[n] == '\0' || name[n] == '_');
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--probe") == 0) {
        probe();
        return 0;
    }
    json_t *request = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, NULL);
    const char *name =
        json_string_value(json_object_get(json_object_get(request, "layer"), "name"));
    dwb_cleanup_free char *record = request ? make_record(request) : NULL;
    dwb_cleanup_free char *line = NULL;

    if (!name || !record || asprintf(&line, "%s\n", record) < 0)
        return 2;
    leave_pid(name);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (is_mode(name, modes[i].name)) {
            modes[i].run(line);
            json_decref(request);
            return 0;
        }
    put(line, strlen(line));
    json_decref(request);
    return 0;
}
