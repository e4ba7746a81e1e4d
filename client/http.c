/*
 * libcurl's multi interface with one transfer in it, because its wait has a timeout of ours: the
 * flag of Ctrl-C, the deadline and the progress bar are looked at five times a second.
 */

#include "client/http.h"

#include "client/interrupt.h"
#include "common/cleanup.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>

#define TICK_MS       200
#define LINE_MAX_SIZE (1u << 20)

struct dwb_http {
    CURL *easy;
    CURLM *multi;
    char *socket_path;
    uint64_t deadline_ns;
};

struct transfer {
    struct dwb_http *http;
    char *buffer; /* body so far, or the unfinished line of a stream */
    size_t n_buffer, n_allocated;
    dwb_http_line_fn *line_fn;
    dwb_http_tick_fn *tick_fn;
    void *userdata;
    int error;
};

uint64_t dwb_http_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int append(struct transfer *transfer, const char *data, size_t n)
{
    size_t cap = transfer->line_fn ? LINE_MAX_SIZE : DWB_HTTP_BODY_MAX;

    if (n > cap - transfer->n_buffer)
        return -EFBIG;
    if (transfer->n_buffer + n + 1 > transfer->n_allocated) {
        size_t wanted = 2 * (transfer->n_buffer + n + 1);
        char *grown = realloc(transfer->buffer, wanted);

        if (!grown)
            return -ENOMEM;
        transfer->buffer = grown;
        transfer->n_allocated = wanted;
    }
    memcpy(transfer->buffer + transfer->n_buffer, data, n);
    transfer->n_buffer += n;
    transfer->buffer[transfer->n_buffer] = '\0';
    return 0;
}

static int take_lines(struct transfer *transfer)
{
    char *start = transfer->buffer, *end;
    int r = 0;

    while (r >= 0 &&
           (end = memchr(start, '\n', transfer->n_buffer - (size_t)(start - transfer->buffer)))) {
        *end = '\0';
        r = transfer->line_fn(start, (size_t)(end - start), transfer->userdata);
        start = end + 1;
    }
    transfer->n_buffer -= (size_t)(start - transfer->buffer);
    memmove(transfer->buffer, start, transfer->n_buffer);
    return r < 0 ? r : 0;
}

static size_t on_data(char *data, size_t size, size_t n_items, void *userdata)
{
    struct transfer *transfer = userdata;
    size_t n = size * n_items;
    long status = 0;
    int r;

    curl_easy_getinfo(transfer->http->easy, CURLINFO_RESPONSE_CODE, &status);
    r = append(transfer, data, n);
    if (r >= 0 && transfer->line_fn && status == 200)
        r = take_lines(transfer);
    if (r < 0)
        transfer->error = r;
    return r < 0 ? 0 : n; /* less than n aborts the transfer */
}

int dwb_http_new(const char *socket_path, struct dwb_http **ret_http)
{
    struct dwb_http *http;

    if (strlen(socket_path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return -ENAMETOOLONG;
    http = calloc(1, sizeof(*http));
    if (!http)
        return -ENOMEM;
    http->socket_path = strdup(socket_path);
    http->easy = curl_easy_init();
    http->multi = curl_multi_init();
    if (!http->socket_path || !http->easy || !http->multi) {
        dwb_http_free(http);
        return -ENOMEM;
    }
    *ret_http = http;
    return 0;
}

void dwb_http_free(struct dwb_http *http)
{
    if (!http)
        return;
    curl_easy_cleanup(http->easy);
    curl_multi_cleanup(http->multi);
    free(http->socket_path);
    free(http);
}

const char *dwb_http_socket(const struct dwb_http *http)
{
    return http->socket_path;
}

void dwb_http_set_deadline(struct dwb_http *http, uint64_t deadline_ns)
{
    http->deadline_ns = deadline_ns;
}

static int code_to_errno(CURL *easy, CURLcode code)
{
    long os_errno = 0;

    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT: /* only the connect has a timeout of curl's own */
        curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_errno);
        return os_errno > 0 ? -(int)os_errno : -ECONNREFUSED;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    default:
        return -EPIPE;
    }
}

/* Runs the prepared transfer to its end. */
static int perform(struct dwb_http *http, struct transfer *transfer)
{
    uint64_t start_ns = dwb_http_now_ns();
    int n_running = 1, n_left, r = 0;
    CURLMsg *message;

    if (curl_multi_add_handle(http->multi, http->easy) != CURLM_OK)
        return -ENOMEM;
    for (;;) {
        uint64_t now_ns = dwb_http_now_ns();
        long status = 0;

        if (curl_multi_perform(http->multi, &n_running) != CURLM_OK) {
            r = -ENOMEM;
            break;
        }
        if (n_running == 0)
            break;
        curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
        if (dwb_interrupted())
            r = -EINTR;
        else if (http->deadline_ns && now_ns >= http->deadline_ns)
            r = -ETIMEDOUT;
        else if ((!transfer->line_fn || status == 0) && now_ns - start_ns > DWB_HTTP_ANSWER_NS)
            r = -ETIME;
        if (r < 0)
            break;
        if (transfer->tick_fn)
            transfer->tick_fn(transfer->userdata);
        curl_multi_poll(http->multi, NULL, 0, TICK_MS, NULL);
    }
    message = curl_multi_info_read(http->multi, &n_left);
    if (r == 0 && message && message->msg == CURLMSG_DONE)
        r = code_to_errno(http->easy, message->data.result);
    curl_multi_remove_handle(http->multi, http->easy);
    return transfer->error < 0 ? transfer->error : r;
}

static int run(struct dwb_http *http, const char *method, const char *path, const char *body,
               struct curl_slist *headers, struct transfer *transfer,
               struct dwb_http_response *ret_response)
{
    struct dwb_http_response response = {0};
    curl_off_t retry_after = 0;
    char url[512];
    int r;

    if (snprintf(url, sizeof(url), "http://localhost%s", path) >= (int)sizeof(url))
        return -ENAMETOOLONG;
    curl_easy_reset(http->easy);
    curl_easy_setopt(http->easy, CURLOPT_UNIX_SOCKET_PATH, http->socket_path);
    curl_easy_setopt(http->easy, CURLOPT_URL, url);
    curl_easy_setopt(http->easy, CURLOPT_PROXY, ""); /* the environment names none for a socket */
    curl_easy_setopt(http->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(http->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(DWB_HTTP_ANSWER_NS / 1000000));
    curl_easy_setopt(http->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(http->easy, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(http->easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(http->easy, CURLOPT_WRITEDATA, transfer);
    if (body) {
        curl_easy_setopt(http->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        curl_easy_setopt(http->easy, CURLOPT_POSTFIELDS, body);
    }
    r = append(transfer, "", 0);
    if (r >= 0)
        r = perform(http, transfer);
    if (r < 0)
        return r;
    curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &response.status);
    if (curl_easy_getinfo(http->easy, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK &&
        retry_after > 0)
        response.retry_after_s = retry_after > 86400 ? 86400 : (unsigned)retry_after;
    response.n_body = transfer->n_buffer;
    response.body = dwb_steal(transfer->buffer);
    *ret_response = response;
    return 0;
}

int dwb_http_request(struct dwb_http *http, const char *method, const char *path, const char *body,
                     const char *idempotency_key, struct dwb_http_response *ret_response)
{
    struct transfer transfer = {.http = http};
    struct curl_slist *headers = NULL, *longer;
    char line[192];
    int r = -ENOMEM;

    /* Without "Expect:" curl waits for a 100 before larger bodies. */
    headers = curl_slist_append(NULL, "Expect:");
    if (!headers)
        goto out;
    if (body) {
        longer = curl_slist_append(headers, "Content-Type: application/json");
        if (!longer)
            goto out;
        headers = longer;
    }
    if (idempotency_key) {
        snprintf(line, sizeof(line), "Idempotency-Key: %s", idempotency_key);
        longer = curl_slist_append(headers, line);
        if (!longer)
            goto out;
        headers = longer;
    }
    r = run(http, method, path, body, headers, &transfer, ret_response);
out:
    curl_slist_free_all(headers);
    free(transfer.buffer);
    return r;
}

int dwb_http_stream(struct dwb_http *http, const char *path, dwb_http_line_fn *line_fn,
                    dwb_http_tick_fn *tick_fn, void *userdata,
                    struct dwb_http_response *ret_response)
{
    struct transfer transfer = {
        .http = http, .line_fn = line_fn, .tick_fn = tick_fn, .userdata = userdata};
    int r = run(http, "GET", path, NULL, NULL, &transfer, ret_response);

    free(transfer.buffer);
    return r;
}

void dwb_http_response_deinit(struct dwb_http_response *response)
{
    free(response->body);
    response->body = NULL;
}
