/*
 * dwbenchctl doctor: can this machine measure, and how well. Asks the daemon; where there is none
 * it starts a private one, which shows at the same time that `run` works.
 */

#include "client/api.h"
#include "client/doctor.h"
#include "client/interrupt.h"
#include "client/output.h"
#include "client/private_daemon.h"
#include "client/render.h"
#include "client/table.h"
#include "client/verbs.h"
#include "common/cleanup.h"
#include "common/json_memory.h"
#include "common/memstream.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PROBE_NS     UINT64_C(20000000000)
#define WORD_COLUMNS 9

/* The info object once the machine has been probed, or as it is when that takes too long. */
static int fetch_info(struct dwb_http *http, json_t **ret_info)
{
    struct timespec pause = {.tv_nsec = 100000000};
    uint64_t start_ns = dwb_http_now_ns();

    for (;;) {
        struct dwb_http_response response;
        json_t *info;
        int r = dwb_http_request(http, "GET", "/v1/info", NULL, NULL, &response);

        if (r < 0)
            return r;
        info = dwb_json_memory_load(response.body, response.n_body, 0, NULL);
        dwb_http_response_deinit(&response);
        if (!json_is_object(info)) {
            json_decref(info);
            return -EPROTO;
        }
        if (json_is_object(json_object_get(info, "machine")) ||
            json_is_string(json_object_get(info, "machine_error")) ||
            dwb_http_now_ns() - start_ns > PROBE_NS) {
            *ret_info = info;
            return 0;
        }
        json_decref(info);
        nanosleep(&pause, NULL);
    }
}

/* Who may use the socket, and whether that is us. */
static void examine_socket(const char *path, struct dwb_findings *findings)
{
    struct stat status;
    const struct group *group;
    char fix[320];

    if (stat(path, &status) < 0)
        return;
    group = getgrgid(status.st_gid);
    snprintf(fix, sizeof(fix), "sudo usermod -aG %s $USER, then log in again",
             group ? group->gr_name : "dwbench");
    if (access(path, W_OK) < 0)
        dwb_findings_add(findings, DWB_FINDING_PROBLEM, "socket", fix,
                         "%s is not writable for this user (mode %04o, group %s)", path,
                         (unsigned)status.st_mode & 07777, group ? group->gr_name : "not known");
    else if (status.st_mode & S_IWOTH)
        dwb_findings_add(findings, DWB_FINDING_NOTE, "socket", NULL,
                         "%s is writable for everybody (mode %04o)", path,
                         (unsigned)status.st_mode & 07777);
    else
        dwb_findings_add(findings, DWB_FINDING_OK, "socket", NULL, "%s, mode %04o, group %s", path,
                         (unsigned)status.st_mode & 07777, group ? group->gr_name : "not known");
}

static void say_daemon(const json_t *info, const char *where, struct dwb_findings *findings)
{
    const char *version = json_string_value(json_object_get(info, "version"));
    bool same = version && strcmp(version, DWB_VERSION) == 0;

    dwb_findings_add(findings, same ? DWB_FINDING_OK : DWB_FINDING_NOTE, "daemon",
                     same ? NULL : "sudo systemctl restart dwbenchd", "dwbenchd %s%s%s%s",
                     version ? version : "of an unknown version", where,
                     same ? "" : ", but this program is ", same ? "" : DWB_VERSION);
}

static int ask_private_daemon(struct dwb_findings *findings, json_t **ret_info)
{
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    struct dwb_private_daemon daemon = {0};
    int r;

    if (dwb_private_daemon_start(&(struct dwb_private_daemon_options){0}, &daemon) != DWB_EXIT_OK) {
        dwb_findings_add(findings, DWB_FINDING_PROBLEM, "daemon", NULL,
                         "a private daemon cannot be started");
        return DWB_EXIT_FAILED;
    }
    r = dwb_http_new(daemon.socket_path, &http);
    if (r == 0)
        r = fetch_info(http, ret_info);
    if (r == 0) {
        say_daemon(*ret_info, ", a private one, works (dwbenchctl run)", findings);
    } else if (r != -EINTR) {
        dwb_private_daemon_explain(&daemon);
        dwb_findings_add(findings, DWB_FINDING_PROBLEM, "daemon", NULL,
                         "a private daemon does not answer: %s", strerror(-r));
    }
    dwb_private_daemon_stop(&daemon);
    return r == 0 ? DWB_EXIT_OK : r == -EINTR ? DWB_EXIT_INTERRUPTED : DWB_EXIT_FAILED;
}

/* A daemon that was named and does not answer is a problem; that none is installed is a note. */
static int ask(struct dwb_http *http, bool named, struct dwb_findings *findings, json_t **ret_info)
{
    const char *path = dwb_http_socket(http);
    int r = fetch_info(http, ret_info), private_r;

    examine_socket(path, findings);
    if (r == 0) {
        char where[256];

        snprintf(where, sizeof(where), " at %.200s", path);
        say_daemon(*ret_info, where, findings);
        return DWB_EXIT_OK;
    }
    if (r == -EINTR)
        return DWB_EXIT_INTERRUPTED;
    if (r == -ETIMEDOUT)
        return DWB_EXIT_TIMEOUT;
    dwb_findings_add(findings, named || r == -EACCES ? DWB_FINDING_PROBLEM : DWB_FINDING_NOTE,
                     "daemon", "sudo systemctl enable --now dwbench.socket", "no answer at %s: %s",
                     path, strerror(-r));
    private_r = ask_private_daemon(findings, ret_info);
    return private_r == DWB_EXIT_OK && named ? DWB_EXIT_UNREACHABLE : private_r;
}

static int print_json(const struct dwb_findings *findings, FILE *out)
{
    json_t *array = json_array();
    int r = 0;

    for (size_t i = 0; r == 0 && i < findings->n; i++) {
        const struct dwb_finding *finding = &findings->items[i];

        if (json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s}", "level",
                                                   dwb_finding_level_name(finding->level),
                                                   "subject", finding->subject, "text",
                                                   finding->text, "fix", finding->fix)) < 0)
            r = -ENOMEM;
    }
    if (r == 0)
        r = dwb_render_json(array, out);
    json_decref(array);
    return r;
}

/* Text behind a word, the further lines below the first. */
static int print_finding(const char *word, const char *code, const char *text,
                         const struct dwb_terminal *terminal, FILE *out)
{
    dwb_cleanup_free char *wrapped = NULL;
    size_t n = 0;
    FILE *stream = dwb_memstream_open(&wrapped, &n);

    if (stream)
        dwb_terminal_wrap(stream, text, WORD_COLUMNS, terminal->columns);
    if (dwb_memstream_close(stream, &wrapped) < 0)
        return -ENOMEM;
    fprintf(out, "%s%-*s%s%s", terminal->colour ? code : "", WORD_COLUMNS, word,
            terminal->colour ? "\033[0m" : "", wrapped + WORD_COLUMNS);
    return 0;
}

static int print_text(const struct dwb_findings *findings, const struct dwb_terminal *terminal,
                      FILE *out)
{
    static const char *const codes[] = {"\033[32m", "\033[33m", "\033[31m"};
    size_t n_levels[3] = {0};
    int r = 0;

    for (size_t i = 0; r == 0 && i < findings->n; i++) {
        const struct dwb_finding *finding = &findings->items[i];
        char line[sizeof(finding->text) + 64];

        n_levels[finding->level]++;
        snprintf(line, sizeof(line), "%s: %s", finding->subject, finding->text);
        r = print_finding(dwb_finding_level_name(finding->level), codes[finding->level], line,
                          terminal, out);
        if (r == 0 && finding->fix[0])
            r = print_finding("  try", "", finding->fix, terminal, out);
    }
    fprintf(out, "\n%zu ok, %zu to note, %zu problem%s\n", n_levels[0], n_levels[1], n_levels[2],
            n_levels[2] == 1 ? "" : "s");
    return r;
}

static int print(const struct dwb_findings *findings, const struct dwb_cli *cli)
{
    dwb_cleanup_free char *text = NULL;
    struct dwb_terminal terminal;
    struct dwb_output output;
    size_t n = 0;
    FILE *stream;
    int r = dwb_output_open(cli->output, &output);

    if (r != DWB_EXIT_OK)
        return r;
    dwb_terminal_of(output.fd, &terminal);
    stream = dwb_memstream_open(&text, &n);
    if (stream && cli->format == DWB_FORMAT_JSON)
        r = print_json(findings, stream);
    else if (stream)
        r = print_text(findings, &terminal, stream);
    r = dwb_output_write_stream(&output, stream, r, &text, &n);
    dwb_output_close(&output);
    return r;
}

static int run(const struct dwb_cli *cli)
{
    DWB_CLEANUP(dwb_http_freep) struct dwb_http *http = NULL;
    struct dwb_findings findings = {0};
    json_t *info = NULL;
    int r, printed;

    if (cli->format == DWB_FORMAT_CSV) {
        dwb_say("doctor: --format must be table or json");
        return DWB_EXIT_USAGE;
    }
    dwb_interrupt_install();
    r = dwb_api_open(cli, &http);
    if (r != DWB_EXIT_OK)
        return r;
    r = ask(http, cli->socket || getenv("DWBENCH_SOCKET"), &findings, &info);
    if (info)
        dwb_doctor_examine(info, &findings);
    for (size_t i = 0; i < findings.n && r == DWB_EXIT_OK; i++)
        if (findings.items[i].level == DWB_FINDING_PROBLEM)
            r = DWB_EXIT_FAILED;
    json_decref(info);
    if (r == DWB_EXIT_INTERRUPTED)
        return r;
    printed = print(&findings, cli);
    return r != DWB_EXIT_OK ? r : printed;
}

const struct dwb_verb dwb_verb_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "look at the machine and say what would help",
    .help =
        "Looks at what measuring needs: the daemon and its socket, the event loop, kernels for\n"
        "this CPU, hardware counters, clock rate, neighbours; and says what would help. Notes\n"
        "do not keep you from measuring (exit 0), problems do (exit 4; 3 when a daemon that\n"
        "was named with --socket or $DWBENCH_SOCKET does not answer).",
    .options = DWB_OPTION_SOCKET | DWB_OPTION_FORMAT | DWB_OPTION_OUTPUT | DWB_OPTION_TIMEOUT,
    .run = run,
};
