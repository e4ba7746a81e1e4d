#include "daemon/problem.h"

/* See problem.h. */

#include "common/diag.h"
#include "common/json_memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *title_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *title;
    } titles[] = {
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Error";
}

static void reply_document(struct dwb_http_exchange *exchange, unsigned status, const char *type,
                           json_t *document)
{
    char *text = dwb_json_memory_dump(document);
    size_t length = text ? strlen(text) : 0;

    json_decref(document);
    if (!text) {
        dwb_http_reply(exchange, 500, "text/plain", NULL, 0);
        return;
    }
    text[length++] = '\n'; /* in place of the NUL: only the bytes are sent */
    dwb_http_reply(exchange, status, type, text, length);
}

static void reply_text(struct dwb_http_exchange *exchange, unsigned status, const char *code,
                       json_t *members, const char *detail)
{
    char escaped[512];

    dwb_escape(escaped, sizeof(escaped), detail, strlen(detail));
    json_t *problem =
        json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", "about:blank", "title", title_of(status),
                  "status", (int)status, "code", code, "detail", escaped);
    if (members)
        json_object_update(problem, members);
    json_decref(members);
    reply_document(exchange, status, "application/problem+json", problem);
}

void dwb_problem_reply(struct dwb_http_exchange *exchange, unsigned status, const char *code,
                       const char *format, ...)
{
    char detail[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    dwb_json_memory_begin();
    reply_text(exchange, status, code, NULL, detail);
}

void dwb_problem_reply_with(struct dwb_http_exchange *exchange, unsigned status, const char *code,
                            json_t *members, const char *format, ...)
{
    char detail[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    reply_text(exchange, status, code, members, detail);
}

void dwb_problem_retry(struct dwb_http_exchange *exchange, unsigned status, const char *code,
                       unsigned retry_after_s, const char *detail)
{
    char seconds[16];

    snprintf(seconds, sizeof(seconds), "%u", retry_after_s);
    dwb_http_add_header(exchange, "Retry-After", seconds);
    dwb_json_memory_begin();
    reply_text(exchange, status, code, NULL, detail);
}

void dwb_problem_reply_json(struct dwb_http_exchange *exchange, unsigned status, json_t *document)
{
    reply_document(exchange, status, "application/json", document);
}
