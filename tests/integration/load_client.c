/*
 * The clients of scripts/trial-load: one honest one, and crowds that are not. In C, so that what is
 * measured is the daemon; each runs in a process of its own. Prints one line of JSON.
 *
 *   load_client SOCKET get RATE SECONDS PATH fresh|keep
 *       asks RATE times a second, one after the other, on a new connection each or on one
 *   load_client SOCKET submit RATE SECONDS CONNECTIONS
 *       POSTs a tiny layer at that rate, spread over connections that are kept
 *   load_client SOCKET idle N
 *       connects N times, one request each, then holds still
 *   load_client SOCKET slow N PATH
 *       N peers: half send a head of a request, half read the answer to PATH, a byte a second each;
 *       whoever is cut comes again
 *
 * The last two say "ready" on a line of their own, and stay until standard input ends.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define S           UINT64_C(1000000000)
#define ANSWER_MAX  (1u << 20)
#define N_STATUSES  600
#define REQUEST_MAX 512
#define WAIT_MS     20000
#define SLOW_RCVBUF 2048
#define N_SLICES    99 /* of a second; odd, so that each has peers of both kinds */

static const char layer[] = "{\"Dk\": 3, \"Dx\": 8, \"M\": 8, \"N\": 8, \"budget\": \"200ms\"}";

static struct sockaddr_un address = {.sun_family = AF_UNIX};

/* What came back, and how long it took. */
static uint64_t n_status[N_STATUSES];
static uint64_t n_retry_after, n_errors;
static uint32_t *latencies_us;
static size_t n_latencies, latencies_size;

struct answer {
    char text[ANSWER_MAX];
    size_t length;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * S + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t at_ns)
{
    struct timespec at = {(time_t)(at_ns / S), (long)(at_ns % S)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

static void note_latency(uint64_t ns)
{
    if (n_latencies == latencies_size) {
        latencies_size = latencies_size ? 2 * latencies_size : 4096;
        latencies_us = reallocarray(latencies_us, latencies_size, sizeof(*latencies_us));
        if (!latencies_us)
            exit(1);
    }
    latencies_us[n_latencies++] = (uint32_t)(ns / 1000);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static double quantile_ms(double q)
{
    size_t i = (size_t)(q * (double)n_latencies);

    return latencies_us[i < n_latencies ? i : n_latencies - 1] / 1e3;
}

static void print_figures(double seconds)
{
    const char *comma = "";

    printf("{\"seconds\": %.3f, \"errors\": %llu, \"retry_after\": %llu, \"status\": {", seconds,
           (unsigned long long)n_errors, (unsigned long long)n_retry_after);
    for (unsigned i = 0; i < N_STATUSES; i++)
        if (n_status[i]) {
            printf("%s\"%u\": %llu", comma, i, (unsigned long long)n_status[i]);
            comma = ", ";
        }
    fputs("}, \"latency_ms\": ", stdout);
    if (n_latencies > 0) {
        qsort(latencies_us, n_latencies, sizeof(*latencies_us), compare);
        printf("{\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}", quantile_ms(0.5), quantile_ms(0.99),
               quantile_ms(1));
    } else {
        fputs("null", stdout);
    }
    puts("}");
}

/* ---- one exchange ---- */

static int open_connection(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A header's value within the head, or NULL. `name` with the line break before it and the colon. */
static const char *header(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);

    return at ? at + strlen(name) : NULL;
}

/* Bytes of the whole answer at the start of the text, 0 when it is not all there yet. */
static size_t answer_length(const struct answer *answer)
{
    const char *end = strstr(answer->text, "\r\n\r\n");
    const char *length = end ? header(answer->text, "\r\nContent-Length:") : NULL;

    if (!end)
        return 0;
    size_t whole = (size_t)(end + 4 - answer->text) + (length ? strtoul(length, NULL, 10) : 0);
    return answer->length >= whole ? whole : 0;
}

static void note_answer(const struct answer *answer)
{
    unsigned status = 0;

    if (sscanf(answer->text, "HTTP/1.1 %3u", &status) != 1 || status >= N_STATUSES)
        n_errors++;
    else
        n_status[status]++;
    n_retry_after += header(answer->text, "\r\nRetry-After:") != NULL;
}

/* More of the answer: its length so far was 0 and more may come; -1 = no more will. */
static int read_more(int fd, struct answer *answer)
{
    ssize_t n = read(fd, answer->text + answer->length, ANSWER_MAX - 1 - answer->length);

    if (n <= 0)
        return -1;
    answer->length += (size_t)n;
    answer->text[answer->length] = '\0';
    return 0;
}

static bool exchange(int fd, const char *request, struct answer *answer)
{
    struct pollfd ready = {fd, POLLIN, 0};

    answer->length = 0;
    answer->text[0] = '\0';
    if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
        return false;
    while (answer_length(answer) == 0)
        if (poll(&ready, 1, WAIT_MS) != 1 || read_more(fd, answer) < 0)
            return false;
    note_answer(answer);
    return true;
}

/* ---- get ---- */

static int get(double rate, double seconds, const char *path, bool fresh)
{
    static struct answer answer;
    char request[REQUEST_MAX];
    uint64_t start = now_ns();
    int fd = -1;

    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    for (uint64_t i = 0; (double)i < rate * seconds; i++) {
        uint64_t at = start + (uint64_t)((double)i / rate * (double)S);

        if (at > now_ns())
            sleep_until(at);
        else if ((double)(now_ns() - start) > seconds * (double)S)
            break;
        uint64_t began = now_ns();
        if (fd < 0)
            fd = open_connection();
        bool done = fd >= 0 && exchange(fd, request, &answer);
        if (done)
            note_latency(now_ns() - began);
        else
            n_errors++;
        if (fd >= 0 && (fresh || !done || header(answer.text, "\r\nConnection: close"))) {
            close(fd);
            fd = -1;
        }
    }
    print_figures((double)(now_ns() - start) / (double)S);
    return 0;
}

/* ---- submit ---- */

struct submitter {
    int fd; /* -1 = to be opened */
    bool waits;
    uint64_t began_ns;
    struct answer *answer;
};

static void drop(struct submitter *one)
{
    n_errors += one->waits;
    close(one->fd);
    one->fd = -1;
    one->waits = false;
}

static bool submit_one(struct submitter *one, const char *request)
{
    if (one->fd < 0)
        one->fd = open_connection();
    if (one->fd < 0 ||
        send(one->fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request)) {
        n_errors++;
        if (one->fd >= 0)
            drop(one);
        return false;
    }
    one->answer->length = 0;
    one->answer->text[0] = '\0';
    one->began_ns = now_ns();
    one->waits = true;
    return true;
}

static void take_answer(struct submitter *one)
{
    if (read_more(one->fd, one->answer) < 0) {
        drop(one);
    } else if (answer_length(one->answer) > 0) {
        note_answer(one->answer);
        note_latency(now_ns() - one->began_ns);
        one->waits = false;
        if (header(one->answer->text, "\r\nConnection: close"))
            drop(one);
    }
}

static int submit(double rate, double seconds, size_t n)
{
    struct submitter *all = calloc(n, sizeof(*all));
    struct pollfd *polled = calloc(n, sizeof(*polled));
    char request[REQUEST_MAX];
    uint64_t start = now_ns(), n_sent = 0, end = start + (uint64_t)(seconds * (double)S);

    if (!all || !polled)
        return 1;
    for (size_t i = 0; i < n; i++) {
        all[i].fd = -1;
        all[i].answer = malloc(sizeof(struct answer));
        if (!all[i].answer)
            return 1;
    }
    snprintf(request, sizeof(request),
             "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", strlen(layer),
             layer);
    for (uint64_t now; (now = now_ns()) < end;) {
        uint64_t due = (uint64_t)((double)(now - start) / (double)S * rate);

        for (size_t i = 0; i < n; i++) {
            if (!all[i].waits && n_sent < due)
                n_sent += submit_one(&all[i], request);
            polled[i] = (struct pollfd){all[i].waits ? all[i].fd : -1, POLLIN, 0};
        }
        poll(polled, n, 1);
        for (size_t i = 0; i < n; i++)
            if (polled[i].fd >= 0 && polled[i].revents)
                take_answer(&all[i]);
    }
    print_figures((double)(now_ns() - start) / (double)S);
    for (size_t i = 0; i < n; i++)
        free(all[i].answer);
    free(all);
    free(polled);
    return 0;
}

/* ---- crowds ---- */

static bool input_ended(int timeout_ms)
{
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    char byte;

    return poll(&input, 1, timeout_ms) == 1 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static int idle(size_t n)
{
    static struct answer answer;
    struct pollfd *all = calloc(n, sizeof(*all));
    size_t n_open = 0;

    if (!all)
        return 1;
    for (size_t i = 0; i < n; i++) {
        all[i] = (struct pollfd){open_connection(), POLLIN, 0};
        if (all[i].fd < 0 ||
            !exchange(all[i].fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", &answer))
            n_errors++;
    }
    puts("ready");
    fflush(stdout);
    while (!input_ended(1000))
        ;
    poll(all, n, 0); /* what is readable now was closed: nobody has asked for anything */
    for (size_t i = 0; i < n; i++)
        n_open += all[i].fd >= 0 && all[i].revents == 0;
    printf("{\"open\": %zu, \"errors\": %llu, \"refused\": %llu, \"retry_after\": %llu}\n", n_open,
           (unsigned long long)n_errors, (unsigned long long)n_status[429],
           (unsigned long long)n_retry_after);
    free(all);
    return 0;
}

struct slow {
    int fd;
    bool reads;
    size_t n_sent;
};

/* false: it was cut. */
static bool step(struct slow *peer, const char *request)
{
    static const char head[] = "GET /v1/info HTTP/1.1\r\nHost: x\r\nX-Slow: ";
    struct pollfd state = {peer->fd, POLLIN, 0};
    char byte;

    if (peer->reads) {
        if (peer->n_sent == 0)
            return send(peer->fd, request, peer->n_sent = strlen(request), MSG_NOSIGNAL) >= 0;
        return poll(&state, 1, 0) == 0 || read(peer->fd, &byte, 1) == 1;
    }
    byte = peer->n_sent < sizeof(head) - 1 ? head[peer->n_sent] : 'x';
    peer->n_sent++;
    return poll(&state, 1, 0) == 0 && send(peer->fd, &byte, 1, MSG_NOSIGNAL) == 1;
}

struct crowd {
    struct slow *all;
    uint64_t n_cut[2], n_bytes;
};

static void take_step(struct crowd *crowd, size_t i, const char *request)
{
    struct slow *peer = &crowd->all[i];

    if (peer->fd < 0) {
        *peer = (struct slow){open_connection(), i % 2, 0};
        setsockopt(peer->fd, SOL_SOCKET, SO_RCVBUF, &(int){SLOW_RCVBUF}, sizeof(int));
    }
    if (peer->fd >= 0 && step(peer, request)) {
        crowd->n_bytes++;
        return;
    }
    n_errors += peer->fd < 0;
    crowd->n_cut[i % 2] += peer->fd >= 0;
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
}

/* Each has its moment in the second, so that they do not come as one burst. */
static int slow(size_t n, const char *path)
{
    struct crowd crowd = {.all = calloc(n, sizeof(*crowd.all))};
    char request[REQUEST_MAX];
    uint64_t start = now_ns();

    if (!crowd.all)
        return 1;
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    for (size_t i = 0; i < n; i++)
        crowd.all[i].fd = -1;
    for (uint64_t slice = 0;; slice++) {
        for (size_t i = slice % N_SLICES; i < n; i += N_SLICES)
            take_step(&crowd, i, request);
        if (slice == N_SLICES) {
            puts("ready");
            fflush(stdout);
        }
        uint64_t now = now_ns(), next = start + (slice + 1) * (S / N_SLICES);
        if (input_ended(next > now ? (int)((next - now) / 1000000) : 0))
            break;
    }
    printf("{\"bytes\": %llu, \"cut_senders\": %llu, \"cut_readers\": %llu, \"errors\": %llu}\n",
           (unsigned long long)crowd.n_bytes, (unsigned long long)crowd.n_cut[0],
           (unsigned long long)crowd.n_cut[1], (unsigned long long)n_errors);
    free(crowd.all);
    return 0;
}

int main(int argc, char **argv)
{
    struct rlimit limit;

    if (argc < 4)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", argv[1]);
    double first = atof(argv[3]);
    if (strcmp(argv[2], "idle") == 0)
        return idle((size_t)first);
    if (strcmp(argv[2], "slow") == 0 && argc == 5)
        return slow((size_t)first, argv[4]);
    if (strcmp(argv[2], "get") == 0 && argc == 7)
        return get(first, atof(argv[4]), argv[5], strcmp(argv[6], "fresh") == 0);
    if (strcmp(argv[2], "submit") == 0 && argc == 6)
        return submit(first, atof(argv[4]), strtoul(argv[5], NULL, 10));
    return 2;
}
