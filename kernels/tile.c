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
    ALIAS_BYTES = 4096,        /* a pixel distance that is a multiple of this is padded, */
    ALIAS_PAD = 16,            /* by this many floats */
    LINE_FLOATS = 16,
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
    struct dwb_tile_range ahead[2]; /* to prefetch in place of the weights */
};

/* Output rows [y, y_end) (one or two) and the taps ky of [ky, ky_end), valid for all of them. */
struct rows {
    int64_t y, y_end;
    int64_t ky, ky_end;
};

/* One tile: the same columns of one row, or of two neighbouring rows; or a run of equal ones. */
struct place {
    int64_t y, x;
    int64_t n_rows, n_columns;
    int64_t n_tiles; /* side by side; more than one only where no tap is on padding */
    bool inner;      /* no tap of its columns is on padding */
    bool started;    /* its outputs hold something of this call already */
};

static bool is_aliased(const struct dwb_conv *conv)
{
    const uint64_t distance = (uint64_t)conv->stride * conv->in_channels * sizeof(float);

    return distance % ALIAS_BYTES == 0 && conv->output_size > 1;
}

int64_t dwb_tile_pixel_step(int64_t m_count)
{
    return m_count * (int64_t)sizeof(float) % ALIAS_BYTES == 0 ? m_count + ALIAS_PAD : m_count;
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

static void zero_place(const struct nest *nest, const struct place *place)
{
    for (int64_t y = place->y; y < place->y + place->n_rows; y++)
        for (int64_t x = place->x; x < place->x + place->n_tiles * place->n_columns; x++)
            memset(nest->output + (y * nest->out_columns + x) * nest->n_count + nest->channel, 0,
                   (size_t)nest->n_channels * sizeof(float));
}

/* The taps of a row follow one another without a gap between the pixels. */
static bool is_contiguous(const struct nest *nest)
{
    return nest->in_pixel == nest->m_count || nest->kernel_size == 1;
}

static void set_prefetch(struct nest *nest, struct dwb_tile_range range)
{
    nest->prefetch = range.start;
    nest->prefetch_end = range.end;
}

/* Steps [step, step_end), which begin in tap kx, for the columns [lo, hi) of a tile. */
static void call_tile(struct nest *nest, struct place *place, struct rows rows, int64_t kx,
                      int64_t step, int64_t step_end, int64_t lo, int64_t hi)
{
    const bool pair = rows.y_end - rows.y == 2;
    const bool whole = rows.y_end - rows.y == place->n_rows && hi - lo == place->n_columns;
    const int64_t n_pixels = (hi - lo) * (rows.y_end - rows.y), half = (n_pixels + 1) / 2;
    const int64_t steps = nest->kernel_size * nest->m_count;
    const int64_t in_step = nest->stride * nest->in_pixel;
    const int64_t x = place->x + lo;
    const float *input =
        nest->input + (rows.y * nest->stride + rows.ky - nest->pad) * nest->in_row +
        (x * nest->stride + kx - nest->pad) * nest->in_pixel + step - kx * nest->m_count;
    float *output = nest->output + (rows.y * nest->out_columns + x) * nest->n_count + nest->channel;

    if (!place->started && !whole)
        zero_place(nest, place);
    const struct dwb_tile tile = {
        .input = {input, input + (pair ? nest->stride * nest->in_row : half * in_step)},
        .output = {output, output + (pair ? nest->out_columns : half) * nest->n_count},
        .input_step = in_step,
        .input_row = nest->in_row,
        .output_step = nest->n_count,
        .weights = nest->weights + (rows.ky * steps + step) * nest->line,
        .weights_row = steps * nest->line,
        .prefetch = nest->prefetch,
        .prefetch_end = nest->prefetch_end,
        .input_advance = place->n_columns * in_step,
        .output_advance = place->n_columns * nest->n_count,
        .n_tiles = (uint32_t)place->n_tiles,
        .n_rows = (uint32_t)(rows.ky_end - rows.ky),
        .length = (uint32_t)(step_end - step),
        .n_channels = (uint32_t)nest->n_channels,
        .accumulate = place->started || !whole,
    };
    nest->family->run[nest->n_vectors - 1][n_pixels](&tile);
    if (nest->prefetch < nest->prefetch_end)
        nest->prefetch +=
            place->n_tiles * (rows.ky_end - rows.ky) * (step_end - step) * LINE_FLOATS;
    else if (nest->ahead[1].start && nest->prefetch_end == nest->ahead[0].end)
        set_prefetch(nest, nest->ahead[1]);
    place->started = true;
}

/* Columns [*ret_lo, *ret_hi) of the tile whose tap kx falls on the input. */
static void columns_of(const struct nest *nest, const struct place *place, int64_t kx,
                       int64_t *ret_lo, int64_t *ret_hi)
{
    const int64_t s = nest->stride, first = place->x * s + kx - nest->pad;
    const int64_t room = nest->in_columns - first;

    *ret_lo = first < 0 ? (-first + s - 1) / s : 0;
    *ret_hi = room > 0 ? dwb_min_i64(place->n_columns, (room + s - 1) / s) : 0;
}

/*
 * The taps kx of some rows, grouped by the columns they are valid for: the groups that cover the
 * whole tile first, so that the output is opened by a store and not by zeros wherever it can be.
 */
static void run_groups(struct nest *nest, struct place *place, struct rows rows, bool whole)
{
    const bool contiguous = is_contiguous(nest);

    if (contiguous && place->inner) {
        if (whole) /* kx does not matter: steps run through the taps without a gap */
            call_tile(nest, place, rows, 0, nest->step_first, nest->step_end, 0, place->n_columns);
        return;
    }
    for (int64_t kx = 0, end; kx < nest->kernel_size; kx = end) {
        int64_t lo, hi;

        columns_of(nest, place, kx, &lo, &hi);
        for (end = kx + 1; contiguous && end < nest->kernel_size; end++) {
            int64_t next_lo, next_hi;
            columns_of(nest, place, end, &next_lo, &next_hi);
            if (next_lo != lo || next_hi != hi)
                break;
        }
        const int64_t step = dwb_max_i64(kx * nest->m_count, nest->step_first);
        const int64_t step_end = dwb_min_i64(end * nest->m_count, nest->step_end);
        if (lo < hi && step < step_end && whole == (lo == 0 && hi == place->n_columns))
            call_tile(nest, place, rows, kx, step, step_end, lo, hi);
    }
}

static void run_rows(struct nest *nest, struct place *place, int64_t y, int64_t y_end, int64_t ky,
                     int64_t ky_end, bool whole)
{
    if (ky < ky_end)
        run_groups(nest, place, (struct rows){y, y_end, ky, ky_end}, whole);
}

/*
 * The rows of taps: of the upper output row [a0, b0) are valid, of the lower [a1, b1), where
 * a0 >= a1 and b0 >= b1. Both halves run together where both are, alone where one is.
 */
static void run_place(struct nest *nest, struct place *place)
{
    const int64_t y = place->y, origin0 = y * nest->stride - nest->pad;
    const int64_t origin1 = origin0 + (place->n_rows - 1) * nest->stride;
    const int64_t a0 = dwb_max_i64(nest->row_first, -origin0);
    const int64_t b0 = dwb_min_i64(nest->row_end, nest->in_rows - origin0);
    const int64_t a1 = dwb_max_i64(nest->row_first, -origin1);
    const int64_t b1 = dwb_min_i64(nest->row_end, nest->in_rows - origin1);

    place->started = !nest->opening;
    if (place->n_rows == 1) {
        run_rows(nest, place, y, y + 1, a0, b0, true);
        run_rows(nest, place, y, y + 1, a0, b0, false);
    } else {
        const int64_t both = dwb_max_i64(a0, a1), both_end = dwb_min_i64(b0, b1);
        const bool apart = both >= both_end;

        run_rows(nest, place, y, y + 2, both, both_end, true);
        run_rows(nest, place, y, y + 2, both, both_end, false);
        for (int whole = 1; whole >= 0; whole--) {
            run_rows(nest, place, y, y + 1, apart ? a0 : both_end, b0, whole);
            run_rows(nest, place, y + 1, y + 2, a1, apart ? b1 : both, whole);
        }
    }
    if (!place->started)
        zero_place(nest, place);
}

/* Time of a row of tiles in FMA slots: at least MIN_CHAINS sums must be under way to fill them. */
static int64_t tiling_cost(int64_t n_columns, int64_t n_tiles, int64_t n_rows, int64_t n_vectors)
{
    enum { MIN_CHAINS = 8, CALL = 2 };
    int64_t cost = 0;

    for (int64_t i = 0; i < n_tiles; i++) {
        const int64_t n = n_columns / n_tiles + (i < n_columns % n_tiles);
        cost += dwb_max_i64(n * n_rows * n_vectors, MIN_CHAINS) + CALL;
    }
    return cost;
}

/* How many of the next `n` tiles of the place's width run as one: those that meet no padding. */
static int64_t run_length(const struct nest *nest, struct place *place, int64_t n)
{
    const int64_t step = nest->stride, first = place->x * step - nest->pad;
    /* Of the row's columns, this many from the first on have all their taps on the input. */
    const int64_t room = nest->in_columns - nest->kernel_size - first;
    const int64_t fit = room < 0 ? 0 : (room / step + 1) / place->n_columns;

    place->inner = first >= 0 && fit > 0;
    return place->inner && is_contiguous(nest) ? dwb_min_i64(n, fit) : 1;
}

/* All tiles of output rows [y, y_end), columns [x, x_end), for the panel and slice at work. */
static void run_tiles(struct nest *nest, int64_t y, int64_t y_end, int64_t x, int64_t x_end)
{
    const int64_t n_max = nest->family->n_pixels_max[nest->n_vectors - 1], n_columns = x_end - x;
    const int64_t n_single = (n_columns + n_max - 1) / n_max;
    const int64_t n_paired = (n_columns + n_max / 2 - 1) / (n_max / 2);
    const bool pairs = tiling_cost(n_columns, n_paired, 2, nest->n_vectors) <
                       2 * tiling_cost(n_columns, n_single, 1, nest->n_vectors);

    while (y < y_end) {
        const int64_t n_rows = pairs && y_end - y >= 2 ? 2 : 1;
        const int64_t n_tiles = n_rows == 2 ? n_paired : n_single;
        const int64_t width = n_columns / n_tiles, n_wider = n_columns % n_tiles;
        struct place place = {.y = y, .x = x, .n_rows = n_rows};
        for (int64_t i = 0; i < n_tiles; i += place.n_tiles) {
            place.n_columns = width + (i < n_wider);
            place.n_tiles = run_length(nest, &place, (i < n_wider ? n_wider : n_tiles) - i);
            run_place(nest, &place);
            place.x += place.n_tiles * place.n_columns;
        }
        y += n_rows;
    }
}

static void prefetch_next_slice(struct nest *nest, const float *packed_end)
{
    const int64_t steps = nest->kernel_size * nest->m_count;
    const int64_t size =
        (nest->row_end - nest->row_first) * (nest->step_end - nest->step_first) * nest->line;
    const float *start =
        nest->weights + ((nest->row_end - 1) * steps + nest->step_end) * nest->line;

    set_prefetch(nest,
                 (struct dwb_tile_range){start, start + dwb_min_i64(size, packed_end - start)});
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
                prefetch_next_slice(nest, packed_end);
            run_tiles(nest, y, y_end, x, x_end);
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

    set_prefetch(&nest, pixels->ahead[0]);
    run_flat(&nest, pixels->packed, (int64_t)dwb_tile_packed_bytes(family, conv));
}
