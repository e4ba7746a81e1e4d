/*
 * What a line costs to store when others meet in its set of the L1 cache: n pixels a distance apart
 * get a line each, then each the next, as the stores of a convolution kernel do that holds n
 * outputs of one vector of channels. The distance is that of the pixels of a map (channels x 4
 * bytes); one cache line more shows the same without the conflict.
 *
 *   bench_lines
 *
 * Prints nanoseconds a line, the best of many passes over 400 KiB, which the L2 cache holds.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE = 64, AREA = 400 << 10, PASSES = 400, PIXELS_MAX = 98 };

struct line {
    float floats[LINE / sizeof(float)];
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Lines of n pixels, `distance` bytes apart, at the same offset in each; then the next offset. */
static uint64_t pass(char *area, size_t n, size_t distance, size_t n_offsets)
{
    const struct line line = {{1}};

    for (size_t offset = 0; offset < n_offsets; offset++)
        for (size_t i = 0; i < n; i++)
            memcpy(area + i * distance + offset * LINE, &line, sizeof(line));
    return n * n_offsets;
}

static double best_ns(char *area, size_t n, size_t distance)
{
    const size_t n_offsets = distance / LINE, block = n * distance;
    const size_t n_blocks = AREA / block ? AREA / block : 1;
    double best = 1e9;

    for (int i = 0; i < PASSES; i++) {
        const uint64_t start = now_ns();
        uint64_t lines = 0;
        for (size_t k = 0; k < n_blocks; k++)
            lines += pass(area + k * block, n, distance, n_offsets);
        const double ns = (double)(now_ns() - start) / (double)lines;
        best = ns < best ? ns : best;
    }
    return best;
}

int main(void)
{
    static const size_t distances[] = {512, 1024, 2048, 4096, 4096 + LINE};
    static const size_t pixels[] = {4, 8, 12, 14, 16, 24, 49, PIXELS_MAX};
    char *area = aligned_alloc(4096, 2 * AREA + PIXELS_MAX * (4096 + LINE) / 4096 * 4096 + 4096);

    if (!area)
        return 1;
    printf("%-10s", "distance");
    for (size_t i = 0; i < sizeof(pixels) / sizeof(pixels[0]); i++)
        printf(" %5zu px", pixels[i]);
    printf("   ns a line\n");
    for (size_t k = 0; k < sizeof(distances) / sizeof(distances[0]); k++) {
        printf("%-10zu", distances[k]);
        for (size_t i = 0; i < sizeof(pixels) / sizeof(pixels[0]); i++)
            printf(" %8.2f", best_ns(area, pixels[i], distances[k]));
        printf("\n");
    }
    free(area);
    return 0;
}
