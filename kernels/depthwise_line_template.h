/*
 * Depthwise line kernels of one ISA, for any kernel size and stride (contract:
 * kernels/depthwise.h). An ISA file includes its *_vec.h, then this, and makes the kernel with
 * DEPTHWISE_ANY.
 *
 * A line is up to eight outputs that have the same taps, for all channels of a group, whose weights
 * and window stay in L1. So lines lie along the rows, but along the columns where it is the left or
 * right border that takes taps away, and the corners are lines of one. What the compiler knows are
 * the number of outputs and how many taps a row of them has: an instance for each, all of them
 * small.
 */

#include "kernels/depthwise_template.h"

enum { DEPTHWISE_LINE_MAX = 8 };

struct depthwise_line {
    uint32_t n_vectors, n_rows; /* of channels; of taps */
    uint32_t n_lanes;           /* of the one vector, where it is not whole */
    intptr_t in_row, pixel;     /* bytes, here and below */
    intptr_t in_step, out_step; /* from one output to the next */
    uintptr_t in, out;
    const float *weights;
    ptrdiff_t weights_row, weights_vector; /* floats from one to the next */
};

/* The taps of one row. */
DEPTHWISE_INLINE void depthwise_line_taps(const struct depthwise_line *line, uintptr_t in,
                                          const float *weights, const int n, const int n_taps,
                                          const int masked, vec *acc)
{
    DEPTHWISE_UNROLL
    for (int kx = 0; kx < n_taps; kx++) {
        const vec w = vec_pinned(vec_load(weights + kx * VL));
        uintptr_t at = in;
        DEPTHWISE_UNROLL
        for (int i = 0; i < n; i++) {
            const float *input = (const float *)at;
            acc[i] =
                vec_fma_vec(acc[i], masked ? vec_load_n(input, line->n_lanes) : vec_load(input), w);
            at += (uintptr_t)line->in_step;
            DEPTHWISE_OPAQUE(at);
        }
        in += (uintptr_t)line->pixel;
    }
}

/* The same where neighbouring outputs are neighbours on the input: an input is loaded once for all
 * that it belongs to. */
DEPTHWISE_INLINE void depthwise_line_taps_unit(const struct depthwise_line *line, uintptr_t in,
                                               const float *weights, const int n, const int n_taps,
                                               vec *acc)
{
    DEPTHWISE_UNROLL
    for (int t = 0; t < n + n_taps - 1; t++) {
        const vec x = vec_pinned(vec_load((const float *)in));
        DEPTHWISE_UNROLL
        for (int i = 0; i < n; i++)
            if (t >= i && t - i < n_taps)
                acc[i] = vec_fma_vec(acc[i], x, vec_load(weights + (t - i) * VL));
        in += (uintptr_t)line->pixel;
        DEPTHWISE_OPAQUE(in);
    }
}

DEPTHWISE_INLINE void depthwise_line_run(const struct depthwise_line *line, const int n,
                                         const int n_taps, const int unit, const int masked)
{
    const float *weights = line->weights;
    uintptr_t in = line->in, out = line->out;

    for (uint32_t v = line->n_vectors; v; v--) {
        const float *row_weights = weights;
        uintptr_t row = in, at = out;
        vec acc[DEPTHWISE_LINE_MAX];

        DEPTHWISE_UNROLL
        for (int i = 0; i < n; i++)
            acc[i] = vec_zero();
        for (uint32_t ky = line->n_rows; ky; ky--) {
            if (unit)
                depthwise_line_taps_unit(line, row, row_weights, n, n_taps, acc);
            else
                depthwise_line_taps(line, row, row_weights, n, n_taps, masked, acc);
            row += (uintptr_t)line->in_row;
            row_weights += line->weights_row;
        }
        DEPTHWISE_UNROLL
        for (int i = 0; i < n; i++) {
            if (masked)
                vec_store_n((float *)at, acc[i], line->n_lanes);
            else
                vec_store((float *)at, acc[i]);
            at += (uintptr_t)line->out_step;
            DEPTHWISE_OPAQUE(at);
        }
        weights += line->weights_vector;
        in += VL * sizeof(float);
        out += VL * sizeof(float);
    }
}

typedef void depthwise_line_fn(const struct depthwise_line *line);

/* The instances: those of a number of outputs, by taps; all of them. */
#define DEPTHWISE_LINE_FN(tag_, n_, taps_, unit_, masked_)                                         \
    static void line_##tag_##n_##_##taps_(const struct depthwise_line *line)                       \
    {                                                                                              \
        depthwise_line_run(line, n_, taps_, unit_, masked_);                                       \
    }
#define DEPTHWISE_LINE_NAME(tag_, n_, taps_, unit_, masked_) line_##tag_##n_##_##taps_,
#define DEPTHWISE_LINE_TAPS(X, tag_, n_, ...)                                                      \
    X(tag_, n_, 1, __VA_ARGS__)                                                                    \
    X(tag_, n_, 2, __VA_ARGS__)                                                                    \
    X(tag_, n_, 3, __VA_ARGS__)                                                                    \
    X(tag_, n_, 4, __VA_ARGS__)                                                                    \
    X(tag_, n_, 5, __VA_ARGS__)                                                                    \
    X(tag_, n_, 6, __VA_ARGS__)                                                                    \
    X(tag_, n_, 7, __VA_ARGS__)                                                                    \
    X(tag_, n_, 8, __VA_ARGS__)                                                                    \
    X(tag_, n_, 9, __VA_ARGS__)                                                                    \
    X(tag_, n_, 10, __VA_ARGS__)                                                                   \
    X(tag_, n_, 11, __VA_ARGS__)
#define DEPTHWISE_LINE_FNS(...)   DEPTHWISE_LINE_TAPS(DEPTHWISE_LINE_FN, __VA_ARGS__)
#define DEPTHWISE_LINE_NAMES(...) {DEPTHWISE_LINE_TAPS(DEPTHWISE_LINE_NAME, __VA_ARGS__)},
#define DEPTHWISE_LINES(X, tag_, ...)                                                              \
    X(tag_, 1, __VA_ARGS__)                                                                        \
    X(tag_, 2, __VA_ARGS__)                                                                        \
    X(tag_, 3, __VA_ARGS__)                                                                        \
    X(tag_, 4, __VA_ARGS__)                                                                        \
    X(tag_, 5, __VA_ARGS__)                                                                        \
    X(tag_, 6, __VA_ARGS__)                                                                        \
    X(tag_, 7, __VA_ARGS__)                                                                        \
    X(tag_, 8, __VA_ARGS__)

DEPTHWISE_LINES(DEPTHWISE_LINE_FNS, any, 0, 0)
DEPTHWISE_LINES(DEPTHWISE_LINE_FNS, unit, 1, 0)
DEPTHWISE_LINE_FNS(masked, 1, 0, 1)

/* A block of outputs that all have the same taps; x, y and the taps within the strip. */
struct depthwise_block {
    int x, y, n_x, n_y;
    int kx, ky, n_kx, n_ky;
};

/* n_vectors of a block from channel m on, or n_lanes of one. */
static void depthwise_any_channels(const struct dwb_depthwise_strip *strip,
                                   const struct depthwise_block *block, uint32_t m,
                                   uint32_t n_vectors, uint32_t n_lanes)
{
    static depthwise_line_fn *const any[][DWB_KERNEL_SIZE_MAX] = {
        DEPTHWISE_LINES(DEPTHWISE_LINE_NAMES, any, 0, 0)};
    static depthwise_line_fn *const unit[][DWB_KERNEL_SIZE_MAX] = {
        DEPTHWISE_LINES(DEPTHWISE_LINE_NAMES, unit, 1, 0)};
    static depthwise_line_fn *const masked[][DWB_KERNEL_SIZE_MAX] = {
        DEPTHWISE_LINE_NAMES(masked, 1, 0, 1)};
    const int k = (int)strip->kernel_size, s = (int)strip->stride;
    const bool across = block->n_x < block->n_y; /* lines along the columns */
    const int n = across ? block->n_y : block->n_x, n_lines = across ? block->n_x : block->n_y;
    const int n_parts = (int)dwb_depthwise_parts(n, n_lanes ? 1 : DEPTHWISE_LINE_MAX);
    const ptrdiff_t step_x = s * strip->pixel, step_y = s * strip->input_row;
    const ptrdiff_t in_step = across ? step_y : step_x, in_line = across ? step_x : step_y;
    const ptrdiff_t out_step = across ? strip->output_row : strip->output_pixel;
    const ptrdiff_t out_line = across ? strip->output_pixel : strip->output_row;
    const intptr_t bytes = sizeof(float);
    const float *output =
        strip->output + block->y * strip->output_row + block->x * strip->output_pixel + m;
    const ptrdiff_t origin = strip->origin + (block->y * s + block->ky) * strip->input_row +
                             (block->x * s + block->kx) * strip->pixel;
    struct depthwise_line line = {
        .n_vectors = n_vectors,
        .n_rows = (uint32_t)block->n_ky,
        .n_lanes = n_lanes,
        .in_row = strip->input_row * bytes,
        .pixel = strip->pixel * bytes,
        .in_step = in_step * bytes,
        .out_step = out_step * bytes,
        .weights = strip->weights +
                   ((m + VL - 1) / VL * (uint32_t)k + (uint32_t)block->ky) * (uint32_t)(k * VL) +
                   block->kx * VL,
        .weights_row = k * VL,
        .weights_vector = k * k * VL,
    };

    for (int part = 0; part < n_parts; part++) {
        const int first = (int)dwb_depthwise_part(part, n, n_parts);
        const int end = (int)dwb_depthwise_part(part + 1, n, n_parts);
        depthwise_line_fn *const *fns = n_lanes             ? masked[0]
                                        : s == 1 && !across ? unit[end - first - 1]
                                                            : any[end - first - 1];

        for (int i = 0; i < n_lines; i++) {
            line.in = (uintptr_t)(strip->input + m) +
                      (uintptr_t)((origin + first * in_step + i * in_line) * bytes);
            line.out = (uintptr_t)(output + first * out_step + i * out_line);
            fns[block->n_kx - 1](&line);
        }
    }
}

/* All channels of a block. */
static void depthwise_any_block(const struct dwb_depthwise_strip *strip,
                                const struct depthwise_block *block)
{
    const uint32_t n_vectors = strip->n_channels / VL, n_lanes = strip->n_channels % VL;

    if (n_vectors)
        depthwise_any_channels(strip, block, 0, n_vectors, 0);
    if (n_lanes && n_vectors && !strip->is_flat)
        depthwise_any_channels(strip, block, strip->n_channels - VL, 1, 0);
    else if (n_lanes)
        depthwise_any_channels(strip, block, n_vectors * VL, 1, n_lanes);
}

/* Outputs from i on that have the same taps of n, and those; [first, end) of the window exist. */
static int depthwise_any_run(int i, int n, int k, int s, int first, int end, int *ret_tap,
                             int *ret_n_taps)
{
    const int tap = first > i * s ? first - i * s : 0;
    const int tap_end = end - i * s < k ? end - i * s : k;
    int next = i + 1;

    if (tap == 0 && tap_end == k)
        while (next < n && next * s + k <= end)
            next++;
    *ret_tap = tap;
    *ret_n_taps = tap_end - tap;
    return next;
}

static void depthwise_any_strip(const struct dwb_depthwise_strip *strip, int n_rows)
{
    const int k = (int)strip->kernel_size, s = (int)strip->stride, n = strip->n_columns;
    struct depthwise_block block;

    for (block.x = 0; block.x < n; block.x += block.n_x) {
        block.n_x = depthwise_any_run(block.x, n, k, s, strip->column_first, strip->column_end,
                                      &block.kx, &block.n_kx) -
                    block.x;
        for (block.y = 0; block.y < n_rows; block.y += block.n_y) {
            block.n_y = depthwise_any_run(block.y, n_rows, k, s, strip->row_first, strip->row_end,
                                          &block.ky, &block.n_ky) -
                        block.y;
            depthwise_any_block(strip, &block);
        }
    }
}

#define DEPTHWISE_ANY_STRIP(rows_)                                                                 \
    static void any_strip_##rows_(const struct dwb_depthwise_strip *strip)                         \
    {                                                                                              \
        depthwise_any_strip(strip, rows_);                                                         \
    }

/* Family for any shape, and its kernel. */
#define DEPTHWISE_ANY(id_, isa_, flags_, priority_)                                                \
    DEPTHWISE_ANY_STRIP(1)                                                                         \
    DEPTHWISE_ANY_STRIP(2)                                                                         \
    DEPTHWISE_ANY_STRIP(3)                                                                         \
    DEPTHWISE_ANY_STRIP(4)                                                                         \
    DEPTHWISE_ANY_STRIP(5)                                                                         \
    DEPTHWISE_ANY_STRIP(6)                                                                         \
    DEPTHWISE_ANY_STRIP(7)                                                                         \
    static const struct dwb_depthwise_family any_family = {                                        \
        .lanes = VL,                                                                               \
        .n_rows_max = 7,                                                                           \
        .n_rows_aliased = 7,                                                                       \
        .run = {DEPTHWISE_ROW_7(any)},                                                             \
    };                                                                                             \
    DEPTHWISE_KERNEL(any, id_, NULL, isa_, flags_, priority_)
