#include "daemon/head.h"

/*
 * See head.h. Refused (RFC 9112): a name that is no token, a control character in a value, a second
 * Host, Content-Length, Transfer-Encoding or Idempotency-Key, a length beside a transfer coding,
 * and a coding that is not `chunked`, for its end would not be known.
 */

#include <string.h>
#include <strings.h>

static const char *const once[] = {"host", "content-length", "transfer-encoding",
                                   "idempotency-key"};
enum { LENGTH = 1 << 1, CODING = 1 << 2 };

static bool is_token(const char *name, size_t length)
{
    static const char allowed[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz";

    for (size_t i = 0; i < length; i++)
        if (!memchr(allowed, name[i], sizeof(allowed) - 1))
            return false;
    return length > 0;
}

static bool is_text(const char *value, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (((unsigned char)value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7f)
            return false;
    return true;
}

static bool is(const char *text, size_t length, const char *wanted)
{
    return length == strlen(wanted) && strncasecmp(text, wanted, length) == 0;
}

void dwb_head_take(struct dwb_head *head, const char *name, size_t name_length, const char *value,
                   size_t value_length)
{
    if (!is_token(name, name_length) || !is_text(value, value_length))
        head->bad = true;
    for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
        if (!is(name, name_length, once[i]))
            continue;
        if (head->seen & 1u << i || (1u << i == CODING && !is(value, value_length, "chunked")))
            head->bad = true;
        head->seen |= 1u << i;
    }
}

bool dwb_head_good(const struct dwb_head *head)
{
    return !head->bad && (head->seen & (LENGTH | CODING)) != (LENGTH | CODING);
}
