/*
 * The hostile documents of tests/corpus through the real parsers: each gives what its directory's
 * `expected` says, all findings with their places, loses no memory, and takes at most 10 ms of CPU
 * and 8 MiB. DWB_TEST_SLOW: no time is asked for, for this is an emulator or not optimized.
 *
 *     test_corpus KIND DIRECTORY [--print]
 *
 * KIND is spec, config, record, flag or request. A line of `expected` is NAME, a tab, accepted or
 * refused, and for each finding a tab and LINE:COLUMN:FIELD; --print writes such lines of what is
 * there. A file NAME.repeat stands for a longer text: each of its lines is a count, a blank and the
 * text that comes so many times, with \n, \t and \\ as in C.
 */

#include "common/cleanup.h"
#include "tests/fuzz/target.h"
#include "tests/unit/heap.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#define CPU_NS_MAX 10000000
#define HEAP_MAX   (8u << 20)
#define TEXT_MAX   (8u << 20)
/* The fastest run counts: what an input costs is not what the machine was doing meanwhile. */
#define RUNS_MIN 3
#define RUNS_MAX 30

static const struct kind {
    const char *name;
    dwb_target_fn *fn;
} kinds[] = {{"spec", dwb_target_spec},
             {"config", dwb_target_config},
             {"record", dwb_target_record},
             {"flag", dwb_target_flag},
             {"request", dwb_target_request}};

struct text {
    char *data;
    size_t length;
};

static void append(struct text *text, const char *data, size_t length)
{
    if (text->length + length > TEXT_MAX) {
        fprintf(stderr, "a repeated text is too long\n");
        exit(1);
    }
    memcpy(text->data + text->length, data, length);
    text->length += length;
}

static char unescaped(char c)
{
    return c == 'n' ? '\n' : c == 't' ? '\t' : c;
}

static void expand(const char *recipe, struct text *text)
{
    for (const char *line = recipe; *line;) {
        const char *end = strchrnul(line, '\n');
        char *c, piece[4096];
        unsigned long n = strtoul(line, &c, 10);
        size_t length = 0;

        while (++c < end && length < sizeof(piece)) {
            if (*c == '\\')
                piece[length++] = unescaped(*++c);
            else
                piece[length++] = *c;
        }
        while (n-- > 0)
            append(text, piece, length);
        line = *end ? end + 1 : end;
    }
}

static struct text load(const char *path)
{
    struct text raw = {malloc(TEXT_MAX + 1), 0}, text = {malloc(TEXT_MAX + 1), 0};
    FILE *stream = fopen(path, "rb");
    const char *suffix = strrchr(path, '.');

    if (!stream || !raw.data || !text.data) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(1);
    }
    raw.length = fread(raw.data, 1, TEXT_MAX, stream);
    raw.data[raw.length] = '\0';
    fclose(stream);
    if (suffix && strcmp(suffix, ".repeat") == 0)
        expand(raw.data, &text);
    else
        append(&text, raw.data, raw.length);
    free(raw.data);
    return text;
}

static void format(char *buffer, size_t size, const char *name, int r,
                   const struct dwb_diags *diags)
{
    int n = snprintf(buffer, size, "%s\t%s", name,
                     r == 0         ? "accepted"
                     : r == -EINVAL ? "refused"
                                    : strerror(-r));

    for (size_t i = 0; i < diags->n && n > 0 && (size_t)n < size; i++)
        n += snprintf(buffer + n, size - (size_t)n, "\t%u:%u:%s", diags->items[i].line,
                      diags->items[i].column, diags->items[i].field);
}

static long cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

/* What the input costs; prints what is past a bound and returns how many that are. */
static int run(const struct kind *kind, const char *name, const struct text *text,
               struct dwb_diags *diags, int *ret_r)
{
    long best_ns = LONG_MAX;
    int n_bad = 0;

    kind->fn(text->data, text->length, diags); /* what libraries set up once is not the input's */
    size_t before = heap_blocks();
    heap_reset_peak();
    for (int i = 0; i < RUNS_MIN || (best_ns > CPU_NS_MAX && i < RUNS_MAX); i++) {
        long start = cpu_ns();
        *ret_r = kind->fn(text->data, text->length, diags);
        long took = cpu_ns() - start;
        best_ns = took < best_ns ? took : best_ns;
    }
    if (heap_blocks() != before && ++n_bad)
        printf("%s: %zu blocks were not freed\n", name, heap_blocks() - before);
    if (heap_peak_bytes() > HEAP_MAX && ++n_bad)
        printf("%s: took %zu bytes of memory\n", name, heap_peak_bytes());
    if (heap_is_watched() && !getenv("DWB_TEST_SLOW") && best_ns > CPU_NS_MAX && ++n_bad)
        printf("%s: took %ld us\n", name, best_ns / 1000);
    return n_bad;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t list(const char *directory, char ***ret_names)
{
    DIR *stream = opendir(directory);
    char **names = calloc(4096, sizeof(*names));
    size_t n = 0;

    if (!stream || !names) {
        fprintf(stderr, "%s: %s\n", directory, strerror(errno));
        exit(1);
    }
    for (struct dirent *entry; (entry = readdir(stream)) && n < 4096;)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "expected") != 0)
            names[n++] = strdup(entry->d_name);
    closedir(stream);
    qsort(names, n, sizeof(*names), compare_names);
    *ret_names = names;
    return n;
}

/* Whether `expected` has this very line. */
static bool is_expected(const char *expected, const char *line)
{
    size_t length = strlen(line);

    for (const char *at = expected; (at = strstr(at, line)); at += length)
        if ((at == expected || at[-1] == '\n') && at[length] == '\n')
            return true;
    return false;
}

static int check_all(const struct kind *kind, const char *directory, bool print)
{
    char path[PATH_MAX], line[16384], **names;
    size_t n = list(directory, &names), n_lines = 0;
    struct text expected = {NULL, 0};
    DWB_CLEANUP(dwb_diags_freep) struct dwb_diags *diags = dwb_diags_new();
    int n_bad = 0;

    if (!print) {
        snprintf(path, sizeof(path), "%s/expected", directory);
        expected = load(path);
        expected.data[expected.length] = '\0';
        for (const char *c = expected.data; *c; c++)
            n_lines += *c == '\n';
        if (n_lines != n && ++n_bad)
            printf("`expected' has %zu lines, there are %zu documents\n", n_lines, n);
    }
    for (size_t i = 0; i < n; i++) {
        int r;

        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        struct text text = load(path);
        n_bad += run(kind, names[i], &text, diags, &r);
        format(line, sizeof(line), names[i], r, diags);
        if (print)
            puts(line);
        else if (!is_expected(expected.data, line) && ++n_bad) {
            printf("not expected: %s\n", line);
            dwb_diags_print(diags, names[i], stdout);
        }
        free(text.data);
        free(names[i]);
    }
    free(names);
    free(expected.data);
    if (!print)
        printf("%zu documents, %d failures\n", n, n_bad);
    return n > 0 && n_bad == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc >= 3 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, argv[1]) == 0)
            return check_all(&kinds[i], argv[2], argc > 3 && strcmp(argv[3], "--print") == 0);
    fprintf(stderr, "usage: test_corpus spec|config|record|flag|request DIRECTORY [--print]\n");
    return 2;
}
