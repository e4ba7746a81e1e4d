#include "common/diag.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct dwb_diags *dwb_diags_new(void)
{
    return calloc(1, sizeof(struct dwb_diags));
}

void dwb_diags_free(struct dwb_diags *diags)
{
    free(diags);
}

/* C1 controls, line separators and directional overrides can rewrite what a reader sees; what has
 * no width makes two texts look the same. */
static bool misleads(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0x80, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},  {0x200b, 0x200f},
                  {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}};

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

/* Length of the valid UTF-8 sequence at text[0..length) that is fit to print; 0 = escape a byte. */
static size_t printable(const unsigned char *text, size_t length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = text[0] < 0x80   ? 1
               : text[0] < 0xc2 ? 0
               : text[0] < 0xe0 ? 2
               : text[0] < 0xf0 ? 3
                                : 4;
    uint32_t code;

    if (n == 0 || n > length || text[0] > 0xf4)
        return 0;
    if (n == 1)
        return text[0] >= 0x20 && text[0] != 0x7f;
    code = text[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return misleads(code) ? 0 : n;
}

void dwb_escape(char *buffer, size_t size, const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t used = 0, fits = 0; /* fits: the last cut that leaves room for "..." */

    if (size == 0)
        return;
    for (size_t i = 0; i < length;) {
        size_t n = printable(bytes + i, length - i);
        size_t need = n > 0 ? n : 4;

        if (used + 4 <= size)
            fits = used;
        if (used + need + 1 > size) {
            used = fits;
            for (int dots = 0; dots < 3 && used + 1 < size; dots++)
                buffer[used++] = '.';
            break;
        }
        if (n > 0)
            memcpy(buffer + used, bytes + i, n);
        else
            snprintf(buffer + used, 5, "\\x%02x", bytes[i]);
        used += need;
        i += n > 0 ? n : 1;
    }
    buffer[used] = '\0';
}

void dwb_diags_add(struct dwb_diags *diags, unsigned line, unsigned column, const char *field,
                   const char *value, const char *format, ...)
{
    char message[1024];
    struct dwb_diag *diag;
    va_list arguments;

    if (diags->n == DWB_DIAGS_MAX) {
        diags->n_dropped++;
        return;
    }
    diag = &diags->items[diags->n++];
    diag->line = line;
    diag->column = column;
    dwb_escape(diag->field, sizeof(diag->field), field ? field : "", field ? strlen(field) : 0);
    dwb_escape(diag->value, sizeof(diag->value), value ? value : "", value ? strlen(value) : 0);
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    dwb_escape(diag->message, sizeof(diag->message), message, strlen(message));
}

void dwb_diags_print(const struct dwb_diags *diags, const char *source, FILE *stream)
{
    for (size_t i = 0; i < diags->n; i++) {
        const struct dwb_diag *diag = &diags->items[i];

        fputs(source, stream);
        if (diag->line > 0)
            fprintf(stream, ":%u:%u", diag->line, diag->column);
        fputs(": ", stream);
        if (diag->field[0] != '\0')
            fprintf(stream, "%s: ", diag->field);
        if (diag->value[0] != '\0')
            fprintf(stream, "'%s' ", diag->value);
        fprintf(stream, "%s\n", diag->message);
    }
    if (diags->n_dropped > 0)
        fprintf(stream, "%s: and %zu more\n", source, diags->n_dropped);
}

json_t *dwb_diags_to_json(const struct dwb_diags *diags)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < diags->n; i++) {
        const struct dwb_diag *diag = &diags->items[i];
        json_t *item = json_pack("{s:i, s:i, s:s, s:s, s:s}", "line", (int)diag->line, "column",
                                 (int)diag->column, "field", diag->field, "value", diag->value,
                                 "message", diag->message);

        if (!item || json_array_append_new(array, item) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}
