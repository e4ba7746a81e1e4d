/*
 * The loop nest around the register tiles (contract: kernels/tile.h).
 *
 *   for each block of output rows        input of a block stays in L2 while all panels use it
 *     for each panel of output channels
 *       for each slice of the taps       weights of a slice stay in L2 while all tiles use them;
 *         for each tile of pixels        the next slice is prefetched meanwhile
 *           for each group of taps with the same valid pixels: one call of a register tile
 *
 * A pointwise convolution is one long row of pixels. Weights are packed [panel][ky][kx][m][channel]
 * with the channels of a panel contiguous and the last vector filled up with zeros.
 *
 * Pixels whose distance is a multiple of 4 KiB fall into one set of the L1 cache, more of them than
 * it has ways: such inputs are copied once into scratch with a few floats between the pixels.
 */

#include "kernels/tile.h"

#include "kernels/internal.h"

#include <string.h>

enum {
    SLICE_BYTES = 192 << 10,   /* of weights */
    BLOCK_BYTES = 512 << 10,   /* of input, where all weights stay in L2 besides */
    WEIGHTS_BYTES = 768 << 10, /* what "all weights stay in L2" means */
    ALIAS_PAD = 16,            /* floats between pixels that are DWB_ALIAS_BYTES apart */
    LINE_BYTES = 64,
    TAPS_ROWS_MAX = 20,  /* maps of more rows, or stride 2 with its one corner, go by regions */
    SPLIT_TILES_MAX = 6, /* of wider areas all columns go by rows: down, lines are used once */
};

struct nest {
    const struct dwb_tile_family *family;
    const float *input;
    float *output;
    int64_t kernel_size, stride, pad, m_count, n_count;
    int64_t in_rows, in_columns, out_rows, out_columns;
    int64_t in_pixel, in_row; /* floats between pixels and rows of the input or its copy */
    int64_t panel;            /* channels of a full one */
    /* The panel and slice at work. */
    int64_t channel, n_channels, n_vectors;
    int64_t line; /* floats of weights a step */
    const float *weights;
    int64_t row_first, row_end;   /* taps ky of the slice */
    int64_t step_first, step_end; /* of kx * m_count + m within each of its rows */
    bool opening;                 /* the first slice: outputs are not there yet */
    const float *prefetch, *prefetch_end;
    int64_t prefetch_step;          /* bytes a step */
    struct dwb_tile_range ahead[2]; /* to prefetch in place of the weights */
};

/* Some outputs [y, y_end) x [x, x_end), for all of which the same taps are on the input: rows of
 * them [ky, ky_end), in each the steps [step, step_end), which begin in tap kx. */
struct area {
    int64_t y, y_end, x, x_end;
    int64_t ky, ky_end, kx;
    int64_t step, step_end;
    bool accumulate; /* the outputs hold something of this call already */
};

/* Distance between two outputs. */
struct shift {
    int64_t y, x;
};

static bool is_aliased(const struct dwb_conv *conv)
{
    const uint64_t distance = (uint64_t)conv->stride * conv->in_channels * sizeof(float);

    return distance % DWB_ALIAS_BYTES == 0 && conv->output_size > 1;
}

int64_t dwb_tile_pixel_step(int64_t m_count)
{
    return m_count * (int64_t)sizeof(float) % DWB_ALIAS_BYTES == 0 ? m_count + ALIAS_PAD : m_count;
}

size_t dwb_tile_scratch_bytes(const struct dwb_conv *conv)
{
    if (!is_aliased(conv))
        return 0;
    return sizeof(float) * conv->input_size * conv->input_size *
           ((size_t)conv->in_channels + ALIAS_PAD);
}

size_t dwb_tile_packed_bytes(const struct dwb_tile_family *family, const struct dwb_conv *conv)
{
    const size_t vectors = (conv->out_channels + family->lanes - 1) / family->lanes;

    return sizeof(float) * conv->kernel_size * conv->kernel_size * conv->in_channels * vectors *
           family->lanes;
}

void dwb_tile_pack(const struct dwb_tile_family *family, const struct dwb_conv *conv,
                   const float *weights, float *packed)
{
    const size_t n_count = conv->out_channels, panel = (size_t)family->lanes * family->n_vectors;
    const size_t steps = (size_t)conv->kernel_size * conv->kernel_size * conv->in_channels;

    for (size_t first = 0; first < n_count; first += panel) {
        const size_t present = n_count - first < panel ? n_count - first : panel;
        const size_t line = (present + family->lanes - 1) / family->lanes * family->lanes;
        for (size_t step = 0; step < steps; step++, packed += line) {
            memcpy(packed, weights + step * n_count + first, present * sizeof(float));
            memset(packed + present, 0, (line - present) * sizeof(float));
        }
    }
}

/* No tap of these outputs is on the input, or none of those that open them. */
static void zero_outputs(const struct nest *nest, int64_t y, int64_t y_end, int64_t x,
                         int64_t x_end)
{
    for (; y < y_end; y++)
        for (int64_t column = x; column < x_end; column++)
            memset(nest->output + (y * nest->out_columns + column) * nest->n_count + nest->channel,
                   0, (size_t)nest->n_channels * sizeof(float));
}

/* The taps of a row follow one another without a gap between the pixels. */
static bool is_contiguous(const struct nest *nest)
{
    return nest->in_pixel == nest->m_count || nest->kernel_size == 1;
}

static void set_prefetch(struct nest *nest, struct dwb_tile_range range, int64_t step)
{
    nest->prefetch = range.start;
    nest->prefetch_end = range.end;
    nest->prefetch_step = step;
}

static int64_t in_floats(const struct nest *nest, struct shift shift)
{
    return nest->stride * (shift.y * nest->in_row + shift.x * nest->in_pixel);
}

static int64_t out_floats(const struct nest *nest, struct shift shift)
{
    return (shift.y * nest->out_columns + shift.x) * nest->n_count;
}

/* n_tiles tiles of n_pixels, the first from output `at` on: pixels `step` apart, the second half
 * `half` after the first, tiles `advance` apart; with the taps of the area. */
static void call_tiles(struct nest *nest, const struct area *area, struct shift at,
                       struct shift step, struct shift half, struct shift advance, int64_t n_pixels,
                       int64_t n_tiles)
{
    const int64_t steps = nest->kernel_size * nest->m_count, n_rows = area->ky_end - area->ky;
    const int64_t length = area->step_end - area->step;
    const float *input = nest->input + in_floats(nest, at) + (area->ky - nest->pad) * nest->in_row +
                         (area->kx - nest->pad) * nest->in_pixel + area->step -
                         area->kx * nest->m_count;
    float *output = nest->output + out_floats(nest, at) + nest->channel;
    const struct dwb_tile tile = {
        .input = {input, input + in_floats(nest, half)},
        .output = {output, output + out_floats(nest, half)},
        .input_step = in_floats(nest, step),
        .input_row = nest->in_row,
        .output_step = out_floats(nest, step),
        .weights = nest->weights + (area->ky * steps + area->step) * nest->line,
        .weights_row = steps * nest->line,
        .prefetch = nest->prefetch,
        .prefetch_step = nest->prefetch_step,
        .prefetch_end = nest->prefetch_end,
        .input_advance = in_floats(nest, advance),
        .output_advance = out_floats(nest, advance),
        .n_tiles = (uint32_t)n_tiles,
        .n_rows = (uint32_t)n_rows,
        .length = (uint32_t)length,
        .n_channels = (uint32_t)nest->n_channels,
        .accumulate = area->accumulate,
    };

    nest->family->run[nest->n_vectors - 1][n_pixels](&tile);
    if (nest->prefetch < nest->prefetch_end)
        nest->prefetch += n_tiles * n_rows * length * nest->prefetch_step / (int64_t)sizeof(float);
    else if (nest->ahead[1].start && nest->prefetch_end == nest->ahead[0].end)
        set_prefetch(nest, nest->ahead[1], LINE_BYTES);
}

/* Outputs of an area as lines of equal length, along the rows or down the columns, cut into tiles
 * of one line or of the same part of two. */
struct lines {
    struct shift first, along, across; /* to the next output of a line; to the next line */
    int64_t length, n;
};

/* Time of a tile in fifths of an FMA slot. At least MIN_SUMS must be under way to fill the slots,
 * and each tile costs a little more (tiles of 12, 10 and 8 sums ran at 98, 92 and 84 % of the
 * peak). */
static int64_t tile_cost(int64_t n_sums)
{
    enum { MIN_SUMS = 8, SLOT = 5, TILE = 6 };

    return SLOT * dwb_max_i64(n_sums, MIN_SUMS) + TILE;
}

/* Time of a line (n_lines = 2: of two side by side) cut into tiles of width_max at most. */
static int64_t tiling_cost(int64_t length, int64_t width_max, int64_t n_lines, int64_t n_vectors)
{
    const int64_t n_tiles = (length + width_max - 1) / width_max, n_sums = n_lines * n_vectors;
    const int64_t width = length / n_tiles, n_wider = length % n_tiles;

    return n_wider * tile_cost((width + 1) * n_sums) +
           (n_tiles - n_wider) * tile_cost(width * n_sums);
}

/* The cheaper of lines one by one and in pairs; with an odd line out in the latter case. */
static int64_t lines_cost(const struct nest *nest, const struct lines *lines, bool *ret_pairs)
{
    const int64_t n_max = nest->family->n_pixels_max[nest->n_vectors - 1], n = lines->n;
    const int64_t length = lines->length, half = dwb_max_i64(n_max / 2, 1);
    const int64_t single = tiling_cost(length, n_max, 1, nest->n_vectors);
    const int64_t pair = tiling_cost(length, half, 2, nest->n_vectors);

    *ret_pairs = n >= 2 && pair < 2 * single;
    return *ret_pairs ? n / 2 * pair + n % 2 * single : n * single;
}

static struct shift times(struct shift shift, int64_t n)
{
    return (struct shift){shift.y * n, shift.x * n};
}

static struct shift plus(struct shift a, struct shift b)
{
    return (struct shift){a.y + b.y, a.x + b.x};
}

/* Lines [line, line + n), each n_lines of them a row of tiles. Equal tiles follow one another in
 * one call: those of a row, or of all rows if these are more. */
static void run_tiles(struct nest *nest, const struct area *area, const struct lines *lines,
                      int64_t line, int64_t n, int64_t n_lines)
{
    const int64_t n_max = nest->family->n_pixels_max[nest->n_vectors - 1];
    const int64_t width_max = n_lines == 2 ? n_max / 2 : n_max, length = lines->length;
    const int64_t n_tiles = (length + width_max - 1) / width_max, n_wider = length % n_tiles;
    const int64_t n_rows = n / n_lines;
    const struct shift next = times(lines->across, n_lines);
    const bool down = n_rows > n_tiles;

    for (int64_t outer = 0; outer < (down ? n_tiles : n_rows); outer++)
        for (int64_t i = down ? outer : 0, run; i < (down ? outer + 1 : n_tiles); i += run) {
            const int64_t width = length / n_tiles + (i < n_wider);
            const int64_t start = i * (length / n_tiles) + dwb_min_i64(i, n_wider);
            const int64_t row = down ? 0 : outer, n_pixels = width * n_lines;
            const struct shift half =
                n_lines == 2 ? lines->across : times(lines->along, (width + 1) / 2);
            run = down ? 1 : (i < n_wider ? n_wider : n_tiles) - i;
            call_tiles(nest, area,
                       plus(lines->first, plus(times(lines->across, line + row * n_lines),
                                               times(lines->along, start))),
                       lines->along, half, down ? next : times(lines->along, width), n_pixels,
                       down ? n_rows : run);
        }
}

static void run_lines(struct nest *nest, const struct area *area, const struct lines *lines)
{
    bool pairs;

    lines_cost(nest, lines, &pairs);
    const int64_t n_paired = pairs ? lines->n / 2 * 2 : 0;
    if (n_paired > 0)
        run_tiles(nest, area, lines, 0, n_paired, 2);
    if (lines->n > n_paired)
        run_tiles(nest, area, lines, n_paired, lines->n - n_paired, 1);
}

/* Lines along the rows or down the columns, what is cheaper; *ret_cost: of that. */
static struct lines best_lines(const struct nest *nest, int64_t y, int64_t y_end, int64_t x,
                               int64_t x_end, int64_t *ret_cost)
{
    const struct shift first = {y, x}, right = {0, 1}, below = {1, 0};
    const struct lines along = {first, right, below, x_end - x, y_end - y};
    const struct lines down = {first, below, right, y_end - y, x_end - x};
    bool pairs;
    const int64_t along_cost = lines_cost(nest, &along, &pairs);
    const int64_t down_cost = lines_cost(nest, &down, &pairs);

    *ret_cost = dwb_min_i64(along_cost, down_cost);
    return down_cost < along_cost ? down : along;
}

/* All outputs of an area, whole or its last columns apart: those that would not fill a tile. */
static void run_area(struct nest *nest, const struct area *area)
{
    const int64_t y = area->y, y_end = area->y_end, x = area->x, x_end = area->x_end;
    const int64_t n_max = nest->family->n_pixels_max[nest->n_vectors - 1], width = x_end - x;
    const int64_t rest = width <= SPLIT_TILES_MAX * n_max ? width % n_max : 0;
    int64_t whole_cost, left_cost, right_cost;

    if (y >= y_end || x >= x_end)
        return;
    if (y_end - y == 1) {
        run_tiles(nest, area, &(struct lines){{y, x}, {0, 1}, {1, 0}, width, 1}, 0, 1, 1);
        return;
    }
    const struct lines whole = best_lines(nest, y, y_end, x, x_end, &whole_cost);
    if (rest > 0 && rest < width) {
        const struct lines left = best_lines(nest, y, y_end, x, x_end - rest, &left_cost);
        const struct lines right = best_lines(nest, y, y_end, x_end - rest, x_end, &right_cost);
        if (left_cost + right_cost < whole_cost) {
            run_lines(nest, area, &left);
            run_lines(nest, area, &right);
            return;
        }
    }
    run_lines(nest, area, &whole);
}

/* The taps [*ret_first, *ret_end) of output i of an axis that are on its input of `size`. Returns
 * the end, `end` at most, of the outputs from there on that have the same. */
static int64_t taps_of(const struct nest *nest, int64_t i, int64_t end, int64_t size,
                       int64_t *ret_first, int64_t *ret_end)
{
    const int64_t origin = i * nest->stride - nest->pad, k = nest->kernel_size;

    *ret_first = dwb_max_i64(0, -origin);
    *ret_end = dwb_min_i64(k, size - origin);
    return origin < 0 || origin + k > size
               ? i + 1
               : dwb_min_i64(end, (size - k + nest->pad) / nest->stride + 1);
}

/* Columns [x, x_end) of some rows, region by region: columns whose taps kx are the same. `band`
 * gives the rows of outputs and of taps. */
static void run_columns(struct nest *nest, const struct area *band, int64_t x, int64_t x_end)
{
    const bool contiguous = is_contiguous(nest);
    const int64_t m_count = nest->m_count;

    for (int64_t end; x < x_end; x = end) {
        int64_t kx, kx_end;

        end = taps_of(nest, x, x_end, nest->in_columns, &kx, &kx_end);
        if (kx >= kx_end && nest->opening)
            zero_outputs(nest, band->y, band->y_end, x, end);
        for (int64_t tap = kx; tap < kx_end; tap = contiguous ? kx_end : tap + 1) {
            struct area area = *band;
            area.x = x;
            area.x_end = end;
            area.kx = tap;
            area.step = dwb_max_i64(tap * m_count, nest->step_first);
            area.step_end = dwb_min_i64((contiguous ? kx_end : tap + 1) * m_count, nest->step_end);
            area.accumulate |= area.step != kx * m_count;
            if (area.step < area.step_end)
                run_area(nest, &area);
        }
    }
}

/* Rows [y, y_end) region by region: rows whose taps ky are the same. No output is touched twice
 * but for the slices. */
static void run_regions(struct nest *nest, int64_t y, int64_t y_end, int64_t x, int64_t x_end)
{
    for (int64_t end; y < y_end; y = end) {
        int64_t ky, ky_end;

        end = taps_of(nest, y, y_end, nest->in_rows, &ky, &ky_end);
        const struct area band = {
            .y = y,
            .y_end = end,
            .ky = dwb_max_i64(ky, nest->row_first),
            .ky_end = dwb_min_i64(ky_end, nest->row_end),
            .accumulate = nest->row_first > ky,
        };
        if (ky >= ky_end && nest->opening)
            zero_outputs(nest, y, end, x, x_end);
        if (band.ky < band.ky_end)
            run_columns(nest, &band, x, x_end);
    }
}

/* The outputs [*ret_y, *ret_end) among [y, y_end) whose tap ky is on the input. */
static void rows_of(const struct nest *nest, int64_t ky, int64_t y, int64_t y_end, int64_t *ret_y,
                    int64_t *ret_end)
{
    const int64_t s = nest->stride, room = nest->in_rows + nest->pad - ky;

    *ret_y = dwb_max_i64(y, (nest->pad - ky + s - 1) / s);
    *ret_end = dwb_min_i64(y_end, room > 0 ? (room + s - 1) / s : 0);
    *ret_end = dwb_max_i64(*ret_y, *ret_end);
}

/* The row of taps that opens the outputs: one that is valid for all rows, if the slice has all
 * taps, so that it may come first; else the first. */
static int64_t opening_row(const struct nest *nest, int64_t y, int64_t y_end)
{
    const int64_t k = nest->kernel_size, steps = nest->step_end - nest->step_first;

    if (nest->row_end - nest->row_first < k || steps < k * nest->m_count)
        return 0;
    for (int64_t ky = 0; ky < k; ky++) {
        int64_t top, bottom;

        rows_of(nest, ky, y, y_end, &top, &bottom);
        if (top == y && bottom == y_end)
            return ky;
    }
    return 0;
}

/*
 * The same, taps by taps: rows of taps that are valid for the same rows of outputs go over all of
 * these before the next. The corners of a map are then no areas of their own, of one pixel and few
 * sums: on 14x14 they would be 0.2 % of the work and 4.6 % of the time.
 */
static void run_taps(struct nest *nest, int64_t y, int64_t y_end, int64_t x, int64_t x_end)
{
    const int64_t opening = opening_row(nest, y, y_end);

    for (int others = 0; others < 2; others++)
        for (int64_t ky = nest->row_first, end; ky < nest->row_end; ky = end) {
            int64_t top, bottom, next, next_bottom;

            rows_of(nest, ky, y, y_end, &top, &bottom);
            for (end = ky + 1; end < nest->row_end; end++) {
                rows_of(nest, end, y, y_end, &next, &next_bottom);
                if (next != top || next_bottom != bottom)
                    break;
            }
            const bool opens = ky <= opening && opening < end;
            const struct area band = {
                .y = top, .y_end = bottom, .ky = ky, .ky_end = end, .accumulate = !opens};
            if (opens && nest->opening && !others) {
                zero_outputs(nest, y, dwb_min_i64(top, y_end), x, x_end);
                zero_outputs(nest, bottom, y_end, x, x_end);
            }
            if (opens != others)
                run_columns(nest, &band, x, x_end);
        }
}

/* The next slice is on its way during all tiles of this one, n_pixels in all: its lines come evenly
 * and do not get into the way of those that are waited for. */
static void prefetch_next_slice(struct nest *nest, int64_t n_pixels, const float *packed_end)
{
    const int64_t steps = nest->kernel_size * nest->m_count;
    const int64_t size =
        (nest->row_end - nest->row_first) * (nest->step_end - nest->step_first) * nest->line;
    const int64_t n_max = nest->family->n_pixels_max[nest->n_vectors - 1];
    const int64_t n_tiles = (n_pixels + n_max - 1) / n_max;
    const float *start =
        nest->weights + ((nest->row_end - 1) * steps + nest->step_end) * nest->line;
    int64_t step = LINE_BYTES;

    /* A step of the next slice is a line of vectors; it takes n_tiles steps of this one. */
    while (step > LINE_BYTES / 8 && n_tiles * step / 2 >= nest->line * (int64_t)sizeof(float))
        step /= 2;
    set_prefetch(
        nest, (struct dwb_tile_range){start, start + dwb_min_i64(size, packed_end - start)}, step);
}

/* Slices of the panel's weights: whole rows of taps, or parts of one. They follow one another in
 * memory, so what comes after a slice is what to prefetch during it. */
static void run_panel(struct nest *nest, int64_t y, int64_t y_end, int64_t x, int64_t x_end,
                      const float *packed_end)
{
    const int64_t steps = nest->kernel_size * nest->m_count, k = nest->kernel_size;
    const int64_t steps_max = SLICE_BYTES / (int64_t)sizeof(float) / nest->line;
    const int64_t n_slices = (k * steps + steps_max - 1) / steps_max;
    const int64_t rows_each = dwb_max_i64(1, k / n_slices);
    const int64_t parts = (steps + steps_max - 1) / steps_max;

    nest->opening = true;
    for (int64_t row = 0; row < k; row += rows_each)
        for (int64_t part = 0; part < parts; part++) {
            nest->row_first = row;
            nest->row_end = dwb_min_i64(row + rows_each, k);
            nest->step_first = part * steps / parts;
            nest->step_end = (part + 1) * steps / parts;
            if (!nest->ahead[0].start)
                prefetch_next_slice(nest, (y_end - y) * (x_end - x), packed_end);
            if (nest->stride == 1 && y_end - y <= TAPS_ROWS_MAX)
                run_taps(nest, y, y_end, x, x_end);
            else
                run_regions(nest, y, y_end, x, x_end);
            nest->opening = false;
        }
}

static void run_block(struct nest *nest, const float *packed, int64_t y, int64_t y_end, int64_t x,
                      int64_t x_end)
{
    const int64_t lanes = nest->family->lanes,
                  steps = nest->kernel_size * nest->kernel_size * nest->m_count;
    const int64_t channels_packed = (nest->n_count + lanes - 1) / lanes * lanes;

    for (int64_t channel = 0; channel < nest->n_count; channel += nest->panel) {
        nest->channel = channel;
        nest->n_channels = dwb_min_i64(nest->panel, nest->n_count - channel);
        nest->n_vectors = (nest->n_channels + lanes - 1) / lanes;
        nest->line = nest->n_vectors * lanes;
        nest->weights = packed + channel * steps;
        run_panel(nest, y, y_end, x, x_end, packed + channels_packed * steps);
    }
}

/* Copies the input with ALIAS_PAD floats after each pixel. */
static void copy_padded(struct nest *nest, float *scratch)
{
    const int64_t m_count = nest->m_count, n_pixels = nest->in_rows * nest->in_columns;

    for (int64_t i = 0; i < n_pixels; i++)
        memcpy(scratch + i * (m_count + ALIAS_PAD), nest->input + i * m_count,
               (size_t)m_count * sizeof(float));
    nest->input = scratch;
    nest->in_pixel = m_count + ALIAS_PAD;
    nest->in_row = nest->in_columns * nest->in_pixel;
}

/* All pixels of a pointwise convolution, in blocks whose input stays in L2 if all weights do. */
static void run_flat(struct nest *nest, const float *packed, int64_t weight_bytes)
{
    const int64_t unit = nest->family->n_pixels_max[nest->family->n_vectors - 1];
    const int64_t pixel_bytes = nest->in_pixel * (int64_t)sizeof(float);
    int64_t columns = nest->out_columns;

    if (weight_bytes <= WEIGHTS_BYTES)
        columns = dwb_max_i64(1, BLOCK_BYTES / (pixel_bytes * unit)) * unit;
    for (int64_t x = 0; x < nest->out_columns; x += columns)
        run_block(nest, packed, 0, 1, x, dwb_min_i64(x + columns, nest->out_columns));
}

void dwb_tile_run(const struct dwb_tile_family *family, const struct dwb_kernel_args *args)
{
    const struct dwb_conv *conv = args->conv;
    const bool flat = conv->kernel_size == 1 && conv->stride == 1;
    const int64_t in_size = conv->input_size, out_size = conv->output_size;
    struct nest nest = {
        .family = family,
        .input = args->input,
        .output = args->output,
        .kernel_size = conv->kernel_size,
        .stride = conv->stride,
        .pad = conv->pad_before,
        .m_count = conv->in_channels,
        .n_count = conv->out_channels,
        .in_rows = flat ? 1 : in_size,
        .in_columns = flat ? in_size * in_size : in_size,
        .out_rows = flat ? 1 : out_size,
        .out_columns = flat ? out_size * out_size : out_size,
        .in_pixel = conv->in_channels,
        .panel = (int64_t)family->lanes * family->n_vectors,
    };
    nest.in_row = nest.in_columns * nest.in_pixel;
    if (is_aliased(conv))
        copy_padded(&nest, args->scratch);

    const int64_t weight_bytes = (int64_t)dwb_tile_packed_bytes(family, conv);
    if (flat) {
        run_flat(&nest, args->packed, weight_bytes);
    } else {
        const int64_t row_bytes =
            nest.stride * nest.in_pixel * nest.in_columns * (int64_t)sizeof(float);
        int64_t rows = nest.out_rows;
        if (weight_bytes <= WEIGHTS_BYTES)
            rows = dwb_max_i64(1, BLOCK_BYTES / row_bytes / 2) * 2;
        for (int64_t y = 0; y < nest.out_rows; y += rows)
            run_block(&nest, args->packed, y, dwb_min_i64(y + rows, nest.out_rows), 0,
                      nest.out_columns);
    }
}

void dwb_tile_run_pixels(const struct dwb_tile_family *family, const struct dwb_conv *conv,
                         const struct dwb_tile_pixels *pixels)
{
    struct nest nest = {
        .family = family,
        .input = pixels->input,
        .output = pixels->output,
        .kernel_size = 1,
        .stride = 1,
        .m_count = conv->in_channels,
        .n_count = conv->out_channels,
        .in_rows = 1,
        .in_columns = pixels->n_pixels,
        .out_rows = 1,
        .out_columns = pixels->n_pixels,
        .in_pixel = pixels->input_pixel,
        .in_row = pixels->n_pixels * pixels->input_pixel,
        .panel = (int64_t)family->lanes * family->n_vectors,
        .ahead = {pixels->ahead[0], pixels->ahead[1]},
    };

    set_prefetch(&nest, pixels->ahead[0], LINE_BYTES);
    run_flat(&nest, pixels->packed, (int64_t)dwb_tile_packed_bytes(family, conv));
}
