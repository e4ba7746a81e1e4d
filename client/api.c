#include "client/api.h"

#include "client/interrupt.h"
#include "common/cleanup.h"
#include "common/json_memory.h"
#include "common/paths.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define SUBMIT_ATTEMPTS 6

int dwb_api_open(const struct dwb_cli *cli, struct dwb_http **ret_http)
{
    char path[4096];
    int r = 0;

    if (!cli->socket)
        r = dwb_paths_socket(0, path, sizeof(path));
    if (r == 0)
        r = dwb_http_new(cli->socket ? cli->socket : path, ret_http);
    if (r == -ENAMETOOLONG) {
        dwb_say("the socket's path is too long (the system takes 107 bytes): %s",
                cli->socket ? cli->socket : "$DWBENCH_SOCKET");
        return DWB_EXIT_USAGE;
    }
    if (r < 0) {
        dwb_say("no memory for a connection");
        return DWB_EXIT_UNREACHABLE;
    }
    if (cli->timeout_ns)
        dwb_http_set_deadline(*ret_http, dwb_http_now_ns() + cli->timeout_ns);
    return DWB_EXIT_OK;
}

int dwb_api_explain(const struct dwb_http *http, int error)
{
    const char *socket_path = dwb_http_socket(http);

    switch (error) {
    case -EINTR:
        dwb_say("interrupted");
        return DWB_EXIT_INTERRUPTED;
    case -ETIMEDOUT:
        dwb_say("--timeout has passed");
        return DWB_EXIT_TIMEOUT;
    case -EACCES:
    case -EPERM:
        dwb_say("no permission for the daemon's socket %s", socket_path);
        dwb_say("its group may use it: sudo usermod -aG dwbench $USER, then log in again");
        return DWB_EXIT_UNREACHABLE;
    case -ETIME:
        dwb_say("the daemon at %s has not answered in %llu s", socket_path,
                (unsigned long long)(DWB_HTTP_ANSWER_NS / 1000000000));
        return DWB_EXIT_UNREACHABLE;
    case -EPIPE:
        dwb_say("the daemon at %s closed the connection before its answer was whole", socket_path);
        return DWB_EXIT_UNREACHABLE;
    case -EFBIG:
    case -ENOMEM:
        dwb_say("the daemon's answer does not fit into memory");
        return DWB_EXIT_UNREACHABLE;
    default:
        dwb_say("no daemon at %s: %s", socket_path, strerror(-error));
        dwb_say("start the service: sudo systemctl start dwbench.socket");
        dwb_say("or measure without one: dwbenchctl run FILE");
        return DWB_EXIT_UNREACHABLE;
    }
}

static void say_finding(const json_t *finding)
{
    const char *field = "", *value = "", *message = "";

    json_unpack((json_t *)finding, "{s?s, s?s, s?s}", "field", &field, "value", &value, "message",
                &message);
    dwb_say("  %s%s%s%s%s%s", field, field[0] ? ": " : "", value[0] ? "value `" : "", value,
            value[0] ? "': " : "", message);
}

int dwb_api_explain_problem(const struct dwb_http_response *response)
{
    json_t *problem = dwb_json_memory_load(response->body, response->n_body, 0, NULL), *finding;
    const char *title = NULL, *detail = NULL;
    size_t i;

    json_unpack(problem, "{s?s, s?s}", "title", &title, "detail", &detail);
    if (detail && detail[0])
        dwb_say("the daemon says: %s", detail);
    else
        dwb_say("the daemon answered %ld%s%s", response->status, title ? " " : "",
                title ? title : "");
    json_array_foreach(json_object_get(problem, "errors"), i, finding) say_finding(finding);
    json_decref(problem);
    if (response->retry_after_s)
        dwb_say("try again in %u s", response->retry_after_s);
    return response->status == 429 || response->status >= 500 ? DWB_EXIT_UNREACHABLE
                                                              : DWB_EXIT_USAGE;
}

int dwb_api_call(struct dwb_http *http, const char *method, const char *path,
                 struct dwb_http_response *ret_response)
{
    struct dwb_http_response response;
    int r = dwb_http_request(http, method, path, NULL, NULL, &response);

    if (r < 0)
        return dwb_api_explain(http, r);
    if (response.status >= 400) {
        r = dwb_api_explain_problem(&response);
        dwb_http_response_deinit(&response);
        return r;
    }
    *ret_response = response;
    return DWB_EXIT_OK;
}

static int parse_answer(const struct dwb_http *http, const struct dwb_http_response *response,
                        json_t **ret_answer)
{
    json_error_t error;
    json_t *answer = dwb_json_memory_load(response->body, response->n_body, 0, &error);

    if (!json_is_object(answer)) {
        json_decref(answer);
        dwb_say("the answer from %s is not what dwbenchd sends: %s", dwb_http_socket(http),
                answer ? "not an object" : error.text);
        return DWB_EXIT_UNREACHABLE;
    }
    *ret_answer = answer;
    return DWB_EXIT_OK;
}

int dwb_api_json(struct dwb_http *http, const char *method, const char *path, json_t **ret_answer)
{
    struct dwb_http_response response;
    int r = dwb_api_call(http, method, path, &response);

    if (r != DWB_EXIT_OK)
        return r;
    r = parse_answer(http, &response, ret_answer);
    dwb_http_response_deinit(&response);
    return r;
}

/* 128 random bits: no two submissions of anybody share a key. */
static int random_key(char *buffer, size_t size)
{
    unsigned char bytes[16];
    size_t n = 0;

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return -EIO;
    for (size_t i = 0; i < sizeof(bytes) && n < size; i++)
        n += (size_t)snprintf(buffer + n, size - n, "%02x", bytes[i]);
    return 0;
}

/* Sends the document until there is an answer. The first failure to connect is final: nothing was
 * sent. After a lost answer any failure is worth another attempt: the daemon may be restarting. */
static int post(struct dwb_http *http, const char *document, const char *key,
                struct dwb_http_response *ret_response)
{
    bool lost = false;
    int r = 0;

    for (unsigned i = 0; i < SUBMIT_ATTEMPTS; i++) {
        struct timespec pause = {.tv_nsec = 100000000};

        r = dwb_http_request(http, "POST", "/v1/jobs", document, key, ret_response);
        lost = lost || r == -EPIPE || r == -ETIME;
        if (r == 0 || !lost || r == -EINTR || r == -ETIMEDOUT || r == -ENOMEM)
            return r;
        for (unsigned k = 0; k < 1u << i && !dwb_interrupted(); k++)
            nanosleep(&pause, NULL);
    }
    return r;
}

int dwb_api_submit(struct dwb_http *http, const struct dwb_spec *spec, const char *key,
                   json_t **ret_job)
{
    struct dwb_http_response response;
    dwb_cleanup_free char *document = NULL;
    json_t *object, *job = NULL;
    char generated[40];
    int r;

    dwb_json_memory_begin();
    object = dwb_spec_to_json(spec);
    document = dwb_json_memory_dump(object);
    json_decref(object);
    if (!document || (!key && random_key(generated, sizeof(generated)) < 0)) {
        dwb_say("no memory for the document");
        return DWB_EXIT_FAILED;
    }
    r = post(http, document, key ? key : generated, &response);
    if (r < 0) {
        int code = dwb_api_explain(http, r);

        if (r == -EPIPE || r == -ETIME)
            dwb_say("the job may have been accepted: the same command with --idempotency-key %s "
                    "finds out and never submits twice",
                    key ? key : generated);
        return code;
    }
    if (response.status >= 400)
        r = dwb_api_explain_problem(&response);
    else
        r = parse_answer(http, &response, &job);
    dwb_http_response_deinit(&response);
    if (r != DWB_EXIT_OK)
        return r;
    if (!json_string_value(json_object_get(job, "id"))) {
        json_decref(job);
        dwb_say("the answer from %s carries no job id", dwb_http_socket(http));
        return DWB_EXIT_UNREACHABLE;
    }
    *ret_job = job;
    return DWB_EXIT_OK;
}

int dwb_api_job_path(const char *id, const char *suffix, char *buffer, size_t size)
{
    size_t n = strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz-_");

    if (n == 0 || id[n] != '\0' ||
        snprintf(buffer, size, "/v1/jobs/%s%s", id, suffix) >= (int)size) {
        dwb_say("`%s' is not a job id (dwbenchctl list shows them)", id);
        return DWB_EXIT_USAGE;
    }
    return DWB_EXIT_OK;
}
