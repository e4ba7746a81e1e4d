/* The words of a side. See the header. */

#include "common/side.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
    [DWB_SIDE_NATIVE] = "native",  [DWB_SIDE_ONEDNN] = "onednn",  [DWB_SIDE_XNNPACK] = "xnnpack",
    [DWB_SIDE_PLUGIN] = "plugin:", [DWB_SIDE_WORKER] = "worker:", [DWB_SIDE_KERNEL] = "kernel:",
};

struct seen { /* which words were there */
    bool kind, isa, form, extra;
};

static int complain(char *message, const char *word, const char *text)
{
    snprintf(message, DWB_SIDE_MESSAGE_MAX, "`%.80s' %s", word, text);
    return -EINVAL;
}

/* 1 = this was the word, 0 = it is another one, -EINVAL = there is one like it already. */
static int once(bool *seen, const char *word, const char *what, char *message)
{
    if (*seen) {
        snprintf(message, DWB_SIDE_MESSAGE_MAX, "`%.80s' is a second %s; keep one", word, what);
        return -EINVAL;
    }
    *seen = true;
    return 1;
}

static int take_name(const char *word, const char *name, char *message, struct dwb_side *side)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

    if (strchr(name, '/'))
        return complain(message, word,
                        "is a path, and a job takes names only: paths are for "
                        "dwbenchctl gate with a daemon of its own");
    if (name[0] == '\0' || name[0] == '.' || strlen(name) >= DWB_SIDE_NAME_MAX ||
        name[strspn(name, allowed)] != '\0')
        return complain(message, word,
                        "needs a name of 1 to 63 letters, digits, dots, underscores or hyphens");
    snprintf(side->name, sizeof side->name, "%s", name);
    return 0;
}

static int take_kind(const char *word, struct seen *seen, char *message, struct dwb_side *side)
{
    for (unsigned i = 0; i < sizeof kind_names / sizeof kind_names[0]; i++) {
        size_t n = strlen(kind_names[i]);
        bool named = kind_names[i][n - 1] == ':';

        if (named ? strncmp(word, kind_names[i], n) != 0 : strcmp(word, kind_names[i]) != 0)
            continue;
        int r = once(&seen->kind, word, "answer to whose kernel it is", message);
        if (r > 0 && named && take_name(word, word + n, message, side) < 0)
            r = -EINVAL;
        side->kind = (enum dwb_side_kind)i;
        return r;
    }
    return 0;
}

static int take_isa(const char *word, struct seen *seen, char *message, struct dwb_side *side)
{
    return dwb_isa_from_name(word, &side->isa) < 0 ? 0 : once(&seen->isa, word, "ISA", message);
}

static int take_form(const char *word, struct seen *seen, char *message, struct dwb_side *side)
{
    enum dwb_operation form = DWB_OPERATION_SEPARABLE_FUSED;

    if (strcmp(word, "fused") != 0 &&
        (dwb_operation_from_name(word, &form) < 0 || form > DWB_OPERATION_SEPARABLE_FUSED))
        return 0;
    side->has_form = true;
    side->form = form;
    return once(&seen->form, word, "form", message);
}

static int take_extra(const char *word, struct seen *seen, char *message, struct dwb_side *side)
{
    unsigned long k;
    char *end;

    if (strncmp(word, "+1/", 3) != 0)
        return 0;
    k = strtoul(word + 3, &end, 10);
    if (word[3] < '1' || word[3] > '9' || *end != '\0' || k > DWB_SIDE_EXTRA_MAX)
        return complain(message, word,
                        "must be +1/K with K from 1 to 1000: one call more after "
                        "every K");
    side->extra_every = (uint32_t)k;
    return once(&seen->extra, word, "planted slowdown", message);
}

static int take_word(const char *word, struct seen *seen, char *message, struct dwb_side *side)
{
    int r = take_kind(word, seen, message, side);

    if (r == 0)
        r = take_isa(word, seen, message, side);
    if (r == 0)
        r = take_form(word, seen, message, side);
    if (r == 0)
        r = take_extra(word, seen, message, side);
    if (r == 0)
        return complain(message, word,
                        "is none of native, onednn, xnnpack, plugin:FILE.so, worker:PATH, "
                        "kernel:NAME, an ISA, a form (standard, depthwise, pointwise, separable, "
                        "fused), +1/K");
    return r < 0 ? r : 0;
}

int dwb_side_parse(const char *text, char message[DWB_SIDE_MESSAGE_MAX], struct dwb_side *ret_side)
{
    struct dwb_side side = {.kind = DWB_SIDE_NATIVE, .isa = DWB_ISA_AUTO};
    struct seen seen = {0};

    for (const char *at = text; at;) {
        size_t n = strcspn(at, ",");
        char word[DWB_SIDE_TEXT_MAX];

        if (n >= sizeof word)
            return complain(message, at, "is too long");
        memcpy(word, at, n);
        word[n] = '\0';
        if (take_word(word, &seen, message, &side) < 0)
            return -EINVAL;
        at = at[n] == ',' ? at + n + 1 : NULL;
    }
    *ret_side = side;
    return 0;
}

void dwb_side_to_text(const struct dwb_side *side, char buffer[DWB_SIDE_TEXT_MAX])
{
    int n = snprintf(buffer, DWB_SIDE_TEXT_MAX, "%s%s", kind_names[side->kind], side->name);

    if (side->isa != DWB_ISA_AUTO)
        n += snprintf(buffer + n, DWB_SIDE_TEXT_MAX - (size_t)n, ",%s", dwb_isa_name(side->isa));
    if (side->has_form)
        n += snprintf(buffer + n, DWB_SIDE_TEXT_MAX - (size_t)n, ",%s",
                      dwb_operation_name(side->form));
    if (side->extra_every)
        snprintf(buffer + n, DWB_SIDE_TEXT_MAX - (size_t)n, ",+1/%u", side->extra_every);
}

static bool is_altered(const struct dwb_side *side)
{
    return side->isa != DWB_ISA_AUTO || side->extra_every;
}

const char *dwb_sides_refuse(const struct dwb_side *a, const struct dwb_side *b, char *ret_side)
{
    if (a->has_form != b->has_form) {
        *ret_side = a->has_form ? 'b' : 'a';
        return "needs a form (standard, separable, fused, ...), as the other side has one";
    }
    if ((a->kind == DWB_SIDE_WORKER) != (b->kind == DWB_SIDE_WORKER)) {
        *ret_side = a->kind == DWB_SIDE_WORKER ? 'b' : 'a';
        return "must be a worker, as the other side is one";
    }
    if (a->kind == DWB_SIDE_WORKER && (is_altered(a) || is_altered(b))) {
        *ret_side = is_altered(a) ? 'a' : 'b';
        return "is a worker, which is taken as it is: give the ISA to both by isa, and plant "
               "nothing";
    }
    return NULL;
}

int dwb_operations_from_text(const char *text, uint32_t *ret_mask)
{
    uint32_t mask = 0;

    for (const char *at = text; at;) {
        size_t n = strcspn(at, ",");
        unsigned k = 0;

        while (k <= DWB_OPERATION_SEPARABLE_FUSED &&
               (strlen(dwb_operation_name((enum dwb_operation)k)) != n ||
                strncmp(dwb_operation_name((enum dwb_operation)k), at, n) != 0))
            k++;
        if (k > DWB_OPERATION_SEPARABLE_FUSED || mask & 1u << k)
            return -EINVAL;
        mask |= 1u << k;
        at = at[n] == ',' ? at + n + 1 : NULL;
    }
    *ret_mask = mask;
    return 0;
}

void dwb_operations_to_text(uint32_t mask, char buffer[DWB_OPERATIONS_TEXT_MAX])
{
    size_t n = 0;

    buffer[0] = '\0';
    for (unsigned k = 0; k <= DWB_OPERATION_SEPARABLE_FUSED; k++)
        if (mask & 1u << k)
            n += (size_t)snprintf(buffer + n, DWB_OPERATIONS_TEXT_MAX - n, "%s%s", n ? "," : "",
                                  dwb_operation_name((enum dwb_operation)k));
}
