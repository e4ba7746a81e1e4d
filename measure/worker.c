/*
 * dwbench-worker: measures one replicate of one layer in this fresh process, or probes the machine,
 * and exits. It speaks lines of JSON on standard output and plain sentences on standard error, and
 * knows nothing of the daemon that may have started it (docs/protocol.md, "Worker pipe").
 */

#include "common/cleanup.h"
#include "common/diag.h"
#include "common/log.h"
#include "common/record.h"
#include "measure/callgrind.h"
#include "measure/probe.h"
#include "measure/replicate.h"
#include "measure/request.h"
#include "measure/sandbox.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define PROGRAM     "dwbench-worker"
#define PROGRESS_NS UINT64_C(100000000) /* at most ten lines a second */

enum { EXIT_BAD_REQUEST = 2, EXIT_WRONG_OUTPUTS = 4 };

struct progress {
    uint64_t slice_ns;
    uint64_t last_ns;
};

static const char help[] =
    "Usage: dwbench-worker                      read a request (one JSON object) from stdin\n"
    "       dwbench-worker --layer SHAPE [OPTION...]\n"
    "       dwbench-worker --probe [--cpu N] [--isa ISA]\n"
    "\n"
    "Measures one replicate of one layer in this process and writes lines of JSON. You rarely "
    "need\n"
    "it by hand: dwbenchctl run asks for many replicates and turns them into a result.\n"
    "\n"
    "  -l, --layer SHAPE     Dk=3,Dx=56,M=128,N=128[,stride=1][,padding=same][,name=x]\n"
    "  -i, --isa ISA         auto, portable, avx2, avx512, neon (default: auto)\n"
    "  -b, --backend LIST    some of native, onednn, xnnpack, separated by commas (default: "
    "native)\n"
    "      --plugin LIST     one or two plugins, such as mine.so, that --plugin-dir holds\n"
    "      --plugin-dir DIR  their directory\n"
    "  -s, --slice DURATION  time to measure, such as 300ms (default)\n"
    "  -c, --cpu N           pin to this CPU (default: the last one allowed)\n"
    "      --seed N          inputs and orders (default: 1)\n"
    "      --cache MODE      warm or cold (default: warm)\n"
    "      --replicate N     its number, which changes orders and verified positions (default: 0)\n"
    "      --simulate        also count one call of each operation under Valgrind's Callgrind\n"
    "      --geometry CACHES of that: I1/D1/LL, each bytes,ways,line (default: this machine's)\n"
    "      --a SIDE --b SIDE hold two sides against each other in place of the ratio: words such\n"
    "                        as native, onednn, avx2, separable, fused, kernel:NAME, +1/50\n"
    "      --operations LIST of that (default: standard,depthwise,pointwise)\n"
    "      --probe           describe the machine, its ISAs, kernels and counters\n"
    "  -h, --help            this text\n"
    "  -V, --version         the version\n"
    "\n"
    "Exit status: 0 measured; 2 bad request; 4 outputs wrong (the record is written all the "
    "same);\n"
    "1 anything else, with the reason on stderr.\n";

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static int write_line(json_t *object, size_t max)
{
    dwb_cleanup_free char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    if (!line) {
        dwb_log(DWB_LOG_ERROR, "out of memory");
        return EXIT_FAILURE;
    }
    if (strlen(line) >= max) {
        dwb_log(DWB_LOG_ERROR, "the record would have %zu bytes, more than the limit of %zu",
                strlen(line), max);
        return EXIT_FAILURE;
    }
    if (puts(line) == EOF || fflush(stdout) == EOF) {
        dwb_log(DWB_LOG_ERROR, "cannot write to standard output: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static void write_progress(uint64_t done_ns, void *userdata)
{
    struct progress *progress = userdata;
    uint64_t at_ns = now_ns();

    if (progress->last_ns != 0 && at_ns - progress->last_ns < PROGRESS_NS)
        return;
    progress->last_ns = at_ns;
    printf("{\"type\":\"progress\",\"done_ns\":%" PRIu64 ",\"slice_ns\":%" PRIu64 "}\n", done_ns,
           progress->slice_ns);
    fflush(stdout);
}

static void write_simulating(const struct dwb_simulate_progress *at, void *userdata)
{
    const struct progress *progress = userdata;

    printf("{\"type\":\"progress\",\"done_ns\":%" PRIu64 ",\"slice_ns\":%" PRIu64
           ",\"simulating\":\"%s\",\"backend\":\"%s\",\"step\":%u,\"steps\":%u,"
           "\"elapsed_ns\":%" PRIu64 "}\n",
           progress->slice_ns, progress->slice_ns, dwb_operation_name(at->subject->operation),
           at->subject->backend, at->step, at->n_steps, at->elapsed_ns);
    fflush(stdout);
}

/* What a sandbox needs before it is entered (measure/sandbox.h). */
static void confine_streams(void)
{
    static char buffer[BUFSIZ];

    dwb_sandbox_close_inherited();
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
}

static int measure(const struct dwb_request *request, uint64_t start_ns)
{
    DWB_CLEANUP(dwb_record_freep) struct dwb_record *record = NULL;
    struct progress progress = {.slice_ns = request->slice_ns};
    const struct dwb_replicate_hooks hooks = {write_progress, write_simulating, &progress};
    char error[DWB_REPLICATE_ERROR_MAX];
    int r;

    confine_streams();
    r = dwb_replicate_run(request, start_ns, &hooks, error, &record);
    if (r < 0) {
        dwb_log(DWB_LOG_ERROR, "%s", error);
        return EXIT_FAILURE;
    }
    r = write_line(dwb_record_to_json(record), DWB_RECORD_BYTES_MAX);
    for (size_t i = 0; i < record->n_subjects; i++) {
        const struct dwb_subject *subject = &record->subjects[i];

        if (subject->mismatched == 0)
            continue;
        dwb_log(DWB_LOG_ERROR,
                "wrong outputs: %s of %s by %s: %u of %u positions past the tolerance",
                dwb_operation_name(subject->operation), subject->backend, subject->kernel,
                subject->mismatched, subject->verified);
        r = r == EXIT_SUCCESS ? EXIT_WRONG_OUTPUTS : r;
    }
    return r;
}

/* The last words of a process that foreign code ends in a way that nothing can see. */
static void announce_plugins(const struct dwb_request *request)
{
    char text[DWB_PLUGINS_TEXT_MAX];

    dwb_plugins_to_text(&request->plugins, text);
    if (text[0])
        dwb_log(DWB_LOG_INFO, "the code of plugin %s runs in this process", text);
}

/* Inside of Valgrind: `what` is BACKEND:OPERATION, the answer one line for measure/simulate.c. */
static int run_simulated(const struct dwb_request *request, const char *what)
{
    const char *colon = strrchr(what, ':'); /* a plugin's backend has one of its own */
    char backend[DWB_BACKEND_NAME_MAX], error[DWB_CALLGRIND_ERROR_MAX];
    struct dwb_subject subject;
    enum dwb_operation operation;

    if (!colon || dwb_operation_from_name(colon + 1, &operation) < 0) {
        dwb_log(DWB_LOG_ERROR, "not BACKEND:OPERATION: %s", what);
        return EXIT_BAD_REQUEST;
    }
    snprintf(backend, sizeof backend, "%.*s", (int)(colon - what), what);
    if (dwb_callgrind_run(request, backend, operation, error, &subject) < 0) {
        dwb_log(DWB_LOG_ERROR, "%s", error);
        return EXIT_FAILURE;
    }
    return write_line(json_pack("{s:s, s:s, s:s, s:I, s:I}", "type", "simulated", "kernel",
                                subject.kernel, "isa", subject.isa, "verified",
                                (json_int_t)subject.verified, "mismatched",
                                (json_int_t)subject.mismatched),
                      SIZE_MAX);
}

static int probe(const struct dwb_request *request)
{
    char error[DWB_REPLICATE_ERROR_MAX];
    uint32_t cpu;

    confine_streams();
    if (dwb_replicate_pin(request->cpu, error, &cpu) < 0) {
        dwb_log(DWB_LOG_ERROR, "%s", error);
        return EXIT_FAILURE;
    }
    return write_line(dwb_probe_new(cpu, request), SIZE_MAX);
}

/* The request on standard input. 0 and *ret_request, or an exit status. */
static int read_request(struct dwb_diags *diags, struct dwb_request *ret_request)
{
    dwb_cleanup_free char *text = malloc(DWB_REQUEST_BYTES_MAX + 1);
    size_t n;

    if (!text) {
        dwb_log(DWB_LOG_ERROR, "out of memory");
        return EXIT_FAILURE;
    }
    n = fread(text, 1, DWB_REQUEST_BYTES_MAX + 1, stdin);
    if (ferror(stdin)) {
        dwb_log(DWB_LOG_ERROR, "cannot read the request: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    if (n == 0) {
        dwb_log(DWB_LOG_ERROR, "the request on standard input is empty (see --help)");
        return EXIT_BAD_REQUEST;
    }
    if (n > DWB_REQUEST_BYTES_MAX) {
        dwb_log(DWB_LOG_ERROR, "the request is longer than %d bytes", DWB_REQUEST_BYTES_MAX);
        return EXIT_BAD_REQUEST;
    }
    if (dwb_request_parse(text, n, diags, ret_request) < 0) {
        dwb_diags_print(diags, "request", stderr);
        return EXIT_BAD_REQUEST;
    }
    return 0;
}

struct use { /* which of the program's uses is meant */
    bool layer, probe, no_sandbox;
    const char *simulated; /* BACKEND:OPERATION, or NULL */
};

/* Flags into the request. -1: go on; else an exit status. */
static int take_flags(int argc, char **argv, struct dwb_diags *diags, struct dwb_request *request,
                      struct use *use)
{
    static const struct option options[] = {
        {"layer", required_argument, NULL, 'l'},
        {"isa", required_argument, NULL, 'i'},
        {"backend", required_argument, NULL, 'b'},
        {"plugin", required_argument, NULL, 'u'},
        {"plugin-dir", required_argument, NULL, 'd'},
        {"slice", required_argument, NULL, 's'},
        {"cpu", required_argument, NULL, 'c'},
        {"seed", required_argument, NULL, 'e'},
        {"cache", required_argument, NULL, 'a'},
        {"replicate", required_argument, NULL, 'r'},
        {"simulate", no_argument, NULL, 'm'},
        {"geometry", required_argument, NULL, 'g'},
        {"a", required_argument, NULL, 'A'},
        {"b", required_argument, NULL, 'B'},
        {"operations", required_argument, NULL, 'o'},
        {"probe", no_argument, NULL, 'p'},
        {"no-sandbox", no_argument, NULL, 'n'},
        {"simulated-call", required_argument, NULL, 'x'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    bool bad = false;
    int option, index;

    while ((option = getopt_long(argc, argv, "l:i:b:s:c:hV", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return EXIT_SUCCESS;
        }
        if (option == 'V') {
            puts(PROGRAM " " DWB_VERSION);
            return EXIT_SUCCESS;
        }
        if (option == '?')
            return EXIT_BAD_REQUEST;
        use->layer = use->layer || option == 'l';
        use->probe = use->probe || option == 'p';
        use->simulated = option == 'x' ? optarg : use->simulated;
        use->no_sandbox = use->no_sandbox || option == 'n';
        if (option == 'p' || option == 'x' || option == 'n')
            continue;
        for (index = 0; options[index].val != option; index++)
            ;
        bad = dwb_request_set(request, options[index].name, optarg, diags) < 0 || bad;
    }
    if (optind < argc) {
        dwb_log(DWB_LOG_ERROR, "unexpected argument: %s (see --help)", argv[optind]);
        return EXIT_BAD_REQUEST;
    }
    if (use->layer && !bad && !use->probe)
        bad = dwb_request_check(request, diags) < 0;
    if (bad) {
        dwb_diags_print(diags, PROGRAM, stderr);
        return EXIT_BAD_REQUEST;
    }
    return -1;
}

int main(int argc, char **argv)
{
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    uint64_t start_ns = now_ns();
    struct dwb_request request;
    struct use use = {0};
    int status;

    dwb_log_init(PROGRAM, DWB_LOG_INFO);
    if (!diags) {
        dwb_log(DWB_LOG_ERROR, "out of memory");
        return EXIT_FAILURE;
    }
    dwb_request_init(&request);
    status = take_flags(argc, argv, diags, &request, &use);
    if (status >= 0)
        return status;
    request.without_sandbox = use.no_sandbox;
    if (use.probe)
        return probe(&request);
    if (!use.layer && !use.simulated && argc > 1 + use.no_sandbox) {
        dwb_log(DWB_LOG_ERROR, "these flags need --layer or --probe (see --help)");
        return EXIT_BAD_REQUEST;
    }
    if (!use.layer)
        status = read_request(diags, &request);
    if (status > 0)
        return status;
    request.without_sandbox = use.no_sandbox; /* reading one has set it back */
    announce_plugins(&request);
    return use.simulated ? run_simulated(&request, use.simulated) : measure(&request, start_ns);
}
