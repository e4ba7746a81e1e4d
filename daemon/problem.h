#pragma once

/*
 * Errors of the HTTP API: RFC 9457 problem+json with a machine word in `code` (the closed list is
 * in docs/protocol.md).
 */

#include "daemon/http.h"

#include <jansson.h>

/* Answers with a problem. detail is printf text, escaped. */
void dwb_problem_reply(struct dwb_http_exchange *exchange, unsigned status, const char *code,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same with further members; takes `members` (an object, NULL = none). */
void dwb_problem_reply_with(struct dwb_http_exchange *exchange, unsigned status, const char *code,
                            json_t *members, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* 429 or 503 with Retry-After. */
void dwb_problem_retry(struct dwb_http_exchange *exchange, unsigned status, const char *code,
                       unsigned retry_after_s, const char *detail);

/* Answers with a JSON document; takes it (NULL = no memory: 500). */
void dwb_problem_reply_json(struct dwb_http_exchange *exchange, unsigned status, json_t *document);
